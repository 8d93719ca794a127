//! Fermata as people have it: installed by Helm on a real node, asked by the API server through its Service, for Pods
//! that run and end.
//!
//! `FERMATA_IMAGES` names the folder of `make images`. Without it the webhook's image is made of this build.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "node/operations.rs"]
mod operations;
#[path = "node/release.rs"]
mod release;
#[path = "node/second.rs"]
mod second;

use std::{
    env,
    io::Write as _,
    time::{Duration, Instant},
};

use fermata_test_cluster::{
    Cluster, Node, NodeOptions, TestNamespace,
    assets::Binary,
    node::{self, BUSYBOX},
    pod_load::{PodLoad, is_judged},
    wait::{self, Seen},
    webhook::OPT_IN_LABEL,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use crate::release::Release;

const STATUS: &str = "fermata.dev/status";
const BOUND: Duration = Duration::from_mins(2);

/// Whether a node can be had here. What is not tried is said past the test harness, which keeps back what a test that
/// passes prints.
fn possible() -> bool {
    let Err(error) = node::check() else { return true };
    let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{error:#}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: no node: {error:#}");
    false
}

/// It dies at once on TERM, and says so.
fn app(name: &str, drain: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "annotations": { "fermata.dev/drain": drain } },
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "containers": [{
                "name": "app",
                "image": BUSYBOX,
                "command": ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            }],
        },
    }))
    .unwrap()
}

async fn until_running(namespace: &TestNamespace, name: &str) -> Pod {
    let pods = namespace.pods();
    wait::until(&format!("the Pod {name} to run"), BOUND, async || {
        let pod = pods.get(name).await?;
        let status = pod.status.clone().unwrap_or_default();
        let running = status.phase.as_deref() == Some("Running");
        Ok(if running { Seen::Yes(pod) } else { Seen::NotYet(format!("{status:?}")) })
    })
    .await
    .unwrap()
}

/// Deletes a Pod and says how long it took to be gone.
async fn ending(namespace: &TestNamespace, name: &str) -> Duration {
    let pods = namespace.pods();
    let deleted = Instant::now();
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    wait::until(&format!("the Pod {name} to be gone"), BOUND, async || {
        Ok(match pods.get_opt(name).await? {
            Some(_) => Seen::NotYet("it is there".to_owned()),
            None => Seen::Yes(()),
        })
    })
    .await
    .unwrap();
    deleted.elapsed()
}

/// What a Pod has of what Fermata may change.
fn ending_of(pod: &Pod) -> serde_json::Value {
    let spec = pod.spec.as_ref().unwrap();
    json!([spec.containers[0].lifecycle, spec.termination_grace_period_seconds, spec.init_containers])
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, field_manager: None }
}

/// Waits until the API server asks for Pods here. kube-proxy hears of a replica that is ready a moment after Helm does.
async fn until_asked(namespace: &TestNamespace) {
    let pods = namespace.pods();
    wait::until("the API server to ask Fermata", BOUND, async || {
        let answer = pods.create(&dry_run(), &app("probe", "3s")).await;
        Ok(if is_judged(&answer) { Seen::Yes(()) } else { Seen::NotYet(format!("{answer:?}")) })
    })
    .await
    .unwrap();
}

