//! The real API server calls replicas through a Service: it resolves the ready endpoints itself
//! (`--enable-aggregator-routing`), and picks one for each new connection.
//!
//! Endpoints may not be loopback addresses, so all of it runs in a network namespace of its own, in which addresses
//! of a documentation range (RFC 5737) belong to the loopback device and nothing leads out.

use std::{env, io::Write as _, time::Duration};

use fermata_test_cluster::{
    ControlPlane, ControlPlaneOptions, Fermata, Launch, Scratch, TestNamespace,
    credentials::{Authority, write_private},
    pod_load::{PodLoad, is_judged},
    process::{Process, Program, Signal},
    wait::{self, Seen},
    webhook::{FailurePolicy, OPT_IN_LABEL, WebhookOptions},
};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ServiceReference},
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};
use tokio::time::{Instant, sleep};

use crate::{
    figures::publish,
    load::{BESIDE, turn},
    replicas::{DRAIN, NAME, NEWS},
};

/// Less than `timeoutSeconds`, which no Pod waits for where nobody listens.
const NO_TIMEOUT: Duration = Duration::from_secs(4);

/// Set where the network namespace has been made.
const INSIDE: &str = "FERMATA_TEST_NETWORK";

/// The addresses of replicas, as Pods would have them.
const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];

/// An address to which packets go and from which none ever comes.
const BLACK_HOLE: &str = "198.51.100.1";

/// Makes the network: what is sent to the black hole loops back, belongs to nobody, and is dropped.
const NETWORK: &str = r#"set -e
ip link set lo up
for address in $ADDRESSES; do ip address add "$address/32" dev lo; done
ip route add 198.51.100.0/24 dev lo
exec "$@""#;

/// Runs the test of that name in a network namespace of its own.
async fn in_own_network(test: &str) {
    let scratch = Scratch::create().unwrap();
    let own = env::current_exe().unwrap().display().to_string();
    let words = [
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        NETWORK,
        "sh",
        &own,
        "--exact",
        test,
        "--ignored",
        "--nocapture",
    ];
    let program = Program {
        name: "in-own-network".to_owned(),
        path: "/usr/bin/unshare".into(),
        args: words.map(str::to_owned).to_vec(),
        env: vec![(INSIDE.to_owned(), "1".to_owned()), ("ADDRESSES".to_owned(), ADDRESSES.join(" "))],
        grace: Duration::from_secs(10),
    };
    let process = Process::start(&scratch, program).unwrap();
    let code = process.exited().await;
    let log = process.log();
    if log.starts_with("unshare: ") || log.starts_with("/bin/sh: ") {
        let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{log}");
        writeln!(std::io::stderr(), "SKIPPED: no network namespace of its own: {}", log.trim()).ok();
        return;
    }
    assert_eq!(code, 0, "{log}");
    for line in log.lines().filter(|line| line.starts_with("behind a Service")) {
        writeln!(std::io::stderr(), "{line}").ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_behind_a_service_come_and_go_and_pods_do_not_suffer() {
    let _turn = turn(BESIDE).await;
    in_own_network("webhook_service::inside").await;
}

fn pod() -> Pod {
    from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "load" },
        "spec": { "containers": [{ "name": "app", "image": "registry.example.com/app:1" }] },
    }))
    .unwrap()
}

/// The cluster, with a Service whose endpoints the test decides on.
struct Stage {
    cluster: ControlPlane,
    scratch: Scratch,
    flags: Vec<String>,
    namespace: TestNamespace,
    registration: String,
}

