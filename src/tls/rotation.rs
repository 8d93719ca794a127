//! What to do next about the authority, the certificate and the registration: from what is seen to what is done,
//! without a clock and without input or output of its own.
//!
//! The order that leaves no gap: a new authority is put into the Secret, then into the registration, and only when
//! API servers have had time to learn of that is a certificate of it served. Until then the earlier one is; and the
//! earlier authority stays registered until it expires, because other replicas may still serve what it has signed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    authority::Authority,
    bundle,
    certificate::{BACKDATED, CaCertificate, Validity},
    registration::Entry,
    secret::Stored,
};
use crate::cluster::Sight;

/// How long API servers may take to learn what is registered: each has a watch of its own. A tenth of an authority's
/// lifetime where that is less, so that a renewal is never late because of it.
const SETTLING: Duration = Duration::from_secs(10);

/// How many times [`SETTLING`] an authority is young.
const YOUNG: u32 = 6;

/// Which part of its lifetime an authority stays that has just come, though its renewal is due.
const HELD_BACK: u32 = 20;

/// How long a Secret that was there has to be missing until it is made anew. Helm 3 deletes it before the registration;
/// one that is made between the two would belong to no release, and the next installation would be refused because of it.
const ABSENCE: Duration = Duration::from_secs(3);

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make the Secret, empty.
    MakeSecret,
    /// Put a new authority into the Secret, and those that are to be trusted on.
    Fill {
        /// Why.
        reason: String,
        /// Those to be trusted on.
        trusted: Vec<CaCertificate>,
    },
    /// Register these authorities with every webhook.
    Register {
        /// Why.
        reason: String,
        /// The whole of the new bundle.
        authorities: Vec<CaCertificate>,
    },
    /// Serve a new certificate of this authority.
    Serve {
        /// Why.
        reason: &'static str,
        /// Who signs it.
        authority: Arc<Authority>,
    },
}

/// The certificate that is served.
#[derive(Clone, Debug)]
pub struct Served {
    authority: Arc<Authority>,
    validity: Validity,
    renewal: SystemTime,
}

/// All that has to be remembered between two looks.
#[derive(Debug, Default)]
pub struct Rotation {
    /// The authority of the Secret, the last one that could be used.
    current: Option<Arc<Authority>>,
    /// When it came, where it has followed another one.
    came: Option<SystemTime>,
    /// Whether the Secret was ever there.
    had_secret: bool,
    /// Since when it is missing.
    missing: Option<SystemTime>,
    /// Those that the Secret said are to be trusted.
    trusted: Vec<CaCertificate>,
    served: Option<Served>,
    registered: Registered,
}

/// Since when the current authority has been seen in the registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Registered {
    /// The registration was never seen.
    #[default]
    NeverSeen,
    /// It is not there.
    No,
    /// It came at that time.
    Since(SystemTime),
    /// It was there long before anybody looked, or nothing was that could be harmed.
    Settled,
}

impl Rotation {
    /// Goes on with what is served already. In the middle of a rotation that is not what the Secret holds.
    #[must_use]
    pub fn resume(served: Option<Served>) -> Self {
        Self { served, ..Self::default() }
    }

    /// What is to be done now, the most urgent first.
    pub fn next(
        &mut self,
        secret: Sight<&Stored>,
        registered: Sight<&[Entry]>,
        now: SystemTime,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        self.learn(secret, now);
        self.observe(registered, now);
        actions.extend(self.serve(registered, now));
        actions.extend(self.fill(secret, registered, now));
        actions.extend(self.register(registered, now));
        actions
    }

    /// Remembers what is served from now on.
    pub fn serves(&mut self, authority: Arc<Authority>, validity: Validity, renewal: SystemTime) {
        self.served = Some(Served { authority, validity, renewal });
    }

    /// The authority that signs what comes next.
    #[must_use]
    pub fn authority(&self) -> Option<&Arc<Authority>> {
        self.current.as_ref()
    }

