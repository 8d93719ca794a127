//! `fermata-shim`: a better PID 1, and a preStop hook that drains.
//!
//! The program has no `fn main` of Rust, because what std does before one is wrong for an init: it ignores PIPE,
//! which every program below would inherit, it opens `/dev/null` in the place of standard streams that are closed,
//! and it takes longer to begin than the rest of the program. Here the first thing that happens is that all signals
//! are held back, so that none is lost from then on.
#![cfg_attr(not(test), no_main)]

mod dialect;
mod drain;
mod install;
mod message;
mod run;

use std::{
    ffi::{CStr, OsStr, OsString, c_char, c_int},
    os::unix::ffi::OsStrExt,
};

/// What the C library calls, under the one name by which it starts a program. Tests have the main of their harness.
#[cfg_attr(not(test), expect(unsafe_code, reason = "an exported symbol could be another's"))]
#[cfg_attr(not(test), unsafe(export_name = "main"))]
#[cfg_attr(test, allow(dead_code, reason = "the harness has its own"))]
extern "C" fn begin(count: c_int, words: *const *const c_char) -> c_int {
    let inherited = run::Inherited::hold_signals();
    c_int::from(dialect::speak(arguments(count, words), &inherited))
}

/// The words of the command line, the program's name first, byte for byte.
fn arguments(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or(0);
    (0..count)
        .map(|index| {
            #[expect(unsafe_code, reason = "the command line comes as pointers")]
            // SAFETY: the kernel and the C library pass `count` pointers to strings that end in NUL and live as
            // long as the process.
            let word = unsafe { CStr::from_ptr(*words.add(index)) };
            OsStr::from_bytes(word.to_bytes()).to_owned()
        })
        .collect()
}
