//! What all measurements share: the executable, certificates, cores, and how long to take.

use std::{path::PathBuf, time::Duration};

use fermata_test_cluster::Scratch;

use crate::{
    pinning::Pinning,
    shim::Counts,
    subject::{Kind, Subject},
    tls::ServerCertificate,
};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds through all reviews, for the core.
    pub(crate) core_rounds: usize,
    /// Turns of each server.
    pub(crate) server_rounds: usize,
    /// The length of one turn of a server.
    pub(crate) server_turn: Duration,
    /// The length of the open loop.
    pub(crate) open_loop: Duration,
    /// Starts of the server, for memory and time to readiness.
    pub(crate) starts: usize,
    /// The load between the two looks at the memory.
    pub(crate) memory_load: Duration,
    /// Turns of each contender behind the API server.
    pub(crate) api_server_rounds: usize,
    /// The length of one of them.
    pub(crate) api_server_turn: Duration,
    /// How much of everything about inits.
    pub(crate) inits: Counts,
    /// What goes before each turn without being counted.
    pub(crate) warm_up: Duration,
}

impl Effort {
    /// For figures to publish: some eight minutes.
    pub(crate) const FULL: Self = Self {
        core_rounds: 61,
        server_rounds: 7,
        server_turn: Duration::from_secs(4),
        open_loop: Duration::from_secs(20),
        starts: 7,
        memory_load: Duration::from_secs(10),
        api_server_rounds: 9,
        api_server_turn: Duration::from_secs(4),
        inits: Counts::FULL,
        warm_up: Duration::from_millis(500),
    };

    /// To see whether everything works: half a minute.
    pub(crate) const QUICK: Self = Self {
        core_rounds: 5,
        server_rounds: 2,
        server_turn: Duration::from_secs(1),
        open_loop: Duration::from_secs(3),
        starts: 2,
        memory_load: Duration::from_secs(1),
        api_server_rounds: 1,
        api_server_turn: Duration::from_secs(1),
        inits: Counts::QUICK,
        warm_up: Duration::from_millis(200),
    };
}

/// What all measurements share.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The `fermata` to measure.
    pub(crate) fermata: PathBuf,
    /// What it is measured against.
    pub(crate) baseline: PathBuf,
    /// The static `fermata-shim` to measure.
    pub(crate) shim: PathBuf,
    /// For files and logs; removed in the end.
    pub(crate) scratch: Scratch,
    /// What the servers show.
    pub(crate) certificate: ServerCertificate,
    /// Which core does what.
    pub(crate) pinning: Pinning,
    /// How much of everything.
    pub(crate) effort: Effort,
}

impl Setup {
    /// Prepares everything.
    ///
    /// # Errors
    ///
    /// When there is no place for files.
    pub(crate) fn new(
        fermata: PathBuf,
        baseline: PathBuf,
        shim: PathBuf,
        effort: Effort,
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::create()?;
        let certificate = ServerCertificate::issue(&scratch)?;
        Ok(Self { fermata, baseline, shim, scratch, certificate, pinning: Pinning::find(), effort })
    }

    /// Starts a server on the servers' core.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(crate) async fn start_pinned(&self, kind: Kind<'_>) -> anyhow::Result<Subject> {
        Subject::start(&self.scratch, &self.certificate, kind, Some(&self.pinning)).await
    }

    /// Starts a server on all cores, as in a cluster.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(crate) async fn start_free(&self, kind: Kind<'_>) -> anyhow::Result<Subject> {
        Subject::start(&self.scratch, &self.certificate, kind, None).await
    }

    /// The naive server.
    #[must_use]
    pub(crate) fn naive(&self) -> Kind<'_> {
        Kind::Naive { binary: &self.baseline }
    }

    /// `fermata serve` on one thread, without a cluster.
    #[must_use]
    pub(crate) fn one_worker(&self) -> Kind<'_> {
        Kind::Fermata { binary: &self.fermata, workers: Some(1), kubeconfig: None }
    }
}
