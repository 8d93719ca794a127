//! Whether API servers can call this program: the name that they use and the authorities that they trust are
//! registered in a `MutatingWebhookConfiguration`, and both are tried on the served certificate as rustls would.

use std::{sync::Arc, time::SystemTime};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use rustls::{
    CertificateError, Error, ExtendedKeyPurpose, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{bundle::Bundle, provider};

/// One registered webhook, as far as it says how to trust this program.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The name that the API server expects in the certificate; nothing where it says no address.
    pub server_name: Option<String>,
    /// Whether the API server judges by the roots of its own system, because there is no bundle, and could be right.
    pub by_system_roots: bool,
    /// Its `caBundle`.
    pub bundle: Bundle,
}

impl Entry {
    /// Reads all entries of a configuration.
    #[must_use]
    pub fn all(configuration: &MutatingWebhookConfiguration) -> Vec<Self> {
        configuration.webhooks.iter().flatten().map(Self::read).collect()
    }

    fn read(webhook: &MutatingWebhook) -> Self {
        let client = &webhook.client_config;
        let bundle = client.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
        // Of a service the API server makes a name of its own; it does not resolve it.
        let server_name = match (&client.service, &client.url) {
            (Some(service), _) => Some(format!("{}.{}.svc", service.name, service.namespace)),
            (None, Some(url)) => host(url),
            (None, None) => None,
        };
        Self {
            name: webhook.name.clone(),
            server_name,
            // Nobody signs names of services publicly.
            by_system_roots: bundle.is_empty() && client.service.is_none(),
            bundle: Bundle::read(bundle),
        }
    }
}

/// `anyExtendedKeyUsage` (RFC 5280, section 4.2.1.12).
const ANY_PURPOSE: [usize; 5] = [2, 5, 29, 37, 0];

/// The host of a URL, without the brackets of an IPv6 address.
fn host(url: &str) -> Option<String> {
    let host = url.parse::<axum::http::Uri>().ok()?.host()?.to_owned();
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// What API servers will make of the served certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They accept it.
    Accepted,
    /// It cannot be said from here.
    Unclear(String),
    /// They refuse it, for that reason.
    Refused(String),
}

/// Judges a chain, leaf first, by all entries; the worst verdict counts.
#[must_use]
pub fn judge(chain: &[CertificateDer<'_>], entries: &[Entry], now: SystemTime) -> Verdict {
    if entries.is_empty() {
        return Verdict::Unclear("it has no webhook".into());
    }
    let mut worst = Verdict::Accepted;
    for entry in entries {
        match (judge_one(chain, entry, now), &worst) {
            (refused @ Verdict::Refused(_), _) => return refused,
            (unclear @ Verdict::Unclear(_), Verdict::Accepted) => worst = unclear,
            _ => {}
        }
    }
    worst
}

fn judge_one(chain: &[CertificateDer<'_>], entry: &Entry, now: SystemTime) -> Verdict {
    let Some(name) = &entry.server_name else {
        return Verdict::Unclear(format!("{} names neither a service nor a URL", entry.name));
    };
    let Ok(server_name) = ServerName::try_from(name.as_str()) else {
        return Verdict::Unclear(format!("{} is called by a name that cannot be judged: {name}", entry.name));
    };
    if entry.by_system_roots {
        return Verdict::Unclear(format!(
            "{} has no caBundle, so that the API server's own roots count",
            entry.name
        ));
    }
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Verdict::Refused("no certificate is served".into());
    };
    let mut roots = RootCertStore::empty();
    for authority in &entry.bundle.authorities {
        // What rustls cannot read is no root; the verdict then tells.
        let _ = roots.add(authority.der().clone());
    }
    if roots.is_empty() {
        let what = if entry.bundle.has_garbage { "no certificate of an authority" } else { "nothing" };
        return Verdict::Refused(format!("the caBundle of {} holds {what}", entry.name));
    }
    let verifier = match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() {
        Ok(verifier) => verifier,
        Err(error) => return Verdict::Unclear(error.to_string()),
    };
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(since_1970);
    match verifier.verify_server_cert(leaf, intermediates, &server_name, &[], now) {
        Ok(_) => Verdict::Accepted,
        Err(error) => verdict(&error, entry, name),
    }
}

fn verdict(error: &Error, entry: &Entry, name: &str) -> Verdict {
    let Error::InvalidCertificate(why) = error else { return Verdict::Unclear(error.to_string()) };
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Verdict::Refused(format!("the caBundle of {} does not have its authority", entry.name))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Verdict::Refused(format!("{} is called by the name {name}, which it is not for", entry.name))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Verdict::Refused("it, or its authority, has expired".into())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Verdict::Refused("it, or its authority, is not valid yet; check the clocks".into())
        }
        CertificateError::InvalidPurpose => Verdict::Refused("it is not for servers".into()),
        CertificateError::InvalidPurposeContext { presented, .. } if !allows_any_purpose(presented) => {
            Verdict::Refused("it is not for servers: its extended key usage lacks serverAuth".into())
        }
        // Go accepts more than rustls does: a server's certificate that is its own authority, one for any purpose,
        // or curves that ring does not know. Taking a webhook that works out of service would be worse than not to know.
        other => Verdict::Unclear(format!("the caBundle of {} cannot be judged: {other}", entry.name)),
    }
}

