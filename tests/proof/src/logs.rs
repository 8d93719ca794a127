//! What Pods write while they end.

use std::{pin::pin, time::Duration};

use anyhow::Context as _;
use futures_util::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use tokio::{task::JoinHandle, time::timeout};

/// How long a log may take to end once its Pod is gone.
const BOUND: Duration = Duration::from_secs(30);

/// The logs of some Pods, which are read to their end.
#[derive(Debug)]
pub struct Logs(Vec<(String, JoinHandle<anyhow::Result<String>>)>);

impl Logs {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// When a Pod has none.
    pub async fn follow(pods: &Api<Pod>, names: &[String]) -> anyhow::Result<Self> {
        let mut logs = Vec::new();
        for name in names {
            let follow = LogParams { follow: true, ..LogParams::default() };
            let stream =
                pods.log_stream(name, &follow).await.with_context(|| format!("the log of {name}"))?;
            let reading = tokio::spawn(async move {
                let mut log = String::new();
                pin!(stream).read_to_string(&mut log).await?;
                Ok(log)
            });
            logs.push((name.clone(), reading));
        }
        Ok(Self(logs))
    }

    /// Reads to the end, and gives what is missing: each log has lines with the texts of each sequence, in its order. Lines of
    /// standard output and standard error reach containerd through a pipe each, which it reads side by side, so that nothing
    /// is known of the order between one and the other: a sequence must be all of one of them.
    ///
    /// # Errors
    ///
    /// When a log does not end, or cannot be read.
    pub async fn lack(self, sequences: &[&[&str]]) -> anyhow::Result<Vec<String>> {
        let mut missing = Vec::new();
        for (name, reading) in self.0 {
            let log = timeout(BOUND, reading).await.with_context(|| format!("the log of {name}"))???;
            for text in sequences.iter().filter_map(|texts| first_missing(&log, texts)) {
                missing.push(format!("{name} has no {text:?} in its place: {log:?}"));
            }
        }
        Ok(missing)
    }
}

/// The first text that no line has behind the line of the text before.
fn first_missing<'t>(log: &str, texts: &[&'t str]) -> Option<&'t str> {
    let mut lines = log.lines();
    texts.iter().copied().find(|text| !lines.any(|line| line.contains(text)))
}

#[cfg(test)]
mod tests {
    use super::first_missing;

    #[test]
    fn the_order_counts() {
        assert_eq!(first_missing("a\nb\nc\n", &["a", "c"]), None);
        assert_eq!(first_missing("c\nb\na\n", &["a", "c"]), Some("c"));
        assert_eq!(first_missing("", &["a"]), Some("a"));
    }
}
