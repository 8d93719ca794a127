//! A server under measurement, as its own process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fermata_test_cluster::{
    Scratch, http, ports,
    process::{Process, Program},
};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    connection::Target,
    pinning::Pinning,
    tls::{self, ServerCertificate},
};

/// How long a server may take to get ready.
const READY_BOUND: Duration = Duration::from_secs(20);

/// How long to pause between two looks; short, for the time to readiness is one of the figures.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a server has to end after TERM.
const GRACE: Duration = Duration::from_secs(2);

/// How often to try again on other ports.
const ATTEMPTS: usize = 3;

/// Which server, and how to run it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// `fermata serve`.
    Fermata {
        /// The executable.
        binary: &'a Path,
        /// Worker threads; its own choice if `None`.
        workers: Option<usize>,
        /// The cluster to watch; it runs without one if `None`.
        kubeconfig: Option<&'a Path>,
    },
    /// The baseline.
    Naive {
        /// The executable.
        binary: &'a Path,
    },
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Subject {
    process: Process,
    address: SocketAddr,
    ready_after: Duration,
}

impl Subject {
    /// Starts a server on free ports and waits until it is ready, pinned to its core if there is a pinning.
    ///
    /// # Errors
    ///
    /// When it does not get ready; with the end of its log.
    pub(crate) async fn start(
        scratch: &Scratch,
        certificate: &ServerCertificate,
        kind: Kind<'_>,
        pinning: Option<&Pinning>,
    ) -> anyhow::Result<Self> {
        let mut attempt = 1;
        loop {
            let (port, admin) = (ports::free()?, ports::free()?);
            let mut program = program(kind, certificate, port, admin);
            if let Some(pinning) = pinning {
                (program.path, program.args) = pinning.server_command(program.path, program.args);
            }
            let started = Instant::now();
            let process = Process::start(scratch, program)?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match process.while_running(ready(kind, address, admin)).await.flatten() {
                Ok(()) => return Ok(Self { process, address, ready_after: started.elapsed() }),
                // Somebody else may have taken the port meanwhile.
                Err(_) if attempt < ATTEMPTS && process.exit_code().is_some() => attempt += 1,
                Err(error) => return Err(error.context(process.log_tail())),
            }
        }
    }

    /// Where its reviews go.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From its start to its own word that it is ready.
    #[must_use]
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Its process id.
    #[must_use]
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where to connect, trusting its certificate.
    ///
    /// # Errors
    ///
    /// When the certificate is broken.
    pub(crate) fn target(&self, certificate: &ServerCertificate) -> anyhow::Result<Target> {
        Ok(Target::by_address(self.address, tls::client(certificate.authority.der(), None)?))
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// When it had ended before, or does not end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.check_running()?;
        self.process.stop().await?;
        Ok(())
    }
}

fn program(kind: Kind<'_>, certificate: &ServerCertificate, port: u16, admin: u16) -> Program {
    let file = |path: &Path| path.display().to_string();
    let (name, path, args) = match kind {
        Kind::Fermata { binary, workers, kubeconfig } => {
            let mut args = vec![
                "serve".to_owned(),
                format!("--listen=127.0.0.1:{port}"),
                format!("--admin-listen=127.0.0.1:{admin}"),
                format!("--tls-cert={}", file(&certificate.certificate)),
                format!("--tls-key={}", file(&certificate.key)),
                // Nobody is left to answer when a run is over.
                "--drain=0s".to_owned(),
            ];
            args.extend(workers.map(|workers| format!("--workers={workers}")));
            args.extend(kubeconfig.map(|path| format!("--kubeconfig={}", path.display())));
            ("fermata", binary.to_owned(), args)
        }
        Kind::Naive { binary } => {
            let args = vec![
                "serve".to_owned(),
                format!("--port={port}"),
                format!("--certificate={}", file(&certificate.certificate)),
                format!("--key={}", file(&certificate.key)),
            ];
            ("baseline", binary.to_owned(), args)
        }
    };
    // Not the cluster of whoever runs this.
    let env = ["KUBECONFIG", "KUBERNETES_SERVICE_HOST"].map(|name| (name.to_owned(), String::new())).to_vec();
    Program { name: name.to_owned(), path, args, env, grace: GRACE }
}

async fn ready(kind: Kind<'_>, address: SocketAddr, admin: u16) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{admin}/readyz");
    timeout(READY_BOUND, async {
        loop {
            let ready = match kind {
                Kind::Fermata { .. } => http::get(&url).await.is_ok_and(|response| response.status == 200),
                Kind::Naive { .. } => TcpStream::connect(address).await.is_ok(),
            };
            if ready {
                return;
            }
            sleep(PAUSE).await;
        }
    })
    .await
    .with_context(|| format!("not ready after {} s", READY_BOUND.as_secs()))
}
