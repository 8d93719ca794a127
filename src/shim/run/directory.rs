//! The working directory, which the init leaves while the program stays.

use std::os::fd::{AsFd, OwnedFd};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::{chdir, fchdir},
};

use super::spawn::out_of_the_way;

/// The directory that the init has left.
pub(super) struct Left(OwnedFd);

impl Left {
    /// Makes the init go to `/`, so that no mount is busy because of it. It goes before there is a program, which could
    /// otherwise see it in the old place.
    pub(super) fn leave() -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let left = out_of_the_way(open(".", flags, Mode::empty())?)?;
        chdir("/")?;
        Ok(Self(left))
    }

    /// Goes back there.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        fchdir(self.0.as_fd())
    }
}
