//! Asks for one Namespace that the watch does not know.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fermata_core::settings::NamespaceSettings;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout, timeout_at},
};

use super::namespaces::read;
use crate::telemetry::Metrics;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the answer counts that a Namespace is opted in.
const FRESH: Duration = Duration::from_secs(3);

/// How long any other answer counts, and the lack of one. Long enough that when the API server is away, one review
/// in so long waits for it, and not all; short enough that a Pod created right after its Namespace got the label
/// is drained.
const FRESH_NO: Duration = Duration::from_millis(300);

/// The most answers that are kept. Beyond it each review asks for itself.
const KEPT: usize = 1024;

/// The longest name of a Namespace (RFC 1123). Unit: bytes.
const LONGEST_NAME: usize = 63;

type Answer = Option<Arc<NamespaceSettings>>;

/// The questions of the last seconds. Reviews of one Namespace that come together ask once.
pub(super) struct Lookups {
    api: Api<Namespace>,
    asked: Mutex<HashMap<Box<str>, Asked>>,
    metrics: Arc<Metrics>,
}

/// A question that is out, or its answer.
type Asked = Arc<OnceCell<Answered>>;

struct Answered {
    answer: Answer,
    until: Instant,
}

/// Whether an answer still counts, or somebody waits for one.
fn is_fresh(asked: &Asked, now: Instant) -> bool {
    asked.get().map_or(Arc::strong_count(asked) > 1, |answered| answered.until > now)
}

impl Lookups {
    pub(super) fn new(client: Client, metrics: Arc<Metrics>) -> Self {
        Self { api: Api::all(client), asked: Mutex::default(), metrics }
    }

    /// What the Namespace says; nothing if it does not exist, or the API server does not say in time.
    ///
    /// The name is the sender's word and becomes part of a path and a key that is kept: so it must be one that a
    /// Namespace can have.
    pub(super) async fn get(&self, name: &str, deadline: Instant) -> Answer {
        if !is_label(name) {
            return None;
        }
        let asked = self.question(name);
        timeout_at(deadline, asked.get_or_init(|| self.ask(name))).await.ok()?.answer.clone()
    }

    fn question(&self, name: &str) -> Asked {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked.get(name).filter(|known| is_fresh(known, now)) {
            return Arc::clone(known);
        }
        asked.retain(|_, known| is_fresh(known, now));
        let question = Asked::default();
        if asked.len() < KEPT {
            asked.insert(name.into(), Arc::clone(&question));
        }
        question
    }

    async fn ask(&self, name: &str) -> Answered {
        let answer = match timeout(PATIENCE, self.api.get_metadata_opt(name)).await {
            Ok(Ok(namespace)) => namespace.as_ref().map(read),
            failure => {
                self.metrics.namespace_lookup_failures.inc();
                let error = match failure {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer".to_owned(),
                };
                tracing::debug!(
                    namespace = name,
                    error,
                    "cannot ask for a Namespace; the config file counts"
                );
                None
            }
        };
        let opted_in = answer.as_ref().is_some_and(|namespace| namespace.opted_in);
        Answered { answer, until: Instant::now() + if opted_in { FRESH } else { FRESH_NO } }
    }
}

/// Whether it is a DNS label, as names of Namespaces are.
pub(crate) fn is_label(name: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= LONGEST_NAME
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::is_label;

    #[test]
    fn only_names_that_a_namespace_can_have_are_asked_for() {
        let longest = "a".repeat(63);
        for name in ["a", "shop", "kube-system", "0", "a--b", &longest] {
            assert!(is_label(name), "{name}");
        }
        let longer = "a".repeat(64);
        for name in
            ["", "-", "-a", "a-", "..", "a.b", "A", "kube-system/pods", "?watch=1", "\u{e9}", "a\n", &longer]
        {
            assert!(!is_label(name), "{name}");
        }
    }
}
