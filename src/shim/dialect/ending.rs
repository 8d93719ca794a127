//! A call that ends before anything is run: help, a version, or a mistake.

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

/// One of the two standard streams for output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}
