//! A Namespace, and the lives of Pods in it.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    TestNamespace,
    cluster::Reached,
    node::BUSYBOX,
    wait::{self, Seen},
};
use futures_util::{AsyncReadExt as _, TryStreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ContainerStatus, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, LogParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::stage::Stage;

pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// How much longer a busy machine may take until a Pod whose containers have ended is gone.
const SLACK: Duration = Duration::from_secs(10);

/// Says that it has begun, and ends at once on TERM, which it says as well.
pub(crate) const DIES: &str = "trap 'echo TERM; exit 0' TERM; echo begun; while :; do sleep 0.1; done";

/// The same, and serves by HTTP on port 8080.
pub(crate) const SERVES: &str =
    "trap 'echo TERM; exit 0' TERM; httpd -p 8080 -h /tmp; echo begun; while :; do sleep 0.1; done";

/// A Pod with one container, `app`, that runs a script.
pub(crate) fn pod(name: &str, annotations: &Value, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "annotations": annotations },
        "spec": { "terminationGracePeriodSeconds": 10, "containers": [container("app", script)] },
    })
}

pub(crate) fn container(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": BUSYBOX, "command": ["/bin/sh", "-c", script] })
}

/// The Namespace.
pub(crate) struct Shop<'s> {
    pub(crate) stage: &'s Stage,
    namespace: TestNamespace,
    pub(crate) pods: Api<Pod>,
}

/// How a Pod ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// From when it was told to until it was gone.
    pub(crate) took: Duration,
    /// When it was told to, in seconds since 1970.
    told: Option<i64>,
    /// What each container has written.
    pub(crate) logs: BTreeMap<String, String>,
    /// The last that was seen of it.
    pod: Pod,
}

impl Ending {
    /// What a container has written, by lines.
    pub(crate) fn log(&self, container: &str) -> Vec<&str> {
        self.logs.get(container).map(|log| log.lines().collect()).unwrap_or_default()
    }

    /// What a container has ended with.
    pub(crate) fn exit_code(&self, container: &str) -> Option<i32> {
        Some(self.terminated(container)?.exit_code)
    }

    /// When a container had ended, in seconds since 1970.
    pub(crate) fn finished(&self, container: &str) -> Option<i64> {
        Some(self.terminated(container)?.finished_at.as_ref()?.0.as_second())
    }

    /// How long a container went on after the Pod was told to end, by the clock of the API server. Unit: seconds, which it leaves
    /// the fractions out of.
    pub(crate) fn lasted(&self, container: &str) -> Option<i64> {
        Some(self.finished(container)? - self.told?)
    }

    fn terminated(&self, container: &str) -> Option<&k8s_openapi::api::core::v1::ContainerStateTerminated> {
        let status = statuses(&self.pod).find(|status| status.name == container)?;
        status.state.as_ref()?.terminated.as_ref()
    }

    /// Fails unless it took between so many seconds. Whether a program had to be killed, its exit code tells better.
    pub(crate) fn within(&self, least: u64, most: u64) -> anyhow::Result<()> {
        let expected = Duration::from_secs(least)..Duration::from_secs(most) + SLACK;
        ensure!(expected.contains(&self.took), "it took {:?}: {self:#?}", self.took);
        Ok(())
    }
}

/// Those of init containers too.
pub(crate) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let regular = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(regular).flatten()
}

/// When a Pod was told to end, in seconds since 1970. What it is given is the time by which it has to have ended; once it has, that
/// becomes the time of that.
fn told_to_end(pod: &Pod) -> Option<i64> {
    let meta = &pod.metadata;
    Some(meta.deletion_timestamp.as_ref()?.0.as_second() - meta.deletion_grace_period_seconds?)
}

/// Whether each of its containers is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let regular = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    regular.is_some_and(|statuses| !statuses.is_empty() && statuses.iter().all(|status| status.ready))
}

