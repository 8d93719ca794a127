//! What the chart installs beside the replicas: the Secret of the authority that they share, and the registration that
//! they keep.

use fermata_test_cluster::{ControlPlane, TestNamespace, webhook::WebhookOptions};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ServiceReference},
    core::v1::Secret,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};

use crate::replicas::NAME;

/// The name of the Secret.
const SECRET: &str = "fermata-authority";

/// A registration for Pods that there are not: the load calls the replicas itself.
pub(crate) struct Registration {
    home: TestNamespace,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    name: String,
}

impl Registration {
    /// Registers a webhook under the name by which API servers know the Service.
    pub(crate) async fn new(cluster: &ControlPlane) -> Self {
        let client = cluster.client().unwrap();
        let home = cluster.namespace("home", &[], &[]).await.unwrap();
        let mut configuration = WebhookOptions {
            only_namespace: Some("nowhere".to_owned()),
            ..WebhookOptions::new("https://unused", "")
        }
        .configuration();
        let webhook = &mut configuration.webhooks.as_mut().unwrap()[0].client_config;
        (webhook.url, webhook.ca_bundle) = (None, None);
        let (name, namespace) = ("fermata".to_owned(), "fermata".to_owned());
        let path = Some("/mutate".to_owned());
        webhook.service = Some(ServiceReference { name, namespace, path, port: None });
        let configurations = Api::<MutatingWebhookConfiguration>::all(client.clone());
        let name = configurations.create(&PostParams::default(), &configuration).await.unwrap().name_any();
        Self { secrets: Api::namespaced(client, home.name()), home, configurations, name }
    }

    /// The chart's arguments about it.
    pub(crate) fn flags(&self) -> Vec<String> {
        vec![
            format!("--tls-secret={SECRET}"),
            format!("--tls-name={NAME}"),
            format!("--webhook-configuration={}", self.name),
            format!("--own-namespace={}", self.home.name()),
        ]
    }

    /// The registered bundle.
    pub(crate) async fn bundle(&self) -> String {
        let webhook = self.configurations.get(&self.name).await.unwrap().webhooks.unwrap().remove(0);
        String::from_utf8(webhook.client_config.ca_bundle.unwrap().0).unwrap()
    }

    /// The authority that signs now.
    pub(crate) async fn authority(&self) -> String {
        let data = self.secrets.get(SECRET).await.unwrap().data.unwrap();
        String::from_utf8(data["tls.crt"].0.clone()).unwrap()
    }

    /// Takes it away.
    pub(crate) async fn delete(self) {
        self.configurations.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}
