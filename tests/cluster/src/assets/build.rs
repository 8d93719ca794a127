//! Builds the programs from the pinned Go modules into a cache that all checkouts share.
//!
//! The cache's folder carries a hash of all that decides what comes out (pins, sums, flags), so a changed pin is
//! built anew and an unchanged one never. Each program appears by a rename, and a file lock keeps two test processes
//! from building the same at once.

use std::{
    env, fmt,
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ring::digest::{SHA256, digest};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
    time::{MissedTickBehavior, interval_at, sleep},
};

use super::{Binary, FOLDER_VARIABLE, is_executable};

/// Programs that are cached together: a changed pin builds all of a bundle anew, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bundle {
    /// etcd and what Kubernetes is made of.
    ControlPlane,
    /// Helm 4.
    Helm,
    /// Helm 3, of the same Go module as Helm 4: with the same versions of what both need, that is compiled once for both.
    Helm3,
    /// The container runtime.
    Containerd,
}

impl Bundle {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::ControlPlane, Self::Helm, Self::Helm3, Self::Containerd];

    /// The bundle that a program belongs to.
    pub(super) const fn of(binary: Binary) -> Self {
        match binary {
            Binary::Helm => Self::Helm,
            Binary::Helm3 => Self::Helm3,
            Binary::Containerd | Binary::ContainerdShim | Binary::Ctr => Self::Containerd,
            Binary::Etcd
            | Binary::KubeApiserver
            | Binary::KubeControllerManager
            | Binary::Kubectl
            | Binary::KubeScheduler
            | Binary::Kubelet
            | Binary::KubeProxy => Self::ControlPlane,
        }
    }

    /// The folders of its modules beside this crate, each with the Go module that gives it its version.
    const fn modules(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ControlPlane => {
                &[("kubernetes", "k8s.io/kubernetes"), ("etcd", "go.etcd.io/etcd/server/v3")]
            }
            Self::Helm => &[("helm", "helm.sh/helm/v4")],
            Self::Helm3 => &[("helm", "helm.sh/helm/v3")],
            Self::Containerd => &[("containerd", "github.com/containerd/containerd/v2")],
        }
    }

    /// What its folder's name begins with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::ControlPlane => "",
            Self::Helm | Self::Helm3 => "helm-",
            Self::Containerd => "containerd-",
        }
    }

    /// Build tags: containerd without the snapshotters that need C libraries, none of which a test needs.
    const fn tags(self) -> &'static str {
        match self {
            Self::Containerd => "no_btrfs,no_devmapper,no_zfs",
            Self::ControlPlane | Self::Helm | Self::Helm3 => "",
        }
    }
}

/// How often to look whether another process has finished building.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// How often to tell how far Go is.
const PROGRESS_PAUSE: Duration = Duration::from_mins(1);

/// Up to how many processors a compiler had better have one to itself.
const FEW_PROCESSORS: usize = 4;

/// How many lines of Go's output an error shows.
const TAIL_LINES: usize = 30;

/// `-trimpath` and no version control stamp: the same program whatever the checkout and its path. And nothing for a debugger,
/// which the linker would leave out (`-s -w`), and which takes a seventh of the time.
const BUILD_FLAGS: [&str; 4] = ["build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false"];

/// Programs under construction; a name that no program has.
const BUILDING_PREFIX: &str = ".building-";

/// The folder of finished programs for the present pins.
#[derive(Debug)]
pub(super) struct Cache {
    bundle: Bundle,
    folder: PathBuf,
    /// The first one's version is that of the bundle.
    modules: Vec<Module>,
}

/// One pinned Go module with the programs it builds.
#[derive(Debug)]
struct Module {
    folder: PathBuf,
    go_mod: String,
    go_sum: String,
    /// The Go module that gives it its version.
    path: String,
    version: String,
}

