//! What must hold for every Pod there can be, tried on generated ones.
//!
//! `FERMATA_CASES` sets how many Pods each property is tried on: 2,000 unless told, 1,000 by `make test`, 100,000 by
//! `make soak`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "properties/delivery.rs"]
mod delivery;
#[path = "properties/expansion.rs"]
mod expansion;
#[path = "properties/parts.rs"]
mod parts;
#[path = "properties/pods.rs"]
mod pods;
#[path = "properties/quality.rs"]
mod quality;
#[path = "properties/rfc6902.rs"]
mod rfc6902;
#[path = "properties/sleeps.rs"]
mod sleeps;
#[path = "properties/text.rs"]
mod text;
#[path = "properties/validation.rs"]
mod validation;

use fermata_core::{
    ServerVersion,
    annotation::{STATUS, ShimMode},
    explain::explain,
    patch,
    plan::{Judgement, Plan},
    pod::Pod,
    review::Review,
    rules::plan,
    settings::{ClusterSettings, NamespaceSettings, Settings},
    warning::{self, MAX_CHARACTERS, MAX_WARNINGS},
};
use pods::{Case, arbitrary_json, case, container};
use proptest::prelude::*;
use serde_json::{Value, json};
use text::text;

fn config() -> ProptestConfig {
    let cases = std::env::var("FERMATA_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Plans a Pod from its JSON text, as admission and preview do.
fn with_plan<T>(pod: &Value, case: &Case, look: impl FnOnce(&Pod<'_>, &Plan<'_>) -> T) -> T {
    let json = serde_json::to_vec(pod).unwrap();
    let pod = Pod::parse(&json).unwrap_or_else(|error| panic!("{error} in {pod:#}"));
    let plan = plan(&pod, &case.settings());
    look(&pod, &plan)
}

fn operations(pod: &Value, case: &Case) -> Value {
    with_plan(pod, case, |_, plan| serde_json::to_value(patch::operations(plan)).unwrap())
}

/// The Pod after its patch, by the json-patch crate.
fn patched(pod: &Value, case: &Case) -> Value {
    let operations: json_patch::Patch = serde_json::from_value(operations(pod, case)).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &operations)
        .unwrap_or_else(|error| panic!("{error}\n{operations:?}\n{pod:#}"));
    pod
}

fn grace_period(pod: &Value) -> i64 {
    pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30)
}

/// A Pod that is fresh, or one that went through another Fermata before: taken from a cluster, or under settings that
/// have changed.
fn tried() -> BoxedStrategy<Case> {
    prop_oneof![
        3 => case(),
        1 => (case(), case()).prop_map(|(first, second)| Case { pod: patched(&first.pod, &first), ..second }),
    ]
    .boxed()
}

/// The Pod without anything that Fermata may change. What becomes of hooks, commands and lists is looked at elsewhere.
fn without_declared_paths(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.remove(STATUS);
        annotations.remove(delivery::SAFE_TO_EVICT);
    }
    prune(&mut pod, &["metadata", "annotations"]);
    prune(&mut pod, &["metadata"]);
    if let Some(spec) = pod["spec"].as_object_mut() {
        for name in ["terminationGracePeriodSeconds", "volumes", "initContainers"] {
            spec.remove(name);
        }
    }
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        if let Some(lifecycle) = container["lifecycle"].as_object_mut() {
            lifecycle.remove("preStop");
        }
        prune(container, &["lifecycle"]);
        for name in ["command", "volumeMounts"] {
            container.as_object_mut().unwrap().remove(name);
        }
    }
    pod
}

