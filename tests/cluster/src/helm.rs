//! Helm, without a trace of the settings of whoever runs the tests.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{
    assets::{Assets, Binary},
    scratch::Scratch,
};

/// One of Helm's versions, with folders of its own.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: Scratch,
    kubeconfig: PathBuf,
}

/// What a run of Helm came to.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Helm {
    /// `binary` is [`Binary::Helm`] or [`Binary::Helm3`]. Without a kubeconfig it reaches no cluster.
    ///
    /// # Errors
    ///
    /// When it is neither there nor can be built.
    pub async fn prepare(binary: Binary, kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let assets = Assets::prepare(&[binary]).await?;
        let home = Scratch::create()?;
        // An empty one rather than none: Helm would look for that of the person who runs the tests.
        let nowhere = home.path().join("no-cluster");
        Ok(Self {
            program: assets.require(binary)?.to_owned(),
            kubeconfig: kubeconfig.map_or(nowhere, Path::to_owned),
            home,
        })
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Errors
    ///
    /// When it cannot be run at all.
    pub async fn run<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Finished> {
        let mut command = Command::new(&self.program);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.path().join(folder));
        }
        let run = command
            .args(arguments.iter().map(AsRef::as_ref))
            .env("KUBECONFIG", &self.kubeconfig)
            // The way to a control plane on loopback leads through no proxy.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Finished { success: run.status.success(), stdout: text(&run.stdout), stderr: text(&run.stderr) })
    }

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    ///
    /// When it fails, with what it said.
    pub async fn success<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<String> {
        let run = self.run(arguments).await?;
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        ensure!(run.success, "helm {} failed:\n{}{}", words.join(" "), run.stdout, run.stderr);
        Ok(run.stdout)
    }

    /// Runs it in the expectation that it refuses, and gives its reason.
    ///
    /// # Errors
    ///
    /// When it does not refuse.
    pub async fn refusal<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<String> {
        let run = self.run(arguments).await?;
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        ensure!(!run.success, "helm {} did not refuse:\n{}", words.join(" "), run.stdout);
        Ok(run.stderr)
    }
}
