//! What the experiment has shown: a page for people, the same for programs, and a picture.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use fermata_measure::machine::Machine;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    cell::{Cell, Disturbance, Treatment},
    picture,
    proxy::{CUT_OFF, Upstream},
    quotes,
    run::Outcome,
    summary::{Figure, Summary},
};

/// How to repeat it.
const COMMAND: &str = "make proof";

/// The outcome of the whole experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What it was run on.
    pub machine: Machine,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// Requests a second, for each cell.
    pub rate: u32,
    /// Cells side by side.
    pub parallel: usize,
    /// What came of each cell.
    pub cells: Vec<Summary>,
}

impl Report {
    /// Reads the `proof.json` of a folder.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not one.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("proof.json");
        let json = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        serde_json::from_slice(&json).with_context(|| format!("{} is no report", file.display()))
    }

    /// Writes `proof.md`, `proof.json` and `proof.svg`.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("proof.json"), json))
            .with_context(|| format!("failed to write the report to {}", folder.display()))?;
        self.draw(folder)
    }

    /// Puts what a README quotes into it.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, has no place for that, or the report lacks what it quotes.
    pub fn quote_in(&self, readme: &Path) -> anyhow::Result<()> {
        let quoted = fs::read_to_string(readme)
            .map_err(anyhow::Error::from)
            .and_then(|text| quotes::quote(&text, self))
            .and_then(|text| Ok(fs::write(readme, text)?));
        quoted.with_context(|| format!("failed to put the figures into {}", readme.display()))
    }

    /// Writes what people look at, `proof.md` and `proof.svg`.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn draw(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join("proof.md"), self.markdown())
            .and_then(|()| fs::write(folder.join("proof.svg"), picture::draw(self)))
            .with_context(|| format!("failed to write the report to {}", folder.display()))
    }

    /// One cell.
    #[must_use]
    pub fn find(&self, cell: Cell) -> Option<&Summary> {
        self.cells.iter().find(|summary| summary.cell == cell)
    }

    fn markdown(&self) -> String {
        let sections: Vec<String> = [Disturbance::Rollout, Disturbance::Eviction, Disturbance::ScaleDown]
            .into_iter()
            .filter_map(|disturbance| self.section(disturbance))
            .collect();
        format!(
            "# Proof\n\n\
             What becomes of requests when Pods end, on a real node: kube-apiserver, kubelet, containerd and kube-proxy \
             of Kubernetes {}, Fermata installed by Helm (with default values, but for `webhook.failurePolicy: Fail`, so \
             that no Pod is missed unseen), and nginx as the proxy in front of the Service.\n\n\
             ![Failed requests and shutdown time, before and after](proof.svg)\n\n\
             Each cell has 3 replicas of an application that takes 50 ms for a request, and gets {} requests a second \
             at times that are fixed ahead, through a proxy that never tries twice (`proxy_next_upstream off`), so that \
             each loss is seen; ingress controllers try some requests again. Every \
             answer is checked: its status, and the token that was sent with the request. The proxy either keeps its \
             connections through the Service to the Pods open for further requests, as ingress controllers do, or opens one \
             for each request. {} cells ran side by side; 99 % of the requests of a run were sent within {} of their time. \
             Where a cell was run several times, the figures are the median and, if it differs, the worst. {}\n\n\
             The applications:\n\n{}\n\
             This page is written by `{COMMAND}`; the same for programs, run by run, is in [proof.json](proof.json).\n\n\
             {}\n\
             ## What remains, and why\n\n{}\n\
             ## The machine and the versions\n\n{}\n\
             ## How to repeat it\n\n\
             ```sh\n{COMMAND}\n```\n\n\
             It needs Linux and root, starts a node in namespaces of its own, and takes everything away at the end. \
             `{COMMAND} QUICK=1` runs what the README quotes once, and fails where it does not hold. Nothing but \
             loopback and those namespaces is used. The node, all Pods, the proxies and the load share one machine.\n",
            self.kubernetes,
            self.rate,
            self.parallel,
            self.lateness(),
            self.again(),
            applications(),
            sections.join("\n"),
            self.remaining(),
            self.machine.markdown(Some(&self.kubernetes)),
        )
    }

    fn section(&self, disturbance: Disturbance) -> Option<String> {
        self.cells.iter().find(|summary| summary.cell.disturbance == disturbance)?;
        let words = disturbance.words();
        let (first, rest) = words.split_at(1);
        let mut text = format!("## {}{rest}\n", first.to_uppercase());
        for (title, show) in [
            ("Failed requests", failed as fn(&Summary) -> String),
            ("Longest time from a Pod's deletion until it was gone", ending),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{title}:\n\n| application | upstream connections |");
            for treatment in Treatment::ALL {
                let _ = write!(text, " {} |", treatment.words());
            }
            text.push_str("\n|---|---|---:|---:|---:|---:|\n");
            for app in App::ALL {
                for upstream in Upstream::ALL {
                    let found = Treatment::ALL
                        .map(|treatment| self.find(Cell { disturbance, app, upstream, treatment }));
                    if found.iter().all(Option::is_none) {
                        continue;
                    }
                    let _ = write!(text, "| {} | {upstream} |", app.words());
                    for summary in found {
                        let _ = write!(
                            text,
                            " {} |",
                            summary.map_or("-".to_owned(), |summary| in_cell(summary, show))
                        );
                    }
                    text.push('\n');
                }
            }
        }
        Some(text)
    }

    /// Every cell with Fermata in which a request failed, or a Pod had to be killed.
    fn remaining(&self) -> String {
        let mut text = String::new();
        for summary in self.cells.iter().filter(|summary| summary.cell.treatment.is_fermata()) {
            let Cell { disturbance, app, upstream, treatment } = summary.cell;
            let name =
                format!("{}, connections {upstream}, {} ({disturbance})", app.words(), treatment.words());
            let failed: u64 = summary.failed_by_kind.values().sum();
            if failed > 0 {
                let kinds: Vec<String> = summary
                    .failed_by_kind
                    .iter()
                    .map(|(kind, count)| format!("{count} times {kind}"))
                    .collect();
                let causes: Vec<String> =
                    summary.causes.iter().map(|(cause, count)| format!("{count} times {cause}")).collect();
                let cut_off = if summary.causes.contains_key(CUT_OFF) {
                    let near: usize = summary.runs.iter().map(Outcome::failures_near_an_end).sum();
                    format!(
                        " {near} of the {failed} were seen in the second in which a Pod's program ended: {}.",
                        summary.cell.what_cuts_off()
                    )
                } else {
                    String::new()
                };
                let _ = writeln!(
                    text,
                    "- {name}: {failed} of {} requests failed ({}). The proxy says: {}.{cut_off}",
                    summary.sent(),
                    kinds.join(", "),
                    causes.join("; ")
                );
            }
            if summary.killed > 0 {
                let _ = writeln!(
                    text,
                    "- {name}: {} of {} Pods had to be killed.",
                    summary.killed, summary.ended
                );
            }
        }
        if text.is_empty() { "Nothing, in this run.\n".to_owned() } else { text + &self.explanation() }
    }

    /// Why requests fail behind a drain, as far as the cells tell it.
    fn explanation(&self) -> String {
        let runs = |upstream: Upstream, counts: fn(App) -> bool| {
            let cells = self.cells.iter().filter(move |summary| {
                let cell = summary.cell;
                cell.treatment.is_fermata() && cell.upstream == upstream && counts(cell.app)
            });
            let (failed, sent) = cells.fold((0, 0), |(failed, sent), summary| {
                (failed + summary.failed_by_kind.values().sum::<u64>(), sent + summary.sent())
            });
            (failed, sent, format!("{failed} of {sent}"))
        };
        let (kept, _, of_kept) = runs(Upstream::Kept, |_| true);
        let (closed, sent_closed, of_closed) = runs(Upstream::Closed, |_| true);
        if sent_closed == 0 || kept <= closed {
            return String::new();
        }
        let mut text = format!(
            "\nWith Fermata {of_kept} requests failed in all where the proxy keeps its connections, and {of_closed} where \
             it opens one for each request. So a drain alone does not end the 502s behind a proxy that keeps connections \
             alive: kube-proxy leads new connections elsewhere once a Pod is to end, but those that are open lead to the old \
             Pod for as long as its program lives, and bring it requests until its last moment.",
        );
        let (failed, sent, of_graceful) = runs(Upstream::Kept, |app| app == App::Graceful);
        if sent > 0 && failed * 10 < kept {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                " The graceful server, which closes its connections behind answers that say so, lost {of_graceful} \
                 behind the same proxy and the same drain."
            );
        }
        text + "\n"
    }

    /// Which runs were void and done again. None of them was chosen by what became of its requests.
    fn again(&self) -> String {
        let again =
            self.cells.iter().flat_map(|summary| &summary.runs).filter_map(|run| run.again_for.as_ref());
        let again: Vec<&str> = again.map(String::as_str).collect();
        match again.len() {
            0 => "No run was void.".to_owned(),
            count => {
                let again: Vec<String> = again.iter().map(|why| format!("{why:.200}")).collect();
                format!("Runs that were void and done again: {count} ({}).", again.join("; "))
            }
        }
    }

    /// How well the load kept its schedule.
    fn lateness(&self) -> String {
        let runs = self.cells.iter().flat_map(|summary| &summary.runs);
        let late = Figure::of(runs.map(|run| run.tally.lateness.p99));
        format!("{:.0} ms ({:.0} ms in the worst run)", late.median, late.worst)
    }
}

