//! `fermata-baseline`: started by the bench.

mod core_review;
mod server;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, Subcommand};
use fermata_baseline::preserves_order;

use crate::{core_review::compare, server::NaiveServer};

/// What Fermata is measured against; started by the bench
#[derive(Debug, Parser)]
#[command(name = "fermata-baseline", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the naive way and Fermata's core in turns, and print the outcome as JSON
    Core {
        /// The reviews, one a line
        #[arg(long, value_name = "FILE")]
        reviews: PathBuf,
        /// How often each answers all of them
        #[arg(long, value_name = "COUNT")]
        rounds: usize,
    },
    /// Answer reviews the naive way
    Serve(NaiveServer),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    ensure!(
        !preserves_order(),
        "built with a slower serde_json than the naive way needs; build it by itself: \
         cargo build --release --package fermata-baseline"
    );
    match cli.command {
        Command::Core { reviews, rounds } => {
            println!("{}", serde_json::to_string(&compare(&reviews, rounds)?)?);
            Ok(())
        }
        Command::Serve(server) => match server.serve().await? {},
    }
}