impl Cache {
    pub(super) fn open(bundle: Bundle) -> anyhow::Result<Self> {
        let modules = bundle
            .modules()
            .iter()
            .map(|(name, path)| Module::read(name, path))
            .collect::<Result<Vec<_>, _>>()?;
        let first = modules.first().context("expected a bundle to have a module")?;
        let mut inputs = Vec::new();
        for (index, module) in modules.iter().enumerate() {
            inputs.extend([module.go_mod.clone(), module.go_sum.clone()]);
            if index == 0 {
                inputs.push(module.linker_flags());
            }
        }
        inputs.push(BUILD_FLAGS.join(" "));
        inputs.push(bundle.tags().to_owned());
        let hash = digest(&SHA256, inputs.join("\0").as_bytes());
        let hash = u64::from_be_bytes(*hash.as_ref().first_chunk().context("expected 32 bytes of hash")?);
        let prefix = bundle.prefix();
        let key = format!("{prefix}{}-{}-{}-{hash:016x}", first.version, env::consts::OS, env::consts::ARCH);
        Ok(Self { folder: cache_home()?.join("fermata").join("assets").join(key), bundle, modules })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, binary: Binary) -> PathBuf {
        self.folder.join(binary.name())
    }

    /// Builds the programs that nobody else has built meanwhile.
    pub(super) async fn fill(&self, missing: &[Binary]) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("failed to make the folder {}", self.folder.display()))?;
        let _lock = self.lock().await?;
        self.sweep();
        let missing: Vec<Binary> =
            missing.iter().copied().filter(|binary| !is_executable(&self.path(*binary))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let go = go_version(self.modules.first().context("expected a bundle to have a module")?).await?;
        let minutes: u64 =
            missing.iter().map(|binary| cold_build(*binary).as_secs()).sum::<u64>().div_ceil(60);
        say(format_args!(
            "building {} from source into {} with {go}: about {minutes} min on 2 cores, once",
            names(&missing),
            self.folder.display(),
        ));
        for module in &self.modules {
            let built_here: Vec<Binary> =
                missing.iter().copied().filter(|binary| module.builds(*binary)).collect();
            if !built_here.is_empty() {
                self.build(module, &built_here).await?;
            }
        }
        Ok(())
    }

    /// Builds several programs of one module at once, so that one is compiled while another is linked.
    async fn build(&self, module: &Module, binaries: &[Binary]) -> anyhow::Result<()> {
        let names = names(binaries);
        say(format_args!("  {names} {} ...", module.version));
        let started = Instant::now();
        let building = tempfile::Builder::new().prefix(BUILDING_PREFIX).tempdir_in(&self.folder)?;
        let mut build = go(module);
        // As many compilers as there are processors, each on one of them, take a tenth less of their time than some that share
        // them. Where there are more, the largest packages are waited for.
        let processors = available_parallelism().map_or(1, usize::from);
        if processors <= FEW_PROCESSORS {
            build.env("GOMAXPROCS", "1");
        }
        let mut build = build
            .args(BUILD_FLAGS)
            .arg(format!("-p={processors}"))
            // It names each package when it begins to compile it.
            .arg("-v")
            .arg("-tags")
            .arg(self.bundle.tags())
            .arg("-ldflags")
            .arg(module.linker_flags())
            .arg("-o")
            // With a slash at its end it is a folder for programs, however many there are.
            .arg(building.path().join(""))
            .args(binaries.iter().map(|binary| package(*binary, &module.path)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run go")?;
        let stderr = build.stderr.take().context("expected go to have a standard error")?;
        let said = follow(stderr, started).await.context("failed to read what go says")?;
        if !build.wait().await.context("failed to wait for go")?.success() {
            bail!(
                "failed to build {names} {} in {}; Go said:\n{}",
                module.version,
                module.folder.display(),
                tail(&said)
            );
        }
        for binary in binaries {
            let package = package(*binary, &module.path);
            fs::rename(building.path().join(program_name(&package)), self.path(*binary))
                .with_context(|| format!("failed to find {} among what go has built", binary.name()))?;
        }
        say(format_args!("  {names} done in {}", Took(started.elapsed())));
        Ok(())
    }

    /// The lock lasts as long as the file is open, so a killed process leaves none behind.
    async fn lock(&self) -> anyhow::Result<File> {
        let path = self.folder.join(".lock");
        let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if told => {}
                Err(TryLockError::WouldBlock) => {
                    say(format_args!(
                        "waiting for another process that builds into {}",
                        self.folder.display()
                    ));
                    told = true;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("failed to lock {}", path.display()));
                }
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    /// Removes what killed builds have left; only called under the lock.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(BUILDING_PREFIX) {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }
}

/// The package that a program is built from, of a module with this path.
fn package(binary: Binary, module: &str) -> String {
    match binary {
        Binary::Etcd => module.to_owned(),
        Binary::Helm | Binary::Helm3 => format!("{module}/cmd/helm"),
        Binary::KubeApiserver
        | Binary::KubeControllerManager
        | Binary::Kubectl
        | Binary::KubeScheduler
        | Binary::Kubelet
        | Binary::KubeProxy
        | Binary::Containerd
        | Binary::ContainerdShim
        | Binary::Ctr => format!("{module}/cmd/{}", binary.name()),
    }
}

/// What Go calls a package's program: by the last part of its path that is no major version.
fn program_name(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

/// The programs' names, for people.
fn names(binaries: &[Binary]) -> String {
    binaries.iter().map(|binary| binary.name()).collect::<Vec<_>>().join(", ")
}

/// Reads what `go build -v` says until it has ended, tells each minute how far it is, and returns what names no package.
async fn follow(stderr: impl AsyncRead + Unpin, started: Instant) -> std::io::Result<String> {
    let mut lines = BufReader::new(stderr).split(b'\n');
    let (mut packages, mut rest) = (0_usize, String::new());
    let mut pauses = interval_at((started + PROGRESS_PAUSE).into(), PROGRESS_PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let line = tokio::select! {
            line = lines.next_segment() => line?,
            _ = pauses.tick() => {
                say(format_args!("    {packages} packages in {}", Took(started.elapsed())));
                continue;
            }
        };
        let Some(line) = line else { return Ok(rest) };
        let line = String::from_utf8_lossy(&line);
        if is_package(&line) {
            packages += 1;
        } else {
            rest.push_str(&line);
            rest.push('\n');
        }
    }
}

/// Whether a line of Go's is a package's path, and not `# PACKAGE`, `go: downloading ...`, or of the trace of a panic.
fn is_package(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~/+-".contains(&byte))
}

impl Module {
    /// Reads the module in `modules/NAME` and the version it pins of the Go module `path`.
    fn read(name: &str, path: &str) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(name);
        let read = |file: &str| {
            let file = folder.join(file);
            fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
        };
        let go_mod = read("go.mod")?;
        let go_sum = read("go.sum")?;
        let version = pinned_version(&go_mod, path)
            .with_context(|| format!("expected {}/go.mod to require {path}", folder.display()))?
            .to_owned();
        Ok(Self { folder, go_mod, go_sum, path: path.to_owned(), version })
    }

    /// Without its version linked in, the API server reports `v0.0.0-master`, which breaks clients that compare
    /// versions. Programs that do not have these variables ignore them.
    fn linker_flags(&self) -> String {
        if self.path.starts_with("helm.sh/") {
            return format!("-s -w -X {}/internal/version.version={}", self.path, self.version);
        }
        if self.path.starts_with("github.com/containerd/") {
            return format!("-s -w -X {}/version.Version={}", self.path, self.version);
        }
        let mut parts = self.version.trim_start_matches('v').split('.');
        let major = parts.next().unwrap_or_default();
        let minor = parts.next().unwrap_or_default();
        let package = "k8s.io/component-base/version";
        format!(
            "-s -w -X {package}.gitVersion={} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}",
            self.version
        )
    }

    /// Whether a program of its bundle is its own: etcd is the one beside Kubernetes.
    fn builds(&self, binary: Binary) -> bool {
        let is_etcd = self.path.starts_with("go.etcd.io/");
        is_etcd == (binary == Binary::Etcd)
    }

    /// The Go version that the module asks for.
    fn go_directive(&self) -> &str {
        self.go_mod.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.26").trim()
    }
}

/// The folder of a Go module's sources, pinned in `modules/NAME`, in Go's own cache; fetched there first if need be.
pub(super) async fn source(name: &str, path: &str) -> anyhow::Result<PathBuf> {
    let module = Module::read(name, path)?;
    go_version(&module).await?;
    let wanted = format!("{path}@{}", module.version);
    let run = go(&module).args(["mod", "download", "-json", &wanted]).output().await;
    let run = run.context("failed to run go")?;
    if !run.status.success() {
        bail!("failed to fetch {wanted}; Go said:\n{}", tail(&String::from_utf8_lossy(&run.stderr)));
    }
    let told: serde_json::Value =
        serde_json::from_slice(&run.stdout).context("failed to read what go printed")?;
    Ok(PathBuf::from(told["Dir"].as_str().context("expected go to name a folder")?))
}

/// `go`, run in the module's folder and free of a workspace file above it or of a C compiler.
fn go(module: &Module) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(&module.folder)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        // It compiles in many short processes, which had better not tidy up before they need a gigabyte.
        .env("GOGC", "off")
        .env("GOMEMLIMIT", "1GiB")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Go's version as it calls itself, having checked that it can build the module.
async fn go_version(module: &Module) -> anyhow::Result<String> {
    let needed = module.go_directive();
    let way_out = format!(
        "building the control plane needs Go {needed} or later: install it from https://go.dev/dl, or set \
         {FOLDER_VARIABLE} to a folder with etcd, kube-apiserver and kubectl, such as setup-envtest makes"
    );
    let run = match go(module).args(["env", "GOVERSION"]).output().await {
        Ok(run) => run,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no `go` on the PATH; {way_out}")
        }
        Err(error) => return Err(error).context(format!("failed to run go; {way_out}")),
    };
    if !run.status.success() {
        bail!("{way_out}. Go said:\n{}", tail(&String::from_utf8_lossy(&run.stderr)));
    }
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

/// How long a build takes with nothing in Go's caches, if all are built: the API server compiles what others share.
fn cold_build(binary: Binary) -> Duration {
    Duration::from_secs(match binary {
        Binary::KubeApiserver => 480,
        Binary::KubeControllerManager | Binary::Kubelet => 60,
        Binary::Helm | Binary::Containerd => 40,
        Binary::Etcd | Binary::Kubectl => 20,
        Binary::Helm3 | Binary::KubeScheduler | Binary::KubeProxy | Binary::ContainerdShim | Binary::Ctr => {
            10
        }
    })
}

fn cache_home() -> anyhow::Result<PathBuf> {
    let absolute =
        |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a folder for the built programs; set one of them")
}

/// The version that a go.mod requires of a module.
fn pinned_version<'a>(go_mod: &'a str, path: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_ascii_whitespace();
        (words.next() == Some(path)).then(|| words.next()).flatten().filter(|word| word.starts_with('v'))
    })
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

