//! Each kind of damage, all of them: what is not well is said with a way out.

use std::{collections::BTreeSet, fs, path::Path};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::{Value, json};

use super::{
    admitted, budget,
    certificates::{authority, keep, register, shown},
    facts, judge, namespace, patched, replica,
    selectors::change,
    typed, well,
};
use crate::cli::check::{
    catalogue::Check,
    facts::{Coverage, Facts, Gap, Handshake, Missed, OptedIn, Probe, Registrations, Replica},
    finding::{Finding, State},
    judge::unreachable,
    text::is_command,
};

/// What is done to an installation that is well.
type Damage = fn(&mut Facts);

fn webhook(facts: &mut Facts, key: &str, value: &Value) {
    change(facts, |webhook| webhook[key] = value.clone());
}

fn deployment(facts: &mut Facts, pointer: &str, value: Value) {
    let Some(Ok(deployments)) = &mut facts.deployments else { panic!("there are none") };
    let mut deployment = serde_json::to_value(&deployments[0]).unwrap();
    *deployment.pointer_mut(pointer).unwrap() = value;
    deployments[0] = typed(deployment);
}

fn registered(facts: &mut Facts) -> &mut Registrations {
    facts.registrations.as_mut().unwrap()
}

/// A second one, of another installation.
fn other() -> MutatingWebhookConfiguration {
    let mut other = facts().registrations.unwrap().candidates.remove(0);
    other.metadata.name = Some("old".into());
    other
}

/// The Pod of the dry run, with something else.
fn returned(facts: &mut Facts, pointer: &str, value: Value) {
    let mut pod = patched();
    *pod.pointer_mut(pointer).unwrap() = value;
    facts.probe = admitted(pod, &[]);
}

fn refused(facts: &mut Facts, code: u16, message: &str) {
    facts.probe = Probe::Refused { namespace: "shop".into(), code, message: message.into() };
}

/// One that has been served, with the authority registered.
fn served(facts: &mut Facts, from: i64, until: i64) {
    let authority = authority(-1000, 1000);
    register(facts, &authority.pem());
    facts.handshake = shown(&authority, from, until);
}

fn unreached(facts: &mut Facts) {
    facts.handshake =
        Handshake::Unreachable { address: "fermata.fermata.svc:443".into(), error: "refused".into() };
}

fn unanswered<T>() -> Result<T, Gap> {
    Err(Gap::NoAnswer("list: nothing within 4 s".into()))
}

