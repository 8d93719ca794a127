//! Pods created by dry run through a real API server, over and over, with every answer looked at.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    namespace::TestNamespace,
    wait::{self, Seen},
};

/// How long a client rests after each Pod. Without a rest a load takes all that the processors have, which the others need
/// that run at the same time. What is to be tried are the moments in which something changes, and these take longer: a
/// certificate that not all know of, a replica that is about to leave.
const REST: Duration = Duration::from_millis(25);

/// How long some more Pods may take.
const BOUND: Duration = Duration::from_mins(1);

/// Whether what came back is a Pod that Fermata has judged.
#[must_use]
pub fn is_judged(answer: &kube::Result<Pod>) -> bool {
    let annotations = answer.as_ref().ok().and_then(|pod| pod.metadata.annotations.as_ref());
    annotations.is_some_and(|annotations| annotations.contains_key("fermata.dev/status"))
}

/// One Pod that was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// When it was asked for.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
    /// What was wrong with the answer, if anything was.
    pub failure: Option<String>,
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct PodLoad {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: JoinSet<Vec<Created>>,
}

impl PodLoad {
    /// Starts that many clients, each creating one Pod after the other, up to 40 a second. What is not [judged](is_judged) has
    /// failed.
    #[must_use]
    pub fn start(namespace: &TestNamespace, clients: usize, pod: &Pod) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for _ in 0..clients {
            let pods = namespace.pods();
            let (stop, done, pod) = (stop.clone(), done.clone(), pod.clone());
            set.spawn(async move {
                let dry_run = PostParams { dry_run: true, field_manager: None };
                let mut all = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let answer = pods.create(&dry_run, &pod).await;
                    let failure = (!is_judged(&answer)).then(|| format!("{answer:?}"));
                    all.push(Created { begun, took: begun.elapsed(), failure });
                    done.fetch_add(1, Ordering::Relaxed);
                    sleep(REST).await;
                }
                all
            });
        }
        Self { stop, done, clients: set }
    }

    /// Waits until that many more Pods have been answered.
    ///
    /// # Errors
    ///
    /// When they have not been within a minute.
    pub async fn run(&self, pods: usize) -> anyhow::Result<()> {
        let until = self.done.load(Ordering::Relaxed) + pods;
        wait::until("more Pods to be answered", BOUND, async || {
            let done = self.done.load(Ordering::Relaxed);
            Ok(if done >= until { Seen::Yes(()) } else { Seen::NotYet(format!("{done} of {until}")) })
        })
        .await
    }

    /// Stops, and gives what became of each Pod.
    pub async fn stop(self) -> PodFigures {
        self.stop.store(true, Ordering::Relaxed);
        let mut created = self.clients.join_all().await.concat();
        created.sort_by_key(|pod| pod.begun);
        PodFigures { created }
    }
}

/// What became of the Pods of a load, in the order in which they were asked for.
#[derive(Debug)]
pub struct PodFigures {
    /// All of them.
    pub created: Vec<Created>,
}

impl PodFigures {
    /// What was wrong with those that went wrong.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.created.iter().filter_map(|pod| pod.failure.as_deref())
    }

    /// That nothing went wrong with any.
    ///
    /// # Errors
    ///
    /// When something did, with the figures and the first that did.
    pub fn expect_no_failure(&self) -> anyhow::Result<()> {
        match self.failures().next() {
            None => Ok(()),
            Some(first) => bail!("{self}; the first that failed: {first}"),
        }
    }

    /// How long after a moment the next Pod was answered rightly.
    #[must_use]
    pub fn next_right_after(&self, moment: Instant) -> Option<Duration> {
        let later = self.created.iter().filter(|pod| pod.begun >= moment && pod.failure.is_none());
        later.map(|pod| pod.begun + pod.took - moment).min()
    }
}

impl fmt::Display for PodFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times: Vec<_> =
            self.created.iter().filter(|pod| pod.failure.is_none()).map(|pod| pod.took).collect();
        times.sort();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        write!(
            f,
            "created {}, ok {}, failed {}, p50 {:.1?}, p99 {:.1?}, max {:.1?}",
            self.created.len(),
            times.len(),
            self.failures().count(),
            at(50),
            at(99),
            times.last().copied().unwrap_or_default(),
        )
    }
}
