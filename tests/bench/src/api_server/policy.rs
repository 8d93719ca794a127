//! The same change by a `MutatingAdmissionPolicy`: CEL that runs inside the API server, without any webhook.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{
    connection::{Connection, Target, post},
    expected::{DRAIN, STATUS},
};

/// The name of the policy and of its binding.
const NAME: &str = "pod-endings";

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// Registers the policy for one namespace.
///
/// # Errors
///
/// When the API server refuses it.
pub(crate) async fn register(api_server: &Target, namespace: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(api_server).await?;
    for (resource, object) in
        [("mutatingadmissionpolicies", policy(namespace)), ("mutatingadmissionpolicybindings", binding())]
    {
        let body = object.to_string();
        let request = post(&format!("{GROUP}/{resource}"), api_server.address, body.as_bytes());
        let response = connection.exchange(&request).await?;
        ensure!(
            response.status == 201,
            "failed to create {resource} {NAME}: {}",
            String::from_utf8_lossy(response.body)
        );
    }
    Ok(())
}

fn policy(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": NAME },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                }],
            },
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            // A policy is run again in the same admission once something has changed the Pod. Without the mark it
            // would then raise the grace period a second time.
            "matchConditions": [{
                "name": "not-yet",
                "expression": format!("!('{STATUS}' in object.metadata.?annotations.orValue({{}}))"),
            }],
            "variables": [{
                "name": "grace",
                "expression": format!("object.spec.terminationGracePeriodSeconds + {DRAIN}"),
            }],
            "mutations": [{
                "patchType": "JSONPatch",
                "jsonPatch": { "expression": patch() },
            }],
        },
    })
}

/// The steps that Fermata's patch has, in the same order. The other form of a mutation, `ApplyConfiguration`, makes
/// the API server merge by field owners and is slower; the policy is to be the best that one can write.
fn patch() -> String {
    let status = STATUS.replace('/', "~1");
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"
        object.spec.containers.transformList(index, container,
          !has(container.lifecycle) || !has(container.lifecycle.preStop),
          JSONPatch{{
            op: "add",
            path: "/spec/containers/" + string(index) + "/lifecycle",
            value: Object.spec.containers.lifecycle{{
              preStop: Object.spec.containers.lifecycle.preStop{{
                sleep: Object.spec.containers.lifecycle.preStop.sleep{{seconds: {DRAIN}}}
              }}
            }}
          }}
        ) + [
          JSONPatch{{op: "replace", path: "/spec/terminationGracePeriodSeconds", value: variables.grace}},
          JSONPatch{{
            op: "add",
            path: "/metadata/annotations/{status}",
            value: '{{"version":"{version}","gracePeriodSeconds":' + string(variables.grace) + ',"drain":{{' +
              object.spec.containers.map(container, '"' + container.name + '":"{DRAIN}s"').join(',') + '}}}}'
          }}
        ]"#
    )
}

fn binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": NAME },
        "spec": { "policyName": NAME },
    })
}
