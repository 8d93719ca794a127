//! Certificate and key as the kubelet mounts them from a Secret.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::credentials::{Identity, write_private};

/// A folder with `tls.crt` and `tls.key` that changes as a mounted Secret does: a new folder is made beside the old
/// one, and then the link that everybody reads through is replaced in one go.
#[derive(Debug)]
pub struct MountedPair {
    folder: PathBuf,
    version: AtomicU32,
}

impl MountedPair {
    /// Makes the folder, with a first pair in it.
    ///
    /// # Errors
    ///
    /// When it is there already or cannot be written.
    pub fn create(folder: &Path, identity: &Identity) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let mounted = Self { folder: folder.to_owned(), version: AtomicU32::new(0) };
        mounted.publish(identity)?;
        Ok(mounted)
    }

    /// Puts another pair in its place.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn publish(&self, identity: &Identity) -> anyhow::Result<()> {
        let data = self.folder.join(format!("..{}", self.version.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&data)?;
        write_private(&data.join("tls.crt"), &identity.certificate)?;
        write_private(&data.join("tls.key"), &identity.key)?;
        let link = self.folder.join("..new");
        symlink(&data, &link)?;
        std::fs::rename(&link, self.folder.join("..data"))?;
        Ok(())
    }

    /// The options of `fermata serve` that name it.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let path = |name| self.folder.join("..data").join(name);
        vec![
            format!("--tls-cert={}", path("tls.crt").display()),
            format!("--tls-key={}", path("tls.key").display()),
        ]
    }
}
