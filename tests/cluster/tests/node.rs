//! A whole node: Pods run on it, and nothing is left of it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "node/rest.rs"]
mod rest;
#[path = "node/skip.rs"]
mod skip;

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fermata_test_cluster::{
    Image, Node, NodeOptions, Scratch, http,
    node::{self, BUSYBOX},
    process::{Process, Program, Signal},
    wait::{self, Seen},
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api,
    api::{DeleteParams, LogParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::rest::{Rest, tunables};

const BOUND: Duration = Duration::from_mins(1);

/// Whether a node can be had here; a test that cannot be run is counted.
fn possible() -> bool {
    match node::check() {
        Ok(()) => true,
        Err(error) => {
            skip::skip(&format!("no node: {error:#}"));
            false
        }
    }
}

fn pod(name: &str, container: &serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "terminationGracePeriodSeconds": 20, "containers": [container] },
    }))
    .unwrap()
}

async fn until_ready(pods: &Api<Pod>, name: &str) -> anyhow::Result<Pod> {
    wait::until(&format!("the Pod {name} to be ready"), BOUND, async || {
        let pod = pods.get(name).await?;
        let status = pod.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
        Ok(if ready { Seen::Yes(pod) } else { Seen::NotYet(format!("{status:?}")) })
    })
    .await
}

async fn until_gone(pods: &Api<Pod>, name: &str) -> anyhow::Result<()> {
    wait::until(&format!("the Pod {name} to be gone"), BOUND, async || {
        Ok(match pods.get_opt(name).await? {
            Some(_) => Seen::NotYet("it is there".to_owned()),
            None => Seen::Yes(()),
        })
    })
    .await
}