/// Removes the member at a path if there is nothing in it.
fn prune(value: &mut Value, path: &[&str]) {
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().try_fold(value, |value, name| value.get_mut(name));
    if let Some(parent) = parent.and_then(Value::as_object_mut)
        && parent
            .get(*last)
            .is_some_and(|value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty))
    {
        parent.remove(*last);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_patch_applies_and_two_implementations_agree(case in tried()) {
        let by_crate = patched(&case.pod, &case);
        let by_hand = rfc6902::apply(&case.pod, &operations(&case.pod, &case)).unwrap();
        prop_assert_eq!(by_crate, by_hand);
    }

    #[test]
    fn a_second_pass_changes_nothing(case in tried()) {
        let once = patched(&case.pod, &case);
        prop_assert_eq!(operations(&once, &case), json!([]), "\n{:#}", once);
    }

    #[test]
    fn a_pod_that_was_valid_stays_valid(case in tried()) {
        if validation::errors(&case.pod).is_empty() {
            let once = patched(&case.pod, &case);
            prop_assert_eq!(validation::errors(&once), Vec::<String>::new(), "\n{:#}", once);
        }
    }

    #[test]
    fn the_grace_period_is_never_lowered_and_always_above_an_added_sleep(case in tried()) {
        let once = patched(&case.pod, &case);
        prop_assert!(grace_period(&once) >= grace_period(&case.pod));
        let empty = Vec::new();
        let containers = |pod: &'_ Value| pod["spec"]["containers"].as_array().unwrap_or(&empty).clone();
        for (before, after) in containers(&case.pod).iter().zip(containers(&once)) {
            let sleep = &after["lifecycle"]["preStop"]["sleep"]["seconds"];
            if sleep.is_i64() && *sleep != before["lifecycle"]["preStop"]["sleep"]["seconds"] {
                prop_assert!(sleep.as_i64().unwrap() < grace_period(&once), "\n{:#}", once);
                prop_assert!(sleep.as_i64().unwrap() > 0);
            }
        }
    }

    #[test]
    fn only_declared_paths_change(case in tried()) {
        let once = patched(&case.pod, &case);
        prop_assert_eq!(without_declared_paths(&case.pod), without_declared_paths(&once));
    }

    #[test]
    fn a_container_added_by_another_webhook_is_the_only_one_touched(case in tried(), added in container("injected")) {
        let once = patched(&case.pod, &case);
        let mut again = once.clone();
        let Some(containers) = again["spec"]["containers"].as_array_mut() else { return Ok(()) };
        let position = containers.len();
        containers.push(added);
        let twice = patched(&again, &case);
        for index in 0..position {
            // The shim in it may be told of more time.
            let [before, after] =
                [&once, &twice].map(|pod| delivery::without_budget(&pod["spec"]["containers"][index]));
            prop_assert_eq!(before, after);
        }
        prop_assert_eq!(operations(&twice, &case), json!([]));
    }

    #[test]
    fn a_container_added_later_costs_what_it_costs_from_the_start(mut case in tried(), added in container("injected")) {
        // Under a ceiling the grace period is not the sum of its needs.
        case.cluster.limits.max_grace_period = None;
        let with = |pod: &Value| {
            let mut pod = pod.clone();
            if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
                containers.push(added.clone());
            }
            pod
        };
        // A hook that came with the container has its own say. And a grace period that was raised for an app's own
        // time looks to the second pass like one that the Pod came with: it is kept in full.
        let asks_for_own_time = with_plan(&with(&case.pod), &case, |_, plan| {
            plan.containers.iter().any(|container| container.grace_asked.is_some())
        });
        let comparable = added["lifecycle"]["preStop"].is_null() && !asks_for_own_time;
        if comparable && case.pod["spec"]["containers"].as_array().is_some_and(|all| !all.is_empty()) {
            let later = patched(&with(&patched(&case.pod, &case)), &case);
            let at_once = patched(&with(&case.pod), &case);
            prop_assert_eq!(grace_period(&later), grace_period(&at_once));
            // The shim is told of probes by the first pass, and what is said of a Pod's entrypoint counts while there
            // is one container.
            if ![&later, &at_once].iter().any(|pod| pod.to_string().contains("fermata-shim")) {
                prop_assert_eq!(&later["spec"], &at_once["spec"]);
            }
        }
    }

    #[test]
    fn an_old_api_server_is_never_sent_a_native_sleep(mut case in tried()) {
        case.server = Some(ServerVersion { major: 1, minor: 29 });
        let added = operations(&case.pod, &case).as_array().unwrap().iter().any(|operation| {
            let hook = operation["path"].as_str().unwrap().contains("/lifecycle");
            hook && operation.to_string().contains(r#""sleep":"#)
        });
        prop_assert!(!added);
    }

    /// An API server writes maps in an order of its own.
    #[test]
    fn the_order_of_annotations_does_not_matter(case in tried()) {
        let mut turned = case.pod.clone();
        if let Some(annotations) = turned.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            *annotations = std::mem::take(annotations).into_iter().rev().collect();
        }
        prop_assert_eq!(patched(&case.pod, &case), patched(&turned, &case));
    }

    #[test]
    fn a_forged_status_changes_nothing(case in tried(), forged in text()) {
        let once = patched(&case.pod, &case);
        let mut forgery = case.pod.clone();
        match &mut forgery["metadata"]["annotations"] {
            Value::Object(annotations) => drop(annotations.insert(STATUS.into(), forged.into())),
            annotations => *annotations = json!({ STATUS: forged }),
        }
        let forged = patched(&forgery, &case);
        prop_assert_eq!(&forged["spec"], &once["spec"]);
        with_plan(&case.pod, &case, |_, plan| {
            if plan.judgement == Judgement::Judged && !plan.containers.is_empty() {
                prop_assert_eq!(&forged["metadata"]["annotations"][STATUS], &once["metadata"]["annotations"][STATUS]);
            }
            Ok(())
        })?;
    }

    #[test]
    fn warnings_are_few_and_short_and_explanations_hold_them_all(case in tried()) {
        with_plan(&case.pod, &case, |pod, plan| {
            let texts = warning::texts(&plan.warnings);
            prop_assert!(texts.len() <= MAX_WARNINGS);
            for text in &texts {
                prop_assert!(!text.ends_with('…'), "the way out is cut off: {text}");
                prop_assert!(text.chars().count() <= MAX_CHARACTERS && !text.contains(char::is_control), "{}", text);
            }
            prop_assert_eq!(explain(pod, plan).warnings.len(), plan.warnings.len());
            Ok(())
        })?;
    }

    #[test]
    fn a_review_answers_with_the_same_patch(case in tried()) {
        let body = serde_json::to_vec(&json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u",
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "operation": "CREATE",
                "object": case.pod,
            },
        })).unwrap();
        let decision = Review::parse(&body).unwrap().decide(&case.settings());
        let answer: Value = serde_json::from_slice(&decision.body).unwrap();
        let expected = operations(&case.pod, &case);
        match answer["response"].get("patch").and_then(Value::as_str) {
            None => prop_assert_eq!(expected, json!([])),
            Some(patch) => {
                use base64::Engine;
                let patch = base64::prelude::BASE64_STANDARD.decode(patch).unwrap();
                prop_assert_eq!(expected, serde_json::from_slice::<Value>(&patch).unwrap());
            }
        }
    }

    #[test]
    fn any_json_is_survived_as_a_pod(json in arbitrary_json()) {
        let bytes = serde_json::to_vec(&json).unwrap();
        if let Ok(pod) = Pod::parse(&bytes) {
            let mut cluster = ClusterSettings { shim_image: Some("shim".into()), ..ClusterSettings::default() };
            cluster.defaults.shim = Some(ShimMode::Init);
            let settings = Settings { cluster: &cluster, namespace: None, namespace_name: None, own_namespace: None, server: None };
            let plan = plan(&pod, &settings);
            let _ = (explain(&pod, &plan), warning::texts(&plan.warnings));
            // What can be read as a Pod can also be patched as one.
            let operations = serde_json::to_value(patch::operations(&plan)).unwrap();
            prop_assert!(rfc6902::apply(&json, &operations).is_ok(), "{:#}\n{:#}", json, operations);
        }
    }

    /// The shell is the judge of what a script does. Its `sleep` only writes down what it is asked for.
    #[test]
    fn what_is_taken_for_a_sleep_sleeps_for_just_that_long(script in sleeps::script()) {
        let pod = json!({ "spec": { "containers": [{
            "name": "app", "lifecycle": { "preStop": { "exec": { "command": ["/bin/sh", "-c", script] } } },
        }] } });
        let bytes = pod.to_string();
        let pod = Pod::parse(bytes.as_bytes()).unwrap();
        let taken_for = pod.containers().next().unwrap().pre_stop().as_drain();
        if let Some(seconds) = taken_for {
            prop_assert_eq!(sleeps::asked_for(&script), Some(seconds.get()), "{:?}", script);
        }
    }

    #[test]
    fn any_bytes_are_survived_as_a_review(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in arbitrary_json()) {
        let _ = Review::parse(&bytes);
        let _ = Review::parse(&serde_json::to_vec(&json).unwrap());
    }

    #[test]
    fn any_namespace_is_survived(annotations in proptest::collection::vec((text(), text()), 0..4)) {
        let annotations = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let own = [("fermata.dev/drain", "x"), ("a.fermata.dev/drain", "1"), ("fermata.dev/drian", "1")];
        let settings = NamespaceSettings::read([], annotations.chain(own));
        prop_assert!(!settings.opted_in);
        prop_assert!(settings.mistakes.len() >= 3);
    }
}
