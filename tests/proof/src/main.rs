//! `make proof`.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::ensure;
use clap::{Parser, Subcommand};
use fermata_measure::machine::Machine;
use fermata_proof::{
    app,
    cell::Cell,
    load,
    report::Report,
    run::{Outcome, Outcomes, RATE, run},
    stage::{Builds, Stage},
    summary::Summary,
};
use fermata_test_cluster::node;
use futures_util::{StreamExt as _, stream};
use tokio::signal::unix::{SignalKind, signal};

/// Shows on a real node what becomes of requests when Pods end, without Fermata and with it
#[derive(Debug, Parser)]
#[command(name = "fermata-proof", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    experiment: Experiment,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send load through a proxy until standard input ends; the experiment calls this inside the node
    #[command(hide = true)]
    Load {
        proxy: SocketAddr,
        #[arg(long)]
        rate: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Experiment {
    /// The static program of the applications
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/x86_64-unknown-linux-gnu/release/fermata-proof-app"
    )]
    app: PathBuf,
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
    /// How many cells to run side by side
    #[arg(long, default_value_t = 4)]
    parallel: usize,
    /// Where to write proof.md, proof.json and proof.svg [default: docs for a whole run, else nowhere]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Load { proxy, rate }) => load::generate(proxy, rate).await.map(|()| ExitCode::SUCCESS),
        None => Box::pin(cli.experiment.run()).await,
    }
}

impl Experiment {
    async fn run(self) -> anyhow::Result<ExitCode> {
        if let Err(why) = node::check().and_then(|()| app::check()) {
            let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
            ensure!(self.quick && !required, "{why:#}");
            eprintln!("SKIPPED: {why:#}");
            return Ok(ExitCode::SUCCESS);
        }
        let started = Instant::now();
        let machine = Machine::look(&self.fermata);
        let builds =
            Builds { app: std::path::absolute(&self.app)?, images: std::path::absolute(&self.images)? };
        let Some(stage) = unless_stopped(Stage::start(&builds)).await? else { return Ok(stopped()) };
        println!("the node is ready, with Fermata on it, after {:.1} s", started.elapsed().as_secs_f64());
        let kubernetes = stage.node.control_plane().server_version().to_string();
        let Some(outcomes) = unless_stopped(self.run_cells(&stage)).await? else { return Ok(stopped()) };
        stage.stop().await?;
        println!("everything is taken away; {:.0} s in all", started.elapsed().as_secs_f64());

        let cells: Vec<Summary> =
            outcomes.into_iter().map(|(cell, outcomes)| Summary::new(cell, outcomes)).collect();
        let broken: Vec<String> = cells.iter().filter_map(Summary::broken_promise).collect();
        let report = Report { machine, kubernetes, rate: RATE, parallel: self.parallel, cells };
        let whole = !self.quick && self.only.is_empty();
        if let Some(folder) = self.output.as_deref().or(whole.then_some(Path::new("docs"))) {
            report.write(folder)?;
            println!("written to {}", folder.join("proof.md").display());
        }
        for promise in &broken {
            eprintln!("does not hold: {promise}");
        }
        Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn run_cells(&self, stage: &Stage) -> anyhow::Result<Outcomes> {
        let rounds = if self.quick { 1 } else { self.rounds.max(1) };
        let mut runs = Vec::new();
        for round in 0..rounds {
            let cells =
                Cell::all().into_iter().filter(|cell| cell.is_quoted() || (round == 0 && !self.quick));
            runs.extend(cells.filter(|cell| self.wants(cell)));
        }
        let count = runs.len();
        let mut outcomes = Outcomes::new();
        let mut running = stream::iter(runs)
            .map(async |cell| (cell, run_twice(stage, cell).await))
            .buffer_unordered(self.parallel.max(1));
        let mut done = 0;
        while let Some((cell, outcome)) = running.next().await {
            let outcome = outcome?;
            done += 1;
            println!("{done}/{count} {}", in_short(cell, &outcome));
            outcomes.entry(cell).or_default().push(outcome);
        }
        Ok(outcomes)
    }

    fn wants(&self, cell: &Cell) -> bool {
        let name = cell.to_string();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

/// Runs a cell, and once more where the run was void: on a busy machine it may be that something was not ready in time.
/// Requests that fail because Pods end never make a run void.
async fn run_twice(stage: &Stage, cell: Cell) -> anyhow::Result<Outcome> {
    match run(stage, cell).await {
        Err(error) => {
            println!("a run is void and done again: {error:#}");
            run(stage, cell).await
        }
        outcome => outcome,
    }
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

/// What a shell reports of a program that Ctrl-C has ended.
fn stopped() -> ExitCode {
    eprintln!("stopped before it was done; everything it had started is removed");
    ExitCode::from(130)
}

fn in_short(cell: Cell, outcome: &Outcome) -> String {
    let Outcome { tally, causes, .. } = outcome;
    let mut text = format!(
        "{cell}: {} of {} failed, p99 {:.0} ms, longest ending {:.1} s, {} killed",
        tally.failures(),
        tally.sent,
        tally.latency.p99,
        outcome.longest_ending(),
        outcome.killed(),
    );
    for (failure, count) in &tally.failed {
        text += &format!("; {count} times {failure}");
    }
    for (cause, count) in &causes.0 {
        text += &format!("\n    {count} times {cause}");
    }
    text
}
