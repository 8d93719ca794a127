//! `fermata serve` on one core against the naive server, as fast as each can.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    closed_loop::ClosedLoop,
    connection::Target as Server,
    goal::{Goal, Target},
    measured::{Latency, Measured, median, micros},
    process_use::processor_time,
    review_load::ReviewLoad,
    setup::{Effort, Setup},
    subject::{Kind, Subject},
};

/// As many as an API server keeps open to one host (`MaxIdleConnsPerHost` of client-go).
pub(crate) const CONNECTIONS: usize = 25;

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OneCore {
    rounds: usize,
    seconds_per_turn: f64,
    connections: usize,
    pinned: String,
    fermata: Side,
    naive: Side,
    /// Median over all rounds of Fermata's rate divided by the naive server's.
    ratio: f64,
}

/// One of the two.
#[derive(Clone, Debug, Serialize)]
struct Side {
    /// Reviews a second in each round.
    rates: Vec<f64>,
    /// Median of these.
    rate: f64,
    /// Over all rounds.
    latency_us: Latency,
    /// Processor time for one review, kernel and TLS included: the median round's.
    processor_us: f64,
    /// How much of its core the server used: the median round's. Well below 1, the generator was the slower one.
    busy: f64,
}

impl OneCore {
    /// Measures both in turns, so that a change in the machine's speed hits both.
    ///
    /// # Errors
    ///
    /// When a server does not start, or an answer is wrong.
    pub(crate) async fn measure(setup: &Setup) -> anyhow::Result<Self> {
        let effort = setup.effort;
        let _pinned = setup.pinning.pin_generator()?;
        let mut fermata = Contender::start(setup, setup.one_worker()).await?;
        let mut naive = Contender::start(setup, setup.naive()).await?;
        for round in 1..=effort.server_rounds {
            let (ours, theirs) = (fermata.turn(effort).await?, naive.turn(effort).await?);
            println!(
                "  round {round} of {}: fermata {ours:.0}/s, naive server {theirs:.0}/s",
                effort.server_rounds
            );
        }
        let (fermata, naive) = (fermata.stop().await?, naive.stop().await?);
        Ok(Self {
            rounds: effort.server_rounds,
            seconds_per_turn: effort.server_turn.as_secs_f64(),
            connections: CONNECTIONS,
            pinned: setup.pinning.in_words(),
            ratio: median(fermata.rates.iter().zip(&naive.rates).map(|(ours, theirs)| ours / theirs)),
            fermata,
            naive,
        })
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let what = "reviews a second on one core, against the naive server";
        vec![Goal::new(what, self.ratio, " times as many", Target::AtLeast(1.0))]
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let Self { rounds, seconds_per_turn, connections, pinned, fermata, naive, ratio } = self;
        let row = |name: &str, side: &Side| {
            let Latency { p50, p99, .. } = side.latency_us;
            format!(
                "| {name} | {:.0} | {:.2} ms | {:.2} ms | {:.1} µs | {:.0} % |\n",
                side.rate,
                p50 / 1e3,
                p99 / 1e3,
                side.processor_us,
                side.busy * 100.0
            )
        };
        format!(
            "## A server on one core\n\n\
             `fermata serve --workers 1`, TLS 1.3, HTTP/1.1, {connections} keep-alive connections, each with one \
             review under way at any time. The naive server gives the naive answer behind tokio, hyper and rustls on \
             one thread, and has no limits, deadlines, metrics or logs. {pinned} {rounds} turns of \
             {seconds_per_turn:.0} s each, one after the other in the same run; the rate is the median turn's.\n\n\
             | | reviews a second | p50 | p99 | processor time a review | of its core |\n\
             |---|---:|---:|---:|---:|---:|\n\
             {}{}\n\
             Fermata answers {ratio:.2} times as many. Where a server does not use the whole of its core, the \
             generator is the slower one, and the processor time is the fairer comparison: the naive server's is \
             {:.2} times Fermata's.\n",
            row("the naive server", naive),
            row("`fermata serve`", fermata),
            naive.processor_us / fermata.processor_us
        )
    }
}

struct Contender {
    subject: Subject,
    server: Server,
    load: Arc<ReviewLoad>,
    rates: Vec<f64>,
    processor_us: Vec<f64>,
    busy: Vec<f64>,
    all: Measured,
}

impl Contender {
    async fn start(setup: &Setup, kind: Kind<'_>) -> anyhow::Result<Self> {
        let subject = setup.start_pinned(kind).await?;
        let load = Arc::new(ReviewLoad::new(subject.address())?);
        let server = subject.target(&setup.certificate)?;
        Ok(Self {
            subject,
            server,
            load,
            rates: Vec::new(),
            processor_us: Vec::new(),
            busy: Vec::new(),
            all: Measured::new()?,
        })
    }

    async fn turn(&mut self, effort: Effort) -> anyhow::Result<f64> {
        let closed_loop =
            |duration| ClosedLoop { connections: CONNECTIONS, warm_up: Duration::ZERO, duration };
        // Apart from the turn itself, so that the processor time is that of the reviews counted.
        closed_loop(effort.warm_up).run(&self.server, &self.load).await?;
        let (begun, before) = (Instant::now(), processor_time(self.subject.id())?);
        let measured = closed_loop(effort.server_turn).run(&self.server, &self.load).await?;
        let (took, used) = (begun.elapsed(), processor_time(self.subject.id())?.saturating_sub(before));
        self.all.merge(&measured)?;
        self.rates.push(measured.rate());
        self.processor_us.push(micros(used) / measured.count());
        self.busy.push(used.as_secs_f64() / took.as_secs_f64());
        Ok(measured.rate())
    }

    async fn stop(self) -> anyhow::Result<Side> {
        self.subject.stop().await?;
        Ok(Side {
            rate: median(self.rates.iter().copied()),
            rates: self.rates,
            latency_us: self.all.latency(),
            processor_us: median(self.processor_us),
            busy: median(self.busy),
        })
    }
}
