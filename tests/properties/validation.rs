//! The rules of the API server's Pod validation that a patch of the ending could break.

use serde_json::Value;

/// What the API server would refuse about a Pod's ending.
pub(crate) fn errors(pod: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    // Stored as 1 before it is validated.
    let grace = if grace < 0 { 1 } else { grace };
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        let hook = match &container["lifecycle"]["preStop"] {
            Value::Null => continue,
            hook => hook.as_object().expect("a hook is an object"),
        };
        let known = ["exec", "httpGet", "tcpSocket", "sleep"];
        let handlers =
            hook.iter().filter(|(kind, value)| known.contains(&kind.as_str()) && !value.is_null()).count();
        if handlers != 1 {
            errors.push(format!("{}: {handlers} handlers", container["name"]));
        }
        if let Some(seconds) = hook.get("sleep").and_then(|sleep| sleep["seconds"].as_i64())
            && !(0..=grace).contains(&seconds)
        {
            errors.push(format!("{}: sleep of {seconds} in a grace period of {grace}", container["name"]));
        }
    }
    let annotations = pod["metadata"]["annotations"].as_object();
    let size =
        annotations.into_iter().flatten().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    if size.sum::<usize>() > 256 * 1024 {
        errors.push("annotations above 256 KiB".into());
    }
    errors
}
