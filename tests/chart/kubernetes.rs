//! What is handed on to Kubernetes as it is: each key that the schema knows, the API server does too.

use fermata_test_cluster::assets::Binary;
use serde_json::{Value, json};

use crate::{
    install::define_custom_resources,
    stage::{KUBE_VERSION, Stage, template},
    values::schema,
};

/// Values in which each key is there at least once.
fn values() -> Value {
    let selector = json!({
        "matchLabels": { "app": "a" },
        "matchExpressions": [{ "key": "b", "operator": "In", "values": ["c"] }],
    });
    let pods = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": selector });
    let nodes = json!({ "matchExpressions": [{ "key": "pool", "operator": "Exists" }] });
    let pod_affinity = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": [pods],
        "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": pods }],
    });
    let relabelings = json!([{
        "action": "hashmod", "sourceLabels": ["pod"], "separator": ";", "targetLabel": "shard", "regex": "(.*)",
        "replacement": "$1", "modulus": 4,
    }]);
    let own = json!({ "type": "Localhost", "localhostProfile": "fermata.json" });
    let linux = json!({ "user": "u", "role": "r", "type": "t", "level": "s0" });
    let windows = json!({
        "gmsaCredentialSpecName": "spec", "gmsaCredentialSpec": "text", "runAsUserName": "user", "hostProcess": false,
    });
    json!({
        "podSecurityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
            "supplementalGroups": [65532], "supplementalGroupsPolicy": "Strict", "seccompProfile": own, "appArmorProfile": own,
            "seLinuxOptions": linux, "seLinuxChangePolicy": "Recursive", "windowsOptions": windows,
            "sysctls": [{ "name": "net.ipv4.tcp_keepalive_time", "value": "60" }],
        },
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "privileged": false, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "procMount": "Default", "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] },
            "seccompProfile": own, "appArmorProfile": own, "seLinuxOptions": linux, "windowsOptions": windows,
        },
        "tolerations": [
            { "key": "pool", "operator": "Equal", "value": "system", "effect": "NoExecute", "tolerationSeconds": 60 },
            { "operator": "Exists" },
        ],
        "extraEnv": [
            { "name": "A", "value": "1" },
            { "name": "B", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } },
            { "name": "C", "valueFrom": { "resourceFieldRef": { "containerName": "fermata", "resource": "limits.memory", "divisor": "1Mi" } } },
            { "name": "D", "valueFrom": { "configMapKeyRef": { "name": "a", "key": "b", "optional": true } } },
            { "name": "E", "valueFrom": { "secretKeyRef": { "name": "a", "key": "b", "optional": true } } },
        ],
        "imagePullSecrets": [{ "name": "registry" }],
        "resources": { "requests": { "cpu": "100m" }, "limits": { "memory": "256Mi" } },
        "topologySpreadConstraints": [{
            "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector, "minDomains": 2,
            "matchLabelKeys": ["pod-template-hash"], "nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore",
        }],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [nodes] },
                "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": nodes }],
            },
            "podAffinity": pod_affinity,
            "podAntiAffinity": pod_affinity,
        },
        "networkPolicy": {
            "enabled": true,
            "metricsFrom": [
                { "podSelector": selector, "namespaceSelector": selector },
                { "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } },
            ],
        },
        "metrics": {
            "serviceMonitor": { "enabled": true, "relabelings": relabelings, "metricRelabelings": relabelings },
            "podMonitor": { "relabelings": relabelings, "metricRelabelings": relabelings },
        },
    })
}

/// Checks that the values have each key of the schema below it, through its references.
fn each_key(schema: &Value, part: &Value, values: &[&Value], path: &str) {
    let part = match part["$ref"].as_str() {
        Some(name) => schema.pointer(name.trim_start_matches('#')).unwrap(),
        None => part,
    };
    for way in part["anyOf"].as_array().into_iter().flatten() {
        each_key(schema, way, values, path);
    }
    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    if part["items"].is_object() {
        each_key(schema, &part["items"], &items, path);
    }
    for (key, part) in part["properties"].as_object().into_iter().flatten() {
        let below: Vec<&Value> = values.iter().filter_map(|value| value.get(key)).collect();
        assert!(!below.is_empty(), "{path}.{key} is not tried");
        each_key(schema, part, &below, &format!("{path}.{key}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_that_is_handed_on_is_known_to_the_api_server() {
    let values = values();
    let schema = schema();
    for key in [
        "podSecurityContext",
        "securityContext",
        "tolerations",
        "extraEnv",
        "imagePullSecrets",
        "resources",
        "topologySpreadConstraints",
        "affinity",
    ] {
        each_key(&schema, &schema["properties"][key], &[&values[key]], key);
    }
    for place in [
        "/networkPolicy/metricsFrom",
        "/metrics/serviceMonitor/relabelings",
        "/metrics/serviceMonitor/metricRelabelings",
        "/metrics/podMonitor/relabelings",
        "/metrics/podMonitor/metricRelabelings",
    ] {
        let part = schema.pointer(&place.replace('/', "/properties/")).unwrap();
        each_key(&schema, part, &[values.pointer(place).unwrap()], place);
    }

    let stage = Stage::new(Binary::Helm).await;
    define_custom_resources(&stage).await;
    assert!(stage.kubectl(&["create", "namespace", "handed-on"]).await.status.success());
    let folder = stage.cluster.scratch().path();
    let [file, manifest] = ["handed-on.json", "handed-on.yaml"].map(|name| folder.join(name));
    std::fs::write(&file, values.to_string()).unwrap();
    for set in ["replicas=2", "metrics.serviceMonitor.enabled=false,metrics.podMonitor.enabled=true"] {
        let words = [
            "--namespace=handed-on",
            "--no-hooks",
            "--kube-version",
            KUBE_VERSION,
            "--values",
            file.to_str().unwrap(),
            "--set",
            set,
        ];
        std::fs::write(&manifest, stage.helm.success(&template(&words)).await.unwrap()).unwrap();
        let words =
            ["apply", "--dry-run=server", "--validate=strict", "--filename", manifest.to_str().unwrap()];
        let applied = stage.kubectl(&words).await;
        // What is not known is refused, and what would be dropped is said as a warning.
        assert!(
            applied.status.success() && applied.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&applied.stderr)
        );
    }
    stage.kubectl(&["delete", "namespace", "handed-on", "--wait=false"]).await;
}
