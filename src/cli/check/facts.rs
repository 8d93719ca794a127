//! What is known of an installation, before anything is made of it.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use fermata_core::{ServerVersion, opt_in};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
        apps::v1::Deployment,
        core::v1::{Pod, Secret, Service},
        discovery::v1::EndpointSlice,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde_json::Value;

use super::selector::selects;

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Whoever runs this may not ask for it.
    NotPermitted(String),
    /// There was no answer, or none that makes sense.
    NoAnswer(String),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(what) => write!(f, "not permitted: {what}"),
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
        }
    }
}

/// Something that was asked for.
pub(super) type Fact<T> = Result<T, Gap>;

/// All that is known of an API server that answers.
#[derive(Debug)]
pub(super) struct Facts {
    /// When it was found out.
    pub(super) now: SystemTime,
    /// The API server.
    pub(super) api: ApiServer,
    /// The configurations that may be Fermata's, and which of them is looked at.
    pub(super) registrations: Fact<Registrations>,
    /// The Namespace in which the webhook runs, where that is known.
    pub(super) own_namespace: Option<String>,
    /// What answers when the registered address is called.
    pub(super) handshake: Handshake,
    /// The Deployments of the webhook; nothing where the Namespace is not known.
    pub(super) deployments: Option<Fact<Vec<Deployment>>>,
    /// The replicas.
    pub(super) replicas: Option<Fact<Vec<Replica>>>,
    /// The budgets in the own Namespace.
    pub(super) budgets: Option<Fact<Vec<PodDisruptionBudget>>>,
    /// The registered Service, if it exists.
    pub(super) service: Option<Fact<Option<Service>>>,
    /// Where it leads.
    pub(super) endpoints: Option<Fact<Vec<EndpointSlice>>>,
    /// The authority's Secret, if it exists, with its name.
    pub(super) secret: Option<(String, Fact<Option<Secret>>)>,
    /// The Namespaces with the label.
    pub(super) opted_in: Fact<OptedIn>,
    /// What became of a Pod that was created by dry run.
    pub(super) probe: Probe,
    /// Whether whoever runs this has said where to try it, and so wants to know.
    pub(super) is_probe_asked_for: bool,
    /// Pods without the status annotation.
    pub(super) coverage: Option<Coverage>,
}

impl Facts {
    /// What is registered for Pods, where that is known.
    pub(super) fn webhook(&self) -> Option<&MutatingWebhook> {
        self.registrations.as_ref().ok()?.webhook()
    }

    /// Which Namespaces API servers ask for; all where that is not known.
    pub(super) fn namespace_selector(&self) -> Option<&LabelSelector> {
        self.webhook()?.namespace_selector.as_ref()
    }
}

/// The API server.
#[derive(Debug)]
pub(super) struct ApiServer {
    /// Where it is.
    pub(super) server: String,
    /// Its version as it says it.
    pub(super) git_version: String,
    /// The same, understood.
    pub(super) version: Option<ServerVersion>,
}

/// The configurations that may be Fermata's.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    /// Those of the installation that is looked at; the first one counts.
    pub(super) candidates: Vec<MutatingWebhookConfiguration>,
    /// Those of other installations, which `--namespace` has left out.
    pub(super) others: Vec<MutatingWebhookConfiguration>,
}

impl Registrations {
    /// The one that is looked at.
    pub(super) fn chosen(&self) -> Option<&MutatingWebhookConfiguration> {
        self.candidates.first()
    }

    /// Its entry for Pods; the first one where none is.
    pub(super) fn webhook(&self) -> Option<&MutatingWebhook> {
        let entries = self.chosen()?.webhooks.as_deref().unwrap_or_default();
        entries.iter().find(|entry| asks_for_pods(entry)).or(entries.first())
    }
}

/// Whether a webhook is asked when Pods are created.
pub(super) fn asks_for_pods(webhook: &MutatingWebhook) -> bool {
    let holds = |list: Option<&Vec<String>>, words: &[&str]| {
        list.is_some_and(|list| list.iter().any(|entry| words.contains(&entry.as_str())))
    };
    webhook.rules.iter().flatten().any(|rule| {
        holds(rule.api_groups.as_ref(), &["", "*"])
            && holds(rule.api_versions.as_ref(), &["v1", "*"])
            && holds(rule.operations.as_ref(), &["CREATE", "*"])
            && holds(rule.resources.as_ref(), &["pods", "*", "*/*"])
            && rule.scope.as_deref() != Some("Cluster")
    })
}