impl Stage {
    async fn new() -> Self {
        let options = ControlPlaneOptions {
            api_server_args: vec!["--enable-aggregator-routing=true".to_owned()],
            ..ControlPlaneOptions::default()
        };
        let cluster = ControlPlane::start(options).await.unwrap();
        let scratch = Scratch::create().unwrap();
        let authority = Authority::new("service").unwrap();
        let identity = authority.issue_server(&[NAME]).unwrap();
        let path = |name: &str| scratch.path().join(name);
        write_private(&path("tls.crt"), &identity.certificate).unwrap();
        write_private(&path("tls.key"), &identity.key).unwrap();
        let flags = vec![
            format!("--tls-cert={}", path("tls.crt").display()),
            format!("--tls-key={}", path("tls.key").display()),
            format!("--kubeconfig={}", cluster.kubeconfig_path().display()),
        ];
        let client = cluster.client().unwrap();
        let object = |kind: Value| from_value::<k8s_openapi::api::core::v1::Namespace>(kind).unwrap();
        let own = object(json!({ "metadata": { "name": "fermata" } }));
        Api::all(client.clone()).create(&PostParams::default(), &own).await.unwrap();
        let service: Service = from_value(json!({
            "metadata": { "name": "fermata" },
            "spec": { "ports": [{ "name": "https", "port": 443, "targetPort": 8443 }] },
        }))
        .unwrap();
        Api::namespaced(client.clone(), "fermata").create(&PostParams::default(), &service).await.unwrap();
        let options = WebhookOptions {
            failure_policy: FailurePolicy::Fail,
            ..WebhookOptions::new("https://unused", authority.pem())
        };
        let mut configuration = options.configuration();
        let webhook = &mut configuration.webhooks.as_mut().unwrap()[0];
        webhook.client_config.url = None;
        webhook.client_config.service = Some(ServiceReference {
            name: "fermata".to_owned(),
            namespace: "fermata".to_owned(),
            path: Some("/mutate".to_owned()),
            port: Some(443),
        });
        let created = Api::all(client).create(&PostParams::default(), &configuration).await.unwrap();
        let namespace = cluster.namespace("shop", &[OPT_IN_LABEL], &[]).await.unwrap();
        Self { cluster, scratch, flags, namespace, registration: created.name_any() }
    }

    /// Starts a replica at an address of its own, and waits until it is ready.
    async fn start(&self, address: &str) -> Fermata {
        let launch = |_| Launch {
            binary: env!("CARGO_BIN_EXE_fermata").into(),
            args: [
                "serve".to_owned(),
                format!("--listen={address}:8443"),
                format!("--admin-listen={address}:8080"),
                format!("--drain={}s", DRAIN.as_secs()),
            ]
            .into_iter()
            .chain(self.flags.iter().cloned())
            .collect(),
            env: Vec::new(),
            readiness_url: format!("http://{address}:8080/readyz"),
            grace: DRAIN + Duration::from_secs(8),
        };
        Fermata::start(&self.scratch, launch).await.unwrap()
    }

    /// Says which endpoints are ready.
    async fn endpoints(&self, ready: &[&str]) {
        let slices = Api::<EndpointSlice>::namespaced(self.cluster.client().unwrap(), "fermata");
        let endpoints: Vec<_> = ready
            .iter()
            .map(|address| json!({ "addresses": [address], "conditions": { "ready": true } }))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": "fermata", "labels": { "kubernetes.io/service-name": "fermata" } },
            "addressType": "IPv4",
            "ports": [{ "name": "https", "port": 8443, "protocol": "TCP" }],
            "endpoints": endpoints,
        });
        slices.patch("fermata", &PatchParams::apply("test").force(), &Patch::Apply(&slice)).await.unwrap();
    }

    /// Waits until Pods are judged.
    async fn effective(&self) {
        let pods = self.namespace.pods();
        let dry_run = PostParams { dry_run: true, field_manager: None };
        wait::until("a Pod that is judged", Duration::from_secs(30), async || {
            let answer = pods.create(&dry_run, &pod()).await;
            Ok(if is_judged(&answer) { Seen::Yes(()) } else { Seen::NotYet(format!("{answer:?}")) })
        })
        .await
        .unwrap();
    }

    fn load(&self) -> PodLoad {
        PodLoad::start(&self.namespace, 4, &pod())
    }

    /// What a webhook that does not answer means from now on.
    async fn ignore_failures(&self) {
        let configurations = Api::<MutatingWebhookConfiguration>::all(self.cluster.client().unwrap());
        let patch = json!([{ "op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore" }]);
        let patch = Patch::<Value>::Json(from_value(patch).unwrap());
        configurations.patch(&self.registration, &PatchParams::default(), &patch).await.unwrap();
    }

    /// How long each of some Pods takes that start as they are, once the webhook is away in this way.
    async fn unjudged(&self, way: &str, count: usize) -> Duration {
        let pods = self.namespace.pods();
        let dry_run = PostParams { dry_run: true, field_manager: None };
        wait::until("a Pod that starts as it is", Duration::from_secs(30), async || {
            let answer = pods.create(&dry_run, &pod()).await;
            let unchanged = answer.is_ok() && !is_judged(&answer);
            Ok(if unchanged { Seen::Yes(()) } else { Seen::NotYet(format!("{answer:?}")) })
        })
        .await
        .unwrap();
        let mut times = Vec::new();
        for _ in 0..count {
            let begun = Instant::now();
            let answer = pods.create(&dry_run, &pod()).await;
            assert!(answer.is_ok() && !is_judged(&answer), "{way}: {answer:?}");
            times.push(begun.elapsed());
        }
        times.sort();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        publish(
            "behind a Service, failurePolicy Ignore",
            &format!("{way}: a Pod takes {median:.1?}, at most {longest:.1?}"),
        );
        longest
    }
}

