//! Registering a webhook, with nobody listening: a refusal by `failurePolicy: Fail` proves the call.

use anyhow::{Context as _, ensure};
use fermata_test_cluster::{
    ControlPlane, TestNamespace, WebhookOptions, WebhookRegistration,
    credentials::Authority,
    ports,
    webhook::{FailurePolicy, OPT_IN_LABEL},
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{Api, api::PostParams};
use serde_json::{from_value, json};

fn pod() -> anyhow::Result<Pod> {
    Ok(from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "app", "image": "registry.example/app:1" }] },
    }))?)
}

fn options(namespace: &TestNamespace, failure_policy: FailurePolicy) -> anyhow::Result<WebhookOptions> {
    let url = format!("https://127.0.0.1:{}/mutate", ports::free()?);
    let mut options = WebhookOptions::new(url, Authority::new("webhook-test")?.pem());
    options.failure_policy = failure_policy;
    options.only_namespace = Some(namespace.name().to_owned());
    Ok(options)
}

fn was_called(answer: &kube::Result<Pod>) -> bool {
    answer.as_ref().is_err_and(|error| error.to_string().contains("failed calling webhook"))
}

#[tokio::test]
async fn a_webhook_is_called_for_its_own_namespace_until_it_is_deleted() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let namespace = cluster.namespace("opted-in", &[OPT_IN_LABEL], &[]).await?;
    let neighbour = cluster.namespace("neighbour", &[OPT_IN_LABEL], &[]).await?;
    let registration =
        WebhookRegistration::create(cluster, &options(&namespace, FailurePolicy::Fail)?).await?;
    registration.wait_until_effective(&namespace, &pod()?, was_called).await?;

    let refused = namespace.pods().create(&PostParams::default(), &pod()?).await;
    ensure!(was_called(&refused), "the webhook was not called: {refused:?}");
    neighbour.pods().create(&PostParams::default(), &pod()?).await.context("a neighbour was disturbed")?;

    let name = registration.name().to_owned();
    registration.delete().await?;
    let left: Api<MutatingWebhookConfiguration> = Api::all(cluster.client()?);
    ensure!(left.get_opt(&name).await?.is_none(), "{name} is still there");
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_has_not_opted_in_is_left_alone() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let opted_in = cluster.namespace("opted-in", &[OPT_IN_LABEL], &[]).await?;
    let not = cluster.namespace("not-opted-in", &[], &[]).await?;
    let _elsewhere = WebhookRegistration::create(cluster, &options(&not, FailurePolicy::Fail)?).await?;
    // The API server learns of them in order: once it knows the second, it knows the first.
    let registration =
        WebhookRegistration::create(cluster, &options(&opted_in, FailurePolicy::Fail)?).await?;
    registration.wait_until_effective(&opted_in, &pod()?, was_called).await?;
    not.pods().create(&PostParams::default(), &pod()?).await?;
    Ok(())
}

#[tokio::test]
async fn with_ignore_the_pod_is_admitted_as_it_is() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let namespace = cluster.namespace("ignore", &[OPT_IN_LABEL], &[]).await?;
    let options = options(&namespace, FailurePolicy::Ignore)?;
    let configuration = options.configuration();
    let webhook = configuration.webhooks.context("expected webhooks")?.remove(0);
    assert_eq!(webhook.failure_policy.as_deref(), Some("Ignore"));
    let _registration = WebhookRegistration::create(cluster, &options).await?;
    namespace.pods().create(&PostParams::default(), &pod()?).await?;
    Ok(())
}
