//! A place for one server: a folder, an address, and two files by which the application under it is watched and led.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen. Reaching it is a failure, so that it may be long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A folder and an address for one server.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    address: Ipv4Addr,
}

impl Site {
    /// A new one.
    pub(crate) fn new() -> Self {
        static SITES: AtomicU16 = AtomicU16::new(0);
        let [high, low] = u16::try_from(process::id() & 0xffff).unwrap().to_be_bytes();
        let site = u8::try_from(1 + SITES.fetch_add(1, Ordering::Relaxed)).unwrap();
        let folder = tempfile::Builder::new().prefix("fermata-profile-").tempdir().unwrap();
        // Servers that are started by root give it up, and their workers must come here all the same.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // Every address of 127.0.0.0/8 is this machine's. With one of its own a server meets nobody else's port,
        // neither a parallel test's nor one that the kernel has lent to a client.
        Self { folder, address: Ipv4Addr::new(127, 64 | (site & 63), high, low.max(1)) }
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.address, 17_970).into()
    }

    /// Where the application behind a proxy listens.
    pub(crate) fn upstream(&self) -> SocketAddr {
        (self.address, 17_971).into()
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same, for configuration.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file that all may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    /// What server and shim have said so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// The file that the application makes when a slow request has reached it.
    pub(crate) fn begun(&self) -> String {
        self.text("begun")
    }

    /// The file for which the application waits before it answers a slow request.
    pub(crate) fn released(&self) -> String {
        self.text("released")
    }

    /// Waits until the slow request has reached the application.
    pub(crate) fn until_begun(&self) {
        self.until("the slow request to reach the application", || self.path("begun").exists());
    }

    /// Lets the application answer the slow request.
    pub(crate) fn release(&self) {
        fs::write(self.path("released"), "").unwrap();
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The processes that belong to the place: they name it, run in it or have files in it open.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let folder = self.folder.path();
        let ours = |pid: i32| {
            let process = PathBuf::from(format!("/proc/{pid}"));
            let inside = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(folder));
            let words = fs::read(process.join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            let ours = words.contains(folder.to_str().unwrap())
                || inside(process.join("cwd"))
                || files.map(|file| file.path()).any(inside);
            ours.then_some((pid, words))
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| u32::try_from(*pid) != Ok(process::id()))
            .filter_map(ours)
            .collect()
    }
}
