//! Findings that take more than an API server to bring about.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::{Value, json};

use super::judge;
use crate::cli::check::{
    catalogue::Check,
    facts::{Admitted, ApiServer, Facts, Gap, Handshake, OptedIn, Probe, Registrations, Replica},
    finding::{Finding, State},
};

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A Pod that has got its ending.
fn patched() -> Value {
    json!({
        "metadata": { "annotations": { "fermata.dev/status":
            json!({ "version": env!("CARGO_PKG_VERSION"), "gracePeriodSeconds": 45, "drain": { "app": "15s" } }).to_string() } },
        "spec": {
            "terminationGracePeriodSeconds": 45,
            "containers": [{ "name": "app", "lifecycle": { "preStop": { "sleep": { "seconds": 15 } } } }],
        },
    })
}

fn admitted(pod: Value, warnings: &[&str]) -> Probe {
    let labels = [("fermata.dev/inject", "enabled"), ("kubernetes.io/metadata.name", "shop")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Probe::Admitted(Box::new(Admitted {
        namespace: "shop".into(),
        pod,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        labels: Ok(BTreeMap::from(labels)),
    }))
}

fn replica(name: &str, node: &str, version: &str, page: Option<&str>) -> Replica {
    Replica {
        pod: typed(json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/version": version } },
            "spec": { "nodeName": node, "containers": [] },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "message": "containers with unready status" }] },
        })),
        ready_page: page.map(str::to_owned),
    }
}

/// An installation behind a Service, seen from outside the cluster.
fn facts() -> Facts {
    let own = env!("CARGO_PKG_VERSION");
    let configuration = typed(json!({
        "metadata": { "name": "fermata" },
        "webhooks": [{
            "name": "pods.fermata.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": { "service": { "name": "fermata", "namespace": "fermata" } },
            "failurePolicy": "Ignore",
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
            "namespaceSelector": { "matchLabels": { "fermata.dev/inject": "enabled" } },
        }],
    }));
    Facts {
        now: SystemTime::now(),
        api: ApiServer { server: String::new(), git_version: "v1.36.0".into(), version: "1.36".parse().ok() },
        registrations: Ok(Registrations { candidates: vec![configuration], others: Vec::new() }),
        own_namespace: Some("fermata".into()),
        handshake: Handshake::NotTried("outside".into()),
        deployments: Some(Ok(vec![typed(json!({
            "metadata": { "name": "fermata" },
            "spec": { "replicas": 2, "selector": {}, "template": { "metadata": { "labels": { "app": "fermata" } } } },
            "status": { "readyReplicas": 2 },
        }))])),
        replicas: Some(Ok(vec![replica("one", "a", own, None), replica("two", "b", own, None)])),
        budgets: Some(Ok(Vec::new())),
        service: Some(Ok(Some(typed(json!({ "spec": { "ports": [{ "port": 443 }] } }))))),
        endpoints: Some(Ok(vec![typed(
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.1"] }] }),
        )])),
        secret: None,
        opted_in: Ok(OptedIn {
            namespaces: vec![typed(json!({ "name": "shop" })), typed(json!({ "name": "kube-system" }))],
            truncated: false,
        }),
        probe: admitted(patched(), &[]),
        coverage: None,
    }
}

fn find(facts: &Facts, check: Check) -> Finding {
    judge(facts).into_iter().find(|finding| finding.check == check).unwrap()
}

#[test]
fn every_check_has_one_finding_in_the_order_of_the_catalogue() {
    let checks: Vec<_> = judge(&facts()).iter().map(|finding| finding.check).collect();
    assert_eq!(checks, Check::ALL);
    let nothing = Facts {
        registrations: Err(Gap::NotPermitted("list".into())),
        deployments: None,
        replicas: None,
        own_namespace: None,
        ..facts()
    };
    assert_eq!(judge(&nothing).len(), Check::ALL.len());
    assert_eq!(super::unreachable("away").len(), Check::ALL.len());
}

#[test]
fn whatever_is_amiss_has_a_way_out() {
    for finding in judge(&facts()) {
        let amiss = matches!(finding.state, State::Warning | State::Failed);
        assert_eq!(amiss, finding.hint.is_some() && amiss, "{finding:?}");
    }
}

#[test]
fn what_came_back_is_looked_at_and_not_only_the_status() {
    let change = |change: &dyn Fn(&mut Value)| {
        let mut pod = patched();
        change(&mut pod);
        pod
    };
    let status = |text: Value| {
        change(&|pod| {
            pod["metadata"]["annotations"]["fermata.dev/status"] = text.to_string().into();
            pod["spec"]["containers"][0]["lifecycle"] = Value::Null;
        })
    };
    for (probe, state, part) in [
        (admitted(patched(), &["mesh: injected"]), State::Ok, "a drain of 15s and a grace period of 45 s"),
        (admitted(patched(), &["fermata: no such key"]), State::Warning, "fermata: no such key"),
        (
            admitted(change(&|pod| pod["spec"]["containers"][0]["lifecycle"] = Value::Null), &[]),
            State::Failed,
            "has no preStop hook",
        ),
        (
            admitted(change(&|pod| pod["spec"]["terminationGracePeriodSeconds"] = 10.into()), &[]),
            State::Failed,
            "sleep 15 s within a grace period of 10 s",
        ),
        (
            admitted(status(json!({ "version": "0", "skipped": { "app": "needs-shim" } })), &[]),
            State::Warning,
            "no drain (needs-shim)",
        ),
        (
            admitted(change(&|pod| pod["metadata"]["annotations"] = Value::Null), &[]),
            State::Failed,
            "only the API server knows",
        ),
        (
            Probe::Refused { namespace: "shop".into(), code: 422, message: "preStop: invalid".into() },
            State::Failed,
            "not valid in shop as it was changed",
        ),
        (
            Probe::Refused { namespace: "shop".into(), code: 403, message: "exceeded quota: small".into() },
            State::Skipped,
            "exceeded quota",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 400,
                message: "admission webhook \"pods.fermata.dev\" denied the request".into(),
            },
            State::Failed,
            "denied the request",
        ),
        (
            Probe::Refused {
                namespace: "shop".into(),
                code: 403,
                message: "error looking up service account shop/default".into(),
            },
            State::Failed,
            "no Pod can be created in shop",
        ),
        (
            Probe::NoAnswer { namespace: "shop".into(), error: "nothing within 15 s".into() },
            State::Failed,
            "nothing within 15 s",
        ),
    ] {
        let finding = find(&Facts { probe, ..facts() }, Check::PodPatched);
        assert!(finding.state == state && finding.message.contains(part), "{part}: {finding:?}");
    }
}

