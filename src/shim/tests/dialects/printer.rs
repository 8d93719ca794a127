//! A program for the inits under test: it prints the number of each signal that it gets, and goes on.

use std::{env, ffi::OsString, process::Command, thread};

use nix::libc;

/// The variable by which this test binary knows that it is the program.
const ASKED: &str = "FERMATA_PRINTS_SIGNALS";

/// What it prints when every signal is caught.
pub(crate) const READY: &str = "ready";

/// Its command line.
pub(crate) fn words() -> Vec<OsString> {
    let program = env::current_exe().unwrap().into_os_string();
    let test = "printer::prints_signals_where_it_is_asked_to";
    [program].into_iter().chain(["--exact", test, "--nocapture"].map(OsString::from)).collect()
}

/// Makes what a command starts be the program.
pub(crate) fn ask(command: &mut Command) {
    command.env(ASKED, "1");
}

/// The program itself. Among the other tests it does nothing.
#[test]
fn prints_signals_where_it_is_asked_to() {
    if env::var_os(ASKED).is_none() {
        return;
    }
    for signal in (1..=64).filter(|signal| !matches!(signal, 9 | 17 | 19 | 32 | 33)) {
        let handler: extern "C" fn(libc::c_int) = print;
        #[expect(unsafe_code, reason = "nix sets no real-time signals")]
        // SAFETY: the handler does nothing but write.
        unsafe {
            libc::signal(signal, handler as libc::sighandler_t);
        }
    }
    write(format!("{READY}\n").as_bytes());
    loop {
        thread::park();
    }
}

extern "C" fn print(signal: libc::c_int) {
    let digit = |number: libc::c_int| b'0' + u8::try_from(number % 10).unwrap_or(0);
    let line = [digit(signal / 10), digit(signal), b'\n'];
    write(if signal < 10 { &line[1..] } else { &line });
}

fn write(bytes: &[u8]) {
    #[expect(unsafe_code, reason = "a signal handler may not take std's lock")]
    // SAFETY: the bytes live for the call.
    unsafe {
        libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len());
    }
}
