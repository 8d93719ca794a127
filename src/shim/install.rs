//! `fermata-shim install DIR`: puts the program itself into a folder that other containers mount.
//!
//! The file is complete from the moment it can be seen, whoever looks at it: it is written under another name and
//! then renamed. It can be written by nobody (0555), whatever the umask. That alone does not keep another container
//! from replacing it, which is a right on the folder: containers that run it mount the folder read-only.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statvfs::{FsFlags, statvfs},
};

/// What it is called in that folder.
const NAME: &str = "fermata-shim";

/// What everybody may do with it: read and execute.
const MODE: u32 = 0o555;

/// Copies the running program into a folder.
///
/// # Errors
///
/// In words that name the path and the cause.
pub(crate) fn install(folder: &Path) -> Result<(), String> {
    let at = |path: &Path, error: &io::Error| format!("{}: {}", path.display(), cause(error));
    if !fs::metadata(folder).map_err(|error| at(folder, &error))?.is_dir() {
        return Err(format!("{}: it is no directory", folder.display()));
    }
    if mounted_noexec(folder) {
        return Err(format!(
            "{} is mounted noexec; what is installed there can be executed by nobody, use a volume without that option",
            folder.display()
        ));
    }
    // Two may install into one folder at once, and each is process 1 of its container. Where there are no locks they
    // have to be lucky.
    let _lock = File::open(folder).ok().and_then(|folder| Flock::lock(folder, FlockArg::LockExclusive).ok());
    let target = folder.join(NAME);
    // The process is numbered 1 in many containers, so that the name may be left from an earlier try.
    let temporary = folder.join(format!(".{NAME}.{}", std::process::id()));
    let installed = copy_to(&temporary).and_then(|()| fs::rename(&temporary, &target));
    installed.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        at(&target, &error)
    })
}

/// Writes the running program to a file of its own.
fn copy_to(path: &Path) -> io::Result<()> {
    let running = PathBuf::from("/proc/self/exe");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("/proc/self/exe: {error}"));
    let mut program = File::open(running).map_err(named)?;
    let mut file = match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create(path)?
        }
        created => created?,
    };
    io::copy(&mut program, &mut file)?;
    // The mode that a file is created with is cut by the umask; this one is not.
    file.set_permissions(Permissions::from_mode(MODE))
}

/// Creates a file that nobody else can have prepared: neither a file nor a link may be there.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)
}

fn mounted_noexec(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOEXEC))
}

/// The cause for people, with what can be done about it.
fn cause(error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the volume needs room for the program",
        ErrorKind::ReadOnlyFilesystem => "the volume must be mounted writable in the container that installs",
        ErrorKind::PermissionDenied => "the user that installs needs the right to write there",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}
