//! Container images made on the spot: no network, no daemon, and the same digest for the same content.

use std::{
    fs,
    io::{Read as _, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// The image of [`Image::busybox`], which every node has.
pub const BUSYBOX: &str = "fermata.test/busybox:1";

/// By what containerd calls an image of an archive.
const NAME_ANNOTATION: &str = "io.containerd.image.name";

/// An image in the making: one layer, and how it is started.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    entries: Vec<Entry>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    env: Vec<String>,
    user: String,
    stop_signal: String,
}

#[derive(Debug, Clone)]
struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Folder,
    File(Vec<u8>),
    Link(String),
}

impl Image {
    /// An empty image. The name carries a host and a tag, `fermata.test/app:1`, so that nobody looks for it elsewhere.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entries: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            env: Vec::new(),
            user: String::new(),
            stop_signal: String::new(),
        }
    }

    /// An image with busybox and a link for each of its programs; it sleeps unless told otherwise.
    ///
    /// # Errors
    ///
    /// When this machine has no static busybox.
    pub fn busybox(name: &str) -> anyhow::Result<Self> {
        let program = static_busybox()?;
        let list = Command::new(&program).arg("--list").output().context("failed to run busybox")?;
        let mut image = Self::new(name)
            .folder("/tmp", 0o1777)
            .program("/bin/busybox", &program)?
            .file("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
            .entrypoint(&["/bin/sleep", "2147483647"])
            .env("PATH", "/bin");
        for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
            image = image.link(&format!("/bin/{applet}"), "busybox");
        }
        Ok(image)
    }

    /// An image that is one static program.
    ///
    /// # Errors
    ///
    /// When the program cannot be read.
    pub fn from_program(name: &str, program: &Path) -> anyhow::Result<Self> {
        let file = program.file_name().context("expected the path of a program")?.to_string_lossy();
        let path = format!("/{file}");
        Ok(Self::new(name).program(&path, program)?.entrypoint(&[&path]))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With a folder. Those above a file need not be named.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(path, mode, Content::Folder)
    }

    /// With a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.entry(path, mode, Content::File(content.into()))
    }

    /// With a program of this machine, which has to be static to be of use.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn program(self, path: &str, program: &Path) -> anyhow::Result<Self> {
        let content = fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
        Ok(self.file(path, 0o755, content))
    }

    /// With a program of this machine and the libraries that it needs, each where it is here.
    ///
    /// # Errors
    ///
    /// When one of them cannot be found or read.
    pub fn dynamic_program(self, path: &str, program: &Path) -> anyhow::Result<Self> {
        let list = Command::new("ldd").arg(program).output().context("failed to run ldd")?;
        let mut image = self.program(path, program)?;
        // `libc.so.6 => /lib/.../libc.so.6 (0x...)`, and the loader without an arrow. A static program has no such lines.
        for line in String::from_utf8_lossy(&list.stdout).lines() {
            if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
                image = image.program(library, Path::new(library))?;
            }
        }
        Ok(image)
    }

    /// With a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o777, Content::Link(target.to_owned()))
    }

    /// With an ENTRYPOINT.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = owned(words);
        self
    }

    /// With a CMD.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = owned(words);
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// With a user, as a number so that it can be told not to be root.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = user.to_string();
        self
    }

    /// With the signal by which it wants to be stopped, such as `SIGQUIT`; TERM without one.
    #[must_use]
    pub fn stop_signal(mut self, signal: &str) -> Self {
        signal.clone_into(&mut self.stop_signal);
        self
    }

    /// Writes it as an OCI archive.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, archive: &Path) -> anyhow::Result<()> {
        let layer = self.layer()?;
        let layer_digest = hash(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": self.env,
                "User": self.user,
                "StopSignal": self.stop_signal,
            },
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))?;
        let mut described = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        described["annotations"] = json!({ NAME_ANNOTATION: qualified(&self.name) });
        let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": [described] }))?;

        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, "oci-layout", 0o644, &Content::File(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()))?;
        append(&mut tar, "index.json", 0o644, &Content::File(index))?;
        for blob in [layer, config, manifest] {
            let path = format!("blobs/{}", hash(&blob).replace(':', "/"));
            append(&mut tar, &path, 0o644, &Content::File(blob))?;
        }
        fs::write(archive, tar.into_inner()?)
            .with_context(|| format!("failed to write {}", archive.display()))
    }

    fn entry(mut self, path: &str, mode: u32, content: Content) -> Self {
        self.entries.push(Entry { path: path.trim_matches('/').to_owned(), mode, content });
        self
    }

    fn layer(&self) -> anyhow::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut folders: Vec<&str> = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.content, Content::Folder))
            .map(|entry| entry.path.as_str())
            .collect();
        for entry in &self.entries {
            for folder in above(&entry.path) {
                if !folders.contains(&folder) {
                    append(&mut tar, folder, 0o755, &Content::Folder)?;
                    folders.push(folder);
                }
            }
            append(&mut tar, &entry.path, entry.mode, &entry.content)?;
        }
        Ok(tar.into_inner()?)
    }
}

