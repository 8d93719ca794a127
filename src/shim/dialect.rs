//! The dialects that the shim speaks, each with its own command line, messages and manners.

pub(crate) mod dumb_init;
pub(crate) mod tini;

mod ending;
mod getopt;
mod integer;
