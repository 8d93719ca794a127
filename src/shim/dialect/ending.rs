//! A call that ends before anything is run: help, a version, or a mistake.

use crate::message::{self, Stream};

/// What is said, where, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// Where it is said.
    pub(super) stream: Stream,
    /// What is said: whole lines. Bytes, because it may quote the command line.
    pub(super) text: Vec<u8>,
    /// The exit code.
    pub(super) code: u8,
}

impl Ending {
    /// Says it, and returns the exit code.
    pub(super) fn say(&self) -> u8 {
        message::print(self.stream, &self.text);
        self.code
    }
}
