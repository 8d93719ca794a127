//! How Pods ended: how long it took, and whether they had to be killed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use fermata_test_cluster::wait::{self, Seen};
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    runtime::watcher::{self, Event, watcher},
};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::Instant};

/// What a program that KILL has ended is reported with.
const KILLED: i32 = 137;

/// One Pod's ending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// From its deletion until its object was gone. Unit: seconds.
    pub seconds: f64,
    /// Its grace period. Unit: seconds.
    pub grace: Option<i64>,
    /// What its container reported; absent if the API server never heard.
    pub exit_code: Option<i32>,
    /// When its container had ended, as the kubelet says, which leaves the fraction out. Unit: seconds since 1970.
    #[serde(default)]
    pub program_ended: Option<i64>,
}

impl Ending {
    /// Whether it had to be killed.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.exit_code == Some(KILLED)
    }
}

/// What is seen of a Pod.
#[derive(Debug, Default)]
struct Watched {
    deleted: Option<Instant>,
    grace: Option<i64>,
    exit_code: Option<i32>,
    program_ended: Option<i64>,
    ending: Option<Ending>,
}

/// Watches the Pods of a namespace.
#[derive(Debug)]
pub struct Endings {
    pods: Arc<Mutex<BTreeMap<String, Watched>>>,
    watching: JoinHandle<anyhow::Result<()>>,
}

impl Endings {
    /// Starts to watch.
    #[must_use]
    pub fn watch(pods: Api<Pod>) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let watching = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()));
                while let Some(event) = events.try_next().await? {
                    see(&mut lock(&seen), &event);
                }
                Ok(())
            }
        });
        Self { pods: seen, watching }
    }

    /// Waits until these Pods are gone, and tells how each ended.
    ///
    /// # Errors
    ///
    /// When one of them is not gone in time, or they cannot be watched.
    pub async fn of(self, names: &[String], bound: Duration) -> anyhow::Result<Vec<Ending>> {
        let endings = wait::until("the Pods to be gone", bound, async || {
            let pods = lock(&self.pods);
            let ended: Option<Vec<Ending>> =
                names.iter().map(|name| pods.get(name).and_then(|pod| pod.ending.clone())).collect();
            let left = names.iter().filter(|name| pods.get(*name).is_none_or(|pod| pod.ending.is_none()));
            Ok(ended.map_or_else(|| Seen::NotYet(format!("{} are there", left.count())), Seen::Yes))
        })
        .await;
        if self.watching.is_finished() {
            self.watching.await?.context("failed to watch Pods")?;
        } else {
            self.watching.abort();
        }
        endings
    }
}

fn see(pods: &mut BTreeMap<String, Watched>, event: &Event<Pod>) {
    let (Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod)) = event else { return };
    let watched = pods.entry(pod.name_any()).or_default();
    watched.grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let terminated = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
        .find_map(|status| status.state.as_ref()?.terminated.as_ref());
    watched.exit_code = terminated.map(|terminated| terminated.exit_code).or(watched.exit_code);
    let finished = terminated.and_then(|terminated| terminated.finished_at.as_ref());
    watched.program_ended = finished.map(|time| time.0.as_second()).or(watched.program_ended);
    if pod.metadata.deletion_timestamp.is_some() {
        let deleted = *watched.deleted.get_or_insert_with(Instant::now);
        if matches!(event, Event::Delete(_)) {
            watched.ending = Some(Ending {
                seconds: deleted.elapsed().as_secs_f64(),
                grace: watched.grace,
                exit_code: watched.exit_code,
                program_ended: watched.program_ended,
            });
        }
    }
}

fn lock(pods: &Mutex<BTreeMap<String, Watched>>) -> MutexGuard<'_, BTreeMap<String, Watched>> {
    pods.lock().unwrap_or_else(PoisonError::into_inner)
}
