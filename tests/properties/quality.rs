//! What a Pod asks its node for, and the class of service that it gets for that: Kubernetes' rules, written from their
//! documentation.

use std::collections::BTreeMap;

use serde_json::Value;

/// Resources and their quantities, in thousandths of what a plain number means.
type Amounts = BTreeMap<String, i128>;

/// A Kubernetes quantity: a number, or a string with a suffix.
fn quantity(value: &Value) -> i128 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number_ends = text.find(|c: char| c.is_ascii_alphabetic() && c != 'e').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_ends);
    let scale = match suffix {
        "" => 1e3,
        "m" => 1.0,
        "Ki" => 1024e3,
        "Mi" => 1_048_576e3,
        "Gi" => 1_073_741_824e3,
        "M" => 1e9,
        "G" => 1e12,
        other => panic!("no suffix of the generators: {other}"),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the generated quantities are whole thousandths")]
    let amount = (number.parse::<f64>().unwrap() * scale).round() as i128;
    amount
}

fn amounts(container: &Value, kind: &str) -> Amounts {
    let listed = container["resources"][kind].as_object();
    let there = listed.into_iter().flatten().filter(|(_, value)| !value.is_null());
    there.map(|(name, value)| (name.clone(), quantity(value))).collect()
}

fn limits(container: &Value) -> Amounts {
    amounts(container, "limits")
}

/// Requests, where the API server fills in what only the limits say.
fn requests(container: &Value) -> Amounts {
    let mut requests = amounts(container, "requests");
    for (name, limit) in limits(container) {
        requests.entry(name).or_insert(limit);
    }
    requests
}

fn list<'p>(pod: &'p Value, name: &str) -> impl Iterator<Item = &'p Value> {
    pod["spec"][name].as_array().into_iter().flatten()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn class(pod: &Value) -> &'static str {
    let all = || list(pod, "containers").chain(list(pod, "initContainers"));
    let counted = |amounts: Amounts| -> Amounts {
        let counts = |name: &str, amount: i128| ["cpu", "memory"].contains(&name) && amount > 0;
        amounts.into_iter().filter(|(name, amount)| counts(name, *amount)).collect()
    };
    let (mut requested, mut limited) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    for container in all() {
        let limits = counted(limits(container));
        guaranteed &= limits.len() == 2;
        add(&mut requested, &counted(requests(container)));
        add(&mut limited, &limits);
    }
    match (requested.is_empty() && limited.is_empty(), guaranteed && requested == limited) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}

/// What the scheduler and quotas count: for each resource the sum of what runs together, or what an init container
/// needs by itself where that is more.
fn effective(pod: &Value, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let mut running = Amounts::new();
    let mut highest = Amounts::new();
    for container in list(pod, "initContainers") {
        let mut now = running.clone();
        add(&mut now, &of(container));
        if container["restartPolicy"] == "Always" {
            running = now.clone();
        }
        for (name, amount) in now {
            let high = highest.entry(name).or_default();
            *high = amount.max(*high);
        }
    }
    for container in list(pod, "containers") {
        add(&mut running, &of(container));
    }
    for (name, amount) in running {
        let high = highest.entry(name).or_default();
        *high = amount.max(*high);
    }
    highest
}

/// What a Pod counts for: its requests, and its limits.
pub(crate) fn counted(pod: &Value) -> [Amounts; 2] {
    [effective(pod, requests), effective(pod, limits)]
}

#[test]
fn the_documented_classes() {
    let pod = |resources: &str| {
        let container: Value = serde_json::from_str(resources).unwrap();
        serde_json::json!({ "spec": { "containers": [{ "resources": container }] } })
    };
    for (resources, expected) in [
        ("{}", "BestEffort"),
        (r#"{"requests":{"cpu":"0"}}"#, "BestEffort"),
        (r#"{"limits":{"nvidia.com/gpu":1}}"#, "BestEffort"),
        (r#"{"limits":{"cpu":"1"}}"#, "Burstable"),
        (r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#, "Guaranteed"),
        (r#"{"limits":{"cpu":1,"memory":"1Gi"},"requests":{"cpu":"1000m","memory":"1024Mi"}}"#, "Guaranteed"),
        (r#"{"limits":{"cpu":1,"memory":"1Gi"},"requests":{"cpu":"999m"}}"#, "Burstable"),
    ] {
        assert_eq!(class(&pod(resources)), expected, "{resources}");
    }
}
