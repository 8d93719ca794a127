//! Closed loop: each connection sends its next request as soon as it has its answer. Finds the highest rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    connection::{Connection, Target},
    measured::Measured,
    workload::Workload,
};

/// How much longer than planned a run may take before it counts as stuck.
const MARGIN: Duration = Duration::from_secs(20);

/// How long to measure, and with how many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedLoop {
    /// Connections, each with one request under way.
    pub(crate) connections: usize,
    /// Not counted: the time in which caches fill and the connections fall out of step.
    pub(crate) warm_up: Duration,
    /// Counted.
    pub(crate) duration: Duration,
}

impl ClosedLoop {
    /// Opens the connections, runs, and closes them.
    ///
    /// # Errors
    ///
    /// When a connection breaks or an answer is wrong.
    pub(crate) async fn run<W: Workload>(
        self,
        target: &Target,
        workload: &Arc<W>,
    ) -> anyhow::Result<Measured> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(target).await?);
        }
        let turns = Arc::new(AtomicUsize::new(0));
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.duration;
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn(one(connection, Arc::clone(workload), Arc::clone(&turns), begin, end));
        }
        let mut measured = Measured::new()?;
        let bound = self.warm_up + self.duration + MARGIN;
        timeout(bound, async {
            while let Some(part) = running.join_next().await {
                measured.merge(&part??)?;
            }
            anyhow::Ok(())
        })
        .await
        .with_context(|| format!("no end after {} s: a request gets no answer", bound.as_secs()))??;
        measured.lasting(self.duration);
        Ok(measured)
    }
}

async fn one<W: Workload>(
    mut connection: Connection,
    workload: Arc<W>,
    turns: Arc<AtomicUsize>,
    begin: Instant,
    end: Instant,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::new()?;
    loop {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let response = connection.exchange(workload.request(turn)).await?;
        let answered = Instant::now();
        workload.check(turn, &response)?;
        if answered >= end {
            return Ok(measured);
        }
        if answered >= begin {
            measured.record(answered - sent);
        }
    }
}
