//! Looks for Pods that take part and were never seen by the webhook: it was away, or they are older than the label.

use std::{fmt::Write, time::Duration};

use fermata_core::{
    pod::Pod,
    rules::plan,
    settings::{ClusterSettings, Settings},
};
use futures_util::{StreamExt, stream};
use hyper::Request;
use k8s_openapi::{
    api::admissionregistration::v1::MutatingWebhook, apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::Client;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::ask;
use crate::cli::check::{
    facts::{Coverage, Fact, Missed, OptedIn},
    selector::selects,
};

/// How many Namespaces at the same time.
const AT_ONCE: usize = 4;

/// How many Pods are asked for at a time.
const PAGE: usize = 250;

/// How long all of it may take; what was not looked at by then is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at the Pods of all opted-in Namespaces.
pub(super) async fn coverage(
    client: &Client,
    opted_in: &OptedIn,
    own: Option<&str>,
    webhook: Option<&MutatingWebhook>,
) -> Coverage {
    let deadline = Instant::now() + PATIENCE;
    let selector = webhook.and_then(|webhook| webhook.namespace_selector.as_ref());
    let names: Vec<&str> = opted_in.names(own, selector).collect();
    let selector = webhook.and_then(|webhook| webhook.object_selector.as_ref());
    let mut coverage = Coverage::default();
    let mut seen = stream::iter(names)
        .map(|namespace| async move {
            let looked = timeout_at(deadline, look(client, namespace, own, selector)).await;
            (namespace, looked)
        })
        .buffered(AT_ONCE);
    while let Some((namespace, looked)) = seen.next().await {
        match looked {
            Ok(Ok(found)) => {
                coverage.looked_at += found.looked_at;
                coverage.missed.extend(found.missed);
            }
            Ok(Err(gap)) => coverage.gaps.push((namespace.to_owned(), gap)),
            Err(_) => coverage.unseen.push(namespace.to_owned()),
        }
    }
    coverage
}

/// Looks at the Pods of one Namespace, page by page.
async fn look(
    client: &Client,
    namespace: &str,
    own: Option<&str>,
    selector: Option<&LabelSelector>,
) -> Fact<Coverage> {
    let mut coverage = Coverage::default();
    let mut token = String::new();
    loop {
        // What has ended already has no ending to come.
        let mut path = format!(
            "/api/v1/namespaces/{namespace}/pods?limit={PAGE}&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
        );
        if !token.is_empty() {
            // Writing to a string cannot fail. The API server's tokens are URL-safe base64.
            let _ = write!(path, "&continue={token}");
        }
        let question = async {
            let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
            client.request::<Value>(request).await
        };
        let page = ask(&format!("list pods in {namespace}"), question).await?;
        for pod in page["items"].as_array().into_iter().flatten() {
            match judge(pod, namespace, own, selector) {
                Seen::Aside => {}
                Seen::Covered => coverage.looked_at += 1,
                Seen::Missed(missed) => {
                    coverage.looked_at += 1;
                    coverage.missed.push(missed);
                }
            }
        }
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            return Ok(coverage);
        }
    }
}

/// What one Pod is.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It does not take part, or is on its way out.
    Aside,
    /// The webhook has seen it.
    Covered,
    /// The webhook should have seen it.
    Missed(Missed),
}

/// Judges by what is registered, and by the rules of admission themselves, whether the Pod takes part.
fn judge(object: &Value, namespace: &str, own: Option<&str>, selector: Option<&LabelSelector>) -> Seen {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Seen::Aside;
    }
    let bytes = object.to_string().into_bytes();
    let Ok(pod) = Pod::parse(&bytes) else { return Seen::Aside };
    if pod.status().is_some() {
        return Seen::Covered;
    }
    let labels = serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
    if !selects(selector, &labels) {
        return Seen::Aside;
    }
    let cluster = ClusterSettings::default();
    let settings = Settings {
        cluster: &cluster,
        namespace: None,
        namespace_name: Some(namespace),
        own_namespace: own,
        server: None,
    };
    if plan(&pod, &settings).skipped().is_some() {
        return Seen::Aside;
    }
    let (namespace, name) = (namespace.to_owned(), pod.name().to_owned());
    Seen::Missed(Missed { namespace, pod: name, workload: workload(&object["metadata"]) })
}

