//! What came of a check.

use serde::Serialize;

use super::{catalogue::Check, facts::Gap};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Not as it should be, and Pods get their endings all the same.
    Warning,
    /// Pods do not get their endings, or are about to lose them.
    Failed,
    /// It could not be found out, or there is nothing to find out.
    Skipped,
}

/// One check with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) state: State,
    /// What was found.
    pub(super) message: String,
    /// The way out: a command, or a value to set.
    pub(super) hint: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: Check, message: impl Into<String>) -> Self {
        Self { check, state: State::Ok, message: message.into(), hint: None }
    }

    /// Something should be otherwise.
    pub(super) fn warning(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Warning, message: message.into(), hint: Some(hint.into()) }
    }

    /// Something is wrong.
    pub(super) fn failed(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, state: State::Failed, message: message.into(), hint: Some(hint.into()) }
    }

    /// Nobody knows, or it does not matter here.
    pub(super) fn skipped(check: Check, message: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, message: message.into(), hint: None }
    }

    /// What is behind it could not be had.
    pub(super) fn unknown(check: Check, gap: &Gap) -> Self {
        let hint = match gap {
            Gap::NotPermitted(_) => {
                Some(format!("permit it, if this is to be known: {} needs {}", check.id(), check.needs()))
            }
            Gap::NoAnswer(_) => None,
        };
        Self { check, state: State::Skipped, message: gap.to_string(), hint }
    }
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) ok: usize,
    pub(super) warning: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Summary {
    /// Counts.
    pub(super) fn of(findings: &[Finding]) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            *match finding.state {
                State::Ok => &mut summary.ok,
                State::Warning => &mut summary.warning,
                State::Failed => &mut summary.failed,
                State::Skipped => &mut summary.skipped,
            } += 1;
        }
        summary
    }
}
