//! The command lines that the program understands, by the name under which it is called.

mod dumb_init;
mod ending;
mod getopt;
mod integer;
mod own;
mod tini;
mod wording;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::run::Inherited;

/// Does what the command line says, and returns the exit code.
pub(crate) fn speak(words: Vec<OsString>, inherited: &Inherited) -> u8 {
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(OsStr::to_str) {
        Some("dumb-init") => dumb_init::main(&name, words, inherited),
        // The second is the name under which it is published for images without a C library.
        Some("tini" | "tini-static") => tini::main(&name, words, inherited),
        _ => own::main(words, inherited),
    }
}