/// What answers when the registered address is called.
#[derive(Debug)]
pub(super) enum Handshake {
    /// It was not called.
    NotTried(String),
    /// Nobody answers, or not by TLS.
    Unreachable {
        /// What was called.
        address: String,
        /// What came of it.
        error: String,
    },
    /// A certificate came.
    Presented {
        /// What was called.
        address: String,
        /// The certificates in DER, the server's own one first.
        chain: Vec<Vec<u8>>,
    },
}

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    /// The Pod.
    pub(super) pod: Pod,
    /// What it says at `/readyz`, where that could be asked.
    pub(super) ready_page: Option<String>,
}

/// The Namespaces with the label.
#[derive(Debug, Default)]
pub(super) struct OptedIn {
    /// Their metadata, by name.
    pub(super) namespaces: Vec<ObjectMeta>,
}

impl OptedIn {
    /// The names of those whose label counts, and that API servers ask for.
    pub(super) fn names<'f>(
        &'f self,
        own: Option<&'f str>,
        selector: Option<&'f LabelSelector>,
    ) -> impl Iterator<Item = &'f str> {
        self.counting(own).filter(move |(_, labels)| selects(selector, labels)).map(|(name, _)| name)
    }

    /// Those whose label would count, had the registered selector not left them out: names and labels.
    pub(super) fn left_out<'f>(
        &'f self,
        own: Option<&'f str>,
        selector: Option<&'f LabelSelector>,
    ) -> impl Iterator<Item = (&'f str, BTreeMap<String, String>)> {
        self.counting(own).filter(move |(_, labels)| !selects(selector, labels))
    }

    fn counting<'f>(
        &'f self,
        own: Option<&'f str>,
    ) -> impl Iterator<Item = (&'f str, BTreeMap<String, String>)> {
        self.namespaces
            .iter()
            .filter(|namespace| namespace.deletion_timestamp.is_none())
            .filter_map(|namespace| {
                Some((namespace.name.as_deref()?, namespace.labels.clone().unwrap_or_default()))
            })
            .filter(move |(name, _)| !opt_in::SYSTEM_NAMESPACES.contains(name) && own != Some(*name))
    }
}

/// What became of a Pod that was created by dry run.
#[derive(Debug)]
pub(super) enum Probe {
    /// There is no Namespace to try it in.
    NoNamespace,
    /// None of the Namespaces takes it from whoever runs this.
    NotPermitted {
        /// Where it was tried.
        namespaces: Vec<String>,
        /// What was said last.
        reason: String,
    },
    /// It was tried, and the API server did not answer in time.
    NoAnswer {
        /// Where.
        namespace: String,
        /// What was heard instead.
        error: String,
    },
    /// It would have been created.
    Admitted(Box<Admitted>),
    /// It was refused.
    Refused {
        /// Where.
        namespace: String,
        /// The HTTP status.
        code: u16,
        /// Why.
        message: String,
    },
}

/// Whether a refusal is about what Fermata did, not about what somebody else wants of Pods: it names the webhook, or
/// says that the Pod is none any more. A `ValidatingAdmissionPolicy` says 422 as well, and another sentence.
pub(super) fn blames_fermata(message: &str, webhook: Option<&MutatingWebhook>) -> bool {
    is_invalid(message) || webhook.is_some_and(|webhook| message.contains(&webhook.name))
}

/// Whether this is how the API server says that a Pod does not fulfil its own rules.
pub(super) fn is_invalid(message: &str) -> bool {
    message.starts_with("Pod \"") && message.contains("\" is invalid: ")
}

/// A Pod that would have been created.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Where.
    pub(super) namespace: String,
    /// The Pod as it would have been stored.
    pub(super) pod: Value,
    /// The warnings that came with it.
    pub(super) warnings: Vec<String>,
    /// The Namespace's labels, where they are known; nothing inside if it does not exist.
    pub(super) labels: Fact<BTreeMap<String, String>>,
}

/// Pods of opted-in Namespaces without the status annotation.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// How many Pods were looked at that take part.
    pub(super) looked_at: usize,
    /// Those without it, by Namespace.
    pub(super) missed: Vec<Missed>,
    /// The Namespaces for which there was no time.
    pub(super) unseen: Vec<String>,
    /// What could not be listed.
    pub(super) gaps: Vec<(String, Gap)>,
}

/// A Pod without the status annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// Its Namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) pod: String,
    /// What makes it, such as `deployment/web`, where a rollout would make it anew.
    pub(super) workload: Option<String>,
}
