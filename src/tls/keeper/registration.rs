//! What is registered with the API servers, in the `MutatingWebhookConfiguration`.

use std::{sync::Arc, time::SystemTime};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::{
    super::{
        CertificateHolder,
        certificate::CaCertificate,
        contest::{Contest, MANY, Writer},
        pace::Pace,
        registration::Entry,
        standing::{Known, Standing},
        writes::{self, Outcome},
    },
    Keeper,
};
use crate::{
    cluster::{Sight, follow::Observed},
    telemetry::{Condition, Metrics, metrics::Written},
};

/// The registration, as this replica sees it.
pub(super) struct Registration {
    name: String,
    /// Whether the authority is an own one, which no system knows by itself.
    is_own: bool,
    api: Api<MutatingWebhookConfiguration>,
    condition: Arc<Condition>,
    metrics: Arc<Metrics>,
    seen: Sight<Vec<Entry>>,
    /// Which version of the object was seen.
    version: String,
    /// Why it is not followed right now.
    lost: Option<String>,
    /// Why the last write has failed.
    refused: Option<String>,
    /// Who else has written last.
    writer: Option<Writer>,
    /// Who has undone a bundle last.
    undoer: Option<Writer>,
    contest: Contest,
    pace: Pace,
    standing: Standing,
}

impl Registration {
    pub(super) fn new(keeper: &Keeper, name: String) -> Self {
        Self {
            name,
            is_own: keeper.own.is_some(),
            api: Api::all(keeper.client.clone()),
            condition: Arc::clone(&keeper.conditions.registration),
            metrics: Arc::clone(&keeper.metrics),
            seen: Sight::Unknown,
            version: String::new(),
            lost: None,
            refused: None,
            writer: None,
            undoer: None,
            contest: Contest::default(),
            pace: Pace::default(),
            standing: Standing::default(),
        }
    }

    /// Takes notice of the configuration. It is read once for each of its versions.
    pub(super) fn see(&mut self, observed: &Observed<MutatingWebhookConfiguration>) {
        self.lost.clone_from(&observed.fault);
        match &observed.object {
            Sight::Unknown => {}
            Sight::Missing => self.seen = Sight::Missing,
            Sight::Found(configuration) => {
                let version = configuration.resource_version().unwrap_or_default();
                if !matches!(self.seen, Sight::Found(_)) || self.version != version {
                    let mut entries = Entry::all(configuration);
                    if self.is_own {
                        for entry in &mut entries {
                            entry.by_system_roots = false;
                        }
                    }
                    self.seen = Sight::Found(entries);
                    self.version = version;
                    self.writer = Writer::of(configuration);
                }
            }
        }
    }

    /// What is registered.
    pub(super) fn entries(&self) -> Sight<&[Entry]> {
        self.seen.as_ref().map(Vec::as_slice)
    }

    /// Registers these authorities with each webhook.
    pub(super) async fn register(&mut self, reason: &str, authorities: &[CaCertificate]) {
        let Sight::Found(entries) = &self.seen else { return };
        if let Some(times) = self.contest.bad(&self.version, Instant::now()) {
            self.undoer.clone_from(&self.writer);
            let undoer = self.undoer.as_ref();
            if times == MANY {
                tracing::warn!(
                    configuration = self.name,
                    manager = undoer.map(|writer| writer.manager.as_str()),
                    operation = undoer.map(|writer| writer.operation.as_str()),
                    time = undoer.map(|writer| writer.time.as_str()),
                    "the caBundle is undone again and again; have whoever does that leave it to Fermata"
                );
            }
        }
        if !self.pace.allows(Instant::now()) {
            return;
        }
        let webhooks: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        let outcome = writes::register(&self.api, &self.name, &self.version, &webhooks, authorities).await;
        self.metrics.bundle_write(Written::from(&outcome));
        self.refused = None;
        match outcome {
            Outcome::Done => {
                self.contest.good(&self.version);
                let (configuration, count) = (&self.name, authorities.len());
                tracing::info!(configuration, authorities = count, reason, "the caBundle is written");
            }
            Outcome::Conflict => {}
            Outcome::Failed(why) => self.refused = Some(why),
        }
    }

    /// Forgets why the last write has failed, once there is nothing to be written any more.
    pub(super) fn is_content(&mut self) {
        self.refused = None;
        if matches!(self.seen, Sight::Found(_)) {
            self.contest.good(&self.version);
        }
    }

    /// Says how it is.
    pub(super) fn report(&mut self, holder: &CertificateHolder, is_settling: bool, now: SystemTime) {
        let lost = self.lost.as_ref();
        let lost =
            lost.map(|lost| format!("cannot follow MutatingWebhookConfiguration {}: {lost}", self.name));
        let contest = self.contest.is_on(Instant::now()).then(|| {
            let undoer = self.undoer.as_ref().map_or("somebody", |writer| writer.manager.as_str());
            format!("the caBundle is undone again and again, by {undoer}; have it leave that to Fermata")
        });
        let identity = holder.current();
        let known = Known {
            name: &self.name,
            entries: self.seen.as_ref().map(Vec::as_slice),
            fault: lost.as_deref().or(self.refused.as_deref()),
            contest: contest.as_deref(),
            is_settling,
        };
        let chain = identity.as_ref().map(|identity| identity.chain());
        self.standing.report(chain, &known, now, &self.condition);
    }
}
