//! Reviews at a fixed rate, whether or not earlier ones have their answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fermata_test_cluster::{
    reviews::{expected::Expected, samples},
    webhook_client::{WebhookClient, connection::post},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::figures::{Figures, Outcome, Record, STALL, publish};

/// Reviews a second.
pub(crate) const RATE: u32 = 500;

/// The most at a time: an API server admits so many changes at once (`--max-mutating-requests-inflight`).
const IN_FLIGHT: usize = 200;

/// What is sent, and what each must be answered with.
static REVIEWS: LazyLock<Vec<(Vec<u8>, Expected)>> = LazyLock::new(|| {
    let reviews = samples(200).into_iter().map(|sample| {
        (post("/mutate?timeout=5s", "fermata.fermata.svc:443", &sample.body), Expected::of(&sample).unwrap())
    });
    reviews.collect()
});

/// At most two tests at a time: their figures would say little if many shared the processors.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How many of the turns a test takes: one beside another one, or all.
pub(crate) const BESIDE: u32 = 1;
pub(crate) const ALONE: u32 = 2;

/// Waits for a turn.
pub(crate) async fn turn(turns: u32) -> SemaphorePermit<'static> {
    TURNS.acquire_many(turns).await.unwrap()
}

/// How often something is tried at most.
const TRIALS: usize = 3;

/// Tries something under load; and again, alone then, where this machine could not send as much as it had to, or stood
/// still: then the figures say nothing. They never having said anything is no success.
pub(crate) async fn trials<T>(mut turns: u32, mut trial: impl AsyncFnMut() -> (Figures, T)) -> (Figures, T) {
    for _ in 0..TRIALS {
        let turn = turn(turns).await;
        let (figures, rest) = trial().await;
        drop(turn);
        if !figures.short_of_time() {
            return (figures, rest);
        }
        publish("tried again", &"this machine was too short of time");
        turns = ALONE;
    }
    panic!(
        "{TRIALS} times this machine was too short of time to send {RATE} reviews a second; nothing is shown"
    )
}

/// A load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    last: watch::Receiver<Option<SocketAddr>>,
    sending: JoinHandle<Figures>,
}

impl Load {
    /// Starts to send [`RATE`] reviews a second by whichever client is the current one.
    pub(crate) fn start(client: watch::Receiver<Arc<WebhookClient>>) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (server, last) = watch::channel(None);
        let sending = tokio::spawn(send(client, Arc::clone(&stop), Arc::clone(&answered), server));
        Self { stop, answered, last, sending }
    }

    /// Goes on for some time.
    pub(crate) async fn run(&self, time: Duration) {
        sleep(time).await;
    }

    /// Goes on until so many more have been answered rightly.
    pub(crate) async fn answered(&self, more: usize) {
        let until = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < until {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Who gave the last right answer: the connection to it is the first to be used again.
    pub(crate) fn last_server(&self) -> SocketAddr {
        self.last.borrow().unwrap()
    }

    /// Sends no more, waits for what is on its way, and says what became of all.
    pub(crate) async fn stop(self) -> Figures {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.unwrap()
    }
}

async fn send(
    client: watch::Receiver<Arc<WebhookClient>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    last: watch::Sender<Option<SocketAddr>>,
) -> Figures {
    // Made before the first is due.
    LazyLock::force(&REVIEWS);
    let mut times = interval(Duration::from_secs(1) / RATE);
    times.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let begun = Instant::now();
    let (report, mut reports) = mpsc::unbounded_channel();
    for turn in 0.. {
        let due = times.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let late = due.elapsed();
        if late > STALL {
            // Nothing that the replicas do makes this loop late. When the machine does, to catch up would be to pile up.
            times.reset();
        }
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let client = Arc::clone(&client.borrow());
        let (report, answered, last) = (report.clone(), Arc::clone(&answered), last.clone());
        tokio::spawn(async move {
            let outcome = one(&client, turn).await;
            let record = Record { due, late, done: Instant::now(), outcome };
            if let Outcome::Right { server, .. } = &record.outcome {
                answered.fetch_add(1, Ordering::Relaxed);
                last.send_replace(Some(*server));
            }
            report.send(record).ok();
            drop(place);
        });
    }
    let due = begun.elapsed().as_millis() * u128::from(RATE) / 1000;
    drop(report);
    let mut records = Vec::new();
    while let Some(record) = reports.recv().await {
        records.push(record);
    }
    let not_sent = usize::try_from(due).unwrap().saturating_sub(records.len());
    Figures::of(records, not_sent)
}

async fn one(client: &WebhookClient, turn: usize) -> Outcome {
    let (request, expected) = &REVIEWS[turn % REVIEWS.len()];
    match client.send(request).await {
        Err(lost) => Outcome::Lost(lost.kind, lost.detail),
        Ok(answer) if answer.status != 200 => {
            Outcome::Wrong(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)))
        }
        Ok(answer) => match expected.check(&answer.body) {
            Ok(()) => Outcome::Right { server: answer.server, retries: answer.retries },
            Err(error) => Outcome::Wrong(format!("{error:#}")),
        },
    }
}
