//! The end, in its steps.
//!
//! A Pod that is being deleted goes on getting requests until everybody has heard of it, which is what this whole
//! program is about; so it ends itself as it teaches others to: it says at once that it is not ready, goes on
//! answering for a while, then stops accepting, and leaves when the work at hand is done.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Not begun.
    Serving,
    /// Every answer closes its connection.
    Draining,
    /// No connection is accepted.
    Closed,
    /// Whatever is left is cut off.
    GivenUp,
}

/// Knows how far the end has come, and tells everybody who waits for it.
#[derive(Clone, Debug)]
pub struct Ending {
    step: watch::Sender<Step>,
}

impl Default for Ending {
    fn default() -> Self {
        Self { step: watch::Sender::new(Step::Serving) }
    }
}

impl Ending {
    /// Goes through all steps: `drain` is how long to go on answering, `finish` how long work may take after it.
    pub async fn run(&self, drain: Duration, finish: Duration) {
        self.step.send_replace(Step::Draining);
        sleep(drain).await;
        self.step.send_replace(Step::Closed);
        sleep(finish).await;
        self.step.send_replace(Step::GivenUp);
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.step.borrow() >= Step::Draining
    }

    /// Waits until nothing is to be accepted any more.
    pub(super) async fn close(&self) {
        self.reach(Step::Closed).await;
    }

    /// Waits until whatever is left is to be cut off.
    pub(super) async fn give_up(&self) {
        self.reach(Step::GivenUp).await;
    }

    async fn reach(&self, step: Step) {
        // The sender is our own, so it cannot be gone.
        let _ = self.step.subscribe().wait_for(|current| *current >= step).await;
    }
}
