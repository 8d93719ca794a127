//! Open loop: requests are due at times fixed ahead, whether or not earlier ones have their answers.
//!
//! Each latency counts from the time at which its request was due, not from when it was sent: a server that stands
//! still for a second delays a thousand requests, not one (the coordinated omission of closed loops).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    connection::{Connection, Target},
    measured::Measured,
    workload::Workload,
};

/// From opening the connections to the first request.
const LEAD: Duration = Duration::from_millis(50);

/// How much longer than planned a run may take before it counts as stuck.
const MARGIN: Duration = Duration::from_secs(20);

/// How much to send, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenLoop {
    /// Connections to share the requests; whichever is free takes the next.
    pub(crate) connections: usize,
    /// Requests a second.
    pub(crate) rate: u32,
    /// Requests in all.
    pub(crate) requests: usize,
}

/// When requests are due.
#[derive(Clone, Copy, Debug)]
struct Timetable {
    first: Instant,
    rate: u32,
    requests: usize,
}

impl Timetable {
    fn due(&self, turn: usize) -> Instant {
        // Counted from the first, so that no error adds up; a run has less than 2^32 requests.
        let turn = u32::try_from(turn).unwrap_or(u32::MAX);
        self.first + Duration::from_secs_f64(f64::from(turn) / f64::from(self.rate))
    }
}

impl OpenLoop {
    /// Opens the connections, sends everything, and waits for the last answer.
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
        let timetable = Timetable { first: Instant::now() + LEAD, rate: self.rate, requests: self.requests };
        let due = Arc::new(Semaphore::new(0));
        let turns = Arc::new(AtomicUsize::new(0));
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn(one(
                connection,
                Arc::clone(workload),
                Arc::clone(&due),
                Arc::clone(&turns),
                timetable,
            ));
        }
        // The runtime's own timers are good to a millisecond, which is as much as is to be measured.
        let pacer = thread::Builder::new().name("pacer".to_owned()).spawn({
            let due = Arc::clone(&due);
            move || pace(&due, timetable)
        })?;
        let bound = timetable.due(self.requests) - Instant::now() + MARGIN;
        let mut measured = Measured::new()?;
        let finished = timeout(bound, async {
            while let Some(part) = running.join_next().await {
                measured.merge(&part??)?;
            }
            anyhow::Ok(())
        })
        .await;
        // Ends the pacer too: nobody waits for its permits any more.
        due.close();
        finished
            .with_context(|| format!("no end after {} s: a request gets no answer", bound.as_secs()))??;
        pacer.join().ok();
        measured.lasting(timetable.due(self.requests) - timetable.first);
        Ok(measured)
    }
}

fn pace(permits: &Semaphore, timetable: Timetable) {
    for turn in 0..timetable.requests {
        thread::sleep(timetable.due(turn).saturating_duration_since(Instant::now()));
        if permits.is_closed() {
            return;
        }
        permits.add_permits(1);
    }
    // Each connection takes one more, and sees that there is nothing left to do.
    permits.close();
}

async fn one<W: Workload>(
    mut connection: Connection,
    workload: Arc<W>,
    due: Arc<Semaphore>,
    turns: Arc<AtomicUsize>,
    timetable: Timetable,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::new()?;
    while turns.load(Ordering::Relaxed) < timetable.requests {
        // After the last permit the semaphore is closed; what is still due then is taken all the same.
        if let Ok(permit) = due.acquire().await {
            permit.forget();
        }
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        if turn >= timetable.requests {
            break;
        }
        let response = connection.exchange(workload.request(turn)).await?;
        let latency = Instant::now() - timetable.due(turn);
        workload.check(turn, &response)?;
        measured.record(latency);
    }
    Ok(measured)
}