impl<'s> Shop<'s> {
    pub(crate) async fn open(stage: &'s Stage, namespace: TestNamespace) -> anyhow::Result<Self> {
        let pods = namespace.pods();
        let shop = Self { stage, namespace, pods };
        // kube-proxy hears of replicas that are ready a moment after Helm does, and they of a Namespace a moment
        // after it was made.
        let dry_run = PostParams { dry_run: true, field_manager: None };
        let mut probe: Pod = serde_json::from_value(pod("probe", &json!({}), DIES))?;
        for container in probe.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            container.security_context = serde_json::from_value(json!({
                "runAsNonRoot": true,
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            }))?;
        }
        wait::until("Fermata to be asked", BOUND, async || {
            let answer = shop.pods.create(&dry_run, &probe).await?;
            let is_patched = answer.annotations().contains_key("fermata.dev/status");
            Ok(if is_patched { Seen::Yes(()) } else { Seen::NotYet("it is not".to_owned()) })
        })
        .await?;
        Ok(shop)
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.stage.release.cluster.client()
    }

    /// Makes an object of any kind in it.
    pub(crate) async fn make<K>(&self, object: Value) -> anyhow::Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = self.api()?;
        Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
    }

    /// The objects of a kind in it.
    pub(crate) fn api<K>(&self) -> anyhow::Result<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Ok(Api::namespaced(self.client()?, self.namespace.name()))
    }

    /// Creates a Pod and waits until it is ready and its programs say that they have begun.
    pub(crate) async fn run(&self, pod: Value) -> anyhow::Result<Pod> {
        let created: Pod = self.make(pod).await?;
        self.until_ready(&created.name_any()).await
    }

    pub(crate) async fn until_ready(&self, name: &str) -> anyhow::Result<Pod> {
        wait::until(&format!("the Pod {name} to be ready"), BOUND, async || {
            let pod = self.pods.get(name).await?;
            if !is_ready(&pod) {
                return Ok(Seen::NotYet(format!("{:?}", pod.status)));
            }
            let scripts = pod.spec.iter().flat_map(|spec| &spec.containers);
            for container in scripts.filter(|container| container.image.as_deref() == Some(BUSYBOX)) {
                // A shell that has not set its trap yet ends otherwise.
                let log = self.log(name, &container.name).await?;
                if !log.contains("begun") {
                    return Ok(Seen::NotYet(format!("{} has written {log:?}", container.name)));
                }
            }
            Ok(Seen::Yes(pod))
        })
        .await
    }

    pub(crate) async fn log(&self, pod: &str, container: &str) -> anyhow::Result<String> {
        let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        Ok(self.pods.logs(pod, &params).await?)
    }

    /// A port here that leads to one of a Pod.
    pub(crate) async fn reach_pod(&self, name: &str, port: u16) -> anyhow::Result<Reached> {
        self.stage.release.cluster.reach_pod(self.namespace.name(), name, port).await
    }

    /// A port here that leads to one of a Service.
    pub(crate) async fn reach_service(&self, name: &str, port: u16) -> anyhow::Result<Reached> {
        self.stage.release.cluster.reach_service(self.namespace.name(), name, port).await
    }

    /// What a command in a container writes.
    pub(crate) async fn exec(&self, pod: &str, words: &[&str]) -> anyhow::Result<String> {
        self.kubectl(&[&["exec", pod, "--container=app", "--"], words].concat()).await
    }

    /// What kubectl writes.
    pub(crate) async fn kubectl(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut kubectl = self.stage.release.cluster.kubectl()?;
        let output = kubectl.args(["--namespace", self.namespace.name()]).args(words).output().await?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Deletes a Pod and sees it out.
    pub(crate) async fn end(&self, name: &str) -> anyhow::Result<Ending> {
        self.see_out(name, async || {
            self.pods.delete(name, &DeleteParams::default()).await?;
            Ok(())
        })
        .await
    }

    /// Does what ends a Pod, and sees it out.
    pub(crate) async fn see_out(
        &self,
        name: &str,
        end: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Ending> {
        let mut logs = BTreeMap::new();
        let pod = self.pods.get(name).await?;
        for status in statuses(&pod).filter(|status| status.ready) {
            let follow =
                LogParams { container: Some(status.name.clone()), follow: true, ..LogParams::default() };
            let stream = self.pods.log_stream(name, &follow).await?;
            let reading = tokio::spawn(async move {
                let mut log = String::new();
                pin!(stream).read_to_string(&mut log).await.map(|_| log)
            });
            logs.insert(status.name.clone(), reading);
        }
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = pin!(watcher(self.pods.clone(), only));
        let mut told = None;
        // The watch must be there before the end is.
        while let Some(event) = events.try_next().await? {
            match event {
                Event::InitApply(pod) => told = told_to_end(&pod),
                Event::InitDone => break,
                _ => {}
            }
        }
        let begun = Instant::now();
        end().await?;
        let gone = async {
            while let Some(event) = events.try_next().await? {
                match event {
                    Event::Apply(pod) => told = told.or_else(|| told_to_end(&pod)),
                    Event::Delete(pod) => return Ok(pod),
                    _ => {}
                }
            }
            anyhow::bail!("the watch has ended")
        };
        let pod = timeout(BOUND, gone).await.with_context(|| format!("{name} is not gone"))??;
        let took = begun.elapsed();
        let mut read = BTreeMap::new();
        for (container, log) in logs {
            read.insert(container, timeout(BOUND, log).await???);
        }
        Ok(Ending { took, told, logs: read, pod })
    }
}
