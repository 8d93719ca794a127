//! Keeps the authority, the certificate and the registration in order for as long as the program runs: sees, asks
//! [`Rotation`] what to do, does it.

mod authority;
mod registration;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{Api, Client};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    CertificateHolder,
    expiry::{self, Late},
    rotation::{Action, Rotation, Served},
};
use crate::{
    cluster::{
        Sight,
        follow::{Observed, follow},
    },
    telemetry::{Conditions, Metrics},
};
pub use authority::Own;
use authority::SharedAuthority;
use registration::Registration;

/// How often to look at the clock at the least; more often where certificates live for seconds.
const LOOK: Duration = Duration::from_secs(1);

/// What the keeper works on.
#[derive(Clone)]
pub struct Keeper {
    /// The way to the cluster.
    pub client: Client,
    /// The authority to keep; without one the registration is only watched.
    pub own: Option<Own>,
    /// The name of the `MutatingWebhookConfiguration` by which API servers call, if it is known.
    pub configuration: Option<String>,
    /// What serves the certificate.
    pub holder: Arc<CertificateHolder>,
    /// What is known of the certificate that is served: a keeper that is begun anew goes on from there.
    pub served: Arc<Mutex<Option<Served>>>,
    /// Where it is said how things are.
    pub conditions: Conditions,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Keeper {
    /// Works for ever.
    pub async fn run(self) {
        let (secrets, secret) = watch::channel(Observed::default());
        let (configurations, configuration) = watch::channel(Observed::default());
        let follow_secret = async {
            if let Some(own) = &self.own {
                let api = Api::<Secret>::namespaced(self.client.clone(), &own.namespace);
                follow(api, &own.secret, &secrets).await;
            }
        };
        let follow_configuration = async {
            if let Some(name) = &self.configuration {
                let api = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
                follow(api, name, &configurations).await;
            }
        };
        tokio::join!(follow_secret, follow_configuration, self.keep(secret, configuration));
    }

    async fn keep(
        &self,
        mut secrets: watch::Receiver<Observed<Secret>>,
        mut configurations: watch::Receiver<Observed<MutatingWebhookConfiguration>>,
    ) {
        let mut rotation = Rotation::resume(self.served().clone());
        let mut authority = self.own.clone().map(|own| SharedAuthority::new(self, own));
        let mut registration = self.configuration.clone().map(|name| Registration::new(self, name));
        let shortest = self.own.as_ref().map_or(LOOK, |own| own.certificate_lifetime.get() / 40);
        let mut ticks = interval(shortest.min(LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Ok(()) = secrets.changed() => {}
                Ok(()) = configurations.changed() => {}
                _ = ticks.tick() => {}
            }
            if let Some(authority) = &mut authority {
                authority.see(&secrets.borrow_and_update());
            }
            if let Some(registration) = &mut registration {
                registration.see(&configurations.borrow_and_update());
            }
            let now = SystemTime::now();
            if let Some(authority) = &mut authority {
                let entries = registration.as_ref().map_or(Sight::Unknown, Registration::entries);
                let actions = rotation.next(authority.stored(), entries, now);
                if !actions.iter().any(|action| matches!(action, Action::MakeSecret | Action::Fill { .. })) {
                    authority.is_content();
                }
                if let Some(registration) = &mut registration
                    && !actions.iter().any(|action| matches!(action, Action::Register { .. }))
                {
                    registration.is_content();
                }
                // The reason is said before the remedy.
                authority.report(&rotation, now);
                for action in actions {
                    match (action, &mut registration) {
                        (Action::Serve { reason, authority: signer }, _) => {
                            authority.serve(&mut rotation, reason, signer, now);
                            *self.served() = rotation.served().cloned();
                        }
                        // Who is ending leaves that to those that stay, if any do.
                        (Action::MakeSecret, _) if self.conditions.serving.has_failed() => {}
                        (Action::MakeSecret, _) => authority.make_secret().await,
                        (Action::Fill { reason, trusted }, _) => authority.fill(&reason, trusted, now).await,
                        (Action::Register { reason, authorities }, Some(registration)) => {
                            registration.register(&reason, &authorities).await;
                        }
                        (Action::Register { .. }, None) => {}
                    }
                }
                expiry::report(&self.holder, Late::OWN, &self.metrics, &self.conditions.tls);
            }
            if let Some(registration) = &mut registration {
                registration.report(&self.holder, rotation.is_settling(now), SystemTime::now());
            }
        }
    }

    fn served(&self) -> MutexGuard<'_, Option<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
