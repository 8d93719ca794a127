//! Open loop: requests are due at times fixed ahead, whether or not earlier ones have their answers.
//!
//! Each latency counts from the time at which its request was due, not from when it was sent: a server that stands
//! still for a second delays a thousand requests, not one (the coordinated omission of closed loops).

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
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

use crate::measured::Measured;

/// From the call to the first request.
const LEAD: Duration = Duration::from_millis(50);

/// How much longer than planned a run may take before it counts as stuck.
const MARGIN: Duration = Duration::from_secs(20);

/// One of those who share the requests: a connection, or what opens one. Whichever is free takes the next request.
pub trait Lane: Send + 'static {
    /// Sends the request of this turn, due at a time, and waits for what comes of it. Says whether its latency is to be
    /// counted.
    ///
    /// # Errors
    ///
    /// What is to end the run.
    fn exchange(&mut self, turn: usize, due: Instant) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// How much to send, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct OpenLoop {
    /// Requests a second.
    pub rate: u32,
    /// Requests in all, unless the run is ended before.
    pub requests: usize,
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
    /// Sends everything, and waits for the last answer.
    ///
    /// # Errors
    ///
    /// What a lane fails with, or when a request gets no answer for long.
    pub async fn run<L: Lane>(self, lanes: Vec<L>) -> anyhow::Result<Measured> {
        self.run_until(lanes, std::future::pending()).await
    }

    /// The same; from the end of `until` on nothing is sent any more.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub async fn run_until<L: Lane>(
        self,
        lanes: Vec<L>,
        until: impl Future<Output = ()>,
    ) -> anyhow::Result<Measured> {
        let timetable = Timetable { first: Instant::now() + LEAD, rate: self.rate, requests: self.requests };
        let due = Arc::new(Semaphore::new(0));
        let turns = Arc::new(Turns { taken: AtomicUsize::new(0), end: AtomicUsize::new(self.requests) });
        // One for all lanes: it is large, and there may be thousands of them.
        let measured = Arc::new(Mutex::new(Measured::new()?));
        let mut running = JoinSet::new();
        for lane in lanes {
            running.spawn(one(lane, Arc::clone(&due), Arc::clone(&turns), timetable, Arc::clone(&measured)));
        }
        // The runtime's own timers are good to a millisecond, which is as much as is to be measured.
        let pacer = thread::Builder::new().name("pacer".to_owned()).spawn({
            let due = Arc::clone(&due);
            move || pace(&due, timetable)
        })?;
        let bound = timetable.due(self.requests) - Instant::now() + MARGIN;
        let mut until = std::pin::pin!(until);
        let mut sent_all = timetable.due(self.requests);
        let finished = timeout(bound, async {
            let mut ended = false;
            loop {
                tokio::select! {
                    lane = running.join_next() => {
                        let Some(lane) = lane else { return anyhow::Ok(()) };
                        lane??;
                    }
                    () = &mut until, if !ended => {
                        ended = true;
                        sent_all = sent_all.min(Instant::now());
                        // What is due already is still sent.
                        turns.end.store(timetable.due_by(sent_all), Ordering::Relaxed);
                        due.close();
                    }
                }
            }
        })
        .await;
        // Ends the pacer too: nobody waits for its permits any more.
        due.close();
        finished
            .with_context(|| format!("no end after {} s: a request gets no answer", bound.as_secs()))??;
        pacer.join().ok();
        let mut measured = measured.lock().unwrap_or_else(PoisonError::into_inner).clone();
        measured.lasting(sent_all.saturating_duration_since(timetable.first));
        Ok(measured)
    }
}

impl Timetable {
    /// How many requests are due at a time.
    fn due_by(&self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.first).as_millis();
        let due = passed * u128::from(self.rate) / 1000;
        usize::try_from(due).unwrap_or(usize::MAX).min(self.requests)
    }
}

/// Which requests are taken, and how many there are.
#[derive(Debug)]
struct Turns {
    taken: AtomicUsize,
    end: AtomicUsize,
}

impl Turns {
    fn next(&self) -> Option<usize> {
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        (turn < self.end.load(Ordering::Relaxed)).then_some(turn)
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
    // Each lane takes one more, and sees that there is nothing left to do.
    permits.close();
}

async fn one<L: Lane>(
    mut lane: L,
    permits: Arc<Semaphore>,
    turns: Arc<Turns>,
    timetable: Timetable,
    measured: Arc<Mutex<Measured>>,
) -> anyhow::Result<()> {
    loop {
        // After the last permit the semaphore is closed; what is still due then is taken all the same.
        if let Ok(permit) = permits.acquire().await {
            permit.forget();
        }
        let Some(turn) = turns.next() else { return Ok(()) };
        let due = timetable.due(turn);
        let counts = lane.exchange(turn, due).await?;
        let latency = due.elapsed();
        if counts {
            measured.lock().unwrap_or_else(PoisonError::into_inner).record(latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(Arc<AtomicUsize>);

    impl Lane for Slow {
        async fn exchange(&mut self, _turn: usize, _due: Instant) -> anyhow::Result<bool> {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(true)
        }
    }

    fn lanes(count: usize) -> (Arc<AtomicUsize>, Vec<Slow>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let lanes = (0..count).map(|_| Slow(Arc::clone(&sent))).collect();
        (sent, lanes)
    }

    #[tokio::test]
    async fn each_request_is_sent_once_and_waiting_counts_as_latency() -> anyhow::Result<()> {
        let (sent, lanes) = lanes(1);
        let measured = OpenLoop { rate: 1000, requests: 10 }.run(lanes).await?;
        assert_eq!(sent.load(Ordering::Relaxed), 10);
        assert_eq!(measured.answers(), 10);
        // All are due within 10 ms, and one lane takes 200 ms for them.
        assert!(measured.latency().max > 150_000.0, "{:?}", measured.latency());
        Ok(())
    }

    #[tokio::test]
    async fn an_early_end_leaves_no_request_without_its_answer() -> anyhow::Result<()> {
        let (sent, lanes) = lanes(8);
        let until = tokio::time::sleep(Duration::from_millis(150));
        let measured = OpenLoop { rate: 100, requests: 100_000 }.run_until(lanes, until).await?;
        assert_eq!(measured.answers(), u64::try_from(sent.load(Ordering::Relaxed))?);
        assert!((2..50).contains(&measured.answers()), "{}", measured.answers());
        Ok(())
    }
}
