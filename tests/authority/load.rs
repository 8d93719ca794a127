//! Pods created by dry run, over and over, with every answer looked at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};

use crate::installation::{Installation, Reviewer, eventually};

/// A load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    /// Starts that many clients, each creating one Pod after the other.
    pub(crate) fn start(installation: &Installation, clients: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut set = JoinSet::new();
        for _ in 0..clients {
            let reviewer: Reviewer = installation.reviewer();
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            set.spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = reviewer.review().await;
                    if answer != Ok(true) {
                        failures.push(format!("{answer:?}"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                    // As in `PodLoad`: the processors are there for the others as well.
                    sleep(Duration::from_millis(10)).await;
                }
                failures
            });
        }
        Self { stop, done, clients: set }
    }

    /// Waits until that many more Pods have been answered.
    pub(crate) async fn run(&self, pods: usize) {
        let until = self.done.load(Ordering::Relaxed) + pods;
        eventually("more Pods", async || {
            let done = self.done.load(Ordering::Relaxed);
            if done >= until { Ok(()) } else { Err(format!("{done} of {until}")) }
        })
        .await;
    }

    /// Stops, and gives the number of Pods and what was wrong with any of them.
    pub(crate) async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await.concat();
        (self.done.load(Ordering::Relaxed), failures)
    }
}
