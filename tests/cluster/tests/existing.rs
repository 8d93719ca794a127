//! Fermata on a cluster that is there already, and nothing of it afterwards.
//!
//! kind itself needs a daemon of containers. So the cluster is a node of our own under a context of kind's, and `kind` a
//! script that does to its containerd what kind does to those of its nodes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "node/skip.rs"]
mod skip;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use fermata_test_cluster::{
    Node, NodeOptions,
    assets::{Assets, Binary},
    node::{self, BUSYBOX},
    wait::{self, Seen},
};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
    config::Kubeconfig,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const BOUND: Duration = Duration::from_mins(3);

/// A user with a kubeconfig and `kind`.
struct User {
    home: TempDir,
    images: PathBuf,
}

impl User {
    async fn of(node: &Node, images: PathBuf) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut kubeconfig = Kubeconfig::read_from(node.kubeconfig_path()).unwrap();
        kubeconfig.current_context = None;
        "kind-house".clone_into(&mut kubeconfig.contexts[0].name);
        fs::write(home.path().join("config"), serde_json::to_vec(&kubeconfig).unwrap()).unwrap();
        let assets = Assets::prepare(&[Binary::Ctr]).await.unwrap();
        let kind = format!(
            "#!/bin/sh\n[ \"$1 $2 $3 $4\" = 'load image-archive --name house' ] || exit 2\n\
             exec nsenter --target {} --net --mount --pid --cgroup --ipc --uts -- {} --namespace k8s.io images import --no-unpack \"$5\"\n",
            node.init(),
            assets.require(Binary::Ctr).unwrap().display(),
        );
        let file = home.path().join("kind");
        fs::write(&file, kind).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Self { home, images }
    }

    fn command(&self, context: &str) -> Command {
        let mut path = self.home.path().as_os_str().to_owned();
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/fermata");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fermata-test-cluster"));
        command
            .args(["cluster", "--context", context, "--images"])
            .arg(&self.images)
            .arg("--chart")
            .arg(chart)
            .env("KUBECONFIG", self.home.path().join("config"))
            .env("PATH", path)
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn start(&self) -> Visit {
        let mut child = self.command("kind-house").stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Visit { child, said }
    }

    async fn is_refused(&self, context: &str) -> String {
        let Output { status, stderr, .. } =
            timeout(BOUND, self.command(context).output()).await.unwrap().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{stderr}");
        stderr
    }
}

struct Visit {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Visit {
    async fn until_it_says(&mut self, words: &str) {
        let heard = async {
            while let Some(line) = self.said.next_line().await.unwrap() {
                if line.contains(words) {
                    return;
                }
            }
            panic!("it ended without a word of {words:?}");
        };
        timeout(BOUND, heard).await.unwrap();
    }

    /// Presses Ctrl-C, and gives the exit code.
    async fn interrupted(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        timeout(BOUND, self.until_it_says_no_more()).await.unwrap();
        timeout(BOUND, self.child.wait()).await.unwrap().unwrap().code()
    }

    async fn until_it_says_no_more(&mut self) {
        while self.said.next_line().await.unwrap().is_some() {}
    }
}

#[tokio::test]
async fn a_cluster_that_is_there_gets_fermata_and_is_left_as_it_was() -> anyhow::Result<()> {
    if let Err(error) = node::check() {
        skip::skip(&format!("no node: {error:#}"));
        return Ok(());
    }
    let Some(images) = env::var_os("FERMATA_IMAGES").filter(|folder| !folder.is_empty()) else {
        skip::skip("no images: make images, and FERMATA_IMAGES=target/images");
        return Ok(());
    };
    let node = Node::start(NodeOptions::default()).await?;
    let user = User::of(&node, images.into()).await;
    let namespaces: Api<Namespace> = Api::all(node.client()?);
    let registrations: Api<MutatingWebhookConfiguration> = Api::all(node.client()?);
    let names = async || -> anyhow::Result<Vec<String>> {
        Ok(namespaces.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect())
    };
    let before = names().await?;

    let refusal = user.is_refused("kind-hous").await;
    assert!(refusal.contains("no context \"kind-hous\"") && refusal.contains("\"kind-house\""), "{refusal}");

    let mut visit = user.start();
    visit.until_it_says("Ctrl-C removes it").await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "app", "annotations": { "fermata.dev/drain": "1s" } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "app", "image": BUSYBOX, "command": ["/bin/sleep", "3600"] }],
        },
    }))?;
    let pods: Api<Pod> = Api::namespaced(node.client()?, "shop");
    // kube-proxy hears of the replicas a moment after Helm does.
    wait::until("Fermata to be asked", BOUND, async || {
        let answer = pods.create(&PostParams { dry_run: true, field_manager: None }, &pod).await?;
        let is_patched = answer.annotations().contains_key("fermata.dev/status");
        Ok(if is_patched { Seen::Yes(()) } else { Seen::NotYet("it is not".to_owned()) })
    })
    .await?;
    pods.create(&PostParams::default(), &pod).await?;
    wait::until("the Pod to run", BOUND, async || {
        let status = pods.get("app").await?.status.unwrap_or_default();
        let runs = status.phase.as_deref() == Some("Running");
        Ok(if runs { Seen::Yes(()) } else { Seen::NotYet(format!("{status:?}")) })
    })
    .await?;
    let refusal = user.is_refused("kind-house").await;
    assert!(refusal.contains("has a namespace fermata already"), "{refusal}");
    assert!(names().await?.contains(&"shop".to_owned()), "who is refused takes nothing away");

    assert_eq!(visit.interrupted().await, Some(0));
    assert_eq!(names().await?, before);
    assert!(registrations.list(&ListParams::default()).await?.items.is_empty());

    // In the middle of it too.
    let mut visit = user.start();
    visit.until_it_says("Should this be killed").await;
    wait::until("the installation to be under way", BOUND, async || {
        let there = namespaces.get_opt("fermata").await?.is_some();
        Ok(if there { Seen::Yes(()) } else { Seen::NotYet("it is not".to_owned()) })
    })
    .await?;
    assert_eq!(visit.interrupted().await, Some(130));
    assert_eq!(names().await?, before);
    assert!(registrations.list(&ListParams::default()).await?.items.is_empty());
    node.stop().await
}
