//! One run of a cell.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use fermata_proof_load::Tally;
use fermata_test_cluster::wait::{self, Seen};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    cell::{Cell, Disturbance, Treatment},
    endings::{Ending, Endings},
    load::Load,
    logs::Logs,
    proxy::{Causes, Proxy},
    stage::Stage,
};

/// Requests a second.
pub const RATE: u32 = 200;

/// How long the load is left alone at first, and goes on after the last Pod is gone.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(1);

/// How long Pods may take to be ready. Much runs at the same time.
const READY_BOUND: Duration = Duration::from_mins(2);

/// How long all of a disturbance may take: three grace periods one after the other, at most.
const DISTURBED_BOUND: Duration = Duration::from_mins(5);

/// How long to wait before kube-proxy's rules are looked at again.
const ROUTED_AGAIN: Duration = Duration::from_millis(200);

/// How long to wait with an eviction that the budget forbids. (`kubectl drain` waits for 5 seconds.)
const EVICT_AGAIN: Duration = Duration::from_millis(500);

/// One request in a hundred may be sent later than this; else the load was not the one that is spoken of. Unit: milliseconds.
const LATE: f64 = 250.0;

/// What came of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The requests.
    pub tally: Tally,
    /// What the proxy says of those that failed.
    pub causes: Causes,
    /// The Pods that ended.
    pub endings: Vec<Ending>,
    /// When the load began. Unit: milliseconds since 1970.
    #[serde(default)]
    pub begun_at: u64,
    /// What the logs of the Pods do not show that they must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlogged: Vec<String>,
    /// Why the cell had to be run again: its first run was void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_for: Option<String>,
}

/// How far from the end of a program a failure may be seen that has to do with it: a request takes 50 ms. Unit: milliseconds.
const NEAR: u64 = 250;

impl Outcome {
    /// The longest ending. Unit: seconds.
    #[must_use]
    pub fn longest_ending(&self) -> f64 {
        self.endings.iter().map(|ending| ending.seconds).fold(0.0, f64::max)
    }

    /// Requests that failed about when the program of a Pod ended.
    #[must_use]
    pub fn failures_near_an_end(&self) -> usize {
        let is_near = |failed: u64| {
            self.endings.iter().filter_map(|ending| ending.program_ended).any(|second| {
                let second = u64::try_from(second).unwrap_or_default() * 1000;
                (second.saturating_sub(NEAR)..=second + 1000 + NEAR).contains(&failed)
            })
        };
        self.tally.failed_at.iter().filter(|at| is_near(self.begun_at + **at)).count()
    }

    /// Pods that had to be killed.
    #[must_use]
    pub fn killed(&self) -> usize {
        self.endings.iter().filter(|ending| ending.was_killed()).count()
    }
}

/// Runs a cell in a namespace of its own.
///
/// # Errors
///
/// When something is not as it must be for the figures to mean anything.
pub async fn run(stage: &Stage, cell: Cell) -> anyhow::Result<Outcome> {
    let client = stage.node.client()?;
    let labels =
        if cell.treatment.is_fermata() { json!({ "fermata.dev/inject": "enabled" }) } else { json!({}) };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace =
        create(&namespaces, json!({ "metadata": { "generateName": "proof-", "labels": labels } })).await?;
    let name = namespace.name_any();
    let scene = Scene { stage, cell, client, namespace: name.clone() };
    let outcome = scene.play().await.with_context(|| format!("the cell {cell} failed"));
    namespaces.delete(&name, &DeleteParams::background()).await?;
    outcome
}

struct Scene<'a> {
    stage: &'a Stage,
    cell: Cell,
    client: Client,
    namespace: String,
}

