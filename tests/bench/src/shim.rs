//! The shim as an init, side by side with dumb-init and tini.

pub(crate) mod child;
mod contender;
mod early_signal;
mod latency;
mod orphans;
mod start;

use std::{fs, io::Write as _, path::Path, process::Stdio, thread, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use self::{
    contender::Contender,
    early_signal::{EarlySignals, early_signals},
    latency::latencies,
    orphans::{Orphans, reap, storm},
    start::starts,
};
use crate::{
    goal::{Goal, Target},
    measured::{Latency, median},
    process_use::resident,
    setup::Setup,
};

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Counts {
    /// Starts of a program.
    starts: usize,
    /// Signals whose way is timed.
    signals: usize,
    /// Starts for the memory.
    memory_starts: usize,
    /// Processes that are left to the init.
    orphans: usize,
    /// Signals within one second.
    storm: usize,
    /// Processes that are left to the init meanwhile.
    storm_orphans: usize,
    /// Programs that are told to end while they start, under the shim.
    early: usize,
    /// The same under the others: each that is lost takes its time.
    early_others: usize,
}

impl Counts {
    /// For figures to publish: some two minutes.
    pub(crate) const FULL: Self = Self {
        starts: 500,
        signals: 2_000,
        memory_starts: 7,
        orphans: 10_000,
        storm: 100_000,
        storm_orphans: 1_000,
        early: 1_000,
        early_others: 300,
    };

    /// To see whether everything works.
    pub(crate) const QUICK: Self = Self {
        starts: 30,
        signals: 200,
        memory_starts: 2,
        orphans: 300,
        storm: 20_000,
        storm_orphans: 50,
        early: 50,
        early_others: 20,
    };
}

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Inits {
    counts: Counts,
    /// Whether the shim is built with musl, whose programs are smaller.
    musl: bool,
    shim: Init,
    dumb_init: Init,
    tini: Init,
    /// A static program with the GNU C library too, for the memory.
    tini_static_kib: Option<f64>,
}

/// The figures of one init.
#[derive(Clone, Debug, Serialize)]
struct Init {
    name: &'static str,
    size_bytes: u64,
    /// From the start of the init to its end, for a program that does nothing.
    start_ms: f64,
    /// The same by that of dumb-init beside it.
    start_ratio: f64,
    latency: Latency,
    resident_kib: f64,
    orphans: Orphans,
    storm: Orphans,
    early: EarlySignals,
}

impl Inits {
    /// Measures.
    ///
    /// # Errors
    ///
    /// When an init is missing, or does not do what it is for.
    pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Self> {
        let counts = setup.effort.inits;
        let contenders = [
            Contender::shim(&setup.shim),
            Contender::installed("dumb-init", &["--"])?,
            // A subreaper, so that it does not warn of being none.
            Contender::installed("tini", &["-s", "--"])?,
        ];
        let [shim, dumb_init, tini] = &contenders;

        let times = starts(&contenders, counts.starts)?;
        println!("  {} starts of each", counts.starts);
        let latencies = latencies(&contenders, counts.signals)?;
        println!("  {} signals through each", counts.signals);
        let figures = |index: usize, init: &Contender| -> anyhow::Result<Init> {
            let early = if index == 0 { counts.early } else { counts.early_others };
            let ratios = times[index].iter().zip(&times[1]).map(|(own, other)| own / other);
            let figures = Init {
                name: init.name(),
                size_bytes: fs::metadata(init.program())?.len(),
                start_ms: median(times[index].iter().copied()),
                start_ratio: median(ratios),
                latency: latencies[index],
                resident_kib: memory(init, counts.memory_starts)?,
                orphans: reap(init, counts.orphans)?,
                storm: storm(init, counts.storm, counts.storm_orphans)?,
                early: early_signals(init, early)?,
            };
            println!("  {}: orphans, a storm of signals, early signals", init.name());
            Ok(figures)
        };
        Ok(Self {
            counts,
            musl: setup.shim.to_string_lossy().contains("musl"),
            shim: figures(0, shim)?,
            dumb_init: figures(1, dumb_init)?,
            tini: figures(2, tini)?,
            tini_static_kib: Contender::installed("tini-static", &["-s", "--"])
                .ok()
                .map(|init| memory(&init, counts.memory_starts))
                .transpose()?,
        })
    }

    /// What this is to reach.
    #[must_use]
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let Self { shim, dumb_init, musl, .. } = self;
        let most = if *musl { 0.45 } else { 1.3 };
        let mut goals = vec![
            Goal::new("the size of the static shim", megabytes(shim.size_bytes), " MB", Target::AtMost(most)),
            Goal::new(
                "a start under the shim, against dumb-init",
                shim.start_ratio,
                " times as long",
                Target::AtMost(1.1),
            ),
            Goal::new(
                "the median way of a signal through the shim, against dumb-init",
                shim.latency.p50 / dumb_init.latency.p50,
                " times as long",
                Target::AtMost(2.0),
            ),
        ];
        if let Some(tini_static) = self.tini_static_kib {
            goals.push(Goal::new(
                "the resident memory of the shim, against tini-static",
                shim.resident_kib / tini_static,
                " times as much",
                Target::AtMost(2.0),
            ));
        }
        let nothing = Target::AtMost(0.0);
        goals.extend([
            Goal::new("orphans that the shim left", shim.orphans.left(), "", nothing),
            Goal::new("children that the shim lost in a storm of signals", shim.storm.left(), "", nothing),
            Goal::new("early TERMs that the shim lost", shim.early.lost(), "", nothing),
        ]);
        goals
    }

    /// The section of the report.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let inits = [&self.shim, &self.dumb_init, &self.tini];
        let row = |what: &str, figure: &dyn Fn(&Init) -> String| {
            format!("| {what} | {} |\n", inits.map(figure).join(" | "))
        };
        let Counts { starts, signals, memory_starts, orphans, storm, storm_orphans, early, early_others } =
            self.counts;
        let library = if self.musl { "musl" } else { "the GNU C library" };
        let memory = self.tini_static_kib.map_or_else(
            || "tini-static is not installed, which would be of the same kind".to_owned(),
            |tini_static| format!("tini-static, which is of the same kind, has {tini_static:.0} KiB"),
        );
        let sending = inits.iter().map(|init| init.storm.sending_s()).fold(0.0, f64::max);
        let table = [
            format!("| | {} |\n|---|---:|---:|---:|\n", inits.map(|init| init.name).join(" | ")),
            row("size", &|init| format!("{:.3} MB", megabytes(init.size_bytes))),
            row("start and end of `true`, median", &|init| format!("{:.2} ms", init.start_ms)),
            row("against dumb-init beside it, median", &|init| format!("{:.2} times", init.start_ratio)),
            row("USR1 to the program, p50", &|init| format!("{:.1} µs", init.latency.p50)),
            row("USR1 to the program, p99", &|init| format!("{:.1} µs", init.latency.p99)),
            row("resident memory", &|init| format!("{:.0} KiB", init.resident_kib)),
            row("orphans left", &|init| init.orphans.in_words()),
            row("orphans left in a storm of signals", &|init| init.storm.in_words()),
            row("early TERMs lost", &|init| init.early.in_words()),
        ];
        format!(
            "## The shim as an init\n\n\
             The shim is a static program with {library}; dumb-init and tini are Debian's, and dynamic. All three by \
             turns in the same run. {starts} starts of `true`; {signals} times USR1 to the init, until the program \
             below has it in `sigwait`; `VmRSS` of the init with one program below, median of {memory_starts} starts \
             ({memory}). {orphans} processes whose parents have ended, to an init that is PID 1 of its namespace; \
             the same with {storm_orphans} while {storm} signals come within {sending:.1} s, after which the program's exit \
             code must be right too. TERM from 0 to 5 ms after the start, {early} times for the shim and \
             {early_others} times for the others: lost is one after which the program still runs a second later.\n\n\
             {}",
            table.concat()
        )
    }
}

fn megabytes(bytes: u64) -> f64 {
    // Exact up to 2^53 bytes.
    #[expect(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / 1e6
}

/// The resident memory of an init with one program below that does nothing, in KiB.
fn memory(init: &Contender, starts: usize) -> anyhow::Result<f64> {
    let mut figures = Vec::with_capacity(starts);
    for _ in 0..starts {
        let mut running =
            init.over(Path::new("cat"), &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = running.stdin.take().context("there is a pipe")?;
        let mut output = running.stdout.take().context("there is a pipe")?;
        // An answer from below means that the init has nothing more to do.
        input.write_all(b"x")?;
        std::io::Read::read_exact(&mut output, &mut [0])?;
        thread::sleep(Duration::from_millis(20));
        figures.push(resident(running.id())? * 1024.0);
        drop(input);
        running.wait()?;
    }
    Ok(median(figures))
}