/// Copies an OCI archive with one image, and calls the image by another name.
pub(crate) fn rename(archive: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    let file =
        fs::File::open(archive).with_context(|| format!("failed to open the image {}", archive.display()))?;
    let mut index = None;
    let mut tar = tar::Builder::new(fs::File::create(to)?);
    for entry in tar::Archive::new(file).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path.file_name().is_some_and(|name| name == "index.json") {
            index = Some(serde_json::from_reader::<_, Value>(&mut entry)?);
            continue;
        }
        let mut header = entry.header().clone();
        tar.append_data(&mut header, path, &mut entry)?;
    }
    let not_one = || format!("expected {} to be an OCI archive with one image", archive.display());
    let mut index = index.with_context(not_one)?;
    let manifests = index["manifests"].as_array_mut().with_context(not_one)?;
    let [manifest] = manifests.as_mut_slice() else { bail!(not_one()) };
    manifest["annotations"] = json!({ NAME_ANNOTATION: qualified(name) });
    append(&mut tar, "index.json", 0o644, &Content::File(serde_json::to_vec(&index)?))?;
    tar.into_inner()?;
    Ok(())
}

/// The name by which the kubelet asks for an image: one without a host has a default one.
pub(super) fn qualified(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// `a/b` and `a` for `a/b/c`, the outermost first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(end, _)| path.get(..end))
}

/// Everything belongs to root and is as old as the epoch.
fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    content: &Content,
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    let added = match content {
        Content::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Content::File(bytes) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(u64::try_from(bytes.len())?);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
        Content::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
    };
    added.with_context(|| format!("failed to put {path} into an image"))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": hash(blob), "size": blob.len() })
}

fn hash(blob: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, blob).as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As Go, and so the OCI, calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// This machine's busybox, which is of use in an image of its own only when it needs no libraries.
pub(super) fn static_busybox() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/bin".into(), "/usr/bin".into()])
        .map(|folder| folder.join("busybox"))
        .find(|file| file.is_file())
        .context("missing: busybox (Debian and Ubuntu: apt install busybox-static)")?;
    let mut head = Vec::new();
    fs::File::open(&found)?.take(4096).read_to_end(&mut head)?;
    // The loader's path stands near the beginning of a dynamic program.
    let is_dynamic = head.windows(4).any(|bytes| bytes == b"/ld-");
    ensure!(!is_dynamic, "{} is not static (Debian and Ubuntu: apt install busybox-static)", found.display());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_the_kubelet_does() {
        assert_eq!(qualified("busybox:1"), "docker.io/library/busybox:1");
        assert_eq!(qualified("fermata/fermata:0.1.0"), "docker.io/fermata/fermata:0.1.0");
        assert_eq!(qualified("fermata.test/busybox:1"), "fermata.test/busybox:1");
        assert_eq!(qualified("localhost/app:1"), "localhost/app:1");
    }

    #[test]
    fn the_same_content_gives_the_same_archive_and_folders_come_first() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let image = || Image::new("fermata.test/app:1").file("/a/b/c", 0o600, "x").link("/a/d", "b/c");
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        image().write(&one)?;
        image().write(&two)?;
        assert_eq!(fs::read(&one)?, fs::read(&two)?);
        let layer = image().layer()?;
        let mut layer = tar::Archive::new(layer.as_slice());
        let paths = layer.entries()?.map(|entry| Ok(entry?.path()?.display().to_string()));
        assert_eq!(paths.collect::<anyhow::Result<Vec<_>>>()?, ["a/", "a/b/", "a/b/c", "a/d"]);
        Ok(())
    }
}
