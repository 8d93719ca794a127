//! Everything that one run has measured, for people and for programs.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    api_server::ThroughApiServer, core_review::CoreReview, footprint::Footprint, goal::Goal,
    machine::Machine, one_core::OneCore, shim::Inits, steady::Steady,
};

/// How to repeat the run.
const COMMAND: &str = "make bench";

/// The outcome of one run; what was not asked for is absent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) core: Option<CoreReview>,
    pub(crate) server: Option<OneCore>,
    pub(crate) open_loop: Option<Steady>,
    pub(crate) memory: Option<Footprint>,
    pub(crate) api_server: Option<ThroughApiServer>,
    pub(crate) inits: Option<Inits>,
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    /// Writes `benchmarks.md` and `benchmarks.json`.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("benchmarks.md"), self.markdown()))
            .and_then(|()| fs::write(folder.join("benchmarks.json"), self.json()))
            .with_context(|| format!("failed to write the report to {}", folder.display()))
    }

    fn json(&self) -> String {
        // Only maps with keys that are no strings could fail, and there are none.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    fn markdown(&self) -> String {
        let kubernetes = self.api_server.as_ref().map(ThroughApiServer::kubernetes);
        let sections = [
            self.core.as_ref().map(CoreReview::markdown),
            self.server.as_ref().map(OneCore::markdown),
            self.open_loop.as_ref().map(Steady::markdown),
            self.memory.as_ref().map(Footprint::markdown),
            self.api_server.as_ref().map(ThroughApiServer::markdown),
            self.inits.as_ref().map(Inits::markdown),
        ];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        format!(
            "# Benchmarks\n\n\
             What Fermata costs, side by side with the alternatives in the same run. All servers, the generator and \
             the control plane run on one machine and talk over loopback. The generator checks every answer: status, \
             uid, and the patch applied to the Pod or the Pod that comes back; one wrong answer ends the run without a \
             report. Ratios mean more than the figures beside them, for they were measured within seconds of each \
             other.\n\n\
             This page is written by `{COMMAND}`; the same figures for programs, round by round, are in \
             [benchmarks.json](benchmarks.json).\n\n\
             ## In short\n\n{}\n{}\n\
             ## The machine and the versions\n\n{}\n{}\n\
             ## How to repeat it\n\n{}",
            self.summary(),
            self.shortcomings(),
            self.machine.markdown(kubernetes),
            sections.join("\n"),
            repeat()
        )
    }

    fn summary(&self) -> String {
        let mut table = "| | measured | target | |\n|---|---:|---:|---|\n".to_owned();
        for goal in &self.goals {
            let Goal { what, measured, unit, met, .. } = goal;
            let verdict = if *met { "met" } else { "**missed**" };
            // Writing to a string cannot fail.
            let _ =
                writeln!(table, "| {what} | {measured:.2}{unit} | {} | {verdict} |", goal.target_in_words());
        }
        table
    }

    fn shortcomings(&self) -> String {
        let missed: Vec<String> =
            self.goals.iter().filter(|goal| !goal.met).map(|goal| format!("- {goal}.\n")).collect();
        if missed.is_empty() {
            "All targets are met in this run.\n".to_owned()
        } else {
            format!("What falls short in this run:\n\n{}", missed.concat())
        }
    }
}

fn repeat() -> String {
    format!(
        "```sh\n\
         {COMMAND}\n\
         ```\n\n\
         which is, once etcd and the API server are built (dumb-init and tini come from the packages of these names):\n\n\
         ```sh\n\
         cargo build --release --bin fermata\n\
         cargo build --release --package fermata-baseline\n\
         shim=$(deploy/build-static.sh fermata-shim shim)\n\
         cargo run --release --package fermata-bench -- --fermata target/release/fermata --shim \"$shim\"\n\
         ```\n\n\
         `--quick` shows in half a minute whether everything works, and writes no report; its figures mean little. \
         `--only core`, `server`, `open-loop`, `memory`, `api-server` or `shim` measures one thing. `--enforce` fails when a \
         target is missed. Nothing but loopback is used, and nothing is left running.\n\n\
         Leave the machine alone meanwhile: whatever else runs takes its time from one side or the other. The \
         generator, the servers and the control plane are all here, so that a machine with more cores, or a cluster \
         with a network between them, will show other figures; the ratios on one core should hold.\n"
    )
}