/// How each application ends.
fn applications() -> String {
    App::ALL.iter().fold(String::new(), |mut text, app| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {}: {}.", app.words(), app.ending());
        text
    })
}

/// A cell of a table, void where it is.
fn in_cell(summary: &Summary, show: fn(&Summary) -> String) -> String {
    if summary.runs.is_empty() {
        return "void".to_owned();
    }
    let mark = if summary.void.is_empty() { "" } else { ", some runs void" };
    show(summary) + mark
}

fn failed(summary: &Summary) -> String {
    let sent = summary.sent() / u64::try_from(summary.runs.len().max(1)).unwrap_or(1);
    format!("{} of {sent}", figure(summary.failed, 0))
}

fn ending(summary: &Summary) -> String {
    let killed = if summary.killed > 0 {
        format!(", {} of {} killed", summary.killed, summary.ended)
    } else {
        String::new()
    };
    let grace = summary.grace.map_or("unknown".to_owned(), |grace| grace.to_string());
    format!("{} s of {grace}{killed}", figure(summary.longest_ending, 1))
}

/// `7`, or `7 (worst 9)`.
pub(crate) fn figure(figure: Figure, digits: usize) -> String {
    let [median, worst] = [figure.median, figure.worst].map(|value| format!("{value:.digits$}"));
    if median == worst { median } else { format!("{median} (worst {worst})") }
}

