//! What has been run, in a file: a line for each run as soon as it is done, so that an experiment that is cut off can go on.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use fermata_measure::machine::Machine;
use serde::{Deserialize, Serialize};

use crate::{cell::Cell, run::Outcome};

/// What the runs of a file have in common. Without it they must not be put together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// What it was begun on.
    pub machine: Machine,
    /// Cells side by side.
    pub parallel: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    cell: Cell,
    outcome: Outcome,
}

/// The file, and what it holds.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    setting: Setting,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Begins a new one in place of what may be there.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn begin(path: &Path, setting: Setting) -> anyhow::Result<Self> {
        Self::write(path, setting, Vec::new())
            .with_context(|| format!("failed to write to {}", path.display()))
    }

    /// Goes on with one; begins it where there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, or its runs are of other versions or had other neighbours.
    pub fn resume(path: &Path, setting: Setting) -> anyhow::Result<Self> {
        if !path.exists() {
            return Self::begin(path, setting);
        }
        let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        let mut lines = text.lines();
        let begun: Setting = serde_json::from_str(lines.next().unwrap_or_default())
            .with_context(|| format!("{} is not of this program; begin without --resume", path.display()))?;
        ensure!(
            begun.machine.has_versions_of(&setting.machine) && begun.parallel == setting.parallel,
            "the runs in {} are of other versions, or had other neighbours; begin without --resume",
            path.display()
        );
        // The last line may have been cut off.
        let entries = lines.map_while(|line| serde_json::from_str(line).ok()).collect();
        Self::write(path, begun, entries).with_context(|| format!("failed to write to {}", path.display()))
    }

    fn write(path: &Path, setting: Setting, entries: Vec<Entry>) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Put in place at once, so that what was there is not lost on the way.
        let whole = path.with_extension("new");
        let mut file = File::create(&whole)?;
        writeln!(file, "{}", serde_json::to_string(&setting)?)?;
        for entry in &entries {
            writeln!(file, "{}", serde_json::to_string(entry)?)?;
        }
        fs::rename(&whole, path)?;
        Ok(Self { path: path.to_owned(), file, setting, entries })
    }

    /// Notes a run.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn add(&mut self, cell: Cell, outcome: Outcome) -> anyhow::Result<()> {
        let entry = Entry { cell, outcome };
        // In one piece, so that only the last line can ever be cut off.
        let line = serde_json::to_string(&entry)? + "\n";
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("failed to write to {}", self.path.display()))?;
        self.entries.push(entry);
        Ok(())
    }

    /// How often a cell has been run.
    #[must_use]
    pub fn count(&self, cell: Cell) -> usize {
        self.entries.iter().filter(|entry| entry.cell == cell).count()
    }

    /// The runs of a cell.
    #[must_use]
    pub fn runs(&self, cell: Cell) -> Vec<Outcome> {
        let runs = self.entries.iter().filter(|entry| entry.cell == cell);
        runs.map(|entry| entry.outcome.clone()).collect()
    }

    /// What the runs have in common.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.setting
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use fermata_proof_load::Tally;

    use super::*;

    fn setting(parallel: usize) -> Setting {
        Setting { machine: Machine::look(Path::new("/nonexistent")), parallel }
    }

    fn outcome(sent: u64) -> Outcome {
        let tally = Tally { sent, ..Tally::default() };
        Outcome { tally, ..Outcome::default() }
    }

    #[test]
    fn what_was_cut_off_goes_on_behind_the_last_whole_run() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("runs/runs.jsonl");
        let cells = Cell::all();
        let [first, second] = [cells[0], cells[1]];
        let mut ledger = Ledger::resume(&path, setting(4))?;
        ledger.add(first, outcome(1))?;
        drop(ledger);
        OpenOptions::new().append(true).open(&path)?.write_all(br#"{"cell":{"disturb"#)?;

        let mut ledger = Ledger::resume(&path, setting(4))?;
        assert_eq!([ledger.count(first), ledger.count(second)], [1, 0]);
        ledger.add(second, outcome(2))?;
        let ledger = Ledger::resume(&path, setting(4))?;
        assert_eq!([ledger.count(first), ledger.count(second)], [1, 1]);
        assert_eq!(ledger.runs(second)[0].tally.sent, 2);

        assert!(Ledger::resume(&path, setting(3)).is_err());
        assert_eq!(Ledger::begin(&path, setting(3))?.count(first), 0);
        Ok(())
    }
}
