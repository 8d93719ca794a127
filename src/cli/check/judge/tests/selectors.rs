//! What an operator may ask of Namespaces and Pods, and what a registration may not.

use serde_json::{Value, json};

use super::{admitted, facts, find, namespace, patched, typed};
use crate::cli::check::{
    catalogue::Check,
    facts::{Facts, OptedIn, Probe},
    finding::State,
};

/// The facts with a registration that asks for more, as the chart's values add it.
fn asking(namespaces: Value, pods: Value) -> Facts {
    let mut facts = facts();
    for (selector, further) in [("namespaceSelector", namespaces), ("objectSelector", pods)] {
        change(&mut facts, |webhook| {
            for kind in ["matchLabels", "matchExpressions"] {
                match (&mut webhook[selector][kind], &further[kind]) {
                    (_, Value::Null) => {}
                    (Value::Array(known), Value::Array(further)) => known.extend(further.clone()),
                    (Value::Object(known), Value::Object(further)) => known.extend(further.clone()),
                    (known, further) => *known = further.clone(),
                }
            }
        });
    }
    facts
}

/// Changes the registered webhook.
pub(super) fn change(facts: &mut Facts, change: impl Fn(&mut Value)) {
    if let Ok(registrations) = &mut facts.registrations {
        let entry = &mut registrations.candidates[0].webhooks.as_mut().unwrap()[0];
        let mut webhook = serde_json::to_value(&*entry).unwrap();
        change(&mut webhook);
        *entry = typed(webhook);
    }
}

#[test]
fn narrower_selectors_are_the_operator_s_right() {
    let key = |key: &str, operator: &str, values: &[&str]| json!({ "key": key, "operator": operator, "values": values });
    for (namespaces, pods, said) in [
        (json!({}), json!({}), ""),
        (json!({ "matchLabels": { "team": "a" } }), json!({}), "; of these only Namespaces with team=a"),
        (
            json!({ "matchExpressions": [key("tier", "In", &["x", "y"]), key("old", "DoesNotExist", &[])] }),
            json!({ "matchLabels": { "app": "web" } }),
            "; of these only Namespaces with tier in (x, y), !old, and there only Pods with app=web",
        ),
        (
            json!({ "matchExpressions": [key("kubernetes.io/metadata.name", "NotIn", &["kube-system", "infra"])] }),
            json!({ "matchLabels": { "fermata.dev/inject": "enabled" } }),
            "; of these only Namespaces with kubernetes.io/metadata.name!=infra, and there only Pods with fermata.dev/inject=enabled",
        ),
        (
            json!({ "matchExpressions": [key("kubernetes.io/metadata.name", "In", &["shop"])] }),
            json!({}),
            "; of these only Namespaces with kubernetes.io/metadata.name=shop",
        ),
    ] {
        let finding = find(&asking(namespaces, pods), Check::RegistrationSelectors);
        let expected = format!("fermata.dev/inject: enabled, without Pods that opt out{said}");
        assert_eq!((finding.state, finding.message), (State::Ok, expected));
    }
}

#[test]
fn what_leaves_nobody_or_lets_in_others_is_not() {
    let replace = |selector: &'static str, with: Value| {
        let mut facts = facts();
        change(&mut facts, |webhook| webhook[selector] = with.clone());
        find(&facts, Check::RegistrationSelectors)
    };
    let names = json!([{ "key": "kubernetes.io/metadata.name", "operator": "NotIn",
        "values": ["kube-system", "kube-public", "kube-node-lease", "fermata"] }]);
    for (selector, with, state, part) in [
        (
            "namespaceSelector",
            json!({ "matchLabels": { "fermata.dev/inject": "true" }, "matchExpressions": names }),
            State::Failed,
            "by what it asks of fermata.dev/inject",
        ),
        (
            "namespaceSelector",
            json!({ "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } }),
            State::Failed,
            "by what it asks of kubernetes.io/metadata.name",
        ),
        (
            "objectSelector",
            json!({ "matchLabels": { "fermata.dev/inject": "disabled" } }),
            State::Failed,
            "leaves out every Pod, by what it asks of fermata.dev/inject",
        ),
        ("namespaceSelector", json!({ "matchExpressions": names }), State::Warning, "without the label"),
        (
            "namespaceSelector",
            json!({ "matchLabels": { "team": "a" }, "matchExpressions": names }),
            State::Warning,
            "without the label",
        ),
        (
            "namespaceSelector",
            json!({ "matchLabels": { "fermata.dev/inject": "enabled" } }),
            State::Warning,
            "lets in kube-system, kube-public, kube-node-lease, fermata",
        ),
        ("namespaceSelector", Value::Null, State::Warning, "lets in kube-system"),
    ] {
        let finding = replace(selector, with);
        assert!(finding.state == state && finding.message.contains(part), "{part}: {finding:?}");
    }
}

#[test]
fn namespaces_that_are_left_out_are_told() {
    let mut facts = asking(json!({ "matchLabels": { "team": "a" } }), json!({}));
    facts.probe = Probe::NoNamespace;
    let finding = find(&facts, Check::NamespacesOptedIn);
    assert_eq!(finding.state, State::Warning);
    assert!(finding.message.contains("leaves out (shop)"), "{finding:?}");
    assert!(finding.hint.as_ref().unwrap().ends_with("\nkubectl label namespace shop team=a"), "{finding:?}");
    let finding = find(&facts, Check::PodPatched);
    assert!(finding.message.ends_with("namespaceSelector leaves out shop"), "{finding:?}");

    let namespaces =
        vec![namespace("cart", &json!({ "team": "a" })), namespace("shop", &json!({ "team": "b" }))];
    facts.opted_in = Ok(OptedIn { namespaces });
    let finding = find(&facts, Check::NamespacesOptedIn);
    assert_eq!(
        (finding.state, finding.message.as_str()),
        (State::Ok, "1 (cart); the registered namespaceSelector leaves out shop")
    );

    let mut bare = patched();
    bare["metadata"]["annotations"] = Value::Null;
    facts.probe = admitted(bare, &[]);
    let finding = find(&facts, Check::PodPatched);
    assert!(
        finding.message.ends_with("namespaceSelector leaves shop out, by what it asks of team"),
        "{finding:?}"
    );
}
