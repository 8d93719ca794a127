//! The three writes to the cluster. Each says what happened in a way that can be shown to people.

use std::time::Duration;

use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{bundle, certificate::CaCertificate};
use crate::{cluster::follow::said, telemetry::metrics::Written};

/// Under which name the API server notes who owns a field.
pub(super) const MANAGER: &str = "fermata";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// Somebody else has changed the object meanwhile; their change is to be seen first.
    Conflict,
    /// It failed, for that reason.
    Failed(String),
}

/// Makes a Secret without data, or leaves the one that is there as it is.
///
/// By server-side apply, which replicas can do at once without disturbing each other: there is nothing in it that
/// could differ. The API server authorises it as `create` of that name, where an ordinary create has no name yet
/// and a role that names the object does not allow it.
pub(super) async fn make_secret(api: &Api<Secret>, name: &str) -> Outcome {
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "Opaque" });
    let params = PatchParams::apply(MANAGER).force();
    tell("make", &format!("Secret {name}"), api.patch(name, &params, &Patch::Apply(secret))).await
}

/// Replaces a Secret as it was seen: if it has changed meanwhile, its resource version tells the API server.
pub(super) async fn replace_secret(api: &Api<Secret>, secret: &Secret) -> Outcome {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    tell("update", &format!("Secret {name}"), api.replace(name, &params, secret)).await
}

/// Registers authorities with each of the webhooks of a configuration, as it was seen.
///
/// By server-side apply of nothing but the bundles: whatever else tools put there is left to them. The resource
/// version makes the API server refuse it where the configuration has changed or gone; otherwise an entry that
/// has been removed meanwhile would be made anew, and be nothing but a bundle.
pub(super) async fn register(
    api: &Api<MutatingWebhookConfiguration>,
    name: &str,
    version: &str,
    webhooks: &[String],
    authorities: &[CaCertificate],
) -> Outcome {
    let bundle = ByteString(bundle::write(authorities).into_bytes());
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|webhook| json!({ "name": webhook, "clientConfig": { "caBundle": bundle } }))
        .collect();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": name, "resourceVersion": version },
        "webhooks": webhooks,
    });
    let params = PatchParams::apply(MANAGER).force();
    let what = format!("MutatingWebhookConfiguration {name}");
    tell("patch", &what, api.patch(name, &params, &Patch::Apply(configuration))).await
}

async fn tell<T>(verb: &str, what: &str, write: impl Future<Output = kube::Result<T>>) -> Outcome {
    let failed = |why| Outcome::Failed(format!("cannot {verb} {what}: {why}"));
    match timeout(PATIENCE, write).await {
        Ok(Ok(_)) => Outcome::Done,
        Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_not_found() => {
            Outcome::Conflict
        }
        Ok(Err(error)) => failed(said(error).to_string()),
        Err(_) => failed("no answer".to_owned()),
    }
}

impl From<&Outcome> for Written {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Ok,
            Outcome::Conflict => Self::Conflict,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}
