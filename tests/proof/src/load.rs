//! The load, as a process on the node.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use fermata_proof_load::{SENDING, Tally};
use fermata_test_cluster::Node;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout},
    time::{Instant, timeout},
};

use crate::priority::first;

/// How long a load may take to end: the last answers come in that time.
const END_BOUND: Duration = Duration::from_secs(40);

/// A load that is being sent.
#[derive(Debug)]
pub struct Load {
    process: Child,
    output: BufReader<ChildStdout>,
    begun: Instant,
    /// The same by the clock on the wall.
    begun_at: SystemTime,
}

impl Load {
    /// Starts one on the node, and waits until answers come.
    ///
    /// # Errors
    ///
    /// When none come.
    pub async fn start(node: &Node, program: &Path, proxy: SocketAddr, rate: u32) -> anyhow::Result<Self> {
        let mut process = first(node, program)
            .args([proxy.to_string(), rate.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the load")?;
        let output = process.stdout.take().context("expected the load to have an output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).await?;
        if line.trim() != SENDING {
            bail!("the load did not begin: {line}");
        }
        Ok(Self { process, output, begun: Instant::now(), begun_at: SystemTime::now() })
    }

    /// For how long it has been sent. Unit: milliseconds.
    #[must_use]
    pub fn sent_for(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When it began. Unit: milliseconds since 1970.
    #[must_use]
    pub fn begun_at(&self) -> u64 {
        let since_1970 = self.begun_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends it, and tells what became of the requests.
    ///
    /// # Errors
    ///
    /// When the load has failed.
    pub async fn finish(mut self) -> anyhow::Result<Tally> {
        drop(self.process.stdin.take());
        let mut json = String::new();
        timeout(END_BOUND, self.output.read_to_string(&mut json))
            .await
            .context("the load does not end")??;
        let status = timeout(END_BOUND, self.process.wait()).await.context("the load does not end")??;
        ensure!(status.success(), "the load failed ({status})");
        serde_json::from_str(&json).context("the load did not say what became of the requests")
    }
}