    /// Whether a certificate is served.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        self.served.is_some()
    }

    /// The certificate that is served.
    #[must_use]
    pub const fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// Whether what is served is registered, and API servers have not had the time yet to learn of it.
    #[must_use]
    pub fn is_settling(&self, now: SystemTime) -> bool {
        match (&self.current, &self.served) {
            (Some(current), Some(served)) if same(current, &served.authority) => !self.has_settled(now),
            _ => false,
        }
    }

    /// Whether the authority is due for renewal and stays for a while all the same.
    ///
    /// A replica whose clock is far ahead finds each new authority due at once, and what it makes in its place is not
    /// valid yet for the others, who make another one at once: for ever, were there not this pause. Whatever is true
    /// of the clocks, an authority that can be used is good enough for half of the time that it has left.
    #[must_use]
    pub fn is_held_back(&self, now: SystemTime) -> bool {
        let (Some(current), Some(came)) = (&self.current, self.came) else { return false };
        let validity = current.certificate().validity();
        let left = validity.not_after().duration_since(came).unwrap_or_default();
        now >= current.renewal()
            && now >= came
            && now < came + (validity.lifetime() / HELD_BACK).min(left / 2)
    }

    fn learn(&mut self, secret: Sight<&Stored>, now: SystemTime) {
        match secret {
            Sight::Unknown => {}
            Sight::Missing => _ = self.missing.get_or_insert(now),
            Sight::Found(_) => (self.had_secret, self.missing) = (true, None),
        }
        let Sight::Found(Stored::Whole { authority, trusted }) = secret else { return };
        if unusable(authority, now).is_some() {
            return;
        }
        self.trusted.clone_from(trusted);
        if self.current.as_ref().is_none_or(|current| !same(current, authority)) {
            self.came = self.current.replace(Arc::clone(authority)).map(|_| now);
            // Of another one nothing is known.
            if self.registered != Registered::NeverSeen {
                self.registered = Registered::No;
            }
        }
    }

    fn observe(&mut self, registered: Sight<&[Entry]>, now: SystemTime) {
        let (Some(current), Sight::Found(entries)) = (&self.current, registered) else { return };
        let holds = |authority: &CaCertificate| entries.iter().all(|entry| entry.bundle.holds(authority));
        let before = self.registered;
        self.registered = if entries.is_empty() || !holds(current.certificate()) {
            Registered::No
        } else {
            match before {
                // Somebody else may have registered it a moment ago, in the middle of a rotation.
                Registered::NeverSeen if is_young(current, now) && !self.is_alone(entries, now) => {
                    Registered::Since(now)
                }
                Registered::NeverSeen => Registered::Settled,
                // Where this replica serves nothing else, and nothing else is registered, there is nothing to wait for.
                Registered::No if self.is_alone(entries, now) => Registered::Settled,
                Registered::No => Registered::Since(now),
                // The clock was set back.
                Registered::Since(since) if since > now => Registered::Since(now),
                other => other,
            }
        };
    }

    /// Whether no other authority counts.
    fn is_alone(&self, entries: &[Entry], now: SystemTime) -> bool {
        let Some(current) = &self.current else { return false };
        let others_are_served = self.served.as_ref().is_some_and(|served| !same(&served.authority, current));
        let mut registered = entries.iter().flat_map(|entry| &entry.bundle.authorities);
        !others_are_served
            && registered.all(|other| other == current.certificate() || other.validity().is_over(now))
    }

    fn has_settled(&self, now: SystemTime) -> bool {
        match self.registered {
            Registered::NeverSeen | Registered::No => false,
            Registered::Settled => true,
            Registered::Since(since) => {
                self.current.as_ref().is_some_and(|current| now >= since + settling(current))
            }
        }
    }

    fn serve(&self, registered: Sight<&[Entry]>, now: SystemTime) -> Option<Action> {
        let current = self.current.as_ref()?;
        let action = |authority: &Arc<Authority>, reason| {
            Some(Action::Serve { reason, authority: Arc::clone(authority) })
        };
        let Some(served) = &self.served else { return action(current, "none is served yet") };
        if !same(current, &served.authority) {
            let is_registered = |authority: &Authority| {
                registered.found().is_some_and(|entries| {
                    !entries.is_empty()
                        && entries.iter().all(|entry| entry.bundle.holds(authority.certificate()))
                })
            };
            if self.has_settled(now) {
                return action(current, "there is a new authority");
            }
            if is_registered(current) && !is_registered(&served.authority) {
                return action(current, "the earlier authority is not registered any more");
            }
            if unusable(&served.authority, now).is_some() {
                return action(current, "the earlier authority is not valid");
            }
        }
        // By the wall clock, for a machine may have been suspended; and a clock that was ahead may have been set right.
        if now >= served.renewal || served.validity.is_ahead(now) {
            // One that has expired signs nothing that anybody accepts.
            let signer = &served.authority;
            let signer = if unusable(signer, now).is_some() { current } else { signer };
            // Near the end of its authority a new one would end no later.
            let ends_with_authority =
                served.validity.not_after() >= signer.certificate().validity().not_after();
            let gains = !ends_with_authority || served.validity.is_ahead(now);
            if gains && unusable(signer, now).is_none() {
                return action(signer, "it is time to renew it");
            }
        }
        None
    }

    fn fill(&self, secret: Sight<&Stored>, registered: Sight<&[Entry]>, now: SystemTime) -> Option<Action> {
        let stored = match secret {
            Sight::Unknown => return None,
            Sight::Missing if self.had_secret && self.may_be_uninstalled(registered, now) => return None,
            Sight::Missing => return Some(Action::MakeSecret),
            Sight::Found(stored) => stored,
        };
        let reason = match stored {
            Stored::Empty => "the Secret is empty".to_owned(),
            Stored::Broken { reason, .. } => reason.clone(),
            Stored::Whole { authority, .. } => match unusable(authority, now) {
                Some(reason) => reason.to_owned(),
                None if now >= self.renewal_of(authority) && !self.is_held_back(now) => {
                    "it is time to renew it".to_owned()
                }
                None => return None,
            },
        };
        let mut trusted = self.needed(now);
        for authority in stored.trusted() {
            bundle::add(&mut trusted, authority.clone());
        }
        Some(Action::Fill { reason, trusted: bundle::kept(trusted, &self.own(), now) })
    }

    /// Whether the Secret may have gone for good: the registration has gone too, or there was no time yet to see that.
    fn may_be_uninstalled(&self, registered: Sight<&[Entry]>, now: SystemTime) -> bool {
        let since = self.missing.and_then(|missing| now.duration_since(missing).ok());
        matches!(registered, Sight::Missing) || since.is_some_and(|since| since < ABSENCE)
    }

    /// When to renew an authority: the moment that was drawn when it was first read.
    fn renewal_of(&self, authority: &Arc<Authority>) -> SystemTime {
        match &self.current {
            Some(current) if same(current, authority) => current.renewal(),
            _ => authority.renewal(),
        }
    }

    fn register(&self, registered: Sight<&[Entry]>, now: SystemTime) -> Option<Action> {
        let entries = registered.found()?;
        let needed = self.needed(now);
        if needed.is_empty() {
            return None;
        }
        let reason = entries.iter().find_map(|entry| {
            let bundle = &entry.bundle;
            let why = if !needed.iter().all(|authority| bundle.holds(authority)) {
                "lacks an authority"
            } else if bundle.has_garbage {
                "holds something that is no authority"
            } else if bundle.authorities.iter().any(|authority| authority.validity().is_long_over(now)) {
                "holds an authority that has expired"
            } else {
                return None;
            };
            Some(format!("the caBundle of {} {why}", entry.name))
        })?;
        Some(Action::Register { reason, authorities: needed })
    }

    /// What must be registered: what the Secret says, and whatever this replica serves.
    ///
    /// Foreign authorities that are registered beside these are left there as long as nothing has to be written:
    /// another replica may have seen the Secret change before this one has, and two that take turns in removing each
    /// other's would never end. They go with the next write. They are no risk of their own: who may write the
    /// registration may as well send the reviews elsewhere.
    fn needed(&self, now: SystemTime) -> Vec<CaCertificate> {
        let mut needed = self.trusted.clone();
        let own = self.own();
        for authority in &own {
            bundle::add(&mut needed, (*authority).clone());
        }
        needed.retain(|authority| !authority.validity().is_over(now));
        bundle::kept(needed, &own, now)
    }

    /// Those that sign now, or have signed what is served.
    fn own(&self) -> Vec<&CaCertificate> {
        let served = self.served.as_ref().map(|served| &served.authority);
        self.current.iter().chain(served).map(|authority| authority.certificate()).collect()
    }
}

/// How long API servers are given to learn that an authority is registered.
fn settling(authority: &Authority) -> Duration {
    SETTLING.min(authority.certificate().validity().lifetime() / 10)
}

/// Whether it was made so lately that it may have been registered just now, whatever whoever made it thinks of the
/// time. By then a replica that starts has not seen the change itself.
fn is_young(authority: &Authority, now: SystemTime) -> bool {
    let validity = authority.certificate().validity();
    now + validity.lifetime() < validity.not_after() + YOUNG * settling(authority) + BACKDATED
}

/// Whether two are the same authority.
fn same(one: &Authority, other: &Authority) -> bool {
    one.certificate() == other.certificate()
}

/// Why an authority must not sign now.
pub(super) fn unusable(authority: &Authority, now: SystemTime) -> Option<&'static str> {
    let validity = authority.certificate().validity();
    if validity.is_over(now) {
        Some("it has expired")
    } else if validity.is_ahead(now) {
        // One that this clock signs anew is accepted by the others too; the other way round it need not be.
        Some("it is not valid yet, because the clock of whoever made it is ahead")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
