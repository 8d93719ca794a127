//! Bodies of reviews.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::client::Answer;

/// A review of a Pod's creation, changed at will.
pub(crate) fn review(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "operation": "CREATE",
            "namespace": "shop",
            "object": {
                "metadata": { "name": "web" },
                "spec": { "containers": [{ "name": "app", "image": "app" }] },
            },
        },
    });
    change(&mut review);
    serde_json::to_vec(&review).unwrap()
}

pub(crate) fn plain() -> Vec<u8> {
    review(|_| {})
}

/// A review with so many bytes more, in an annotation of somebody else.
pub(crate) fn padded(bytes: usize) -> Vec<u8> {
    review(|review| {
        review["request"]["object"]["spec"]["padding"] = "x".repeat(bytes).into();
    })
}

/// The operations of an answer's patch.
pub(crate) fn patch(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let response = &answer.json()["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(true)));
    match response.get("patch") {
        Some(patch) => {
            serde_json::from_slice(&BASE64_STANDARD.decode(patch.as_str().unwrap()).unwrap()).unwrap()
        }
        None => Vec::new(),
    }
}

/// The drain that an answer gives the first container.
pub(crate) fn drain(answer: &Answer) -> Option<u64> {
    let hook = "/spec/containers/0/lifecycle";
    let operation = patch(answer).into_iter().find(|operation| operation["path"] == hook)?;
    operation["value"]["preStop"]["sleep"]["seconds"].as_u64()
}

pub(crate) fn warnings(answer: &Answer) -> Vec<String> {
    let warnings = answer.json()["response"]["warnings"].take();
    serde_json::from_value::<Option<_>>(warnings).unwrap().unwrap_or_default()
}