impl Scene<'_> {
    async fn play(&self) -> anyhow::Result<Outcome> {
        let service = self.deploy().await?;
        self.wait_until_ready(0).await?;
        let before = self.running().await?;
        self.check(&before)?;
        let names: Vec<String> = before.iter().map(ResourceExt::name_any).collect();

        self.wait_until_routed(service).await?;
        let node = &self.stage.node;
        let mut proxy = Proxy::start(node, self.stage.port(), service, self.cell.upstream)?;
        let load = Load::start(node, self.stage.load(), proxy.address(), RATE).await?;
        proxy.listen()?;
        sleep(BEFORE).await;
        let endings = Endings::watch(self.api());
        let logs = match self.sequence() {
            Some(_) => Some(Logs::follow(&self.api(), &names).await?),
            None => None,
        };
        let (begun_at, disturbed_at) = (load.begun_at(), load.sent_for());
        let ended = self.disturb(&names).await?;
        let endings = endings.of(&ended, DISTURBED_BOUND).await?;
        let unlogged = match (self.sequence(), logs) {
            (Some(sequence), Some(logs)) => logs.lack(&sequence).await?,
            _ => Vec::new(),
        };
        sleep(AFTER).await;
        let tally = load.finish().await?;
        let causes = proxy.finish(node).await?;

        let early = tally.failures_before(disturbed_at);
        ensure!(early == 0, "{early} requests failed before any Pod was touched: {tally:?}, {causes:?}");
        let late = tally.lateness.p99;
        ensure!(late <= LATE, "the load fell behind: one request in a hundred was sent {late:.0} ms late");
        Ok(Outcome { tally, causes, endings, begun_at, unlogged, again_for: None })
    }

    /// What the log of each of its Pods must show.
    fn sequence(&self) -> Option<[&'static [&'static str]; 2]> {
        (self.cell.treatment == Treatment::Shim).then(|| self.cell.app.says_in_the_end()).flatten()
    }

    /// Gives the Service's address.
    async fn deploy(&self) -> anyhow::Result<Ipv4Addr> {
        // The API server refuses Pods until there is this one.
        let accounts: Api<ServiceAccount> = self.api();
        wait::until("the default ServiceAccount", READY_BOUND, async || {
            Ok(accounts.get_opt("default").await?.map_or_else(|| Seen::NotYet(String::new()), Seen::Yes))
        })
        .await?;
        let app = self.cell.app.to_string();
        let service = json!({
            "metadata": { "name": app },
            "spec": { "selector": { "app": app }, "ports": [{ "port": 80, "targetPort": "http" }] },
        });
        let service: Service = create(&self.api(), service).await?;
        if self.cell.disturbance == Disturbance::Eviction {
            let budget = json!({
                "metadata": { "name": app },
                "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": app } } },
            });
            create::<PodDisruptionBudget>(&self.api(), budget).await?;
        }
        create::<Deployment>(&self.api(), self.cell.deployment()).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("expected a cluster IP")?;
        Ok(address.parse()?)
    }

    /// Waits until the Deployment has become what it is to be since its generation was this one.
    async fn wait_until_ready(&self, generation: i64) -> anyhow::Result<()> {
        let deployments: Api<Deployment> = self.api();
        let name = self.cell.app.to_string();
        // Watched, not asked again and again: the control plane shares the machine with what is measured.
        let is_ready = move |deployment: Option<&Deployment>| {
            let Some(deployment) = deployment else { return false };
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            let Some(status) = &deployment.status else { return false };
            let figures = [status.replicas, status.updated_replicas, status.available_replicas];
            status.observed_generation.is_some_and(|observed| observed > generation)
                && figures.iter().all(|figure| *figure == wanted)
        };
        let waited = timeout(READY_BOUND, await_condition(deployments.clone(), &name, is_ready)).await;
        if waited.is_err() {
            bail!("the Deployment is not ready: {:?}", deployments.get(&name).await?.status);
        }
        waited??;
        Ok(())
    }

    /// Waits until kube-proxy leads connections to the Service's address. What is sent there before makes the kernel remember that the
    /// address leads nowhere, for this port of the proxy and two minutes; the proxy comes back to the port within seconds where
    /// it opens a connection for each request, and that one would fail.
    async fn wait_until_routed(&self, service: Ipv4Addr) -> anyhow::Result<()> {
        let rule = format!("-d {service}/32 ");
        wait::until("kube-proxy to know the Service", READY_BOUND, async || {
            let rules = self.stage.node.run(&["iptables", "-t", "nat", "-S", "KUBE-SERVICES"]).await?;
            if rules.contains(&rule) {
                return Ok(Seen::Yes(()));
            }
            sleep(ROUTED_AGAIN).await;
            Ok(Seen::NotYet("there is no rule for it".to_owned()))
        })
        .await
    }

    /// The Pods that are not about to end.
    async fn running(&self) -> anyhow::Result<Vec<Pod>> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await?;
        Ok(pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// Each Pod is as it must be: with a hook where one is asked for, and under the shim where that is.
    fn check(&self, pods: &[Pod]) -> anyhow::Result<()> {
        ensure!(pods.len() == 3, "expected 3 Pods, found {}", pods.len());
        for pod in pods {
            let pod = serde_json::to_value(pod)?;
            let container = &pod["spec"]["containers"][0];
            let has_hook = container["lifecycle"]["preStop"].is_object();
            let is_wrapped = container["command"][0] == "/fermata/fermata-shim";
            let treatment = self.cell.treatment;
            ensure!(has_hook != (treatment == Treatment::Nothing), "unexpected hook, or none: {pod}");
            ensure!(is_wrapped == (treatment == Treatment::Shim), "unexpected command: {pod}");
        }
        Ok(())
    }

    /// Has Pods end, and gives the names of those that do.
    async fn disturb(&self, names: &[String]) -> anyhow::Result<Vec<String>> {
        let deployments: Api<Deployment> = self.api();
        let app = self.cell.app.to_string();
        let generation = deployments.get(&app).await?.metadata.generation.unwrap_or_default();
        let patch = async |change: Value| {
            deployments.patch(&app, &PatchParams::default(), &Patch::Merge(change)).await.map(drop)
        };
        match self.cell.disturbance {
            Disturbance::Rollout => {
                let again = json!({ "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" });
                patch(json!({ "spec": { "template": { "metadata": { "annotations": again } } } })).await?;
                self.wait_until_ready(generation).await?;
                Ok(names.to_vec())
            }
            Disturbance::Eviction => {
                for name in names {
                    self.evict(name).await?;
                }
                Ok(names.to_vec())
            }
            Disturbance::ScaleDown => {
                patch(json!({ "spec": { "replicas": 1 } })).await?;
                self.wait_until_ready(generation).await?;
                let left: Vec<String> = self.running().await?.iter().map(ResourceExt::name_any).collect();
                Ok(names.iter().filter(|name| !left.contains(name)).cloned().collect())
            }
        }
    }

    /// As `kubectl drain` does: again and again while the budget forbids it.
    async fn evict(&self, name: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = self.api();
        wait::until("an eviction to be allowed", DISTURBED_BOUND, async || {
            Ok(match pods.evict(name, &EvictParams::default()).await {
                Ok(_) => Seen::Yes(()),
                Err(kube::Error::Api(status)) if status.code == 429 => {
                    sleep(EVICT_AGAIN).await;
                    Seen::NotYet(status.message.clone())
                }
                Err(error) => return Err(error.into()),
            })
        })
        .await
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

async fn create<K>(api: &Api<K>, object: Value) -> anyhow::Result<K>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}
