//! Pod creates through a real API server: what an ending costs there, by whom it is given.

mod outcome;
mod pod;
mod policy;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, TestNamespace, WebhookOptions, WebhookRegistration,
    webhook::{FailurePolicy, OPT_IN_LABEL},
};
use tokio::time::sleep;

use crate::{
    closed_loop::ClosedLoop,
    connection::{Connection, Target},
    setup::Setup,
    subject::{Kind, Subject},
    tls,
    workload::Workload as _,
};
use outcome::{ALONE, LOADED, Series, Who};
use pod::PodLoad;

pub(crate) use outcome::ThroughApiServer;

/// How long the API server may take to act on a new configuration.
const EFFECTIVE_BOUND: Duration = Duration::from_secs(30);

/// How long to pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a control plane and measures everyone in turns.
///
/// # Errors
///
/// When something does not start, or an answer is wrong.
pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<ThroughApiServer> {
    let control_plane = Box::pin(ControlPlane::start(ControlPlaneOptions::default())).await?;
    let outcome = Box::pin(measure_in(setup, &control_plane)).await;
    let stopped = control_plane.stop().await;
    let outcome = outcome?;
    stopped?;
    Ok(outcome)
}

async fn measure_in(setup: &Setup, control_plane: &ControlPlane) -> anyhow::Result<ThroughApiServer> {
    println!("  Kubernetes {} is ready", control_plane.server_version());
    let scene = Scene::prepare(setup, control_plane).await?;
    let mut pod_bytes = 0;
    for who in Who::ALL {
        // The last counts: the Pod as Fermata leaves it.
        pod_bytes = scene.effective(who).await?;
    }

    let effort = setup.effort;
    let all =
        [ALONE, LOADED].into_iter().flat_map(|connections| Who::ALL.map(|who| Series::new(who, connections)));
    let mut series: Vec<Series> = all.collect();
    for round in 1..=effort.api_server_rounds {
        println!("  round {round} of {}", effort.api_server_rounds);
        for one in &mut series {
            let turn = ClosedLoop {
                connections: one.connections,
                warm_up: effort.warm_up,
                duration: effort.api_server_turn,
            };
            let measured = turn.run(&scene.api_server, scene.load(one.who)).await?;
            one.push(&measured);
            println!(
                "    {} at {}: {:.0}/s, p50 {:.2} ms",
                one.who.in_words(),
                one.connections,
                measured.rate(),
                measured.latency().p50 / 1e3
            );
        }
    }
    scene.leave().await?;
    Ok(ThroughApiServer {
        kubernetes: control_plane.server_version().to_owned(),
        rounds: effort.api_server_rounds,
        seconds_per_turn: effort.api_server_turn.as_secs_f64(),
        pod_bytes,
        series,
    })
}

/// Everyone in a namespace of their own.
struct Scene {
    api_server: Target,
    nobody: Arc<PodLoad>,
    policy: Arc<PodLoad>,
    webhook: Arc<PodLoad>,
    fermata: Subject,
    registration: WebhookRegistration,
    _namespaces: [TestNamespace; 3],
}

impl Scene {
    async fn prepare(setup: &Setup, control_plane: &ControlPlane) -> anyhow::Result<Self> {
        let api_server = target(control_plane)?;
        let nobody = control_plane.namespace("nobody", &[], &[]).await?;
        let policy = control_plane.namespace("policy", &[], &[]).await?;
        let webhook = control_plane.namespace("webhook", &[OPT_IN_LABEL], &[]).await?;

        policy::register(&api_server, policy.name()).await?;
        let kind = Kind::Fermata {
            binary: &setup.fermata,
            workers: None,
            kubeconfig: Some(control_plane.kubeconfig_path()),
        };
        let fermata = setup.start_free(kind).await?;
        let mut options = WebhookOptions::new(
            format!("https://{}/mutate", fermata.address()),
            setup.certificate.authority.pem(),
        );
        options.failure_policy = FailurePolicy::Fail;
        options.only_namespace = Some(webhook.name().to_owned());
        let registration = WebhookRegistration::create(control_plane, &options).await?;

        let load = |namespace: &TestNamespace, mutated| {
            Arc::new(PodLoad::new(api_server.address, namespace.name(), mutated))
        };
        Ok(Self {
            nobody: load(&nobody, false),
            policy: load(&policy, true),
            webhook: load(&webhook, true),
            api_server,
            fermata,
            registration,
            _namespaces: [nobody, policy, webhook],
        })
    }

    fn load(&self, who: Who) -> &Arc<PodLoad> {
        match who {
            Who::Nobody => &self.nobody,
            Who::Policy => &self.policy,
            Who::Fermata => &self.webhook,
        }
    }

    /// Waits until Pods come back as they should; gives the size of one.
    async fn effective(&self, who: Who) -> anyhow::Result<usize> {
        let deadline = Instant::now() + EFFECTIVE_BOUND;
        let load = self.load(who);
        let mut connection = Connection::open(&self.api_server).await?;
        loop {
            let response = connection.exchange(load.request(0)).await?;
            match load.check(0, &response) {
                Ok(()) => return Ok(response.body.len()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("Pods mutated by {} do not appear", who.in_words())));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn leave(self) -> anyhow::Result<()> {
        self.registration.delete().await?;
        self.fermata.stop().await
    }
}

/// The API server, as somebody in the group that API priority and fairness exempts: nothing is held back.
fn target(control_plane: &ControlPlane) -> anyhow::Result<Target> {
    let url = control_plane.server_url();
    let address: SocketAddr = url
        .strip_prefix("https://")
        .and_then(|address| address.parse().ok())
        .with_context(|| format!("expected an address in {url}"))?;
    let authority = control_plane.authority();
    let identity = authority.issue_client("fermata-bench", Some("system:masters"))?;
    Ok(Target::by_address(address, tls::client(authority.der(), Some(&identity))?))
}
