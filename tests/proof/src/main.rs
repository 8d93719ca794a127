//! `make proof`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use fermata_proof::{
    cell::Cell,
    load,
    run::{Outcome, Outcomes, run},
    stage::{Builds, Stage},
};
use fermata_test_cluster::node;
use futures_util::{StreamExt as _, stream};

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
    #[arg(long, value_name = "FILE", default_value = "target/x86_64-unknown-linux-gnu/release/fermata-proof-app")]
    app: PathBuf,
    /// The folder with the images of `make images`
    #[arg(long, value_name = "DIR", default_value = "target/images")]
    images: PathBuf,
    /// Cells to run, by a part of their names, such as rollout/graceful; may be given several times
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// How often to run what the README quotes
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many cells to run side by side
    #[arg(long, default_value_t = 4)]
    parallel: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Load { proxy, rate }) => load::generate(proxy, rate).await?,
        None => Box::pin(cli.experiment.run()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Experiment {
    async fn run(self) -> anyhow::Result<()> {
        node::check()?;
        let started = Instant::now();
        let builds = Builds { app: std::path::absolute(&self.app)?, images: std::path::absolute(&self.images)? };
        let stage = Stage::start(&builds).await?;
        println!("the node is ready, with Fermata on it; {:.1} s", started.elapsed().as_secs_f64());
        let mut runs = Vec::new();
        for round in 0..self.rounds.max(1) {
            let cells = Cell::all().into_iter().filter(|cell| round == 0 || cell.is_quoted());
            runs.extend(cells.filter(|cell| self.wants(cell)));
        }
        let mut outcomes = Outcomes::new();
        let mut running = stream::iter(runs)
            .map(|cell| {
                let stage = &stage;
                async move { (cell, run(stage, cell).await) }
            })
            .buffer_unordered(self.parallel.max(1));
        while let Some((cell, outcome)) = running.next().await {
            let outcome = outcome?;
            println!("{}", in_short(cell, &outcome));
            outcomes.entry(cell).or_default().push(outcome);
        }
        drop(running);
        stage.stop().await?;
        println!("everything is taken away; {:.0} s in all", started.elapsed().as_secs_f64());
        Ok(())
    }

    fn wants(&self, cell: &Cell) -> bool {
        let name = cell.to_string();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

fn in_short(cell: Cell, outcome: &Outcome) -> String {
    let Outcome { tally, causes, .. } = outcome;
    format!(
        "{cell}: {} sent, {} failed {:?}, p99 {:.0} ms, longest ending {:.1} s, {} killed {:?}",
        tally.sent,
        tally.failures(),
        tally.failed,
        tally.latency.p99,
        outcome.longest_ending(),
        outcome.killed(),
        causes.0
    )
}
