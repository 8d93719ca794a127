//! What the program's exit code says.
//!
//! The codes follow the tools that stand beside it in scripts. `diff` and `kubectl diff` say 0 for no difference, 1 for
//! some, and more than 1 for trouble; clap says 2 for a mistake in the arguments, as most programs do. So 0 and 1
//! answer the question "would Fermata change this?", and everything from 2 on says that there is no complete answer.
//! Two kinds of that are told apart, because their cures are: a Pod that cannot be judged has to be mended in its
//! manifest, a bad input may be no manifest at all.
//!
//! `fermata check` has meanings of its own for 0 and 1: all is well, and something is not. As with `linkerd check`, a
//! warning is no failure.
//!
//! A script under `set -e` that only wants the patched manifests passes `--exit-zero`, which turns 1 into 0 and leaves
//! the others: what `terraform plan` has the other way around with `-detailed-exitcode`.

use std::process::ExitCode;

/// The exit codes. With several inputs the worst one counts, and later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Every Pod stays as it is. Also for a reader that closes the pipe early.
    #[default]
    Unchanged = 0,
    /// At least one Pod would be changed.
    Changed = 1,
    /// The arguments make no sense. Clap's own code.
    Usage = 2,
    /// At least one Pod cannot be judged, or would be refused.
    Undecided = 3,
    /// At least one input cannot be read.
    BadInput = 4,
    /// The program itself could not go on: its output could not be written, its port not be bound.
    Failed = 5,
}

impl Exit {
    /// All codes, with what they say in `--help`.
    pub const MEANINGS: [(Self, &'static str); 6] = [
        (Self::Unchanged, "nothing to change"),
        (Self::Changed, "at least one Pod would be changed (0 with --exit-zero)"),
        (Self::Usage, "a mistake in the arguments"),
        (Self::Undecided, "at least one Pod cannot be judged, or would be refused"),
        (Self::BadInput, "at least one input cannot be read or parsed"),
        (Self::Failed, "the program itself failed"),
    ];

    /// The code of `check` for an installation that is not well: the same as for a Pod that would be
    /// changed.
    pub const NOT_WELL: Self = Self::Changed;

    /// The codes of `check`, with what they say in `--help`.
    pub const CHECK_MEANINGS: [(Self, &'static str); 4] = [
        (Self::Unchanged, "nothing has failed; there may be warnings"),
        (Self::NOT_WELL, "at least one check has failed"),
        (Self::Usage, "a mistake in the arguments"),
        (Self::Failed, "nothing could be checked: there is no cluster, or no way to use its configuration"),
    ];

    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The codes for `--help`.
    #[must_use]
    pub fn help() -> String {
        format!("Exit codes, the highest one counts:\n{}", lines(&Self::MEANINGS))
    }

    /// The codes of `check` for `--help`.
    #[must_use]
    pub fn check_help() -> String {
        format!("Exit codes:\n{}", lines(&Self::CHECK_MEANINGS))
    }
}

fn lines(meanings: &[(Exit, &'static str)]) -> String {
    let lines = meanings.iter().map(|(exit, meaning)| format!("  {}  {meaning}\n", exit.code()));
    lines.collect::<Vec<_>>().concat()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn every_code_is_documented_and_worse_than_the_one_before() {
        assert!(Exit::MEANINGS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(Exit::MEANINGS.map(|(exit, _)| exit.code()), [0, 1, 2, 3, 4, 5]);
    }
}