/// Writes to standard error directly: the test harness swallows what `eprintln!` prints, and nobody should wonder
/// for minutes what a silent test is doing.
fn say(line: fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{line}").ok();
}

struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{seconds} s")
        } else {
            write!(f, "{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_read_from_the_require_block_and_not_from_a_replace() {
        let go_mod = "replace (\n\tk8s.io/api => k8s.io/api v0.36.3\n)\n\nrequire (\n\tk8s.io/api v0.0.0 // indirect\n\
                      \tk8s.io/kubernetes v1.36.3 // indirect\n)\n";
        assert_eq!(pinned_version(go_mod, "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(pinned_version(go_mod, "k8s.io/api"), Some("v0.0.0"));
        assert_eq!(pinned_version("require k8s.io/kubernetes v1.37.2", "k8s.io/kubernetes"), Some("v1.37.2"));
        assert_eq!(pinned_version(go_mod, "k8s.io/kubectl"), None);
    }

    #[test]
    fn a_program_is_named_after_the_last_part_of_its_package_that_is_no_version() {
        assert_eq!(program_name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(program_name("helm.sh/helm/v4/cmd/helm"), "helm");
        assert_eq!(
            program_name("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
            "containerd-shim-runc-v2"
        );
    }

    #[tokio::test]
    async fn what_go_says_is_kept_but_for_the_names_of_packages() -> anyhow::Result<()> {
        let kept = "go: downloading k8s.io/api v0.37.2\n# k8s.io/api/core/v1\n./types.go:7:1: mistake\n\nmain.main()\n";
        let said = format!("k8s.io/klog/v2\n{kept}runtime\n");
        assert_eq!(follow(said.as_bytes(), Instant::now()).await?, kept);
        Ok(())
    }

    #[test]
    fn the_modules_beside_this_crate_are_readable() -> anyhow::Result<()> {
        let kubernetes = Module::read("kubernetes", "k8s.io/kubernetes")?;
        assert!(kubernetes.version.starts_with("v1."), "{}", kubernetes.version);
        assert!(kubernetes.linker_flags().contains(&format!("gitVersion={}", kubernetes.version)));
        assert!(kubernetes.go_directive().starts_with("1."));
        Ok(())
    }
}
