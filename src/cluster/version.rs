//! The API server's version, which decides whether a Pod may have a native sleep.

use std::time::Duration;

use fermata_core::ServerVersion;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to ask again: a control plane is upgraded while its webhooks run.
const EVERY: Duration = Duration::from_mins(5);

/// How soon to ask again after no answer.
const RETRY: Duration = Duration::from_secs(5);

/// How long a review waits for the first answer.
///
/// A sleep that an old API server does not know makes the Pod invalid, which no `failurePolicy` forgives. So the
/// very first reviews rather wait than guess.
const WAIT: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first question is out.
    Asking,
    /// There was no answer yet.
    Unknown,
    /// The newest answer.
    Known(ServerVersion),
    /// The operator has said.
    Given(ServerVersion),
}

/// The version, as far as it is known.
#[derive(Debug)]
pub(super) struct Version {
    state: watch::Sender<State>,
}

impl Version {
    pub(super) fn new(given: Option<ServerVersion>, will_ask: bool) -> Self {
        let state = match given {
            Some(version) => State::Given(version),
            None if will_ask => State::Asking,
            None => State::Unknown,
        };
        Self { state: watch::Sender::new(state) }
    }

    pub(super) async fn get(&self, deadline: Instant) -> Option<ServerVersion> {
        let mut state = *self.state.borrow();
        if state == State::Asking {
            let deadline = deadline.min(Instant::now() + WAIT);
            let mut changes = self.state.subscribe();
            let answered = timeout_at(deadline, changes.wait_for(|state| *state != State::Asking)).await;
            state = answered.ok().and_then(Result::ok).map_or(State::Unknown, |state| *state);
        }
        match state {
            State::Known(version) | State::Given(version) => Some(version),
            State::Asking | State::Unknown => None,
        }
    }
}

/// Asks for ever, unless the operator has said.
pub(super) async fn run(client: &Client, version: &Version) {
    if matches!(*version.state.borrow(), State::Given(_)) {
        return;
    }
    loop {
        let pause = match timeout(PATIENCE, ask(client)).await {
            Ok(Ok(answer)) => {
                if version.state.send_replace(State::Known(answer)) != State::Known(answer) {
                    tracing::info!(version = %answer, "the API server's version");
                }
                EVERY
            }
            failure => {
                if version.state.send_if_modified(|state| {
                    let first = *state == State::Asking;
                    if first {
                        *state = State::Unknown;
                    }
                    first
                }) {
                    let error = match failure {
                        Ok(Err(error)) => format!("{error:#}"),
                        _ => "no answer".to_owned(),
                    };
                    tracing::warn!(
                        error,
                        "cannot ask for the API server's version; 1.30 or later is assumed"
                    );
                }
                RETRY
            }
        };
        sleep(pause).await;
    }
}

async fn ask(client: &Client) -> anyhow::Result<ServerVersion> {
    let info = client.apiserver_version().await?;
    Ok(format!("{}.{}", info.major, info.minor).parse()?)
}
