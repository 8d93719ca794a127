//! Pod creates as load, in one namespace, by server-side dry run: admission in full, but nothing is stored.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    connection::{Response, post},
    expected::{DRAIN, STATUS},
    workload::Workload,
};

/// The grace period that the Pod has.
const GRACE: i64 = 30;

/// The containers of the Pod.
const CONTAINERS: [&str; 2] = ["app", "proxy"];

/// A Pod to create again and again, and whether it is to come back with an ending.
#[derive(Debug)]
pub(crate) struct PodLoad {
    request: Vec<u8>,
    mutated: bool,
}

#[derive(Debug, Deserialize)]
struct Created {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    termination_grace_period_seconds: i64,
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
    lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    pre_stop: Hook,
}

#[derive(Debug, Deserialize)]
struct Hook {
    sleep: Sleep,
}

#[derive(Debug, Deserialize)]
struct Sleep {
    seconds: i64,
}

impl PodLoad {
    /// Creates in this namespace, where the Pod comes back `mutated` or as it is.
    #[must_use]
    pub(crate) fn new(server: SocketAddr, namespace: &str, mutated: bool) -> Self {
        // Warnings and unknown fields would be a mistake here.
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
        Self { request: post(&path, server, pod().to_string().as_bytes()), mutated }
    }
}

impl Workload for PodLoad {
    fn request(&self, _turn: usize) -> &[u8] {
        &self.request
    }

    fn check(&self, _turn: usize, response: &Response<'_>) -> anyhow::Result<()> {
        let right = || {
            ensure!(response.status == 201, "status {}", response.status);
            let created: Created = serde_json::from_slice(response.body)?;
            if self.mutated { has_an_ending(&created) } else { is_as_it_was(&created) }
        };
        right().with_context(|| format!("a wrong answer: {}", String::from_utf8_lossy(response.body)))
    }
}

fn is_as_it_was(created: &Created) -> anyhow::Result<()> {
    let Created { metadata, spec } = created;
    ensure!(spec.termination_grace_period_seconds == GRACE, "the grace period was changed");
    ensure!(!metadata.annotations.contains_key(STATUS), "there is a status");
    ensure!(spec.containers.iter().all(|container| container.lifecycle.is_none()), "there is a hook");
    Ok(())
}

fn has_an_ending(created: &Created) -> anyhow::Result<()> {
    let Created { metadata, spec } = created;
    ensure!(spec.termination_grace_period_seconds == GRACE + DRAIN, "the grace period is wrong");
    ensure!(
        spec.containers.iter().map(|container| container.name.as_str()).eq(CONTAINERS),
        "the containers are others"
    );
    for Container { name, lifecycle } in &spec.containers {
        let seconds = lifecycle.as_ref().map(|lifecycle| lifecycle.pre_stop.sleep.seconds);
        ensure!(seconds == Some(DRAIN), "the hook of {name} is wrong");
    }
    let status = metadata.annotations.get(STATUS).context("there is no status")?;
    let status: Value = serde_json::from_str(status)?;
    ensure!(status == self::status(), "the status is wrong, expected {}", self::status());
    Ok(())
}

/// What the status must say.
fn status() -> Value {
    let drains = CONTAINERS.map(|name| (name.to_owned(), Value::from(format!("{DRAIN}s"))));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "gracePeriodSeconds": GRACE + DRAIN,
        "drain": serde_json::Map::from_iter(drains),
    })
}

/// A Pod as a Deployment's template has it; about 3 KB as the API server would store it.
fn pod() -> Value {
    let container = |name: &str, port: u16| {
        json!({
            "name": name,
            "image": format!("registry.example.com/shop/{name}:1.4.2"),
            "ports": [{ "name": format!("{name}-http"), "containerPort": port }],
            "readinessProbe": { "httpGet": { "path": "/ready", "port": port }, "periodSeconds": 5 },
            "resources": {
                "requests": { "cpu": "100m", "memory": "128Mi" },
                "limits": { "memory": "256Mi" },
            },
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "shop-7d4b9c6f58-",
            "labels": { "app": "shop", "pod-template-hash": "7d4b9c6f58" },
            "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
        },
        "spec": {
            "terminationGracePeriodSeconds": GRACE,
            "containers": [container(CONTAINERS[0], 8080), container(CONTAINERS[1], 8081)],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Vec<u8> {
        body.to_string().into_bytes()
    }

    fn mutated() -> Value {
        let mut pod = pod();
        pod["spec"]["terminationGracePeriodSeconds"] = 45.into();
        pod["metadata"]["annotations"][STATUS] = status().to_string().into();
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 15 } } });
        }
        pod
    }

    #[test]
    fn each_load_takes_its_own_answer_and_no_other() {
        let address = SocketAddr::from(([127, 0, 0, 1], 6443));
        let as_it_was = PodLoad::new(address, "nobody", false);
        let with_ending = PodLoad::new(address, "webhook", true);
        let check = |load: &PodLoad, status, body: &Value| {
            load.check(0, &Response { status, body: &answer(body), close: false }).is_ok()
        };
        assert!(check(&as_it_was, 201, &pod()) && check(&with_ending, 201, &mutated()));
        assert!(!check(&as_it_was, 201, &mutated()) && !check(&with_ending, 201, &pod()));
        assert!(!check(&as_it_was, 403, &pod()) && !check(&with_ending, 500, &mutated()));
        let mut without_hook = mutated();
        without_hook["spec"]["containers"][1]["lifecycle"].take();
        assert!(!check(&with_ending, 201, &without_hook));
        let mut twice = mutated();
        twice["spec"]["terminationGracePeriodSeconds"] = 60.into();
        assert!(!check(&with_ending, 201, &twice));
    }
}
