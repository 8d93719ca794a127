//! Pods created by dry run, over and over, with every answer looked at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use fermata_test_cluster::namespace::TestNamespace;
use kube::api::PostParams;
use serde_json::json;
use tokio::task::JoinSet;

use crate::stage::{judged, pod, typed};

/// A load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    /// Starts that many clients, each creating one Pod after the other.
    pub(crate) fn start(namespace: &TestNamespace, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for _ in 0..clients {
            let pods = namespace.pods().unwrap();
            let (stop, done) = (stop.clone(), done.clone());
            set.spawn(async move {
                let dry_run = PostParams { dry_run: true, field_manager: None };
                let pod = typed(&pod("load", json!({})));
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = pods.create(&dry_run, &pod).await;
                    if !judged(&answer) {
                        failures.push(format!("{answer:?}"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
        }
        Self { stop, done, clients: set }
    }

    /// Waits until that many more Pods have been answered.
    pub(crate) async fn run(&self, pods: usize) {
        let until = self.done.load(Ordering::Relaxed) + pods;
        while self.done.load(Ordering::Relaxed) < until {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Stops, and gives the number of Pods and what was wrong with any of them.
    pub(crate) async fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await.concat();
        (self.done.load(Ordering::Relaxed), failures)
    }
}
