//! A running `fermata serve`, as its own process and over its own ports.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use crate::{
    http, ports,
    process::{Process, Program, Signal},
    scratch::Scratch,
    wait::{self, Seen},
};

/// How long it may take from its start to its readiness.
const READY_BOUND: Duration = Duration::from_secs(30);

/// The ports to tell Fermata to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For the API server: admission reviews over TLS.
    pub webhook: u16,
    /// For the kubelet and Prometheus: health and metrics over plain HTTP.
    pub admin: u16,
}

/// How to start Fermata.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The executable.
    pub binary: PathBuf,
    /// All arguments, `serve` included.
    pub args: Vec<String>,
    /// Environment variables in addition to the harness's own.
    pub env: Vec<(String, String)>,
    /// The URL that answers 200 once it is ready.
    pub readiness_url: String,
    /// How long it has to end after TERM when the harness stops it or goes away; more than its drain time.
    pub grace: Duration,
}

/// A Fermata that has been ready. Dropping it ends it.
#[derive(Debug)]
pub struct Fermata {
    process: Process,
    ports: Ports,
}

impl Fermata {
    /// Starts it on free ports and waits until it is ready.
    ///
    /// `launch` turns the ports into a command line; it is asked again, with other ports, when somebody else took one
    /// of them first.
    ///
    /// # Errors
    ///
    /// When it ends early or does not get ready; with the end of its log.
    pub async fn start(scratch: &Scratch, launch: impl Fn(Ports) -> Launch) -> anyhow::Result<Self> {
        let mut attempt = 1;
        loop {
            let ports = Ports { webhook: ports::free()?, admin: ports::free()? };
            let Launch { binary, args, env, readiness_url, grace } = launch(ports);
            let program = Program { name: "fermata".to_owned(), path: binary, args, env, grace };
            let process = Process::start(scratch, program)?;
            match ready(&process, &readiness_url).await {
                Ok(()) => return Ok(Self { process, ports }),
                Err(_) if attempt < ports::ATTEMPTS && ports::was_taken(&process.log()) => attempt += 1,
                Err(error) => return Err(error).context("failed to start Fermata"),
            }
        }
    }

    /// The ports it listens on.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Its process: id, log, exit code.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to end in good order. A second time asks it to end at once.
    ///
    /// # Errors
    ///
    /// When it has already ended.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::Terminate)
    }

    /// Waits until it has ended and gives its exit code and all that it has logged.
    pub async fn ended(&self) -> (i32, String) {
        let code = self.process.exited().await;
        (code, self.process.log())
    }

    /// Ends it and gives its exit code.
    ///
    /// # Errors
    ///
    /// When it is still there after KILL.
    pub async fn stop(self) -> anyhow::Result<i32> {
        self.process.stop().await
    }
}

async fn ready(process: &Process, url: &str) -> anyhow::Result<()> {
    wait::until(&format!("{url} to answer 200"), READY_BOUND, async || {
        Ok(match process.while_running(http::get(url)).await? {
            Ok(response) if response.status == 200 => Seen::Yes(()),
            Ok(response) => Seen::NotYet(format!("{} {}", response.status, response.body.trim())),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await
    .with_context(|| process.log_tail())
}
