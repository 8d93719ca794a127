//! `fermata-shim drain`: a preStop hook that drains, and then runs the hook that the container had.

mod counters;
mod watch;

pub(crate) use self::{counters::ProcNet, watch::Watch};
