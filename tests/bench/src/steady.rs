//! `fermata serve` at a steady 1,000 reviews a second: more Pods than a cluster of 5,000 nodes can place.

use std::sync::Arc;

use fermata_measure::open_loop::{Lane, OpenLoop};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    closed_loop::ClosedLoop,
    connection::Connection,
    goal::{Goal, Target},
    measured::Latency,
    one_core::CONNECTIONS,
    review_load::ReviewLoad,
    setup::Setup,
    workload::Workload as _,
};

/// Reviews a second.
const RATE: u32 = 1000;

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Steady {
    rate: u32,
    connections: usize,
    pinned: String,
    /// Reviews sent, and answered right: a wrong answer ends the run.
    answers: u64,
    seconds: f64,
    /// From the time that a review was due.
    latency_us: Latency,
}

/// An open connection that takes its turns with the others.
struct Open {
    connection: Connection,
    load: Arc<ReviewLoad>,
}

impl Lane for Open {
    async fn exchange(&mut self, turn: usize, _due: Instant) -> anyhow::Result<bool> {
        let response = self.connection.exchange(self.load.request(turn)).await?;
        self.load.check(turn, &response)?;
        Ok(true)
    }
}

impl Steady {
    /// Measures.
    ///
    /// # Errors
    ///
    /// When the server does not start, or an answer is wrong or missing.
    pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<Self> {
        let _pinned = setup.pinning.pin_generator()?;
        let subject = setup.start_pinned(setup.one_worker()).await?;
        let load = Arc::new(ReviewLoad::new(subject.address())?);
        let server = subject.target(&setup.certificate)?;
        let warm_up = ClosedLoop {
            connections: CONNECTIONS,
            warm_up: setup.effort.warm_up,
            duration: setup.effort.warm_up,
        };
        warm_up.run(&server, &load).await?;
        let seconds = setup.effort.open_loop.as_secs();
        let open_loop = OpenLoop { rate: RATE, requests: usize::try_from(seconds)? * usize::try_from(RATE)? };
        let mut lanes = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            lanes.push(Open { connection: Connection::open(&server).await?, load: Arc::clone(&load) });
        }
        let measured = open_loop.run(lanes).await?;
        subject.stop().await?;
        Ok(Self {
            rate: RATE,
            connections: CONNECTIONS,
            pinned: setup.pinning.in_words(),
            answers: measured.answers(),
            seconds: setup.effort.open_loop.as_secs_f64(),
            latency_us: measured.latency(),
        })
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let what = "the 99th percentile at 1,000 reviews a second";
        vec![Goal::new(what, self.latency_us.p99 / 1e3, " ms", Target::AtMost(2.0))]
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let Self { rate, connections, pinned, answers, seconds, latency_us } = self;
        let Latency { p50, p99, p999, max } = latency_us;
        format!(
            "## At a steady rate\n\n\
             `fermata serve --workers 1` gets {rate} reviews a second for {seconds:.0} s over {connections} keep-alive \
             TLS connections. The times at which they are due are fixed ahead, and each latency counts from then, so \
             that a server that stands still cannot hide it. {pinned}\n\n\
             | answers | wrong or missing | p50 | p99 | p99.9 | longest |\n\
             |---:|---:|---:|---:|---:|---:|\n\
             | {answers} | 0 | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms |\n",
            p50 / 1e3,
            p99 / 1e3,
            p999 / 1e3,
            max / 1e3
        )
    }
}
