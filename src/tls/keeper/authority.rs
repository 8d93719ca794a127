//! The authority that the replicas share, in its Secret.

use std::{sync::Arc, time::SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::{
    super::{
        CertificateHolder,
        authority::Authority,
        certificate::CaCertificate,
        expiry::Late,
        lifetime::Lifetime,
        pace::Pace,
        rotation::{Rotation, unusable},
        secret::{self, Stored},
        writes::{self, Outcome},
    },
    Keeper,
};
use crate::{
    cluster::{Sight, follow::Observed},
    telemetry::{Condition, Metrics, metrics::Written},
};

/// What certificates are for, and where their authority is kept.
#[derive(Clone, Debug)]
pub struct Own {
    /// The Namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret.
    pub secret: String,
    /// The host names and addresses of the certificate.
    pub names: Vec<String>,
    /// How long an authority is valid.
    pub authority_lifetime: Lifetime,
    /// How long a certificate is valid.
    pub certificate_lifetime: Lifetime,
}

/// What is wrong with an authority that is held back.
const OLD: &str = "is new and yet near its end, by this clock; check the clocks of the nodes";

/// The authority, as this replica sees it.
pub(super) struct SharedAuthority {
    own: Own,
    place: String,
    api: Api<Secret>,
    holder: Arc<CertificateHolder>,
    condition: Arc<Condition>,
    metrics: Arc<Metrics>,
    seen: Sight<(Secret, Stored)>,
    /// Why the Secret is not followed right now.
    lost: Option<String>,
    /// Why the last write has failed.
    refused: Option<String>,
    pace: Pace,
    /// The pace of certificates that cannot be issued.
    issuing: Pace,
    /// The authority of which it has been said that it should have been renewed.
    late: Option<Arc<Authority>>,
}

impl SharedAuthority {
    pub(super) fn new(keeper: &Keeper, own: Own) -> Self {
        Self {
            place: format!("Secret {}/{}", own.namespace, own.secret),
            api: Api::namespaced(keeper.client.clone(), &own.namespace),
            holder: Arc::clone(&keeper.holder),
            condition: Arc::clone(&keeper.conditions.authority),
            metrics: Arc::clone(&keeper.metrics),
            seen: Sight::Unknown,
            lost: None,
            refused: None,
            pace: Pace::default(),
            issuing: Pace::default(),
            late: None,
            own,
        }
    }

    /// Takes notice of the Secret. It is read once for each of its versions.
    pub(super) fn see(&mut self, observed: &Observed<Secret>) {
        self.lost.clone_from(&observed.fault);
        match &observed.object {
            Sight::Unknown => {}
            Sight::Missing => self.seen = Sight::Missing,
            Sight::Found(secret) => {
                let known = matches!(&self.seen, Sight::Found((known, _))
                    if known.resource_version() == secret.resource_version() && known.uid() == secret.uid());
                if !known {
                    let stored = secret.data.as_ref().map_or(Stored::Empty, Stored::read);
                    self.seen = Sight::Found((secret.clone(), stored));
                }
            }
        }
    }

    /// What the Secret holds.
    pub(super) fn stored(&self) -> Sight<&Stored> {
        self.seen.as_ref().map(|(_, stored)| stored)
    }

    /// Issues a certificate and serves it.
    pub(super) fn serve(
        &mut self,
        rotation: &mut Rotation,
        reason: &'static str,
        authority: Arc<Authority>,
        now: SystemTime,
    ) {
        if !self.issuing.allows(Instant::now()) {
            return;
        }
        match authority.issue(&self.own.names, now, self.own.certificate_lifetime.get()) {
            Ok(leaf) => {
                self.issuing = Pace::default();
                self.holder.replace(leaf.identity);
                rotation.serves(authority, leaf.validity, leaf.renewal);
                self.metrics.certificate_renewal(Written::Ok);
                tracing::info!(reason, "serving a new certificate");
            }
            Err(error) => {
                self.metrics.certificate_renewal(Written::Failed);
                tracing::error!(%error, names = ?self.own.names, "cannot issue a certificate");
            }
        }
    }

    /// Makes the Secret, without data.
    pub(super) async fn make_secret(&mut self) {
        if !self.pace.allows(Instant::now()) {
            return;
        }
        let outcome = writes::make_secret(&self.api, &self.own.secret).await;
        if outcome == Outcome::Done {
            tracing::info!("the {} was missing; it is made", self.place);
        }
        self.note(outcome);
    }

    /// Puts a new authority into the Secret.
    pub(super) async fn fill(&mut self, reason: &str, trusted: Vec<CaCertificate>, now: SystemTime) {
        let Sight::Found((secret, _)) = &self.seen else { return };
        if !self.pace.allows(Instant::now()) {
            return;
        }
        let outcome = match Authority::generate(now, self.own.authority_lifetime.get()) {
            Ok(new) => {
                let mut secret = secret.clone();
                secret::fill(secret.data.get_or_insert_default(), &new, &trusted);
                writes::replace_secret(&self.api, &secret).await
            }
            Err(error) => Outcome::Failed(format!("cannot make an authority: {error}")),
        };
        self.metrics.authority_renewal(Written::from(&outcome));
        if outcome == Outcome::Done {
            tracing::info!(reason, "a new authority is in the {}", self.place);
        }
        self.note(outcome);
    }

    /// Forgets why the last write has failed, once there is nothing to be written any more.
    pub(super) fn is_content(&mut self) {
        self.refused = None;
    }

    fn note(&mut self, outcome: Outcome) {
        self.refused = match outcome {
            Outcome::Failed(why) => Some(why),
            Outcome::Done | Outcome::Conflict => None,
        };
    }

    /// Says how it is.
    pub(super) fn report(&mut self, rotation: &Rotation, now: SystemTime) {
        if let Some(authority) = rotation.authority() {
            self.metrics.authority_expires(authority.certificate().validity().not_after());
            self.warn_if_late(authority, now);
        }
        let place = &self.place;
        let wrong = match (&self.lost, &self.seen) {
            (Some(lost), _) => Some(format!("cannot follow the {place}: {lost}")),
            (None, Sight::Unknown) => Some(format!("the {place} is not known yet")),
            (None, Sight::Missing) => Some(format!("the {place} is missing")),
            (None, Sight::Found((_, Stored::Empty))) => Some(format!("the {place} is empty")),
            (None, Sight::Found((_, Stored::Broken { reason, .. }))) => {
                Some(format!("the {place} holds no authority that can be used: {reason}"))
            }
            (None, Sight::Found((_, Stored::Whole { authority, .. }))) => unusable(authority, now)
                .map(|why| format!("the authority of the {place} cannot be used: {why}"))
                .or_else(|| {
                    rotation.is_held_back(now).then(|| format!("the authority of the {place} {OLD}"))
                }),
        };
        let wrong: Vec<String> = wrong.into_iter().chain(self.refused.clone()).collect();
        let wrong = wrong.join("; ");
        if wrong.is_empty() {
            if self.condition.ok() {
                tracing::info!("the authority of the {} can be used", self.place);
            }
            return;
        }
        let (news, what) = if rotation.is_serving() {
            (self.condition.degraded(&wrong), "the certificate that is served stays")
        } else {
            (self.condition.failed(&wrong), "no certificate can be served yet")
        };
        // What comes and goes at every start is no news for the log.
        let is_usual = self.lost.is_none()
            && self.refused.is_none()
            && matches!(&self.seen, Sight::Unknown | Sight::Missing | Sight::Found((_, Stored::Empty)));
        if news && !is_usual {
            tracing::warn!("{wrong}; {what}");
        }
    }

    /// Says once of an authority that it is still there.
    fn warn_if_late(&mut self, authority: &Arc<Authority>, now: SystemTime) {
        let validity = authority.certificate().validity();
        let is_said = self.late.as_ref().is_some_and(|late| Arc::ptr_eq(late, authority));
        if is_said || !Late::OWN.has_come(validity, now) {
            return;
        }
        self.late = Some(Arc::clone(authority));
        let left = validity.not_after().duration_since(now).unwrap_or_default().as_secs();
        tracing::warn!(
            seconds_left = left,
            "the authority of the {} expires soon and should have been renewed by now",
            self.place
        );
    }
}