#[rustfmt::skip]
const DAMAGE: &[(Check, State, Damage)] = &[
    (Check::ApiVersion, State::Failed, |facts| facts.api.version = "1.26".parse().ok()),
    (Check::ApiVersion, State::Warning, |facts| facts.api.version = "1.29".parse().ok()),

    (Check::RegistrationExists, State::Failed, |facts| registered(facts).candidates.clear()),
    (Check::RegistrationExists, State::Failed, |facts| registered(facts).candidates[0].webhooks = None),
    (Check::RegistrationExists, State::Failed, |facts| {
        registered(facts).candidates.clear();
        registered(facts).others.push(other());
    }),
    (Check::RegistrationExists, State::Failed, |facts| facts.registrations = unanswered()),
    (Check::RegistrationUnique, State::Warning, |facts| registered(facts).others.push(other())),
    (Check::RegistrationRules, State::Failed, |facts| webhook(facts, "rules", &json!([]))),
    (Check::RegistrationRules, State::Failed, |facts| {
        webhook(facts, "rules", &json!([]));
        let helm = [("name", "gateway"), ("namespace", "infra")]
            .map(|(key, value)| (format!("meta.helm.sh/release-{key}"), value.to_owned()));
        registered(facts).candidates[0].metadata.annotations = Some(helm.into());
    }),
    (Check::RegistrationSelectors, State::Failed, |facts| {
        webhook(facts, "namespaceSelector", &json!({ "matchLabels": { "fermata.dev/inject": "true" } }));
    }),
    (Check::RegistrationSelectors, State::Failed, |facts| {
        webhook(facts, "objectSelector", &json!({ "matchLabels": { "fermata.dev/inject": "disabled" } }));
    }),
    (Check::RegistrationSelectors, State::Warning, |facts| webhook(facts, "namespaceSelector", &json!({}))),
    (Check::RegistrationSelectors, State::Failed, |facts| {
        webhook(facts, "namespaceSelector", &json!({}));
        webhook(facts, "failurePolicy", &json!("Fail"));
    }),
    (Check::RegistrationSelectors, State::Warning, |facts| {
        change(facts, |webhook| webhook["namespaceSelector"]["matchLabels"] = Value::Null);
    }),
    (Check::RegistrationConditions, State::Warning, |facts| {
        webhook(facts, "matchConditions", &json!([{ "name": "own", "expression": "object.spec.x" }]));
        webhook(facts, "failurePolicy", &json!("Fail"));
    }),
    (Check::RegistrationFailurePolicy, State::Warning, |facts| webhook(facts, "failurePolicy", &json!("Fail"))),
    (Check::RegistrationTimeout, State::Warning, |facts| webhook(facts, "timeoutSeconds", &json!(30))),
    (Check::RegistrationTimeout, State::Warning, |facts| webhook(facts, "timeoutSeconds", &json!(1))),
    (Check::RegistrationReinvocation, State::Warning, |facts| webhook(facts, "reinvocationPolicy", &json!("Never"))),

    (Check::CaValid, State::Failed, |facts| register(facts, "")),
    (Check::CaValid, State::Failed, |facts| register(facts, "garbage")),
    (Check::CaValid, State::Warning, |facts| {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        register(facts, &(authority(-1, 99).pem() + broken));
    }),
    (Check::CaLifetime, State::Warning, |facts| register(facts, &authority(-80, 20).pem())),
    (Check::CaLifetime, State::Failed, |facts| register(facts, &authority(-80, -1).pem())),
    (Check::CaLifetime, State::Failed, |facts| register(facts, &authority(1, 80).pem())),
    (Check::CaMatches, State::Failed, |facts| facts.handshake = shown(&authority(-1, 99), -1, 9)),
    (Check::CaMatches, State::Failed, |facts| {
        let page = Some("[-]registration failed: no authority\nnot ready\n".into());
        facts.replicas = Some(Ok(vec![Replica { ready_page: page, ..well("one", "a") }]));
    }),
    (Check::CaMatches, State::Warning, |facts| {
        unreached(facts);
        facts.probe = Probe::NoNamespace;
    }),
    (Check::CaMatches, State::Failed, |facts| {
        unreached(facts);
        returned(facts, "/metadata/annotations", Value::Null);
    }),
    (Check::CertificateLifetime, State::Failed, |facts| {
        facts.handshake = Handshake::Presented { address: String::new(), chain: Vec::new() };
    }),
    (Check::CertificateLifetime, State::Warning, |facts| served(facts, -80, 20)),
    (Check::CertificateLifetime, State::Failed, |facts| served(facts, -80, -1)),
    (Check::CertificateLifetime, State::Failed, |facts| served(facts, 1, 80)),
    (Check::AuthoritySecret, State::Failed, |facts| facts.secret = Some(("fermata-authority".into(), Ok(None)))),
    (Check::AuthoritySecret, State::Failed, |facts| facts.secret = Some(("fermata-authority".into(), unanswered()))),
    (Check::AuthoritySecret, State::Failed, |facts| keep(facts, "garbage")),
    (Check::AuthoritySecret, State::Failed, |facts| keep(facts, &authority(-80, -1).pem())),
    (Check::AuthoritySecret, State::Failed, |facts| keep(facts, &authority(1, 80).pem())),
    (Check::AuthoritySecret, State::Failed, |facts| keep(facts, &authority(-1, 80).pem())),
    (Check::AuthoritySecret, State::Warning, |facts| {
        let late = authority(-80, 20).pem();
        register(facts, &late);
        keep(facts, &late);
    }),

    (Check::ReplicasDeployed, State::Failed, |facts| facts.deployments = Some(Ok(Vec::new()))),
    (Check::ReplicasDeployed, State::Failed, |facts| facts.deployments = Some(unanswered())),
    (Check::ReplicasReady, State::Failed, |facts| deployment(facts, "/spec/replicas", json!(0))),
    (Check::ReplicasReady, State::Failed, |facts| deployment(facts, "/status/readyReplicas", json!(0))),
    (Check::ReplicasReady, State::Warning, |facts| deployment(facts, "/status/readyReplicas", json!(1))),
    (Check::ReplicasReady, State::Warning, |facts| deployment(facts, "/status/updatedReplicas", json!(1))),
    (Check::ReplicasReady, State::Warning, |facts| {
        let page = Some("[-]config degraded: no such key\nready\n".into());
        facts.replicas = Some(Ok(vec![Replica { ready_page: page, ..well("one", "a") }, well("two", "b")]));
    }),
    (Check::ReplicasEnough, State::Warning, |facts| deployment(facts, "/spec/replicas", json!(1))),
    (Check::ReplicasSpread, State::Warning, |facts| facts.replicas = Some(Ok(vec![well("one", "a"), well("two", "a")]))),
    (Check::ReplicasSpread, State::Failed, |facts| facts.replicas = Some(unanswered())),
    (Check::ReplicasBudget, State::Warning, |facts| facts.budgets = Some(Ok(Vec::new()))),
    (Check::ReplicasBudget, State::Warning, |facts| facts.budgets = Some(Ok(vec![budget(&json!({ "maxUnavailable": 0 }))]))),
    (Check::ReplicasBudget, State::Failed, |facts| facts.budgets = Some(unanswered())),
    (Check::ReplicasReached, State::Failed, |facts| facts.service = Some(Ok(None))),
    (Check::ReplicasReached, State::Failed, |facts| facts.service = Some(Ok(Some(typed(json!({})))))),
    (Check::ReplicasReached, State::Failed, |facts| facts.endpoints = Some(Ok(Vec::new()))),
    (Check::ReplicasReached, State::Failed, |facts| facts.endpoints = Some(unanswered())),
    (Check::ReplicasVersion, State::Warning, |facts| facts.replicas = Some(Ok(vec![replica("one", "a", "0.0.9", None)]))),

    (Check::PodPatched, State::Failed, |facts| {
        facts.probe = Probe::NoNamespace;
        facts.is_probe_asked_for = true;
    }),
    (Check::PodPatched, State::Failed, |facts| {
        facts.probe = Probe::NoAnswer { namespace: "shop".into(), error: "nothing within 15 s".into() };
    }),
    (Check::PodPatched, State::Failed, |facts| refused(facts, 422, "Pod \"x\" is invalid: spec")),
    (Check::PodPatched, State::Failed, |facts| refused(facts, 400, "admission webhook \"pods.fermata.dev\" denied")),
    (Check::PodPatched, State::Failed, |facts| refused(facts, 500, "failed calling webhook \"pods.fermata.dev\"")),
    (Check::PodPatched, State::Failed, |facts| refused(facts, 404, "namespaces \"shop\" not found")),
    (Check::PodPatched, State::Failed, |facts| returned(facts, "/spec/containers/0/lifecycle", Value::Null)),
    (Check::PodPatched, State::Failed, |facts| returned(facts, "/spec/terminationGracePeriodSeconds", json!(5))),
    (Check::PodPatched, State::Warning, |facts| facts.probe = admitted(patched(), &["fermata: no such key"])),
    (Check::PodPatched, State::Warning, |facts| {
        let status = json!({ "version": env!("CARGO_PKG_VERSION"), "skipped": { "app": "drain-zero" } });
        returned(facts, "/metadata/annotations/fermata.dev~1status", status.to_string().into());
    }),
    (Check::PodPatched, State::Failed, |facts| returned(facts, "/metadata/annotations", Value::Null)),
    (Check::PodPatched, State::Failed, |facts| {
        returned(facts, "/metadata/annotations", Value::Null);
        unreached(facts);
    }),
    (Check::PodPatched, State::Failed, |facts| {
        returned(facts, "/metadata/annotations", Value::Null);
        facts.registrations = unanswered();
    }),

    (Check::NamespacesOptedIn, State::Warning, |facts| facts.opted_in = Ok(OptedIn::default())),
    (Check::NamespacesOptedIn, State::Warning, |facts| {
        let namespaces = vec![namespace("kube-system", &json!({}))];
        facts.opted_in = Ok(OptedIn { namespaces });
    }),
    (Check::NamespacesOptedIn, State::Warning, |facts| {
        change(facts, |webhook| webhook["namespaceSelector"]["matchLabels"]["team"] = "a".into());
    }),
    (Check::NamespacesOptedIn, State::Warning, |facts| {
        change(facts, |webhook| webhook["namespaceSelector"]["matchLabels"]["fermata.dev/inject"] = "true".into());
    }),
    (Check::NamespacesOptedIn, State::Failed, |facts| facts.opted_in = unanswered()),
    (Check::PodsCovered, State::Warning, |facts| {
        let missed = |workload: Option<&str>| Missed {
            namespace: "shop".into(),
            pod: "web-1".into(),
            workload: workload.map(str::to_owned),
        };
        let missed = vec![missed(None), missed(Some("deployment/web"))];
        facts.coverage = Some(Coverage { looked_at: 2, missed, ..Coverage::default() });
    }),
    (Check::PodsCovered, State::Warning, |facts| {
        let missed = |number: usize| Missed {
            namespace: "shop".into(),
            pod: format!("web-{number}"),
            workload: Some(format!("deployment/web-{number}")),
        };
        facts.coverage = Some(Coverage { looked_at: 9, missed: (0..9).map(missed).collect(), ..Coverage::default() });
    }),
    (Check::PodsCovered, State::Warning, |facts| {
        let missed = Missed { namespace: "shop".into(), pod: "bare".into(), workload: None };
        facts.coverage = Some(Coverage { looked_at: 1, missed: vec![missed], ..Coverage::default() });
    }),
    (Check::PodsCovered, State::Warning, |facts| {
        facts.coverage =
            Some(Coverage { looked_at: 30_000, unseen: vec!["shop".into(), "yard".into()], ..Coverage::default() });
    }),
    (Check::PodsCovered, State::Failed, |facts| {
        let gaps = vec![("shop".into(), Gap::NoAnswer("list pods: nothing within 4 s".into()))];
        facts.coverage = Some(Coverage { gaps, ..Coverage::default() });
    }),
];

