//! `make bench`: what Fermata costs, side by side with the alternatives in the same run.
//!
//! A figure by itself says more about the machine than about the program. So everything here is measured in turns
//! with something to compare it with, and every answer is checked: a fast wrong answer is worth nothing.

mod api_server;
mod closed_loop;
mod core_review;
mod footprint;
mod goal;
mod one_core;
mod pinning;
mod report;
mod review_load;
mod setup;
mod shim;
mod steady;
mod subject;
mod tls;
mod workload;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use fermata_measure::{machine, measured, process_use};
use fermata_test_cluster::{
    reviews::{self, expected},
    webhook_client::connection,
};

use crate::{
    core_review::CoreReview,
    footprint::Footprint,
    goal::Goal,
    machine::Machine,
    one_core::OneCore,
    report::Report,
    setup::{Effort, Setup},
    shim::Inits,
    steady::Steady,
};

/// Measures Fermata against baselines in the same run
#[derive(Debug, Parser)]
#[command(name = "fermata-bench", version)]
struct Run {
    /// The executable to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/fermata")]
    fermata: PathBuf,
    /// What it is measured against; built by itself, or else it is slower than it need be
    #[arg(long, value_name = "FILE", default_value = "target/release/fermata-baseline")]
    baseline: PathBuf,
    /// The static shim to measure
    #[arg(long, value_name = "FILE", default_value = "target/x86_64-unknown-linux-gnu/shim/fermata-shim")]
    shim: PathBuf,
    /// See in half a minute whether everything works; the figures mean little
    #[arg(long)]
    quick: bool,
    /// Measure one thing
    #[arg(long, value_name = "WHAT")]
    only: Option<Part>,
    /// Where to write benchmarks.md and benchmarks.json [default: docs for a whole run, else nowhere]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Fail when a target is missed
    #[arg(long)]
    enforce: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One review, without network
    Core,
    /// A server on one core, as fast as it can
    Server,
    /// A server at a steady rate
    OpenLoop,
    /// Memory, and time to readiness
    Memory,
    /// Pod creates through a real API server
    ApiServer,
    /// The shim as an init
    Shim,
}

fn main() -> anyhow::Result<ExitCode> {
    shim::child::play().unwrap_or_else(measure)
}

// One thread for the generator: what is measured shall not have to share its core.
#[tokio::main(flavor = "current_thread")]
async fn measure() -> anyhow::Result<ExitCode> {
    Run::parse().measure().await
}

impl Run {
    async fn measure(self) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let effort = if self.quick { Effort::QUICK } else { Effort::FULL };
        let fermata = std::path::absolute(&self.fermata)?;
        let machine = Machine::look(&fermata);
        let setup = Setup::new(
            fermata,
            std::path::absolute(&self.baseline)?,
            std::path::absolute(&self.shim)?,
            effort,
        )?;
        println!("{}", setup.pinning.in_words());

        let mut goals = Vec::new();
        let mut core = None;
        if self.begins(Part::Core, "one review through the core, and the naive way") {
            let outcome = CoreReview::measure(&setup).await?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            core = Some(outcome);
        }
        let mut server = None;
        if self.begins(Part::Server, "a server on one core, and the naive server") {
            let outcome = OneCore::measure(&setup).await?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            server = Some(outcome);
        }
        let mut open_loop = None;
        if self.begins(Part::OpenLoop, "a server at a steady rate") {
            let outcome = Steady::measure(&setup).await?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            open_loop = Some(outcome);
        }
        let mut memory = None;
        if self.begins(Part::Memory, "memory, and time to readiness") {
            let outcome = Footprint::measure(&setup).await?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            memory = Some(outcome);
        }
        let mut api_server = None;
        if self.begins(Part::ApiServer, "Pod creates through a real API server") {
            let outcome = api_server::measure(&setup).await?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            api_server = Some(outcome);
        }
        let mut inits = None;
        if self.begins(Part::Shim, "the shim, dumb-init and tini as inits") {
            let outcome = Inits::measure(&setup)?;
            finished(&mut goals, outcome.goals(), &outcome.markdown());
            inits = Some(outcome);
        }
        setup.scratch.remove().await?;

        let report = Report { machine, core, server, open_loop, memory, api_server, inits, goals };
        let whole = !self.quick && self.only.is_none();
        let folder = self.output.as_deref().or(whole.then_some(Path::new("docs")));
        if let Some(folder) = folder {
            report.write(folder).context("every answer was right, but the report is lost")?;
            println!("\nwritten to {}", folder.join("benchmarks.md").display());
        }
        println!("\nevery answer was right; {:.0} s", started.elapsed().as_secs_f64());
        let missed = report.goals.iter().any(|goal| !goal.met);
        Ok(if missed && self.enforce { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn begins(&self, part: Part, what: &str) -> bool {
        let asked = self.only.is_none_or(|only| only == part);
        if asked {
            println!("\n=== {what}");
        }
        asked
    }
}

fn finished(goals: &mut Vec<Goal>, these: Vec<Goal>, section: &str) {
    println!("\n{section}");
    for goal in &these {
        println!("{goal}");
    }
    goals.extend(these);
}
