//! Replicas as processes, behind a Service, in a cluster.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use fermata_test_cluster::{
    ControlPlane, Fermata, Launch, Ports, Scratch, credentials::Authority, http, mounted::MountedPair,
    service::Service, webhook::OPT_IN_LABEL, webhook_client::WebhookClient,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::watch;

use crate::registration::Registration;

/// The name by which API servers know the webhook.
pub(crate) const NAME: &str = "fermata.fermata.svc";

/// How long a replica drains here.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);

/// How long it takes everybody to hear that an endpoint is gone: less than the drain, as it has to be.
pub(crate) const NEWS: Duration = Duration::from_secs(1);

/// What a webhook configuration has as `timeoutSeconds`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// The Namespace of the reviews that are sent.
const NAMESPACE: &str = "shop";

/// Makes the Namespace of the reviews, which has opted in.
async fn opt_in(cluster: &ControlPlane) {
    let labels = [(OPT_IN_LABEL.0.to_owned(), OPT_IN_LABEL.1.to_owned())].into();
    let metadata =
        ObjectMeta { name: Some(NAMESPACE.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    match Api::all(cluster.client().unwrap()).create(&PostParams::default(), &namespace).await {
        Ok(_) => {}
        // Another test was first.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => panic!("{error}"),
    }
}

/// Where their certificates come from.
enum Certificates {
    /// From files, which everybody can change.
    Files(MountedPair),
    /// From an authority in a Secret, which they share.
    Secret(Vec<String>),
}

/// What replicas have in common.
pub(crate) struct Replicas {
    scratch: Scratch,
    kubeconfig: String,
    certificates: Certificates,
    pub(crate) service: Arc<Service>,
    client: watch::Sender<Arc<WebhookClient>>,
}

impl Replicas {
    /// Nothing runs yet; replicas will have a certificate from a file.
    pub(crate) async fn with_files(cluster: &ControlPlane, authority: &Authority) -> Self {
        opt_in(cluster).await;
        let scratch = Scratch::create().unwrap();
        let identity = authority.issue_server(&[NAME]).unwrap();
        let mounted = MountedPair::create(&scratch.path().join("tls"), &identity).unwrap();
        Self::new(cluster, scratch, Certificates::Files(mounted), authority.pem())
    }

    /// Nothing runs yet; replicas will have certificates of their own making, by the chart's arguments and by these.
    pub(crate) async fn as_charted(cluster: &ControlPlane, more: &[&str]) -> (Self, Registration) {
        opt_in(cluster).await;
        let registration = Registration::new(cluster).await;
        let mut flags = registration.flags();
        flags.extend(more.iter().map(ToString::to_string));
        (Self::new(cluster, Scratch::create().unwrap(), Certificates::Secret(flags), ""), registration)
    }

    fn new(cluster: &ControlPlane, scratch: Scratch, certificates: Certificates, ca_bundle: &str) -> Self {
        let service = Arc::new(Service::default());
        let client = WebhookClient::new(Arc::clone(&service), NAME, ca_bundle, TIMEOUT).unwrap();
        Self {
            scratch,
            kubeconfig: cluster.kubeconfig_path().display().to_string(),
            certificates,
            service,
            client: watch::Sender::new(Arc::new(client)),
        }
    }

    /// Changes the files of the certificate.
    pub(crate) fn publish(&self, authority: &Authority) {
        let Certificates::Files(mounted) = &self.certificates else { panic!("there are no files") };
        mounted.publish(&authority.issue_server(&[NAME]).unwrap()).unwrap();
    }

    /// Starts one, waits until it is ready, and puts it behind the Service.
    pub(crate) async fn start(&self) -> Fermata {
        let certificates = match &self.certificates {
            Certificates::Files(mounted) => mounted.flags(),
            Certificates::Secret(flags) => flags.clone(),
        };
        let launch = |ports: Ports| Launch {
            binary: env!("CARGO_BIN_EXE_fermata").into(),
            args: [
                "serve".to_owned(),
                format!("--listen=127.0.0.1:{}", ports.webhook),
                format!("--admin-listen=127.0.0.1:{}", ports.admin),
                format!("--kubeconfig={}", self.kubeconfig),
                format!("--drain={}s", DRAIN.as_secs()),
            ]
            .into_iter()
            .chain(certificates.iter().cloned())
            .collect(),
            env: Vec::new(),
            readiness_url: format!("http://127.0.0.1:{}/readyz", ports.admin),
            grace: DRAIN + Duration::from_secs(8),
        };
        let replica = Fermata::start(&self.scratch, launch).await.unwrap();
        self.service.add(endpoint(&replica));
        replica
    }

    /// Has API servers hear of a caBundle: whoever trusts another one is another client, with connections of its own.
    pub(crate) fn register(&self, ca_bundle: &str) {
        let client = WebhookClient::new(Arc::clone(&self.service), NAME, ca_bundle, TIMEOUT).unwrap();
        self.client.send_replace(Arc::new(client));
    }

    /// The client of an API server that has heard of the current registration.
    pub(crate) fn client(&self) -> watch::Receiver<Arc<WebhookClient>> {
        self.client.subscribe()
    }
}

/// Where a replica takes reviews.
pub(crate) fn endpoint(replica: &Fermata) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, replica.ports().webhook).into()
}

/// The value of a metric of a replica.
pub(crate) async fn metric(replica: &Fermata, name: &str) -> u32 {
    let page = http::get(&format!("http://127.0.0.1:{}/metrics", replica.ports().admin)).await.unwrap().body;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}
