//! `make proof`.

use std::{
    cmp::Reverse,
    env,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use fermata_measure::machine::Machine;
use fermata_proof::{
    app,
    cell::Cell,
    ledger::{Ledger, Setting},
    report::Report,
    run::{Outcome, RATE, run},
    stage::{Builds, Stage},
    summary::Summary,
};
use fermata_test_cluster::node;
use futures_util::{StreamExt as _, stream};
use tokio::signal::unix::{SignalKind, signal};

/// Shows on a real node what becomes of requests when Pods end, without Fermata and with it
#[derive(Debug, Parser)]
#[command(name = "fermata-proof", version)]
struct Experiment {
    /// The static program of the applications
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/x86_64-unknown-linux-gnu/release/fermata-proof-app"
    )]
    app: PathBuf,
    /// The static program that sends load
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/x86_64-unknown-linux-gnu/release/fermata-proof-load"
    )]
    load: PathBuf,
    /// The folder with the images of `make images`
    #[arg(long, value_name = "DIR", default_value = "target/images")]
    images: PathBuf,
    /// The executable whose version is named in the report
    #[arg(long, value_name = "FILE", default_value = "target/x86_64-unknown-linux-gnu/release/fermata")]
    fermata: PathBuf,
    /// Run once what the README quotes, and fail where it does not hold; writes no report
    #[arg(long)]
    quick: bool,
    /// Cells to run, by a part of their names, such as rollout/graceful; may be given several times
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// How often to run what the README quotes
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where each run is kept as soon as it is done
    #[arg(long, value_name = "FILE", default_value = "target/proof/runs.jsonl")]
    runs: PathBuf,
    /// Go on with the runs that are kept there
    #[arg(long)]
    resume: bool,
    /// How many cells to run side by side; more go faster, and have less of the machine each
    #[arg(long, default_value_t = 3)]
    parallel: usize,
    /// Where to write proof.md, proof.json and proof.svg [default: docs for a whole run, else nowhere]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Run nothing: write proof.md and proof.svg of the proof.json in this folder anew, and quote it in the README above
    #[arg(long, value_name = "DIR", exclusive = true)]
    redraw: Option<PathBuf>,
}

/// Where the README is, seen from the folder of the report.
const README: &str = "../README.md";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    Box::pin(Experiment::parse().run()).await
}

