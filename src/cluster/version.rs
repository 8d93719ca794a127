//! The API server's version, which decides whether a Pod may have a native sleep.

use std::time::Duration;

use fermata_core::ServerVersion;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::telemetry::Condition;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to ask again: a control plane is upgraded while its webhooks run.
const EVERY: Duration = Duration::from_mins(5);

/// How soon to ask again after no answer.
const RETRY: Duration = Duration::from_secs(2);

/// What is assumed of an API server that has not said yet.
///
/// A sleep that an old API server does not know makes the Pod invalid, which no `failurePolicy` forgives. So the
/// first reviews rather wait than guess, and without an answer a Pod passes without a native sleep.
const OLD: ServerVersion = ServerVersion { major: 1, minor: 29 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is nobody to ask.
    NoCluster,
    /// There was no answer yet, and a question is out.
    Asking,
    /// There was no answer yet, and the next question comes soon.
    Unanswered,
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
            None => State::NoCluster,
        };
        Self { state: watch::Sender::new(state) }
    }

    /// The version to plan for; nothing where there is no cluster. Waits for an answer only while there was none.
    pub(super) async fn get(&self, deadline: Instant) -> Option<ServerVersion> {
        let mut state = *self.state.borrow();
        if state == State::Asking {
            let deadline = deadline.min(Instant::now() + PATIENCE);
            let mut changes = self.state.subscribe();
            let answered = timeout_at(deadline, changes.wait_for(|state| *state != State::Asking)).await;
            state = answered.ok().and_then(Result::ok).map_or(State::Unanswered, |state| *state);
        }
        match state {
            State::Known(version) | State::Given(version) => Some(version),
            State::Asking | State::Unanswered => Some(OLD),
            State::NoCluster => None,
        }
    }

    fn was_answered(&self) -> bool {
        matches!(*self.state.borrow(), State::Known(_))
    }
}

/// Asks for ever, unless the operator has said. The last answer stays when there is no newer one.
pub(super) async fn run(client: &Client, version: &Version, condition: &Condition) {
    if matches!(*version.state.borrow(), State::Given(_)) {
        condition.ok();
        return;
    }
    loop {
        if !version.was_answered() {
            version.state.send_replace(State::Asking);
        }
        let answer = match timeout(PATIENCE, ask(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err("no answer".to_owned()),
        };
        let pause = match answer {
            Ok(answer) => {
                condition.ok();
                if version.state.send_replace(State::Known(answer)) != State::Known(answer) {
                    tracing::info!(version = %answer, "the API server's version");
                }
                EVERY
            }
            Err(error) => {
                if !version.was_answered() {
                    version.state.send_replace(State::Unanswered);
                    if condition.degraded(UNKNOWN) {
                        tracing::warn!(error, "cannot ask for the API server's version; {UNKNOWN}");
                    }
                }
                RETRY
            }
        };
        sleep(pause).await;
    }
}

/// What it means that there was no answer, and the way out.
const UNKNOWN: &str = "until it answers no Pod gets a native sleep, which API servers below 1.30 refuse; \
                       --server-version says it without asking";

async fn ask(client: &Client) -> anyhow::Result<ServerVersion> {
    let info = client.apiserver_version().await?;
    Ok(format!("{}.{}", info.major, info.minor).parse()?)
}