#[test]
fn a_service_without_pods_explains_an_unchanged_pod() {
    let mut pod = patched();
    pod["metadata"]["annotations"] = Value::Null;
    let facts = Facts { probe: admitted(pod, &[]), endpoints: Some(Ok(Vec::new())), ..facts() };
    let finding = find(&facts, Check::PodPatched);
    assert!(finding.message.ends_with("failurePolicy is Ignore: the Service leads to no Pod"), "{finding:?}");
    let finding = find(&facts, Check::ReplicasReached);
    assert_eq!(finding.state, State::Failed, "{finding:?}");
}

#[test]
fn a_port_that_the_service_does_not_have_is_named() {
    let service = typed(json!({ "spec": { "ports": [{ "port": 8443 }] } }));
    let finding = find(&Facts { service: Some(Ok(Some(service))), ..facts() }, Check::ReplicasReached);
    assert!(finding.message.contains("no port 443"), "{finding:?}");
}

#[test]
fn versions_are_compared_with_what_runs() {
    let own = env!("CARGO_PKG_VERSION");
    for (one, two, state, part) in [
        (own, own, State::Ok, own),
        ("0.0.9", own, State::Warning, "0.0.9, "),
        ("9.0.0", "9.0.0", State::Warning, "and this program of"),
    ] {
        let replicas = vec![replica("one", "a", one, None), replica("two", "b", two, None)];
        let finding = find(&Facts { replicas: Some(Ok(replicas)), ..facts() }, Check::ReplicasVersion);
        assert!(finding.state == state && finding.message.contains(part), "{one} {two}: {finding:?}");
    }
}

#[test]
fn replicas_speak_for_themselves() {
    let page = "[+]tls ok\n[-]authority failed: secrets is forbidden\n[-]registration failed: no authority\nnot ready\n";
    let replicas = vec![replica("one", "a", "", Some(page)), replica("two", "a", "", None)];
    let mut facts = Facts { replicas: Some(Ok(replicas)), ..facts() };
    if let Some(Ok(deployments)) = &mut facts.deployments {
        deployments[0].status = typed(json!({ "readyReplicas": 1 }));
    }
    let finding = find(&facts, Check::ReplicasReady);
    assert_eq!(finding.state, State::Warning);
    for part in
        ["1 of 2 ready", "one: authority failed: secrets is forbidden", "two: containers with unready status"]
    {
        assert!(finding.message.contains(part), "{finding:?}");
    }
    let finding = find(&facts, Check::CaMatches);
    assert!(
        finding.state == State::Failed && finding.message == "replica one says: no authority",
        "{finding:?}"
    );
    let finding = find(&facts, Check::ReplicasSpread);
    assert!(finding.state == State::Warning && finding.message == "all on a", "{finding:?}");
}

#[test]
fn a_budget_that_lets_nothing_go_is_told_from_a_good_one() {
    for (spec, state) in [
        (json!({ "maxUnavailable": 1 }), State::Ok),
        (json!({ "maxUnavailable": 0 }), State::Warning),
        (json!({ "maxUnavailable": "0%" }), State::Warning),
        (json!({ "minAvailable": 1 }), State::Ok),
        (json!({ "minAvailable": 2 }), State::Warning),
        (json!({ "minAvailable": "50%" }), State::Ok),
        (json!({ "minAvailable": "51%" }), State::Warning),
    ] {
        let mut budget = json!({ "metadata": { "name": "fermata" }, "spec": spec });
        budget["spec"]["selector"] = json!({ "matchLabels": { "app": "fermata" } });
        let finding =
            find(&Facts { budgets: Some(Ok(vec![typed(budget)])), ..facts() }, Check::ReplicasBudget);
        assert_eq!(finding.state, state, "{spec}: {finding:?}");
    }
}

#[test]
fn labels_on_namespaces_that_are_never_touched_count_for_nothing() {
    let finding = find(&facts(), Check::NamespacesOptedIn);
    assert_eq!((finding.state, finding.message.as_str()), (State::Ok, "1 (shop)"));
    let namespaces = vec![typed(json!({ "name": "fermata" }))];
    let facts = Facts { opted_in: Ok(OptedIn { namespaces, truncated: false }), ..facts() };
    let finding = find(&facts, Check::NamespacesOptedIn);
    assert!(finding.state == State::Warning && finding.message.contains("never touched"), "{finding:?}");
}