/// What makes the Pod, where `kubectl rollout restart` knows it.
fn workload(metadata: &Value) -> Option<String> {
    let owners = metadata["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let name = owner["name"].as_str()?;
    match owner["kind"].as_str()? {
        "ReplicaSet" => {
            let hash = metadata["labels"]["pod-template-hash"].as_str()?;
            let deployment = name.strip_suffix(hash)?.strip_suffix('-')?;
            Some(format!("deployment/{deployment}"))
        }
        kind @ ("StatefulSet" | "DaemonSet") => Some(format!("{}/{name}", kind.to_lowercase())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Missed, Seen, judge};

    fn pod(change: impl FnOnce(&mut Value)) -> Value {
        let mut pod = json!({
            "metadata": { "name": "web-1", "labels": {}, "annotations": {} },
            "spec": { "containers": [{ "name": "app", "image": "app" }], "terminationGracePeriodSeconds": 30 },
        });
        change(&mut pod);
        pod
    }

    #[test]
    fn only_pods_that_admission_would_have_changed_are_missed() {
        let missed = |workload: Option<&str>| {
            let workload = workload.map(str::to_owned);
            Seen::Missed(Missed { namespace: "shop".into(), pod: "web-1".into(), workload })
        };
        let owner = |kind: &str, name: &str| json!([{ "kind": kind, "name": name, "controller": true, "apiVersion": if kind == "Job" { "batch/v1" } else { "apps/v1" } }]);
        for (pod, expected) in [
            (pod(|_| {}), missed(None)),
            (
                pod(|pod| pod["metadata"]["annotations"] = json!({ "fermata.dev/status": "{}" })),
                Seen::Covered,
            ),
            (pod(|pod| pod["metadata"]["labels"] = json!({ "fermata.dev/inject": "disabled" })), Seen::Aside),
            (pod(|pod| pod["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z".into()), Seen::Aside),
            (pod(|pod| pod["spec"]["terminationGracePeriodSeconds"] = 0.into()), Seen::Aside),
            (pod(|pod| pod["spec"]["os"] = json!({ "name": "windows" })), Seen::Aside),
            (pod(|pod| pod["metadata"]["ownerReferences"] = owner("Job", "nightly")), Seen::Aside),
            (
                pod(|pod| {
                    pod["metadata"]["ownerReferences"] = owner("ReplicaSet", "web-7d9f");
                    pod["metadata"]["labels"]["pod-template-hash"] = "7d9f".into();
                }),
                missed(Some("deployment/web")),
            ),
            (
                pod(|pod| pod["metadata"]["ownerReferences"] = owner("StatefulSet", "db")),
                missed(Some("statefulset/db")),
            ),
            (pod(|pod| pod["metadata"]["ownerReferences"] = owner("Custom", "x")), missed(None)),
        ] {
            assert_eq!(judge(&pod, "shop", Some("fermata"), None), expected, "{pod}");
        }
        assert_eq!(judge(&pod(|_| {}), "kube-system", None, None), Seen::Aside);
        assert_eq!(judge(&pod(|_| {}), "fermata", Some("fermata"), None), Seen::Aside);
    }

    #[test]
    fn pods_that_the_registered_selector_leaves_out_are_not_missed() {
        let selector = serde_json::from_value(json!({ "matchLabels": { "team": "a" } })).unwrap();
        let labelled = pod(|pod| pod["metadata"]["labels"] = json!({ "team": "a" }));
        for (pod, aside) in [(pod(|_| {}), true), (labelled, false)] {
            let seen = judge(&pod, "shop", None, Some(&selector));
            assert_eq!(seen == Seen::Aside, aside, "{pod}: {seen:?}");
        }
    }
}
