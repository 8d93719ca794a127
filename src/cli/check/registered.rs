//! Finds the installation: by its labels and names, as the chart gives them.

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, apps::v1::Deployment};
use kube::ResourceExt;

use super::facts::Registrations;

/// The label that all objects of an installation have, with its value.
const NAME: (&str, &str) = ("app.kubernetes.io/name", "fermata");

/// The name of the webhook in a configuration, also of one that was written by hand.
const WEBHOOK: &str = "pods.fermata.dev";

/// Tells the configurations of the installation that is looked at from others.
pub(super) fn choose(all: Vec<MutatingWebhookConfiguration>, namespace: Option<&str>) -> Registrations {
    let mut ours: Vec<_> = all.into_iter().filter(is_ours).collect();
    ours.sort_by_key(ResourceExt::name_any);
    let (candidates, others) = ours.into_iter().partition(|configuration| {
        // One that is registered by URL tells nothing of a Namespace.
        let called = called_namespace(configuration);
        namespace.is_none() || called.is_none() || called == namespace
    });
    Registrations { candidates, others }
}

fn is_ours(configuration: &MutatingWebhookConfiguration) -> bool {
    configuration.labels().get(NAME.0).is_some_and(|name| name == NAME.1)
        || configuration.webhooks.iter().flatten().any(|webhook| webhook.name == WEBHOOK)
}

/// The Namespace of the Service that a configuration names.
fn called_namespace(configuration: &MutatingWebhookConfiguration) -> Option<&str> {
    configuration
        .webhooks
        .iter()
        .flatten()
        .find_map(|webhook| webhook.client_config.service.as_ref())
        .map(|service| service.namespace.as_str())
}

/// What the objects of one release are selected by.
pub(super) fn selector(instance: Option<&str>) -> String {
    let name = format!("{}={}", NAME.0, NAME.1);
    match instance {
        Some(instance) => format!("{name},app.kubernetes.io/instance={instance}"),
        None => name,
    }
}

/// The image that the replicas are made from.
pub(super) fn image(deployments: &[Deployment]) -> Option<String> {
    let pods = deployments.iter().filter_map(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
    let mut containers = pods.flat_map(|pod| &pod.containers);
    containers.find_map(|container| container.image.clone().filter(|image| !image.is_empty()))
}

/// The Secret that the replicas share, as their command line names it.
pub(super) fn secret(deployments: &[Deployment]) -> Option<String> {
    let pods = deployments.iter().filter_map(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
    let containers = pods.flat_map(|pod| &pod.containers);
    containers.map(|container| container.args.as_deref().unwrap_or_default()).find_map(|arguments| {
        arguments.iter().enumerate().find_map(|(index, argument)| {
            match argument.strip_prefix("--tls-secret")? {
                "" => arguments.get(index + 1).cloned(),
                rest => rest.strip_prefix('=').map(str::to_owned),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{choose, secret};

    fn configuration(name: &str, labels: &Value, webhook: &str, target: &Value) -> Value {
        json!({
            "metadata": { "name": name, "labels": labels },
            "webhooks": [{ "name": webhook, "clientConfig": target, "admissionReviewVersions": ["v1"], "sideEffects": "None" }],
        })
    }

    #[test]
    fn an_installation_is_known_by_its_label_or_its_webhook() {
        let fermata = json!({ "app.kubernetes.io/name": "fermata" });
        let service = |namespace: &str| json!({ "service": { "name": "fermata", "namespace": namespace } });
        let url = json!({ "url": "https://127.0.0.1:1/mutate" });
        let all = || {
            [
                configuration("c", &json!({}), "pods.fermata.dev", &url),
                configuration("b", &fermata, "x.example.com", &service("one")),
                configuration("a", &fermata, "pods.fermata.dev", &service("two")),
                configuration(
                    "z",
                    &json!({ "app.kubernetes.io/name": "mesh" }),
                    "mesh.example.com",
                    &service("one"),
                ),
            ]
            .map(|value| serde_json::from_value(value).unwrap())
            .to_vec()
        };
        let names = |list: &[super::MutatingWebhookConfiguration]| -> Vec<String> {
            list.iter().map(|each| each.metadata.name.clone().unwrap()).collect()
        };
        let found = choose(all(), None);
        assert_eq!(names(&found.candidates), ["a", "b", "c"]);
        assert!(found.others.is_empty());
        let found = choose(all(), Some("one"));
        assert_eq!(
            (names(&found.candidates), names(&found.others)),
            (vec!["b".into(), "c".into()], vec!["a".into()])
        );
    }

    #[test]
    fn the_secret_is_named_on_the_command_line() {
        for (args, expected) in [
            (json!(["serve", "--tls-secret", "fermata-authority"]), Some("fermata-authority")),
            (json!(["serve", "--tls-secret=shared", "--drain", "5s"]), Some("shared")),
            (json!(["serve", "--tls-cert", "/tls/tls.crt"]), None),
            (json!(["serve", "--tls-secret"]), None),
        ] {
            let deployment = json!({ "spec": { "selector": {}, "template": { "spec": {
                "containers": [{ "name": "fermata", "args": args }] } } } });
            let deployment = serde_json::from_value(deployment).unwrap();
            assert_eq!(secret(&[deployment]).as_deref(), expected, "{args}");
        }
    }
}
