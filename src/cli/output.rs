//! Where output goes, and whether it has colours.

use std::{
    fmt,
    io::{self, Write},
};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;

use super::grammar::Color;

/// Whoever read standard output has seen enough: `fermata preview . | head -1` is no failure.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(super) struct ReaderGone;

/// Prints text as it is.
pub(super) fn plain(text: &str) -> anyhow::Result<()> {
    print(io::stdout().lock(), text)
}

/// Prints text with colours, and without them where nobody would see them.
pub(super) fn colored(text: &str, color: Color) -> anyhow::Result<()> {
    let choice = match color {
        Color::Auto => AutoStream::choice(&io::stdout()),
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    print(AutoStream::new(io::stdout().lock(), choice), text)
}

fn print(mut out: impl Write, text: &str) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("cannot write to standard output"),
    }
}

/// Says something on standard error. If nobody listens there, that is no reason to stop, or to panic as `eprintln!`
/// does.
pub(super) fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
