//! A second mutating webhook, which adds a container as a service mesh does.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use fermata_test_cluster::credentials::Authority;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The container that it adds.
pub(crate) const CONTAINER: &str = "mesh-proxy";

/// The annotation with the resources that all containers get, as JSON; without it none are changed.
pub(crate) const RESOURCES: &str = "mesh.example.com/resources";

/// A running injector.
pub(crate) struct Injector {
    pub(crate) address: SocketAddr,
    pub(crate) ca: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Injector {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new("injector").unwrap();
        let identity = authority.issue_server(&["127.0.0.1"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service_fn(inject)).await;
                });
            }
        });
        Self { address, ca: authority.pem().to_owned(), serving }
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn inject(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let containers = review["request"]["object"]["spec"]["containers"].as_array().unwrap();
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": true });
    if !containers.iter().any(|container| container["name"] == CONTAINER) {
        let container = json!({ "name": CONTAINER, "image": "registry.example.com/mesh:1" });
        let mut patch = vec![json!({ "op": "add", "path": "/spec/containers/0", "value": container })];
        if let Some(resources) = review["request"]["object"]["metadata"]["annotations"][RESOURCES].as_str() {
            let resources: Value = serde_json::from_str(resources).unwrap();
            patch.extend((0..=containers.len()).map(|index| {
                json!({ "op": "add", "path": format!("/spec/containers/{index}/resources"), "value": resources })
            }));
        }
        let patch = Value::from(patch);
        response["patchType"] = "JSONPatch".into();
        response["patch"] = BASE64_STANDARD.encode(patch.to_string()).into();
    }
    let answer =
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    let answer = Full::from(answer.to_string());
    Ok(Response::builder().header("content-type", "application/json").body(answer).unwrap())
}
