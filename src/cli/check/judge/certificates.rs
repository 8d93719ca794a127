//! The authority that API servers trust, and the certificate that is served.

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhook, core::v1::Secret};
use kube::ResourceExt;

use super::{also_unknown, count, registration::called};
use crate::cli::check::{
    catalogue::{Check, Group},
    certificate::{Standing, about, validity, verdict},
    facts::{Facts, Handshake, Probe, Registrations, Replica, blames_fermata},
    finding::Finding,
};
use crate::tls::{bundle::Bundle, registration::Verdict};

/// Whose business a bad caBundle is, in each mode.
const BUNDLE: &str = "a self-signed Fermata mends it within seconds, unless its /readyz says why not (authority, \
                      registration); with cert-manager see cainjector's log and the annotation \
                      cert-manager.io/inject-ca-from; with files of your own set it to the PEM of their authority";

/// Whose business the served certificate is, in each mode.
const SERVED: &str = "a self-signed Fermata renews it by itself: look for errors in its log; cert-manager's Certificate \
                      says why it does not; files of your own have to be replaced, and are read again when they change";

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let checks = || Check::ALL.iter().copied().filter(|check| check.group() == Group::Certificates);
    let registrations = match &facts.registrations {
        Ok(registrations) => registrations,
        Err(gap) => return checks().map(|check| also_unknown(check, gap)).collect(),
    };
    let Some(webhook) = registrations.webhook() else {
        return checks().map(|check| Finding::skipped(check, "nothing is registered")).collect();
    };
    let pem = webhook.client_config.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
    let bundle = Bundle::read(pem);
    vec![
        valid(pem, &bundle),
        lifetime(facts, &bundle),
        matches(facts, registrations, webhook),
        served(facts),
        secret(facts, &bundle),
    ]
}

fn valid(pem: &[u8], bundle: &Bundle) -> Finding {
    if pem.is_empty() {
        let message =
            "caBundle is empty, so that API servers trust only the public authorities of their own system";
        return Finding::failed(Check::CaValid, message, BUNDLE);
    }
    if bundle.authorities.is_empty() {
        let message = format!(
            "no authority can be read from the {} of caBundle; it must be certificates in PEM",
            count(pem.len(), "byte")
        );
        return Finding::failed(Check::CaValid, message, BUNDLE);
    }
    let message = count(bundle.authorities.len(), "authority");
    if bundle.has_garbage {
        let message = format!("{message}, and something that is none");
        return Finding::warning(Check::CaValid, message, BUNDLE);
    }
    Finding::ok(Check::CaValid, message)
}

fn lifetime(facts: &Facts, bundle: &Bundle) -> Finding {
    let standings =
        || bundle.authorities.iter().map(|authority| Standing::of(authority.validity(), facts.now));
    let good = standings().filter_map(|standing| match standing {
        Standing::Good(left) => Some(left),
        _ => None,
    });
    let late = standings().filter_map(|standing| match standing {
        Standing::Late(left) => Some(left),
        _ => None,
    });
    if bundle.authorities.is_empty() {
        Finding::skipped(Check::CaLifetime, "there is no certificate in caBundle")
    } else if let Some(left) = good.max() {
        Finding::ok(Check::CaLifetime, format!("{} left", about(left)))
    } else if let Some(left) = late.max() {
        let message = format!("{} left, less than a quarter: it should have been renewed", about(left));
        Finding::warning(Check::CaLifetime, message, BUNDLE)
    } else {
        let message = match standings().next() {
            Some(Standing::Early(wait)) => {
                format!("counts only in {}: somebody's clock is wrong", about(wait))
            }
            Some(Standing::Expired(past)) => {
                format!("expired {} ago, so that API servers refuse the webhook", about(past))
            }
            _ => String::new(),
        };
        Finding::failed(Check::CaLifetime, message, BUNDLE)
    }
}

