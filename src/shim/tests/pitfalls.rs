//! `fermata-shim run` as a container's runtime and its users see it: the real binary, as PID 1 of a PID namespace and
//! as a subreaper.
//!
//! The pitfalls of an init have numbers, and so have the tests, by which they are found: `cargo test pitfall_24`.
//! What is asked of `unshare` needs root, or a kernel that lets users have namespaces; without it tests fail and are
//! not skipped.
//!
//! | pitfall | test |
//! |---|---|
//! | 1 a stop signal 0-5 ms after the start, 1,000 times | `starting::pitfall_1_*` |
//! | 2 a stop signal between fork and group | `starting::pitfall_2_*` |
//! | 3 the program runs no handler of the init's | `starting::pitfall_3_*`: there is no handler |
//! | 4 126 and 127 with the reason | `starting::pitfall_4_*`; arguments that are too long stop the shim's own execution first, by the same limit, so that E2BIG cannot come from the program's |
//! | 5 a script without `#!` | `starting::pitfall_5_*` |
//! | 6 forms of the command line | `starting::pitfall_6_*` |
//! | 7 PATH | `starting::pitfall_7_*` |
//! | 8 large and odd arguments and environments | `starting::pitfall_8_*` |
//! | 9 closed standard streams | `starting::pitfall_9_*` |
//! | 10 inherited descriptors, LISTEN_PID | `starting::pitfall_10_*` |
//! | 11 a log that is full, broken, or a file | `starting::pitfall_11_*`, `starting::a_log_of_any_kind_is_written` |
//! | 12 ignored and blocked signals | `starting::pitfall_12_*` |
//! | 13 limits and attributes of the process | `starting::pitfall_13_*` |
//! | 14 a program of another user | `starting::pitfall_14_*` |
//! | 15 no /proc, a root that cannot be written | `starting::pitfall_15_*`; a seccomp profile of the runtime's is tried on the real node |
//! | 16 every signal | `signals::pitfall_16_*` |
//! | 17 the map | `signals::pitfall_17_*` |
//! | 18 the clean-up is not rewritten | `signals::pitfall_18_*` |
//! | 19 a second stop signal | `signals::pitfall_19_*` |
//! | 20 KILL to PID 1 | `signals::pitfall_20_*` |
//! | 21 INT from the terminal, once | `terminal::pitfall_21_*` |
//! | 22 a flood of signals | `signals::pitfall_22_*` |
//! | 23 deadlines over STOP and CONT | `signals::pitfall_23_*`; a clock that is set cannot be tried without setting the machine's, and the monotonic one does not move |
//! | 24 STOP, CONT, TSTP, TTIN | `signals::pitfall_24_*`, `terminal::pitfall_24_*` |
//! | 25 HUP and CONT after the terminal was given up | `terminal::pitfall_25_*`, in dumb-init's dialect, which alone gives it up |
//! | 26 other stop signals | `signals::pitfall_26_*`, and tests/profiles.rs with the real servers |
//! | 27 a resized window | `terminal::pitfall_27_*` |
//! | 28 URG | `signals::pitfall_28_*` |
//! | 29 10,000 orphans | `reaping::pitfall_29_*` |
//! | 30 a daemon that the program leaves | `reaping::pitfall_30_*`; there is no option to live on without a stop |
//! | 31 a descendant in its own session | `reaping::pitfall_31_*` |
//! | 32 ends that come together | `reaping::pitfall_32_*`; that no reaped number is signalled is by construction: the number is forgotten before it is reaped |
//! | 33 exit codes | `reaping::pitfall_33_*` |
//! | 34 a stopped program | `reaping::pitfall_34_*` |
//! | 35 not PID 1 | `reaping::pitfall_35_*` |
//! | 36 inits below inits | `reaping::pitfall_36_*` |
//! | 37 the program ends in the drain | `reaping::pitfall_37_*` |
//! | 38 no process for the stop command | `reaping::pitfall_38_*` |
//! | 39 the status command | `stopping::pitfall_39_*` |
//! | 40 the stop command | `stopping::pitfall_40_*` |
//! | 41 the budget | `stopping::pitfall_41_*` |
//! | 42-48 the watch over traffic | tests/drain.rs, and the unit tests of `drain::watch` |
//! | 49 ends that are no stop | `stopping::pitfall_49_*`; the kernel's own end for want of memory is the same KILL |
//! | 50 silence, whole lines | `stopping::pitfall_50_*` |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "harness/proc.rs"]
mod proc;
#[path = "pitfalls/reaping.rs"]
mod reaping;
#[path = "pitfalls/shim.rs"]
mod shim;
#[path = "pitfalls/signals.rs"]
mod signals;
#[path = "pitfalls/starting.rs"]
mod starting;
#[path = "pitfalls/stopping.rs"]
mod stopping;
#[path = "pitfalls/terminal.rs"]
mod terminal;
