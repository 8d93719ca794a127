//! Creates a Pod by server-side dry run: the API server does all that it does to a Pod, webhooks included, and stores
//! nothing.

use std::{collections::BTreeMap, time::Duration};

use fermata_core::opt_in::{DISABLED, LABEL};
use hyper::{HeaderMap, Request, header::CONTENT_TYPE};
use k8s_openapi::{
    api::{admissionregistration::v1::MutatingWebhook, core::v1::Namespace},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, client::Body};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ask, said};
use crate::cli::check::{
    facts::{Admitted, Probe, blames_fermata},
    selector::{labels, taken},
};

/// In how many Namespaces it is tried, if none is named.
const TRIED: usize = 20;

/// How long the API server may take beyond what it waits for the webhook.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest that the API server waits for one webhook. Unit: seconds.
const LONGEST_WAIT: u64 = 30;

/// How a Pod is tried.
pub(super) struct Attempt<'o> {
    /// The Namespace that whoever runs this has named.
    pub(super) named: Option<&'o str>,
    /// What is registered.
    pub(super) webhook: Option<&'o MutatingWebhook>,
    /// The replicas' own image, where it is known: whoever allows registries by a list allows that one.
    pub(super) image: Option<String>,
}

/// Tries a Pod in the Namespace that is named, or in the first one that takes it.
pub(super) async fn probe<'n>(
    client: &Client,
    attempt: &Attempt<'_>,
    opted_in: impl Iterator<Item = &'n str>,
) -> Probe {
    let namespaces: Vec<&str> = match attempt.named {
        Some(named) => vec![named],
        None => opted_in.take(TRIED).collect(),
    };
    let webhook = attempt.webhook;
    let wait = webhook.and_then(|webhook| webhook.timeout_seconds).unwrap_or(10);
    let wait = u64::try_from(wait).unwrap_or(0).min(LONGEST_WAIT);
    // A Pod that another webhook has changed is sent a second time.
    let patience = PATIENCE + 2 * Duration::from_secs(wait);
    let selector = webhook.and_then(|webhook| webhook.object_selector.as_ref());
    let pod = pod(selector, attempt.image.as_deref());
    let mut last = Probe::NoNamespace;
    let mut forbidden = Vec::new();
    for namespace in namespaces {
        let tried = try_in(client, namespace, &pod, patience).await;
        match &tried {
            Probe::NotPermitted { .. } => forbidden.push(namespace.to_owned()),
            // Somebody's quota or policy says nothing about the webhook; another Namespace may.
            Probe::Refused { message, .. } if !blames_fermata(message, webhook) => {}
            _ => return tried,
        }
        if matches!(last, Probe::NoNamespace | Probe::NotPermitted { .. }) {
            last = tried;
        }
    }
    if let Probe::NotPermitted { namespaces, .. } = &mut last {
        *namespaces = forbidden;
    }
    last
}

async fn try_in(client: &Client, namespace: &str, pod: &Value, patience: Duration) -> Probe {
    let namespace = namespace.to_owned();
    let (code, warnings, body) = match timeout(patience, create(client, &namespace, pod)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Probe::NoAnswer { namespace, error },
        Err(_) => {
            let error = format!("nothing within {} s", patience.as_secs());
            return Probe::NoAnswer { namespace, error };
        }
    };
    if (200..300).contains(&code) {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let metadata = ask("get namespaces", namespaces.get_metadata_opt(&namespace)).await;
        let labels =
            metadata.map(|found| found.and_then(|found| found.metadata.labels).unwrap_or_else(BTreeMap::new));
        return Probe::Admitted(Box::new(Admitted { namespace, pod: body, warnings, labels }));
    }
    let message = body["message"].as_str().unwrap_or("no reason given").to_owned();
    if code == 403 && message.contains("cannot create resource") {
        return Probe::NotPermitted { namespaces: vec![namespace], reason: message };
    }
    Probe::Refused { namespace, code, message }
}

async fn create(client: &Client, namespace: &str, pod: &Value) -> Result<(u16, Vec<String>, Value), String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(pod.to_string().into_bytes()))
        .map_err(|error| error.to_string())?;
    let answer = client.send(request).await.map_err(|error| said(&error))?;
    let (code, warnings) = (answer.status().as_u16(), warnings(answer.headers()));
    let body = answer.into_body().collect_bytes().await.map_err(|error| said(&error))?;
    // Not every error comes as a Status.
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok((code, warnings, body))
}

/// A Pod that is accepted as widely as can be: it fits the Pod Security Standard `restricted`, and names what a
/// quota asks for. It has the labels that the registered selector asks for.
fn pod(selector: Option<&LabelSelector>, image: Option<&str>) -> Value {
    let own = labels([("app.kubernetes.io/name", "fermata-check")]);
    let may = |key: &str, value: Option<&str>| key != LABEL || value != Some(DISABLED);
    // One that no Pod can have is judged by itself.
    let labels =
        taken(selector, &own, may).or_else(|_| taken(selector, &BTreeMap::new(), may)).unwrap_or(own);
    let resources = json!({ "cpu": "10m", "memory": "16Mi" });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "fermata-check-",
            "labels": labels,
        },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "app",
                "image": image.unwrap_or(concat!("fermata/fermata:", env!("CARGO_PKG_VERSION"))),
                "resources": { "requests": resources, "limits": resources },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

/// The texts of `Warning` headers (RFC 7234, section 5.5), of which API servers send `299 - "TEXT"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let texts = headers.get_all("warning").iter().filter_map(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let quoted = value.splitn(3, ' ').nth(2)?.strip_prefix('"')?.to_owned();
        let mut text = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' => return Some(text),
                '\\' => text.push(characters.next()?),
                character => text.push(character),
            }
        }
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use serde_json::json;

    use super::{pod, warnings};

    #[test]
    fn the_pod_is_one_that_is_asked_for() {
        for (selector, expected) in [
            (json!({}), json!({ "app.kubernetes.io/name": "fermata-check" })),
            (
                json!({ "matchLabels": { "team": "a" } }),
                json!({ "app.kubernetes.io/name": "fermata-check", "team": "a" }),
            ),
            (
                json!({ "matchLabels": { "app.kubernetes.io/name": "web" } }),
                json!({ "app.kubernetes.io/name": "web" }),
            ),
            (
                json!({ "matchExpressions": [{ "key": "fermata.dev/inject", "operator": "In", "values": ["disabled", "enabled"] }] }),
                json!({ "app.kubernetes.io/name": "fermata-check", "fermata.dev/inject": "enabled" }),
            ),
            (
                json!({ "matchLabels": { "fermata.dev/inject": "disabled" } }),
                json!({ "app.kubernetes.io/name": "fermata-check" }),
            ),
        ] {
            let parsed = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(pod(Some(&parsed), None)["metadata"]["labels"], expected, "{selector}");
        }
    }

    #[test]
    fn its_image_is_that_of_the_replicas() {
        let image = |known| pod(None, known)["spec"]["containers"][0]["image"].clone();
        assert_eq!(
            image(Some("registry.example.com/fermata@sha256:0")),
            "registry.example.com/fermata@sha256:0"
        );
        assert!(image(None).as_str().unwrap().starts_with("fermata/fermata:"));
    }

    #[test]
    fn warnings_are_unquoted() {
        let mut headers = HeaderMap::new();
        for value in
            [r#"299 - "fermata: a \"b\" \\ c""#, r#"299 - "second" "date""#, "299 -", r#"299 - "open"#]
        {
            headers.append("warning", value.parse().unwrap());
        }
        assert_eq!(warnings(&headers), [r#"fermata: a "b" \ c"#, "second"]);
    }
}