/// Everything that users of a node rely on: a Pod of their own image answers through its Service, and ends as told.
async fn use_it(node: &Node) -> anyhow::Result<()> {
    let own = Image::busybox("fermata.test/own:1")?.file("/www/index.html", 0o644, "hello\n").user(65532);
    node.load(&own).await?;

    let client = node.client()?;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let server = json!({
        "name": "app",
        "image": own.name(),
        "command": ["/bin/sh", "-c", "echo serving; trap 'echo stopped; exit 0' TERM; httpd -p 8080 -h /www; \
                                      while :; do sleep 0.1; done"],
        "ports": [{ "containerPort": 8080 }],
        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
        "lifecycle": { "preStop": { "sleep": { "seconds": 2 } } },
        "securityContext": { "runAsNonRoot": true, "readOnlyRootFilesystem": true },
    });
    pods.create(&PostParams::default(), &pod("web", &server)).await?;
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    }))?;
    let service = services.create(&PostParams::default(), &service).await?;
    until_ready(&pods, "web").await?;

    // From outside the node, by the Service's address.
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("expected an address")?;
    let forward = node.forward(SocketAddr::new(address.parse()?, 80))?;
    let url = format!("http://{}/", forward.address());
    wait::until("an answer of the Service", BOUND, async || {
        Ok(match http::get(&url).await {
            Ok(answer) if answer.status == 200 => {
                assert_eq!(answer.body, "hello\n");
                Seen::Yes(())
            }
            Ok(answer) => Seen::NotYet(format!("{}", answer.status)),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await?;

    // And from another Pod.
    let visitor = json!({
        "name": "visitor",
        "image": BUSYBOX,
        "command": ["/bin/wget", "-qO-", format!("http://{address}/")],
    });
    let mut visitor = pod("visitor", &visitor);
    visitor.spec.as_mut().unwrap().restart_policy = Some("Never".to_owned());
    pods.create(&PostParams::default(), &visitor).await?;
    wait::until("the visitor's log", BOUND, async || {
        Ok(match pods.logs("visitor", &LogParams::default()).await {
            Ok(log) if log == "hello\n" => Seen::Yes(()),
            Ok(log) => Seen::NotYet(log),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    })
    .await?;

    assert_eq!(pods.logs("web", &LogParams::default()).await?, "serving\n");
    let kubectl = node.control_plane().kubectl().context("expected kubectl")?;
    let exec = tokio::process::Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(node.kubeconfig_path())
        .args(["exec", "web", "--", "id", "-u"])
        .output()
        .await?;
    assert_eq!(String::from_utf8_lossy(&exec.stdout), "65532\n", "{}", String::from_utf8_lossy(&exec.stderr));
    assert!(node.run(&["/bin/sh", "-c", "ls /sys/fs/cgroup"]).await.is_ok());
    // The kubelet has set what it sets, and not on this machine.
    assert_eq!(node.run(&["cat", "/proc/sys/vm/overcommit_memory"]).await?.trim(), "1");

    // The endpoint goes at once, the Pod serves on for as long as its hook sleeps, and only then is told to stop.
    let deleted = Instant::now();
    pods.delete("web", &DeleteParams::default()).await?;
    until_gone(&pods, "web").await?;
    let took = deleted.elapsed();
    assert!(took >= Duration::from_secs(2), "gone after {took:?}, before its preStop hook was done");
    assert!(took < Duration::from_secs(15), "gone after {took:?}: it had to be killed");
    Ok(())
}

/// Two at the same time have the same addresses, and the end of one is not felt by the other. One is dropped, the other told to
/// stop.
#[tokio::test]
async fn a_node_is_of_use_after_the_end_of_the_one_beside_it_and_leaves_nothing() -> anyhow::Result<()> {
    if !possible() {
        return Ok(());
    }
    let before = tunables();
    let (one, other) = tokio::join!(Node::start(NodeOptions::default()), Node::start(NodeOptions::default()));
    let (one, other) = (one?, other?);
    let sleeper = pod("sleeper", &json!({ "name": "app", "image": BUSYBOX }));
    for node in [&one, &other] {
        let pods: Api<Pod> = Api::default_namespaced(node.client()?);
        pods.create(&PostParams::default(), &sleeper).await?;
    }
    for node in [&one, &other] {
        until_ready(&Api::default_namespaced(node.client()?), "sleeper").await?;
    }
    let rest = Rest::of(&one);
    drop(one);
    rest.until_nothing_is_left(BOUND).await?;

    use_it(&other).await?;
    assert_eq!(tunables(), before);
    let pods: Api<Pod> = Api::default_namespaced(other.client()?);
    let restarts = pods.get("sleeper").await?.status.and_then(|status| status.container_statuses);
    assert_eq!(restarts.context("expected a status")?[0].restart_count, 0);
    let rest = Rest::of(&other);
    assert!(!rest.left().is_empty(), "the test does not see what is there");
    other.stop().await?;
    assert_eq!(rest.left(), Vec::<String>::new());
    Ok(())
}

/// `make cluster`, or only its node where there are no images to install Fermata from.
struct Harness {
    process: Process,
    /// The run's folder.
    scratch: PathBuf,
    /// Where to create Pods.
    namespace: &'static str,
}

impl Harness {
    async fn start(outer: &Scratch) -> anyhow::Result<Self> {
        let images = env::var("FERMATA_IMAGES").ok().filter(|folder| !folder.is_empty());
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/fermata");
        let (namespace, args) = match images {
            Some(images) => {
                ("shop", vec!["cluster".into(), format!("--images={images}"), format!("--chart={chart}")])
            }
            None => ("default", vec!["node".to_owned()]),
        };
        let program = Program {
            name: "harness".to_owned(),
            path: env!("CARGO_BIN_EXE_fermata-test-cluster").into(),
            args,
            env: vec![("FERMATA_NODE_WEIGHT".to_owned(), "300".to_owned())],
            grace: BOUND,
        };
        let process = Process::start(outer, program)?;
        wait::until("the node to be up", 3 * BOUND, async || {
            process.check_running()?;
            let log = process.log();
            Ok(if log.contains("Ctrl-C stops it") { Seen::Yes(()) } else { Seen::NotYet(log) })
        })
        .await?;
        let log = process.log();
        let scratch = log.lines().find_map(|line| line.strip_prefix("logs:")).context("expected a folder")?;
        Ok(Self { scratch: scratch.trim().into(), process, namespace })
    }

    /// What the kernel says of how much it counts, whichever version its cgroups have.
    fn weights(&self) -> anyhow::Result<Vec<String>> {
        let cgroups = fs::read_to_string(self.scratch.join("cgroups"))?;
        let files = cgroups
            .lines()
            .flat_map(|folder| ["cpu.weight", "cpu.shares"].map(|name| (name, Path::new(folder).join(name))));
        let said = files
            .filter_map(|(name, file)| Some(format!("{name} {}", fs::read_to_string(file).ok()?.trim())));
        Ok(said.collect())
    }

    /// With a Pod there are container processes, mounts, a network device and cgroups below the Pod's.
    async fn run_a_pod(&self) -> anyhow::Result<()> {
        let kubeconfig = Kubeconfig::read_from(self.scratch.join("kubeconfig"))?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let pods: Api<Pod> = Api::namespaced(config.try_into()?, self.namespace);
        let sleeper = pod("sleeper", &json!({ "name": "app", "image": BUSYBOX }));
        // Fermata hears of its namespace, and the API server of its replicas, a moment after they are there.
        let dry_run = PostParams { dry_run: true, field_manager: None };
        wait::until("Fermata to be asked", BOUND, async || {
            let answer = pods.create(&dry_run, &sleeper).await;
            let is_asked = answer.as_ref().is_ok_and(|pod| {
                let annotations = pod.metadata.annotations.clone().unwrap_or_default();
                self.namespace == "default" || annotations.contains_key("fermata.dev/status")
            });
            Ok(if is_asked { Seen::Yes(()) } else { Seen::NotYet(format!("{answer:?}")) })
        })
        .await?;
        pods.create(&PostParams::default(), &sleeper).await?;
        until_ready(&pods, "sleeper").await?;
        Ok(())
    }
}

/// Two at a time, of which one is told to end. The other cannot clean up after itself when it is killed: what watches over it
/// has to.
#[tokio::test]
async fn after_ctrl_c_and_after_kill_9_of_the_harness_nothing_of_a_node_is_left() -> anyhow::Result<()> {
    if !possible() {
        return Ok(());
    }
    let before = tunables();
    let outer = Scratch::create()?;
    let end = async |signal, code| {
        let harness = Harness::start(&outer).await?;
        let weights = harness.weights()?;
        assert!(weights == ["cpu.weight 300"] || weights == ["cpu.shares 3072"], "{weights:?}");
        harness.run_a_pod().await?;
        let rest = Rest::in_scratch(&harness.scratch);
        for kind in ["process", "cgroup", "net namespace", "mnt namespace", "folder"] {
            let left = rest.left();
            assert!(left.iter().any(|thing| thing.starts_with(kind)), "no {kind} is among {left:?}");
        }
        harness.process.signal(signal)?;
        assert_eq!(harness.process.exited().await, code, "{}", harness.process.log());
        rest.until_nothing_is_left(BOUND).await
    };
    let (told, killed) = tokio::join!(end(Signal::Interrupt, 0), end(Signal::Kill, 128 + 9));
    told.context("after Ctrl-C")?;
    killed.context("after kill -9")?;
    assert_eq!(tunables(), before);
    outer.remove().await
}

/// A node that leaves something behind does not say that it is gone.
#[tokio::test]
async fn a_cgroup_that_cannot_be_removed_is_named() -> anyhow::Result<()> {
    if !possible() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2).is_some_and(|kind| kind.starts_with("cgroup")))
        .find_map(|line| line.split(' ').nth(1).filter(|mount| !mount.contains("cpuset")))
        .context("expected cgroups")?;
    let scratch = Scratch::create()?;
    let folder = Path::new(mount).join(scratch.path().file_name().context("expected a name")?);
    fs::create_dir(&folder)?;
    fs::write(scratch.path().join("cgroups"), format!("{}\n", folder.display()))?;
    let mut sleeper = tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn()?;
    fs::write(folder.join("cgroup.procs"), sleeper.id().context("expected a process")?.to_string())?;

    let list = scratch.path().join("cgroups");
    let removed = scratch.remove().await;
    let listed = fs::read_to_string(&list);
    sleeper.kill().await?;
    wait::until("the cgroup to be empty", BOUND, async || {
        Ok(match fs::remove_dir(&folder) {
            Ok(()) => Seen::Yes(()),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    })
    .await?;
    fs::remove_dir_all(list.parent().context("expected a folder")?)?;
    let error = removed.err().context("expected an error")?.to_string();
    assert!(error.contains(&folder.display().to_string()), "{error}");
    assert!(listed?.contains(&folder.display().to_string()));
    Ok(())
}