fn allows_any_purpose(purposes: &[ExtendedKeyPurpose]) -> bool {
    purposes.iter().any(|purpose| matches!(purpose, ExtendedKeyPurpose::Other(oid) if *oid == ANY_PURPOSE))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose as Purpose, IsCa,
        KeyPair,
    };
    use rustls::pki_types::CertificateDer;
    use serde_json::{Value, json};

    use super::{Entry, Verdict, judge};
    use crate::tls::{Identity, authority::Authority, bundle, certificate::CaCertificate};

    const DAY: Duration = Duration::from_hours(24);

    fn entry(client: &Value) -> Entry {
        let configuration = json!({ "webhooks": [{ "name": "pods.fermata.dev", "clientConfig": client,
            "admissionReviewVersions": ["v1"], "sideEffects": "None" }] });
        let configuration: MutatingWebhookConfiguration = serde_json::from_value(configuration).unwrap();
        Entry::all(&configuration).remove(0)
    }

    fn issued(name: &str) -> (Authority, Identity) {
        let authority = Authority::generate(SystemTime::now(), DAY).unwrap().authority;
        let leaf = authority.issue(&[name.to_owned()], SystemTime::now(), DAY).unwrap();
        (authority, leaf.identity)
    }

    fn trusting(client: &Value, authority: &Authority) -> Entry {
        let mut entry = entry(client);
        entry.bundle.authorities.push(authority.certificate().clone());
        entry.by_system_roots = false;
        entry
    }

    #[test]
    fn the_name_is_the_one_that_the_api_server_uses() {
        let service = json!({ "service": { "name": "fermata", "namespace": "infra", "path": "/mutate" } });
        for (client, name) in [
            (service, Some("fermata.infra.svc")),
            (json!({ "url": "https://127.0.0.1:8443/mutate" }), Some("127.0.0.1")),
            (json!({ "url": "https://[::1]:8443/mutate" }), Some("::1")),
            (json!({ "url": "https://hooks.example.com" }), Some("hooks.example.com")),
            (json!({ "url": "not a url" }), None),
            (json!({}), None),
        ] {
            assert_eq!(entry(&client).server_name.as_deref(), name, "{client}");
            let Some(name) = name else { continue };
            let (authority, identity) = issued(name);
            let entry = trusting(&client, &authority);
            assert_eq!(judge(identity.chain(), &[entry], SystemTime::now()), Verdict::Accepted, "{client}");
        }
    }

    #[test]
    fn what_api_servers_refuse_is_told() {
        let client = json!({ "service": { "name": "fermata", "namespace": "infra" } });
        let now = SystemTime::now();
        let (authority, identity) = issued("fermata.infra.svc");
        let (other, misnamed) = issued("fermata.other.svc");
        let refused = |identity: &Identity, entry: Entry, now| match judge(identity.chain(), &[entry], now) {
            Verdict::Refused(why) => why,
            verdict => panic!("{verdict:?}"),
        };
        let trusting = |authority| trusting(&client, authority);
        assert!(refused(&identity, entry(&client), now).ends_with("holds nothing"));
        assert!(refused(&identity, trusting(&other), now).ends_with("does not have its authority"));
        assert!(
            refused(&misnamed, trusting(&other), now)
                .contains("by the name fermata.infra.svc, which it is not for")
        );
        assert!(refused(&identity, trusting(&authority), now + DAY * 2).ends_with("has expired"));
        assert!(refused(&identity, trusting(&authority), now - DAY).contains("not valid yet"));
    }

    /// Go's verdicts: what is listed must hold servers, or anything.
    #[test]
    fn a_certificate_for_another_purpose_is_refused() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let client = json!({ "url": "https://shop.example.com/" });
        let mut entry = entry(&client);
        entry.bundle.authorities.push(CaCertificate::new(issuer.der().clone()).unwrap());
        entry.by_system_roots = false;
        let verdict = |purposes: &[Purpose]| {
            let mut params = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
            params.extended_key_usages = purposes.to_vec();
            let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
            let chain: [CertificateDer<'_>; 1] = [leaf.der().clone()];
            judge(&chain, std::slice::from_ref(&entry), SystemTime::now())
        };
        for accepted in [&[][..], &[Purpose::ServerAuth], &[Purpose::ClientAuth, Purpose::ServerAuth]] {
            assert_eq!(verdict(accepted), Verdict::Accepted, "{accepted:?}");
        }
        let refused = verdict(&[Purpose::ClientAuth]);
        assert!(matches!(&refused, Verdict::Refused(why) if why.contains("lacks serverAuth")), "{refused:?}");
        let any = verdict(&[Purpose::ClientAuth, Purpose::Any]);
        assert!(matches!(any, Verdict::Unclear(_)), "Go accepts it: {any:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_not_refused() {
        let now = SystemTime::now();
        let (authority, identity) = issued("127.0.0.1");
        let url = json!({ "url": "https://127.0.0.1/" });
        let unclear = |chain: &Identity, entries: &[Entry]| {
            matches!(judge(chain.chain(), entries, now), Verdict::Unclear(_))
        };
        assert!(unclear(&identity, &[]));
        assert!(unclear(&identity, &[entry(&url)]), "the API server's own roots count");
        assert!(unclear(&identity, &[entry(&json!({}))]));
        // The worst counts.
        let entries = [trusting(&url, &authority), entry(&json!({})), trusting(&url, &issued("a").0)];
        assert!(matches!(judge(identity.chain(), &entries, now), Verdict::Refused(_)));
        assert!(!bundle::write(&entries[0].bundle.authorities).is_empty());
    }
}
