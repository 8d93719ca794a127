//! The command lines that the program understands, by the name under which it is called.

mod own;

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
        // Each further dialect is one arm here.
        _ => own::main(words, inherited),
    }
}
