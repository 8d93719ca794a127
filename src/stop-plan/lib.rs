//! What must happen when a container ends.
//!
//! The webhook writes a stop plan into the Pod as the shim's command line, and the shim obeys it. This crate is
//! the vocabulary and the grammar that both share, so that the two can never disagree about what a word means. It
//! depends on `std` alone, because half of it ends up in a program that runs as PID 1 in other people's
//! containers.
//!
//! - [`StopPlan`] is what `fermata-shim run` does with a stop signal.
//! - [`PreStop`] is what `fermata-shim drain` does as a preStop hook.
//! - [`Profile`] is what is known about the stop of well-known servers.

mod command;
mod drain;
mod exit_codes;
mod flag;
mod plan;
mod pre_stop;
mod profile;
mod rewrite;
mod seconds;
mod signal;

pub use command::{Command, ParseCommandError};
pub use drain::{Drain, ParseDrainError};
pub use exit_codes::{ExitCodes, ParseExitCodesError};
pub use flag::{Arguments, FlagError};
pub use plan::{DEFAULT_QUIET, Scope, StopPlan, StopPlanFlags};
pub use pre_stop::{HttpGet, PreStop, Then};
pub use profile::{PROFILES, ParseProfileError, Profile};
pub use rewrite::{ParseRewriteError, Rewrite};
pub use seconds::{ParseSecondsError, Seconds};
pub use signal::{ParseSignalError, Signal, SignalSet};