/// By a handshake of our own, or else by what others say of theirs: the API server has got through to the webhook if
/// a Pod was changed, and each replica compares for itself. That nobody answers here says little: a `NetworkPolicy`
/// may let in API servers alone.
fn matches(facts: &Facts, registrations: &Registrations, webhook: &MutatingWebhook) -> Finding {
    const CHECK: Check = Check::CaMatches;
    let unreached = match &facts.handshake {
        Handshake::Presented { address, chain } => {
            return match verdict(webhook, chain, facts.now) {
                Verdict::Accepted => Finding::ok(CHECK, format!("shown by {address}")),
                Verdict::Unclear(reason) => Finding::skipped(CHECK, reason),
                Verdict::Refused(reason) => {
                    let message =
                        format!("API servers refuse the certificate that {address} shows: {reason}");
                    Finding::failed(CHECK, message, BUNDLE)
                }
            };
        }
        Handshake::Unreachable { address, error } => Ok((address, error)),
        Handshake::NotTried(reason) => Err(reason),
    };
    if let Some((pod, reason)) =
        facts.replicas.as_ref().and_then(|replicas| replicas.as_ref().ok()?.iter().find_map(disagrees))
    {
        return Finding::failed(CHECK, format!("replica {pod} says: {reason}"), BUNDLE);
    }
    let agrees = |replica: &Replica| {
        let page = replica.ready_page.as_deref();
        page.is_some_and(|page| page.lines().any(|line| line == "[+]registration ok"))
    };
    if matches!(&facts.replicas, Some(Ok(replicas)) if replicas.iter().any(agrees)) {
        return Finding::ok(CHECK, "the replicas have compared it themselves");
    }
    if matches!(&facts.probe, Probe::Admitted(admitted) if super::admission::status(&admitted.pod).is_some())
    {
        return Finding::ok(CHECK, "the API server has got through to the webhook");
    }
    let (address, error) = match unreached {
        Ok(unreached) => unreached,
        Err(reason) => return Finding::skipped(CHECK, reason.clone()),
    };
    let message = format!("nobody can be asked at {address}: {error}");
    // That a Pod came back as it was speaks for what is seen here.
    let is_proven = match &facts.probe {
        Probe::Admitted(_) => true,
        Probe::Refused { message, .. } => blames_fermata(message, Some(webhook)),
        _ => false,
    };
    if webhook.client_config.service.is_some() && !is_proven {
        return Finding::warning(
            CHECK,
            format!("{message}, which a NetworkPolicy may do to all but API servers"),
            format!(
                "let it be known otherwise: permit this check one of: {}",
                CHECK.needs().trim_start_matches("outside the cluster one of: ")
            ),
        );
    }
    let way_out = format!(
        "let the webhook listen there, or correct what {} calls ({})",
        registrations.chosen().map_or_else(String::new, ResourceExt::name_any),
        called(webhook)
    );
    Finding::failed(CHECK, message, way_out)
}

/// What a replica says against what is registered.
fn disagrees(replica: &Replica) -> Option<(String, String)> {
    let page = replica.ready_page.as_deref()?;
    let line = page.lines().find_map(|line| line.strip_prefix("[-]registration failed: "))?;
    Some((replica.pod.name_any(), line.to_owned()))
}

fn served(facts: &Facts) -> Finding {
    const CHECK: Check = Check::CertificateLifetime;
    let chain = match &facts.handshake {
        Handshake::Presented { chain, .. } => chain,
        Handshake::NotTried(reason) => return Finding::skipped(CHECK, reason.clone()),
        Handshake::Unreachable { address, error } => {
            return Finding::skipped(CHECK, format!("nobody shows one at {address}: {error}"));
        }
    };
    let Some(leaf) = chain.first().and_then(|leaf| validity(leaf)) else {
        return Finding::failed(CHECK, "what is served is no certificate", SERVED);
    };
    match Standing::of(leaf, facts.now) {
        Standing::Good(left) => Finding::ok(CHECK, format!("{} left", about(left))),
        Standing::Late(left) => {
            let message = format!("{} left, less than a quarter: it should have been renewed", about(left));
            Finding::warning(CHECK, message, SERVED)
        }
        Standing::Early(wait) => Finding::failed(
            CHECK,
            format!("counts only in {}: somebody's clock is wrong", about(wait)),
            SERVED,
        ),
        Standing::Expired(past) => Finding::failed(CHECK, format!("expired {} ago", about(past)), SERVED),
    }
}

fn secret(facts: &Facts, bundle: &Bundle) -> Finding {
    const CHECK: Check = Check::AuthoritySecret;
    let (name, secret) = match &facts.secret {
        None => return Finding::skipped(CHECK, "no Deployment names one, by --tls-secret"),
        Some((name, secret)) => (name, secret),
    };
    let secret: &Secret = match secret {
        Err(gap) => return Finding::unknown(CHECK, gap),
        Ok(None) => {
            let message = format!("the Secret {name} does not exist");
            return Finding::failed(
                CHECK,
                message,
                "a replica makes it anew, unless its /readyz says why not (authority)",
            );
        }
        Ok(Some(secret)) => secret,
    };
    // A Secret is known of a Deployment, and that of its Namespace.
    let namespace = facts.own_namespace.as_deref().unwrap_or_default();
    let mend = format!(
        "delete its keys, and a replica makes a new authority:\nkubectl -n {namespace} patch secret {name} --type=merge -p '{{\"data\":null}}'"
    );
    let pem = secret.data.as_ref().and_then(|data| data.get("tls.crt")).map_or(&[][..], |pem| &pem.0);
    let Some(authority) = Bundle::read(pem).authorities.into_iter().next() else {
        let message = format!("the Secret {name} has no certificate in tls.crt");
        return Finding::failed(
            CHECK,
            message,
            "a replica fills it, unless its /readyz says why not (authority)",
        );
    };
    match Standing::of(authority.validity(), facts.now) {
        Standing::Expired(past) => {
            Finding::failed(CHECK, format!("{name} expired {} ago", about(past)), mend)
        }
        Standing::Early(wait) => {
            Finding::failed(CHECK, format!("{name} counts only in {}", about(wait)), mend)
        }
        Standing::Good(_) | Standing::Late(_) if !bundle.holds(&authority) => {
            Finding::failed(CHECK, format!("caBundle lacks the authority in the Secret {name}"), BUNDLE)
        }
        Standing::Late(left) => {
            let message =
                format!("{name}: {} left, less than a quarter: it should have been renewed", about(left));
            Finding::warning(CHECK, message, "see the replicas' log and /readyz (authority)")
        }
        Standing::Good(left) => Finding::ok(CHECK, format!("{name}: {} left", about(left))),
    }
}