#[cfg(test)]
mod tests {
    use fermata_proof_load::{Failure, Tally};

    use super::*;
    use crate::{proxy::Causes, run::RATE};

    fn cell(upstream: Upstream, treatment: Treatment) -> Cell {
        Cell { disturbance: Disturbance::Rollout, app: App::Dies, upstream, treatment }
    }

    fn outcome(failures: u64) -> Outcome {
        let failed = [(Failure::BadGateway, failures)].into_iter().filter(|(_, count)| *count > 0).collect();
        let causes = [(CUT_OFF.to_owned(), failures)].into_iter().filter(|(_, count)| *count > 0).collect();
        let tally = Tally { sent: 1000, failed, ..Tally::default() };
        Outcome { tally, causes: Causes(causes), ..Outcome::default() }
    }

    fn report(cells: Vec<Summary>) -> Report {
        let machine = Machine::look(Path::new("/nonexistent"));
        Report { machine, kubernetes: "v1.36.3".to_owned(), rate: RATE, parallel: 1, cells }
    }

    #[test]
    fn what_is_void_is_not_without_failures() {
        let void = vec!["the machine stood still".to_owned()];
        let cell = cell(Upstream::Kept, Treatment::Shim);
        let report = report(vec![Summary::new(cell, Vec::new(), void)]);
        let text = report.markdown();
        assert!(text.contains("| dies at once on TERM | kept | - | - | - | void |"), "{text}");
        let promise = report.cells[0].broken_promise().unwrap_or_default();
        assert!(promise.contains("the machine stood still"), "{promise}");
        assert!(picture::draw(&report).ends_with("</svg>\n"));
    }

    #[test]
    fn a_finding_is_told_when_it_was_measured_and_not_otherwise() {
        let told = |kept, closed| {
            let summary = |upstream, failed| {
                Summary::new(cell(upstream, Treatment::Fermata), vec![outcome(failed)], vec![])
            };
            let text =
                report(vec![summary(Upstream::Kept, kept), summary(Upstream::Closed, closed)]).markdown();
            text.contains("a drain alone does not end the 502s")
        };
        assert!(told(7, 0));
        assert!(!told(0, 0));
        assert!(!told(3, 3));
    }

    #[test]
    fn the_median_comes_with_the_worst_where_they_differ() {
        let cell = cell(Upstream::Kept, Treatment::Nothing);
        let runs = [3, 1, 9].map(outcome).into();
        let text = report(vec![Summary::new(cell, runs, vec![])]).markdown();
        assert!(text.contains("| 3 (worst 9) of 1000 |"), "{text}");
    }
}
