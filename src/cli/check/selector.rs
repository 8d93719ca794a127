//! Label selectors, as the API server evaluates them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// A value that no selector names.
const FRESH: &str = "fermata-check";

/// Whether a selector takes an object with these labels. None selects everything, as for webhooks.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    requirements(selector)
        .iter()
        .all(|requirement| admits(requirement, labels.get(&requirement.key).map(String::as_str)))
}

/// All that a selector asks for, its plain labels too.
pub(super) fn requirements(selector: Option<&LabelSelector>) -> Vec<LabelSelectorRequirement> {
    let Some(selector) = selector else { return Vec::new() };
    let equal = selector.match_labels.iter().flatten().map(|(key, value)| LabelSelectorRequirement {
        key: key.clone(),
        operator: "In".to_owned(),
        values: Some(vec![value.clone()]),
    });
    equal.chain(selector.match_expressions.iter().flatten().cloned()).collect()
}

/// Whether a label with this value, or without one, is what is asked for.
///
/// An operator that does not exist is refused by the API server, and takes nothing here.
fn admits(requirement: &LabelSelectorRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().flatten().any(|entry| entry == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Labels that a selector takes: those that the object has, which stay, and others as far as they may be.
///
/// # Errors
///
/// When there are none, with the key that is in the way.
pub(super) fn taken(
    selector: Option<&LabelSelector>,
    has: &BTreeMap<String, String>,
    may: impl Fn(&str, Option<&str>) -> bool,
) -> Result<BTreeMap<String, String>, String> {
    let requirements = requirements(selector);
    let keys: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.key.as_str()).collect();
    let mut taken = has.clone();
    for key in keys {
        let asked = || requirements.iter().filter(|requirement| requirement.key == key);
        let fits = |value: Option<&str>| asked().all(|requirement| admits(requirement, value));
        if let Some(known) = has.get(key) {
            if fits(Some(known)) {
                continue;
            }
            return Err(key.to_owned());
        }
        // No label, a value that is named, or one that is not: with any other it would be as with the last.
        let named = asked().flat_map(|requirement| requirement.values.iter().flatten());
        let values = [None].into_iter().chain(named.map(|value| Some(value.as_str()))).chain([Some(FRESH)]);
        let value = values.into_iter().find(|value| may(key, *value) && fits(*value));
        match value {
            None => return Err(key.to_owned()),
            Some(None) => {}
            Some(Some(value)) => {
                taken.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(taken)
}

/// A requirement as `kubectl --selector` takes it.
pub(super) fn text(requirement: &LabelSelectorRequirement) -> String {
    let LabelSelectorRequirement { key, operator, values } = requirement;
    let values = values.as_deref().unwrap_or_default();
    match (operator.as_str(), values) {
        ("In", [value]) => format!("{key}={value}"),
        ("NotIn", [value]) => format!("{key}!={value}"),
        ("Exists", _) => key.clone(),
        ("DoesNotExist", _) => format!("!{key}"),
        _ => format!("{key} {} ({})", operator.to_lowercase(), values.join(", ")),
    }
}

/// Labels out of pairs.
pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{labels, requirements, selects, taken, text};

    #[test]
    fn each_operator_does_what_the_api_documents() {
        let object = labels([("app", "web"), ("tier", "front")]);
        for (selector, expected) in [
            (json!({}), true),
            (json!({ "matchLabels": { "app": "web" } }), true),
            (json!({ "matchLabels": { "app": "web", "x": "y" } }), false),
            (
                json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a", "web"] }] }),
                true,
            ),
            (json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a"] }] }), false),
            (
                json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web"] }] }),
                false,
            ),
            (json!({ "matchExpressions": [{ "key": "no", "operator": "NotIn", "values": ["web"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "no", "operator": "Exists" }] }), false),
            (json!({ "matchExpressions": [{ "key": "no", "operator": "DoesNotExist" }] }), true),
            (json!({ "matchExpressions": [{ "key": "app", "operator": "Near" }] }), false),
        ] {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(Some(&parsed), &object), expected, "{selector}");
        }
        assert!(selects(None, &object));
    }

    #[test]
    fn labels_are_found_where_there_are_any() {
        let has = labels([("app", "web")]);
        for (selector, expected) in [
            (json!({}), Ok(vec![])),
            (json!({ "matchLabels": { "app": "web", "team": "a" } }), Ok(vec![("team", "a")])),
            (json!({ "matchLabels": { "app": "api" } }), Err("app")),
            (
                json!({ "matchExpressions": [
                    { "key": "tier", "operator": "In", "values": ["a", "b"] },
                    { "key": "tier", "operator": "NotIn", "values": ["a"] },
                    { "key": "zone", "operator": "Exists" },
                    { "key": "zone", "operator": "NotIn", "values": ["x"] },
                    { "key": "no", "operator": "DoesNotExist" },
                ] }),
                Ok(vec![("tier", "b"), ("zone", "fermata-check")]),
            ),
            (
                json!({ "matchLabels": { "x": "1" }, "matchExpressions": [{ "key": "x", "operator": "NotIn", "values": ["1"] }] }),
                Err("x"),
            ),
            (json!({ "matchLabels": { "forbidden": "1" } }), Err("forbidden")),
        ] {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            let found = taken(Some(&parsed), &has, |key, value| key != "forbidden" || value.is_none());
            let expected = expected.map(|further: Vec<(&str, &str)>| {
                let mut all = has.clone();
                all.extend(further.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
                all
            });
            assert_eq!(found, expected.map_err(str::to_owned), "{selector}");
            if let Ok(found) = found {
                assert!(selects(Some(&parsed), &found), "{selector}");
            }
        }
    }

    #[test]
    fn requirements_are_said_as_kubectl_takes_them() {
        let selector = json!({ "matchLabels": { "a": "1" }, "matchExpressions": [
            { "key": "b", "operator": "In", "values": ["1", "2"] },
            { "key": "c", "operator": "NotIn", "values": ["1", "2"] },
            { "key": "d", "operator": "NotIn", "values": ["1"] },
            { "key": "e", "operator": "Exists" },
            { "key": "f", "operator": "DoesNotExist" },
        ] });
        let all = requirements(Some(&serde_json::from_value(selector).unwrap()));
        let all: Vec<_> = all.iter().map(text).collect();
        assert_eq!(all, ["a=1", "b in (1, 2)", "c notin (1, 2)", "d!=1", "e", "!f"]);
    }
}
