//! The baseline: the webhook that anybody would write in an afternoon. It parses everything into a generic
//! value, builds the same patch, and serialises a generic answer.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// Answers a review with the same patch as Fermata does for the generated Pods.
///
/// # Errors
///
/// When the body is not JSON.
pub fn answer(body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let review: Value = serde_json::from_slice(body)?;
    let pod = &review["request"]["object"];
    let mut patch = Vec::new();
    let mut drained = serde_json::Map::new();
    for (index, container) in pod["spec"]["containers"].as_array().into_iter().flatten().enumerate() {
        if container["lifecycle"]["preStop"].is_null() {
            patch.push(json!({
                "op": "add",
                "path": format!("/spec/containers/{index}/lifecycle"),
                "value": { "preStop": { "sleep": { "seconds": 15 } } },
            }));
        }
        drained.insert(container["name"].as_str().unwrap_or_default().to_owned(), json!("15s"));
    }
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30) + 15;
    patch.push(json!({ "op": "replace", "path": "/spec/terminationGracePeriodSeconds", "value": grace }));
    let status =
        json!({ "version": env!("CARGO_PKG_VERSION"), "gracePeriodSeconds": grace, "drain": drained })
            .to_string();
    patch.push(json!({ "op": "add", "path": "/metadata/annotations/fermata.dev~1status", "value": status }));
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": BASE64_STANDARD.encode(serde_json::to_vec(&patch)?),
            "auditAnnotations": { "outcome": "patched" },
        },
    });
    serde_json::to_vec(&answer)
}
