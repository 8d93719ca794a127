//! The processes that are left when the program has ended: orphans that have come to the init.

use std::fs;

use fermata_stop_plan::Signal;
use nix::unistd::{Pid, getpgid, getpid};

use super::{reap, signals};

/// Who has been told to end.
#[derive(Default)]
pub(super) struct Stragglers {
    told: Vec<Pid>,
}

impl Stragglers {
    /// How many have been told to end.
    pub(super) fn count(&self) -> usize {
        self.told.len()
    }

    /// Tells each child to end that has not been told yet, be it alone or with its group: others come when their own
    /// parents end. Returns how many are told in all.
    pub(super) fn end(&mut self, told_group: Option<Pid>) -> usize {
        for pid in children() {
            if !self.told.contains(&pid) {
                if told_group.is_none() || getpgid(Some(pid)).ok() != told_group {
                    let _ = signals::send(pid, Signal::TERM);
                }
                // One that is stopped must go on to hear it.
                if reap::is_stopped(pid) {
                    let _ = signals::send(pid, Signal::CONT);
                }
                self.told.push(pid);
            }
        }
        self.told.len()
    }

    /// Kills all children.
    pub(super) fn kill() {
        for pid in children() {
            let _ = signals::send(pid, Signal::KILL);
        }
    }
}

/// The children, as the kernel lists them: nobody else reaps these, so that each pid stays theirs.
fn children() -> Vec<Pid> {
    let own = getpid();
    match fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
        }
        Err(_) => children_by_search(own),
    }
}

/// The same, on kernels that do not list them.
fn children_by_search(own: Pid) -> Vec<Pid> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(own.as_raw()))
        .map(Pid::from_raw)
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A program's name may hold blanks and parentheses; the last parenthesis closes it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}