/// The life of one installation, on one node for the sake of time.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_from_its_first_day_to_its_last() {
    if !possible() {
        return;
    }
    let node = Node::start(NodeOptions::default()).await.unwrap();
    let release = Release::install(Cluster::Node(Box::new(node))).await;
    let replicas = release.replicas().await;
    assert_eq!(replicas.len(), 2);
    assert!(replicas.iter().all(release::is_ready), "{replicas:#?}");

    // A labelled namespace is all that it takes.
    let cluster = release.node().control_plane();
    let shop = cluster.namespace("shop", &[OPT_IN_LABEL], &[]).await.unwrap();
    until_asked(&shop).await;
    let created = shop.pods().create(&PostParams::default(), &app("app", "3s")).await.unwrap();
    assert!(created.annotations().contains_key(STATUS), "{:?}", created.annotations());
    let spec = created.spec.clone().unwrap();
    assert_eq!(spec.termination_grace_period_seconds, Some(13));
    let hook =
        spec.containers[0].lifecycle.clone().and_then(|it| it.pre_stop).and_then(|it| it.sleep).unwrap();
    assert_eq!(hook.seconds, 3);
    until_running(&shop, "app").await;
    let took = ending(&shop, "app").await;
    assert!(took >= Duration::from_secs(3), "gone after {took:?}: it was not drained");
    assert!(took < Duration::from_secs(13), "gone after {took:?}: it was killed");

    for binary in [Binary::Helm, Binary::Helm3] {
        let helm = release.helm(binary).await;
        helm.success(&["test", "fermata", "--namespace=fermata", "--timeout=2m"]).await.unwrap();
    }

    // From outside, and from where the Service can be called.
    let outside = release.check().await;
    assert_eq!(outside["summary"]["failed"], 0, "{outside:#}");
    for check in ["pod-patched", "registration-ca-matches", "authority-secret", "replicas-ready"] {
        assert_eq!(operations::state(&outside, check), "ok", "{outside:#}");
    }
    let inside = release.check_inside().await;
    assert_eq!(inside["summary"]["failed"], 0, "{inside:#}");
    for check in ["pod-patched", "registration-ca-matches", "certificate-lifetime", "replicas-reached"] {
        assert_eq!(operations::state(&inside, check), "ok", "{inside:#}");
    }

    // From here on a review that nobody answers refuses the Pod.
    release.upgrade(&["--set=webhook.failurePolicy=Fail"]).await;
    let load = PodLoad::start(&shop, 2, &app("load", "3s"));
    load.run(20).await.unwrap();
    release.upgrade(&["--set=webhook.failurePolicy=Fail,podAnnotations.changed=yes"]).await;
    release.restart().await;
    load.run(20).await.unwrap();
    let figures = load.stop().await;
    println!("upgrade and rolling restart: {figures}");
    figures.expect_no_failure().unwrap();

    // One replica goes without a word. What it had in hand may be lost, the other one answers at once.
    let load = PodLoad::start(&shop, 2, &app("load", "3s"));
    load.run(20).await.unwrap();
    let killed = tokio::time::Instant::now();
    release.kill_one().await;
    load.run(20).await.unwrap();
    release.until_ready(2).await;
    let figures = load.stop().await;
    println!("one replica deleted by force: {figures}");
    assert!(figures.failures().count() <= 2, "{:?}", figures.failures().collect::<Vec<_>>());
    let next = figures.next_right_after(killed).unwrap();
    assert!(next < Duration::from_secs(1), "the next Pod took {next:?}");

    // Another one, where nobody could refuse it, finds nothing left to be done, whichever of the two is asked first.
    let second = release.second().await;
    wait::until("both to be asked", BOUND, async || {
        let asked = second.reviews().await?;
        let answer = shop.pods().create(&dry_run(), &app("between-two", "3s")).await;
        assert!(is_judged(&answer), "{answer:?}");
        Ok(if asked > 0.0 { Seen::Yes(()) } else { Seen::NotYet("only the first is asked".to_owned()) })
    })
    .await
    .unwrap();
    let both = shop.pods().create(&dry_run(), &app("app", "3s")).await.unwrap();
    assert_eq!(both.annotations().get(STATUS), created.annotations().get(STATUS));
    assert_eq!(ending_of(&both), ending_of(&created));
    second.remove().await;

    // Pods that were given an ending keep it, and new ones are created as they are.
    shop.pods().create(&PostParams::default(), &app("stays", "3s")).await.unwrap();
    until_running(&shop, "stays").await;
    release.uninstall().await;
    let bare = shop.pods().create(&PostParams::default(), &app("bare", "3s")).await.unwrap();
    assert!(!bare.annotations().contains_key(STATUS), "{:?}", bare.annotations());
    until_running(&shop, "bare").await;
    let stays = until_running(&shop, "stays").await;
    let restarts = stays.status.and_then(|status| status.container_statuses).unwrap()[0].restart_count;
    assert_eq!(restarts, 0);
    let took = ending(&shop, "stays").await;
    assert!(took >= Duration::from_secs(3), "gone after {took:?}: it was not drained");
    let replicas: Api<Pod> = Api::namespaced(release.node().client().unwrap(), release::NAMESPACE);
    wait::until("the replicas to be gone", BOUND, async || {
        let left = replicas.list(&ListParams::default()).await?.items.len();
        Ok(if left == 0 { Seen::Yes(()) } else { Seen::NotYet(format!("{left} are there")) })
    })
    .await
    .unwrap();
    release.cluster.stop().await.unwrap();
}
