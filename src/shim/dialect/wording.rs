//! How the C library words things, which is how programs of C word them.

use std::{ffi::CStr, io};

use fermata_stop_plan::Signal;
use nix::{errno::Errno, libc};

/// An error, as `strerror` has it.
pub(super) fn strerror(errno: Errno) -> String {
    let mut text = io::Error::from_raw_os_error(errno as i32).to_string();
    // std asks the C library, and adds the number.
    if let Some(end) = text.rfind(" (os error ") {
        text.truncate(end);
    }
    text
}

/// A signal, as `strsignal` has it.
pub(super) fn strsignal(signal: Signal) -> String {
    #[expect(unsafe_code, reason = "nix knows signals by other names")]
    // SAFETY: the process has one thread, and the text is copied before anything else can ask for one.
    let text = unsafe {
        let text = libc::strsignal(signal.number().into());
        (!text.is_null()).then(|| CStr::from_ptr(text))
    };
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use fermata_stop_plan::Signal;
    use nix::errno::Errno;

    use super::{strerror, strsignal};

    #[test]
    fn words_are_those_of_the_c_library() {
        assert_eq!(strerror(Errno::ENOENT), "No such file or directory");
        assert_eq!(strerror(Errno::EACCES), "Permission denied");
        assert_eq!(strsignal(Signal::TERM), "Terminated");
        assert_eq!(strsignal(Signal::USR1), "User defined signal 1");
    }
}