/// All findings of all damage that are not well.
fn amiss() -> Vec<Finding> {
    let findings = DAMAGE.iter().flat_map(|(_, _, damage)| {
        let mut facts = facts();
        damage(&mut facts);
        judge(&facts)
    });
    let all = findings.chain(unreachable("away"));
    all.filter(|finding| matches!(finding.state, State::Warning | State::Failed)).collect()
}

#[test]
fn where_all_is_well_nothing_is_amiss() {
    for finding in judge(&facts()) {
        assert!(matches!(finding.state, State::Ok | State::Skipped), "{finding:?}");
        assert!(finding.hint.is_none(), "{finding:?}");
    }
}

#[test]
fn each_damage_is_found() {
    for (index, (check, state, damage)) in DAMAGE.iter().enumerate() {
        let mut facts = facts();
        damage(&mut facts);
        let finding = judge(&facts).into_iter().find(|finding| finding.check == *check).unwrap();
        assert_eq!(finding.state, *state, "{index}: {finding:?}");
    }
}

#[test]
fn whatever_is_amiss_says_what_it_is_and_has_a_way_out() {
    for finding in amiss() {
        assert!(finding.message.len() > 3, "{finding:?}");
        let hint = finding.hint.clone().unwrap_or_default();
        assert!(hint.lines().count() > 0 && hint.lines().all(|line| line.len() > 3), "{finding:?}");
        for line in hint.lines() {
            let is_prose = [" the ", "; ", ", and", " -n  "].iter().any(|part| line.contains(part));
            assert!(!(is_command(line) && is_prose), "this cannot be pasted: {line}");
        }
    }
}

/// Whoever adds a branch that warns or fails has to show the damage that leads there.
#[test]
fn every_place_that_finds_something_amiss_has_its_damage() {
    let seen: BTreeSet<(String, u32)> =
        amiss().iter().map(|finding| (finding.place.file().to_owned(), finding.place.line())).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new("src/cli/check/judge");
    let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| folder.join(entry.unwrap().file_name()));
    let files = files.chain(["src/cli/check/judge.rs".into()]);
    let mut places = 0;
    for file in files.filter(|file| file.extension().is_some() && !file.ends_with("tests.rs")) {
        let source = fs::read_to_string(root.join(&file)).unwrap();
        for (line, text) in (1..).zip(source.lines()) {
            if text.contains("Finding::failed(") || text.contains("Finding::warning(") {
                places += 1;
                let place = (file.to_str().unwrap().to_owned(), line);
                assert!(seen.contains(&place), "no damage leads to {}:{line}: {text}", file.display());
            }
        }
    }
    assert!(places > 50, "only {places} were found");
}