impl Experiment {
    async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(folder) = &self.redraw {
            let report = Report::read(folder)?;
            report.draw(folder)?;
            report.quote_in(&folder.join(README))?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Err(why) = node::check().and_then(|()| app::check()) {
            let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
            ensure!(self.quick && !required, "{why:#}");
            eprintln!("SKIPPED: {why:#}");
            return Ok(ExitCode::SUCCESS);
        }
        let started = Instant::now();
        let setting = Setting { machine: Machine::look(&self.fermata), parallel: self.parallel.max(1) };
        let mut ledger = if self.resume {
            Ledger::resume(&self.runs, setting)?
        } else {
            Ledger::begin(&self.runs, setting)?
        };
        let builds = Builds {
            app: std::path::absolute(&self.app)?,
            load: std::path::absolute(&self.load)?,
            images: std::path::absolute(&self.images)?,
        };
        let Some(stage) = unless_stopped(Stage::start(&builds)).await? else { return Ok(self.stopped()) };
        println!("the node is ready, with Fermata on it, after {:.1} s", started.elapsed().as_secs_f64());
        let kubernetes = stage.node.control_plane().server_version().to_string();
        let Some(void) = unless_stopped(self.run_cells(&stage, &mut ledger)).await? else {
            return Ok(self.stopped());
        };
        Box::pin(stage.stop()).await?;
        println!("everything is taken away; {:.0} s in all", started.elapsed().as_secs_f64());

        let why = |cell| void.iter().filter(|run| run.cell == cell).map(|run| run.why.clone()).collect();
        let cells = Cell::all().into_iter().filter(|cell| self.times(*cell) > 0);
        let cells: Vec<Summary> =
            cells.map(|cell| Summary::new(cell, ledger.runs(cell), why(cell))).collect();
        let broken: Vec<String> = cells.iter().filter_map(Summary::broken_promise).collect();
        let Setting { machine, parallel } = ledger.setting().clone();
        let report = Report { machine, kubernetes, rate: RATE, parallel, cells };
        let whole = !self.quick && self.only.is_empty();
        if let Some(folder) = self.output.as_deref().or(whole.then_some(Path::new("docs"))) {
            report.write(folder)?;
            println!("written to {}", folder.join("proof.md").display());
            let readme = folder.join(README);
            if whole && readme.exists() {
                report.quote_in(&readme)?;
                println!("quoted in {}", readme.display());
            }
        }
        for promise in &broken {
            eprintln!("does not hold: {promise}");
        }
        Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Runs what the ledger does not have yet, and gives what was void.
    async fn run_cells(&self, stage: &Stage, ledger: &mut Ledger) -> anyhow::Result<Vec<Void>> {
        let mut cells = Cell::all();
        // What takes long begins first, so that nothing is left alone at the end.
        cells.sort_by_key(|cell| Reverse(cell.about()));
        let mut runs: Vec<Cell> = Vec::new();
        for round in 0..self.rounds.max(1) {
            let is_left = |cell: &&Cell| (ledger.count(**cell)..self.times(**cell)).contains(&round);
            runs.extend(cells.iter().filter(is_left));
        }
        let count = runs.len();
        let mut left: u64 = runs.iter().map(Cell::about).sum();
        let parallel = ledger.setting().parallel;
        let mut running = stream::iter(runs)
            .map(async |cell| (cell, run_twice(stage, cell).await))
            .buffer_unordered(parallel);
        let mut void = Vec::new();
        let mut done = 0;
        while let Some((cell, outcome)) = running.next().await {
            done += 1;
            left -= cell.about();
            let text = match outcome? {
                Ok(outcome) => {
                    let text = in_short(cell, &outcome);
                    ledger.add(cell, outcome)?;
                    text
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    let text = format!("{cell}: void, for {why}");
                    void.push(Void { cell, why });
                    text
                }
            };
            let minutes = left.div_ceil(60 * u64::try_from(parallel)?);
            println!("{done}/{count}, about {minutes} min left: {text}");
        }
        Ok(void)
    }

    /// How often a cell is to be run.
    fn times(&self, cell: Cell) -> usize {
        match (self.wants(cell), cell.is_quoted()) {
            (false, _) => 0,
            (true, true) if self.quick => 1,
            (true, true) => self.rounds.max(1),
            (true, false) => usize::from(!self.quick),
        }
    }

    fn wants(&self, cell: Cell) -> bool {
        let name = cell.to_string();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }

    /// What a shell reports of a program that Ctrl-C has ended.
    fn stopped(&self) -> ExitCode {
        eprintln!(
            "stopped before it was done; everything it had started is removed. The runs so far are in {}: --resume, or \
             RESUME=1 of make, goes on",
            self.runs.display()
        );
        ExitCode::from(130)
    }
}

/// A run that told nothing, and why.
#[derive(Debug)]
struct Void {
    cell: Cell,
    why: String,
}

/// Runs a cell, and once more where the run was void: on a busy machine it may be that something was not ready in time.
/// Requests that fail because Pods end never make a run void. The outer error is for when the node is gone, and with it
/// the sense of going on.
async fn run_twice(stage: &Stage, cell: Cell) -> anyhow::Result<anyhow::Result<Outcome>> {
    let first = run(stage, cell).await;
    let Err(error) = &first else { return Ok(first) };
    stage.check().await.with_context(|| format!("the node is gone; --resume goes on. {error:#}"))?;
    println!("a run is void and done again: {error:#}");
    let again_for = Some(format!("{error:#}"));
    let second = run(stage, cell).await;
    stage.check().await.context("the node is gone; --resume goes on")?;
    Ok(second.map(|outcome| Outcome { again_for, ..outcome }))
}

/// Does something long, unless told to stop meanwhile: then what it has started goes away with this process.
async fn unless_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = work => done.map(Some),
        _ = terminate.recv() => Ok(None),
        _ = interrupt.recv() => Ok(None),
    }
}

fn in_short(cell: Cell, outcome: &Outcome) -> String {
    let Outcome { tally, causes, .. } = outcome;
    let mut text = format!(
        "{cell}: {} of {} failed, p99 {:.0} ms (sent {:.0} ms late), longest ending {:.1} s, {} killed",
        tally.failures(),
        tally.sent,
        tally.latency.p99,
        tally.lateness.p99,
        outcome.longest_ending(),
        outcome.killed(),
    );
    // Writing to a string cannot fail.
    for (failure, count) in &tally.failed {
        let _ = write!(text, "; {count} times {failure}");
    }
    for (cause, count) in &causes.0 {
        let _ = write!(text, "\n    {count} times {cause}");
    }
    text
}
