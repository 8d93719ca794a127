//! What `fermata serve` takes before it does anything: memory, and time until it is ready.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    closed_loop::ClosedLoop,
    goal::{Goal, Target},
    measured::{median, micros},
    one_core::CONNECTIONS,
    process_use::resident,
    review_load::ReviewLoad,
    setup::Setup,
    subject::Kind,
};

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Footprint {
    /// Starts, of which each figure is the median.
    starts: usize,
    /// From the start to the first 200 of `/readyz`.
    ready_ms: f64,
    /// Before the first review.
    idle_mib: f64,
    /// After the load.
    loaded_mib: f64,
    /// The reviews of the last load.
    reviews: u64,
    connections: usize,
}

impl Footprint {
    /// Measures.
    ///
    /// # Errors
    ///
    /// When the server does not start, or an answer is wrong.
    pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<Self> {
        let starts = setup.effort.starts;
        let (mut ready, mut idle, mut loaded) = (Vec::new(), Vec::new(), Vec::new());
        let mut reviews = 0;
        for start in 1..=starts {
            let kind = Kind::Fermata { binary: &setup.fermata, workers: None, kubeconfig: None };
            let subject = setup.start_free(kind).await?;
            ready.push(micros(subject.ready_after()) / 1e3);
            idle.push(resident(subject.id())?);
            let load = Arc::new(ReviewLoad::new(subject.address())?);
            let turn = ClosedLoop {
                connections: CONNECTIONS,
                warm_up: setup.effort.warm_up,
                duration: setup.effort.memory_load,
            };
            reviews = turn.run(&subject.target(&setup.certificate)?, &load).await?.answers();
            loaded.push(resident(subject.id())?);
            subject.stop().await?;
            println!(
                "  start {start} of {starts}: ready after {:.0} ms, {:.1} MiB, after the load {:.1} MiB",
                ready[start - 1],
                idle[start - 1],
                loaded[start - 1]
            );
        }
        Ok(Self {
            starts,
            ready_ms: median(ready),
            idle_mib: median(idle),
            loaded_mib: median(loaded),
            reviews,
            connections: CONNECTIONS,
        })
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        vec![Goal::new("the resident memory when idle", self.idle_mib, " MiB", Target::AtMost(16.0))]
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let Self { starts, ready_ms, idle_mib, loaded_mib, reviews, connections } = self;
        format!(
            "## Memory, and time to readiness\n\n\
             `fermata serve` with as many threads as it chooses, and no cluster. Resident memory is `VmRSS` of \
             `/proc/PID/status`. Medians of {starts} starts.\n\n\
             | | |\n\
             |---|---:|\n\
             | from the start to the first 200 of `/readyz` | {ready_ms:.0} ms |\n\
             | resident memory before the first review | {idle_mib:.1} MiB |\n\
             | resident memory after some {reviews} reviews over {connections} connections | {loaded_mib:.1} MiB |\n"
        )
    }
}
