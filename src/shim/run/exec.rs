//! Finding a program and becoming it, as `execvp` does.
//!
//! It is written out here because libc's own gives a program for another machine to `/bin/sh`, which then says
//! something about syntax, and because only the search itself knows why it failed.

use std::{
    ffi::{CStr, CString, OsStr, OsString},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use nix::{errno::Errno, unistd::execv};

/// What is searched where the environment has no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command that can be executed: all that takes memory is done before the fork.
pub(crate) struct Exec {
    candidates: Vec<CString>,
    is_path: bool,
    words: Vec<CString>,
}

impl Exec {
    /// Prepares a command. Its words come from a command line, so that none of them holds a NUL; one that does
    /// ends there.
    pub(crate) fn new(words: &[OsString]) -> Self {
        let words: Vec<CString> = words.iter().map(|word| c_string(word.as_bytes())).collect();
        let program = words.first().map_or(&b""[..], |word| word.as_bytes());
        let candidates = if program.is_empty() {
            Vec::new()
        } else if program.contains(&b'/') {
            vec![c_string(program)]
        } else {
            let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
            // An empty entry is the current directory, as POSIX has it.
            path.as_bytes()
                .split(|byte| *byte == b':')
                .map(|folder| match folder {
                    [] => c_string(&[b"./", program].concat()),
                    folder => c_string(&[folder, b"/", program].concat()),
                })
                .collect()
        };
        Self { candidates, is_path: program.contains(&b'/'), words }
    }

    /// Becomes the program, or says why it cannot be.
    pub(crate) fn execute(&self) -> Errno {
        let mut denied = false;
        for candidate in &self.candidates {
            let Err(errno) = execv(candidate, &self.words);
            match errno {
                Errno::ENOEXEC => return self.execute_as_script(candidate),
                errno if self.is_path => return errno,
                Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
                Errno::EACCES => denied = true,
                errno => return errno,
            }
        }
        if denied { Errno::EACCES } else { Errno::ENOENT }
    }

    /// A text without `#!` is a script of the shell's.
    fn execute_as_script(&self, file: &CStr) -> Errno {
        if is_binary(file) {
            return Errno::ENOEXEC;
        }
        let mut words = vec![c"/bin/sh".to_owned(), file.to_owned()];
        words.extend(self.words.iter().skip(1).cloned());
        let Err(errno) = execv(c"/bin/sh", &words);
        errno
    }
}

/// Whether a file is no text: one with a NUL in its first line, as shells find out.
fn is_binary(file: &CStr) -> bool {
    let mut start = [0; 128];
    let read = File::open(OsStr::from_bytes(file.to_bytes())).and_then(|mut file| file.read(&mut start));
    let start = &start[..read.unwrap_or(0)];
    start.split(|byte| *byte == b'\n').next().is_some_and(|line| line.contains(&0))
}

/// The exit code of a shell for a command that cannot be executed: 127 if it is not there, else 126.
pub(crate) fn exit_code(errno: Errno) -> u8 {
    if matches!(errno, Errno::ENOENT | Errno::ENOTDIR) { 127 } else { 126 }
}

/// Why a command could not be executed, for people. The search has failed already, so time does not matter.
pub(crate) fn reason(program: &OsStr, errno: Errno) -> String {
    let path = std::env::var_os("PATH");
    let found = |accept: fn(&Path) -> bool| {
        if program.as_bytes().contains(&b'/') {
            return Some(Path::new(program).to_path_buf()).filter(|file| accept(file));
        }
        let path = path.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| accept(file))
    };
    match errno {
        Errno::ENOENT if program.is_empty() => "the command is the empty string".into(),
        Errno::ENOENT => match found(Path::exists) {
            Some(file) => match interpreter(&file) {
                Some(interpreter) => format!("its interpreter {interpreter} is missing"),
                None => "its loader or a library that it is built for is missing".into(),
            },
            None if program.as_bytes().contains(&b'/') => "there is no such file".into(),
            None => match &path {
                Some(path) => format!("it is in no folder of PATH ({})", path.to_string_lossy()),
                None => format!("it is in none of {DEFAULT_PATH}, and PATH is not set"),
            },
        },
        Errno::ENOTDIR => "a part of its path is no directory".into(),
        Errno::EACCES if found(Path::is_dir).is_some() => "it is a directory".into(),
        Errno::EACCES if found(Path::exists).is_none() => {
            "a directory of its path may not be searched".into()
        }
        Errno::EACCES => "it is not executable, or its filesystem is mounted noexec".into(),
        Errno::ENOEXEC => "it is no program for this machine".into(),
        Errno::E2BIG => "its arguments and environment are too long".into(),
        Errno::ETXTBSY => "somebody is writing to it".into(),
        errno => errno.desc().to_lowercase(),
    }
}

/// What the `#!` of a script names.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = [0; 256];
    let read = File::open(file).and_then(|mut file| file.read(&mut start)).ok()?;
    let line = start.get(..read)?.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let words = String::from_utf8_lossy(line);
    // A carriage return is the usual cause, and can only be seen when it is shown.
    words.trim_matches([' ', '\t']).split([' ', '\t']).next().map(|word| word.escape_default().to_string())
}

fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}
