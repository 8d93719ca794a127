//! The server in this process, with limits that a test can wait for.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fermata::{
    cluster::Cluster,
    config::live::LiveSettings,
    server::{
        ConnectionLimits, Connections, Ending, Listener, Transport,
        admin::{self, Admin},
        mutate::{self, Admission, Decide, ReviewLimits},
    },
    telemetry::{Conditions, Metrics},
    tls::{self, CertificateHolder, self_signed},
};
use tokio::runtime::Runtime;

use crate::client::{Client, Trust};

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) connections: ConnectionLimits,
    pub(crate) reviews: ReviewLimits,
    pub(crate) decide: Option<Decide>,
    pub(crate) settings: Arc<LiveSettings>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) conditions: Conditions,
    /// The holder, and the authorities that clients should trust.
    pub(crate) certificate: Option<(Arc<CertificateHolder>, Trust)>,
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) trust: Trust,
    pub(crate) authority: String,
    pub(crate) connections: Arc<Connections>,
    pub(crate) runtime: Option<Runtime>,
}

impl Setup {
    pub(crate) fn serve(self) -> Served {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let made = self_signed::generate(&["localhost".to_owned()]).unwrap();
        let (holder, trust) = self.certificate.unwrap_or_else(|| {
            let trust = Trust::in_authorities([made.authority.as_str()]);
            (Arc::new(CertificateHolder::new(made.identity)), trust)
        });
        let config = tls::server_config(holder).unwrap();
        let cluster = Arc::new(Cluster::new(None, None, None, &self.metrics));
        let mut admission = Admission::new(self.settings, cluster, Arc::clone(&self.metrics), self.reviews);
        if let Some(decide) = self.decide {
            admission = admission.deciding(decide);
        }
        let admission = Arc::new(admission);
        let connections = Connections::new(self.connections);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (reviews, admin) = runtime.block_on(async {
            (Listener::bind(any, "--listen").unwrap(), Listener::bind(any, "--admin-listen").unwrap())
        });
        let (address, admin_address) = (reviews.address(), admin.address());
        let transport = Transport::tls(config, &self.metrics);
        let pages = Admin {
            conditions: self.conditions,
            metrics: self.metrics,
            connections: Arc::clone(&connections),
            admission: Arc::clone(&admission),
            log_lines_lost: Arc::new(|| 0),
        };
        let listed = Arc::clone(&connections);
        let router = mutate::router(Arc::clone(&admission));
        runtime.spawn(reviews.serve(
            transport,
            listed,
            router,
            move || admission.crowded(),
            Ending::default(),
        ));
        let admin_connections = Connections::new(ConnectionLimits::default());
        let router = admin::router(pages);
        runtime.spawn(admin.serve(Transport::Plain, admin_connections, router, || {}, Ending::default()));
        Served {
            address,
            admin: admin_address,
            trust,
            authority: made.authority,
            connections,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Served {
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address, &self.trust).unwrap()
    }

    /// What a metric says, by its name and labels as they stand on the page.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(self.admin, name)
    }
}

pub(crate) fn metric(admin: SocketAddr, name: &str) -> u64 {
    let page = Client::plain(admin).unwrap().get("/metrics").unwrap();
    let value =
        page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.unwrap_or_else(|| panic!("no {name} in\n{}", page.text())).parse().unwrap()
}

pub(crate) fn ready(admin: SocketAddr) -> (bool, String) {
    let page = Client::plain(admin).unwrap().get("/readyz").unwrap();
    (page.status == 200, page.text().to_owned())
}

pub(crate) const SOON: Duration = Duration::from_secs(1);
