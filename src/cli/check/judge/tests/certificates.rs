//! Authorities and certificates of every age, and who has seen them.

use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use super::{admitted, facts, find, patched, selectors::change, typed, well};
use crate::cli::check::{
    catalogue::Check,
    facts::{Facts, Handshake, Probe, Replica},
    finding::State,
};

/// That many days from now.
fn day(days: i64) -> SystemTime {
    let length = Duration::from_hours(24 * days.unsigned_abs());
    if days < 0 { SystemTime::now() - length } else { SystemTime::now() + length }
}

fn params(from: i64, until: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["fermata.fermata.svc".to_owned()]).unwrap();
    params.not_before = day(from).into();
    params.not_after = day(until).into();
    params
}

/// An authority, valid from one day to another.
pub(super) fn authority(from: i64, until: i64) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(from, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The handshake with somebody who shows a certificate of an authority.
pub(super) fn shown(by: &CertifiedIssuer<'_, KeyPair>, from: i64, until: i64) -> Handshake {
    let leaf = params(from, until).signed_by(&KeyPair::generate().unwrap(), by).unwrap();
    Handshake::Presented { address: "fermata.fermata.svc:443".into(), chain: vec![leaf.der().to_vec()] }
}

/// Registers something as `caBundle`.
pub(super) fn register(facts: &mut Facts, bundle: &str) {
    let bundle = json!(ByteString(bundle.as_bytes().to_vec()));
    change(facts, |webhook| webhook["clientConfig"]["caBundle"] = bundle.clone());
}

/// The Secret with an authority, or with something else.
pub(super) fn keep(facts: &mut Facts, pem: &str) {
    let secret = json!({ "data": { "tls.crt": ByteString(pem.as_bytes().to_vec()) } });
    facts.secret = Some(("fermata-authority".into(), Ok(Some(typed(secret)))));
}

#[test]
fn nobody_who_answers_is_no_failure_where_others_have_got_through() {
    let handshake = || Handshake::Unreachable {
        address: "fermata.fermata.svc:443".into(),
        error: "no answer within 5 s".into(),
    };
    let unreachable = || Facts { handshake: handshake(), ..facts() };
    let says = |line: &str| {
        let replica = Replica { ready_page: Some(format!("{line}\nready\n")), ..well("one", "a") };
        Facts { replicas: Some(Ok(vec![replica])), probe: Probe::NoNamespace, ..unreachable() }
    };
    let mut bare = patched();
    bare["metadata"]["annotations"] = serde_json::Value::Null;
    let refused =
        |message: &str| Probe::Refused { namespace: "shop".into(), code: 500, message: message.into() };
    for (facts, state, part) in [
        (unreachable(), State::Ok, "the API server has got through"),
        (says("[+]registration ok"), State::Ok, "the replicas have compared it themselves"),
        (says("[-]registration failed: no authority"), State::Failed, "replica one says: no authority"),
        (says("[ ]registration not watched"), State::Warning, "which a NetworkPolicy may do"),
        (
            Facts { probe: Probe::NoNamespace, ..unreachable() },
            State::Warning,
            "which a NetworkPolicy may do",
        ),
        (Facts { probe: refused("exceeded quota"), ..unreachable() }, State::Warning, "a NetworkPolicy"),
        (Facts { probe: admitted(bare, &[]), ..unreachable() }, State::Failed, "nobody can be asked"),
        (
            Facts { probe: refused("failed calling webhook \"pods.fermata.dev\": EOF"), ..unreachable() },
            State::Failed,
            "nobody can be asked",
        ),
    ] {
        let finding = find(&facts, Check::CaMatches);
        assert!(finding.state == state && finding.message.contains(part), "{part}: {finding:?}");
    }
    let mut facts = Facts { probe: Probe::NoNamespace, ..unreachable() };
    change(&mut facts, |webhook| {
        webhook["clientConfig"]["service"] = serde_json::Value::Null;
        webhook["clientConfig"]["url"] = "https://192.0.2.1/mutate".into();
    });
    let finding = find(&facts, Check::CaMatches);
    assert_eq!(finding.state, State::Failed, "no policy of the cluster stands before a URL: {finding:?}");
}

#[test]
fn the_way_out_names_the_namespace_of_the_secret() {
    let mut facts = facts();
    keep(&mut facts, &authority(-9, -1).pem());
    let finding = find(&facts, Check::AuthoritySecret);
    assert!(
        finding.hint.as_ref().unwrap().ends_with(
            "\nkubectl -n fermata patch secret fermata-authority --type=merge -p '{\"data\":null}'"
        ),
        "{finding:?}"
    );
}