/// Replaces a replica: the new one is ready first, and everybody hears of the old one's end a while after its signal.
async fn replace(stage: &Stage, old: Fermata, new: &str, ready: &[&str], left: &[&str]) -> Fermata {
    let started = stage.start(new).await;
    stage.endpoints(ready).await;
    old.terminate().unwrap();
    sleep(NEWS).await;
    stage.endpoints(left).await;
    let (code, log) = old.ended().await;
    assert_eq!(code, 0, "{log}");
    started
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a network namespace of its own, by the test above"]
async fn inside() {
    assert!(env::var_os(INSIDE).is_some(), "it needs addresses that only its network namespace has");
    let [a, b, c, d] = ADDRESSES;
    let mut stage = Stage::new().await;
    let (first, second) = (stage.start(a).await, stage.start(b).await);
    stage.endpoints(&[a, b]).await;
    stage.effective().await;

    let load = stage.load();
    load.run(100).await.unwrap();
    let first = replace(&stage, first, c, &[a, b, c], &[b, c]).await;
    load.run(100).await.unwrap();
    let second = replace(&stage, second, d, &[b, c, d], &[c, d]).await;
    load.run(100).await.unwrap();
    let figures = load.stop().await;
    publish("behind a Service, rolling restart of both replicas", &figures);
    figures.expect_no_failure().unwrap();

    let load = stage.load();
    load.run(100).await.unwrap();
    first.process().signal(Signal::Kill).unwrap();
    first.process().exited().await;
    let dead = Instant::now();
    sleep(NEWS).await;
    stage.endpoints(&[d]).await;
    load.run(100).await.unwrap();
    let figures = load.stop().await;
    let next = figures.next_right_after(dead).unwrap();
    publish("behind a Service, one of two killed", &format!("{figures}, next success after {next:.1?}"));
    assert!(next <= Duration::from_secs(1), "the next success came after {next:?}");
    for pod in figures.created.iter().filter(|pod| pod.failure.is_some()) {
        assert!(pod.begun < dead + NEWS + Duration::from_secs(1), "still failing: {pod:?}");
    }

    stage.cluster.stop_api_server().await.unwrap();
    stage.cluster.start_api_server().await.unwrap();
    stage.effective().await;
    let load = stage.load();
    load.run(100).await.unwrap();
    let figures = load.stop().await;
    publish("behind a Service, after the API server's restart", &figures);
    figures.expect_no_failure().unwrap();

    stage.ignore_failures().await;
    second.process().signal(Signal::Kill).unwrap();
    second.process().exited().await;
    let refused = stage.unjudged("nobody listens", 9).await;
    assert!(refused < NO_TIMEOUT, "{refused:?}");
    stage.endpoints(&[]).await;
    let none = stage.unjudged("no endpoint is ready", 9).await;
    assert!(none < NO_TIMEOUT, "{none:?}");
    stage.endpoints(&[BLACK_HOLE]).await;
    sleep(NEWS).await;
    let lost = stage.unjudged("packets are lost, timeoutSeconds 5", 1).await;
    // More than that it would be with the default of 10 s.
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&lost), "{lost:?}");
    stage.cluster.stop().await.unwrap();
}
