//! The rules of the API server's Pod validation that a patch could break, and those of the kubelet beside them.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the API server would refuse about a Pod.
pub(crate) fn errors(pod: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    hooks(pod, &mut errors);
    let annotations = pod["metadata"]["annotations"].as_object();
    let size =
        annotations.into_iter().flatten().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    if size.sum::<usize>() > 256 * 1024 {
        errors.push("annotations above 256 KiB".into());
    }
    names(pod, &mut errors);
    storage(pod, &mut errors);
    for container in list(&pod["spec"], "initContainers").chain(list(&pod["spec"], "containers")) {
        what_runs(pod, container, &mut errors);
    }
    errors
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn hooks(pod: &Value, errors: &mut Vec<String>) {
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    // Stored as 1 before it is validated.
    let grace = if grace < 0 { 1 } else { grace };
    for container in list(&pod["spec"], "containers") {
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
        if hook.get("exec").is_some_and(|exec| exec["command"].as_array().is_none_or(Vec::is_empty)) {
            errors.push(format!("{}: a hook without a command", container["name"]));
        }
        if let Some(seconds) = hook.get("sleep").and_then(|sleep| sleep["seconds"].as_i64())
            && !(0..=grace).contains(&seconds)
        {
            errors.push(format!("{}: sleep of {seconds} in a grace period of {grace}", container["name"]));
        }
    }
    for container in list(&pod["spec"], "initContainers") {
        let may_have_hooks = container["restartPolicy"] == "Always";
        if !may_have_hooks && !container["lifecycle"].is_null() {
            errors.push(format!("{}: an init container with a hook", container["name"]));
        }
    }
}

/// Names are DNS labels (RFC 1123), and there is one of each.
fn names(pod: &Value, errors: &mut Vec<String>) {
    let label = |name: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty() && name.len() <= 63 && name.chars().all(inner) && !name.starts_with('-')
    };
    let spec = &pod["spec"];
    for lists in [&["containers", "initContainers"][..], &["volumes"]] {
        let mut seen = BTreeSet::new();
        for item in lists.iter().flat_map(|name| list(spec, name)) {
            let name = item["name"].as_str().unwrap_or_default();
            if !label(name) {
                errors.push(format!("{name:?} is no name"));
            }
            if !seen.insert(name) {
                errors.push(format!("two {name:?} among {lists:?}"));
            }
        }
    }
}

fn storage(pod: &Value, errors: &mut Vec<String>) {
    let spec = &pod["spec"];
    let mut volumes = BTreeSet::new();
    for volume in list(spec, "volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        volumes.insert(name);
        let sources = volume.as_object().into_iter().flatten();
        let sources = sources.filter(|(key, value)| *key != "name" && !value.is_null()).count();
        if sources > 1 {
            errors.push(format!("volume {name}: {sources} sources"));
        }
        let medium = volume["emptyDir"]["medium"].as_str().unwrap_or_default();
        if !["", "Memory"].contains(&medium) {
            errors.push(format!("volume {name}: the medium {medium}"));
        }
    }
    for container in list(spec, "initContainers").chain(list(spec, "containers")) {
        let name = &container["name"];
        let mut paths = BTreeSet::new();
        let mut places = BTreeSet::new();
        let mounts = list(container, "volumeMounts").map(|mount| (mount, "mountPath"));
        let devices = list(container, "volumeDevices").map(|device| (device, "devicePath"));
        for (item, path) in mounts.chain(devices) {
            let volume = item["name"].as_str().unwrap_or_default();
            let path = item[path].as_str().unwrap_or_default();
            if !volumes.contains(volume) {
                errors.push(format!("{name}: no volume {volume}"));
            }
            if path.is_empty() || path.contains(':') {
                errors.push(format!("{name}: {path:?} is no path"));
            }
            if !paths.insert(path) {
                errors.push(format!("{name}: two at {path}"));
            }
            // The kubelet takes a relative path from the root, and the runtime resolves it.
            if !places.insert(place(path)) {
                errors.push(format!("{name}: two in the place of {path}"));
            }
        }
    }
}

/// Where a path leads to.
fn place(path: &str) -> Vec<&str> {
    let mut place = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(place.pop()),
            part => place.push(part),
        }
    }
    place
}

fn what_runs(pod: &Value, container: &Value, errors: &mut Vec<String>) {
    let name = &container["name"];
    if container["image"].as_str().is_none_or(str::is_empty) {
        errors.push(format!("{name}: no image"));
    }
    let context = |member: &str| {
        let own = &container["securityContext"][member];
        if own.is_null() { pod["spec"]["securityContext"][member].clone() } else { own.clone() }
    };
    // The kubelet starts no such container.
    if context("runAsNonRoot") == true && context("runAsUser") == 0 {
        errors.push(format!("{name}: root, which may not be root"));
    }
}
