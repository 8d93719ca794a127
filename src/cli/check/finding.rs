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
    /// The way out: what to do. Commands stand on lines of their own, so that they can be pasted.
    pub(super) hint: Option<String>,
    /// Where it was judged, for the test that has seen all such places.
    #[cfg(test)]
    pub(super) place: &'static std::panic::Location<'static>,
}

impl Finding {
    /// All is well.
    #[cfg_attr(test, track_caller)]
    pub(super) fn ok(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, State::Ok, message.into(), None)
    }

    /// Something should be otherwise.
    #[cfg_attr(test, track_caller)]
    pub(super) fn warning(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(check, State::Warning, message.into(), Some(hint.into()))
    }

    /// Something is wrong.
    #[cfg_attr(test, track_caller)]
    pub(super) fn failed(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(check, State::Failed, message.into(), Some(hint.into()))
    }

    /// Nobody knows, or it does not matter here.
    #[cfg_attr(test, track_caller)]
    pub(super) fn skipped(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, State::Skipped, message.into(), None)
    }

    /// What is behind it could not be had. What was not permitted, whoever runs this has chosen not to know; an API
    /// server that does not answer may hide anything.
    #[cfg_attr(test, track_caller)]
    pub(super) fn unknown(check: Check, gap: &Gap) -> Self {
        match gap {
            Gap::NotPermitted(_) => Self::skipped(check, gap.to_string()).hinting(format!(
                "permit it, if this is to be known: {} needs {}",
                check.id(),
                check.needs()
            )),
            Gap::NoAnswer(_) => Self::failed(
                check,
                gap.to_string(),
                "try again; if that stays, see what the API server says of itself:\nkubectl get --raw '/readyz?verbose'",
            ),
        }
    }

    /// The same with a way out.
    pub(super) fn hinting(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[cfg_attr(test, track_caller)]
    fn new(check: Check, state: State, message: String, hint: Option<String>) -> Self {
        Self {
            check,
            state,
            message,
            hint,
            #[cfg(test)]
            place: std::panic::Location::caller(),
        }
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
