//! Admission reviews as an API server sends them, generated from a fixed seed.
//!
//! Real ones are not the manifests that people write: the API server has filled in defaults, the service
//! account's projected volume with its mounts, tolerations, and managed fields that repeat the name of every
//! field. Measured over 1,331 public Pods that makes 3.4 KB in the median and 9.3 KB at the 95th percentile,
//! and the generator is tuned to that.

pub mod expected;

use serde_json::{Value, json};

/// A review, and what its answer must contain.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The request body.
    pub body: Vec<u8>,
    /// The request's uid.
    pub uid: String,
    /// How large the Pod in it is, in bytes.
    pub pod: usize,
}

/// A small generator of pseudo-random numbers (SplitMix64): the same seed gives the same samples anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        // The remainder of a division by a usize fits into one.
        #[expect(clippy::cast_possible_truncation)]
        let number = (self.next() % bound as u64) as usize;
        number
    }

    fn word(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0))).collect()
    }
}

/// That many reviews.
#[must_use]
pub fn samples(count: usize) -> Vec<Sample> {
    let mut random = Random(1);
    (0..count).map(|index| sample(&mut random, index)).collect()
}

fn sample(random: &mut Random, index: usize) -> Sample {
    // Most Pods have one container, few have many; the tail is what makes the 95th percentile.
    let containers = [1, 1, 1, 1, 1, 1, 1, 2, 3, 5][random.below(10)];
    let environment = [0, 0, 0, 2, 3, 6, 12, 18][random.below(8)];
    let uid = format!("{:08x}-0000-4000-8000-{index:012x}", random.below(usize::MAX));
    let object = pod(random, containers, environment);
    let pod = object.to_string().len();
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "requestKind": { "group": "", "version": "v1", "kind": "Pod" },
            "requestResource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "5f6f0e2d-6f0f-4d9e-a7f4-0e8d6a7d1c11",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]
            },
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    });
    Sample { body: review.to_string().into_bytes(), uid, pod }
}

fn pod(random: &mut Random, containers: usize, environment: usize) -> Value {
    let app = random.word(9);
    let names: Vec<String> = (0..containers).map(|_| random.word(7)).collect();
    let mount = json!({
        "name": "kube-api-access-x7k2p",
        "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
    });
    let container = |random: &mut Random, name: &String| {
        let env: Vec<_> = (0..environment)
            .map(|_| {
                let length = 10 + random.below(30);
                json!({ "name": random.word(12).to_uppercase(), "value": random.word(length) })
            })
            .collect();
        let mut container = json!({
            "name": name,
            "image": format!("registry.example.com/{app}/{name}:1.{}", random.below(100)),
            "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
            "resources": { "limits": { "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "256Mi" } },
            "volumeMounts": [mount],
            "readinessProbe": {
                "httpGet": { "path": "/ready", "port": 8080, "scheme": "HTTP" },
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        });
        if !env.is_empty() {
            container["env"] = env.into();
        }
        container
    };
    let containers: Vec<_> = names.iter().map(|name| container(random, name)).collect();
    let managed = names.iter().map(|name| {
        let key = format!("k:{{\"name\":\"{name}\"}}");
        let fields = json!({ ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": { ".": {},
            "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {}, "f:name": {}, "f:protocol": {} } },
            "f:readinessProbe": { ".": {}, "f:failureThreshold": {}, "f:httpGet": { ".": {}, "f:path": {}, "f:port": {}, "f:scheme": {} },
            "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {} },
            "f:resources": { ".": {}, "f:limits": { ".": {}, "f:memory": {} }, "f:requests": { ".": {}, "f:cpu": {}, "f:memory": {} } },
            "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {} });
        (key, fields)
    });
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": format!("{app}-7d4b9c6f58-"),
            "creationTimestamp": null,
            "labels": { "app": app, "pod-template-hash": "7d4b9c6f58" },
            "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7d4b9c6f58"),
                "uid": "6c1d1e2f-3b4a-4c5d-8e9f-0a1b2c3d4e5f", "controller": true, "blockOwnerDeletion": true
            }],
            "managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-23T10:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": { "f:generateName": {}, "f:labels": { ".": {}, "f:app": {}, "f:pod-template-hash": {} },
                        "f:ownerReferences": { ".": {}, "k:{\"uid\":\"6c1d1e2f-3b4a-4c5d-8e9f-0a1b2c3d4e5f\"}": {} } },
                    "f:spec": { "f:containers": managed.collect::<serde_json::Map<_, _>>(), "f:dnsPolicy": {}, "f:enableServiceLinks": {},
                        "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {} }
                }
            }]
        },
        "spec": {
            "volumes": [{
                "name": "kube-api-access-x7k2p",
                "projected": { "defaultMode": 420, "sources": [
                    { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                    { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                    { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } }
                ] }
            }],
            "containers": containers,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }
            ],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority"
        },
        "status": {}
    })
}
