//! Where output goes, and whether it has colours.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};

use super::grammar::Color;

/// Prints text as it is.
pub(super) fn plain(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints text with colours, and without them where nobody would see them.
pub(super) fn colored(text: &str, color: Color) -> io::Result<()> {
    let choice = match color {
        Color::Auto => AutoStream::choice(&io::stdout()),
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let mut stdout = AutoStream::new(io::stdout().lock(), choice);
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
