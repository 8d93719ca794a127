//! The replicas, and what they say of themselves.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt, client::Body};
use tokio::time::timeout;

use super::list;
use crate::cli::check::facts::{Fact, Replica};

/// How many replicas are asked. What one says is much like what the others say.
const ASKED: usize = 10;

/// How long a replica may take to answer: the API server may wait for a node that is gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// The port of `/readyz`, if the Pod does not name it.
const ADMIN_PORT: i32 = 8080;

/// Lists the replicas, and asks each how it is.
pub(super) async fn replicas(client: &Client, namespace: &str, selector: &str) -> Fact<Vec<Replica>> {
    let selector = format!("{selector},app.kubernetes.io/component=webhook");
    let mut pods: Vec<Pod> = list(client, namespace, &selector).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by_key(ResourceExt::name_any);
    let pages = join_all(pods.iter().take(ASKED).map(|pod| ready_page(client, namespace, pod))).await;
    let pages = pages.into_iter().chain(std::iter::repeat(None));
    Ok(pods.into_iter().zip(pages).map(|(pod, ready_page)| Replica { pod, ready_page }).collect())
}

/// What a replica says at `/readyz`, by way of the API server; nothing where that is not permitted or does not work.
async fn ready_page(client: &Client, namespace: &str, pod: &Pod) -> Option<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let named = |port: &&k8s_openapi::api::core::v1::ContainerPort| port.name.as_deref() == Some("http");
    let port = containers.flat_map(|container| container.ports.iter().flatten()).find(named);
    let port = port.map_or(ADMIN_PORT, |port| port.container_port);
    let name = pod.metadata.name.as_deref()?;
    let path = format!("/api/v1/namespaces/{namespace}/pods/http:{name}:{port}/proxy/readyz");
    let request = Request::get(path).body(Body::empty()).ok()?;
    let answer = async { client.send(request).await.ok()?.into_body().collect_bytes().await.ok() };
    let page = timeout(PATIENCE, answer).await.ok()??;
    let page = String::from_utf8(page.to_vec()).ok()?;
    // Anything else is the API server's own word, about why it did not get there.
    page.ends_with("ready\n").then_some(page)
}
