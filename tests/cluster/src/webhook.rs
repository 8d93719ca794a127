//! Registers a webhook with the API server, and tells when the API server has taken notice.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, WebhookClientConfig,
        },
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Config, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, PostParams},
};

use crate::{
    control_plane::{ControlPlane, client},
    namespace::{TestNamespace, in_background},
    wait::{self, Seen},
};

/// The label by which a namespace opts in.
pub const OPT_IN_LABEL: (&str, &str) = ("fermata.dev/inject", "enabled");

/// The label that the API server itself puts on each namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// How long the API server may take to act on a new configuration.
const EFFECTIVE_BOUND: Duration = Duration::from_secs(30);

/// What the API server does when the webhook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// The Pod is admitted as it is.
    #[default]
    Ignore,
    /// The Pod is refused.
    Fail,
}

/// How to register a webhook.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// The start of the configuration's name. The API server calls webhooks in the order of these names.
    pub name_prefix: String,
    /// Where the webhook listens: `https://127.0.0.1:PORT/mutate`.
    pub url: String,
    /// The certificates, in PEM, by which to trust it.
    pub ca_bundle: String,
    /// What a webhook that does not answer means.
    pub failure_policy: FailurePolicy,
    /// Restricts it to one namespace, so that tests on one control plane do not meet each other's webhooks.
    pub only_namespace: Option<String>,
    /// Restricts it to namespaces with these labels, for a test that needs several of its own.
    pub namespace_labels: BTreeMap<String, String>,
    /// Whether the namespace has to have opted in by its label; a second webhook of a test need not ask for that.
    pub opt_in: bool,
}

impl WebhookOptions {
    /// Registers for all namespaces that have opted in, with `failurePolicy: Ignore`.
    #[must_use]
    pub fn new(url: impl Into<String>, ca_bundle: impl Into<String>) -> Self {
        Self {
            name_prefix: "fermata".to_owned(),
            url: url.into(),
            ca_bundle: ca_bundle.into(),
            failure_policy: FailurePolicy::default(),
            only_namespace: None,
            namespace_labels: BTreeMap::new(),
            opt_in: true,
        }
    }

    /// The configuration object for the API server.
    #[must_use]
    pub fn configuration(&self) -> MutatingWebhookConfiguration {
        let mut labels = self.namespace_labels.clone();
        if self.opt_in {
            labels.insert(OPT_IN_LABEL.0.to_owned(), OPT_IN_LABEL.1.to_owned());
        }
        if let Some(namespace) = &self.only_namespace {
            labels.insert(NAME_LABEL.to_owned(), namespace.clone());
        }
        let one = |value: &str| Some(vec![value.to_owned()]);
        MutatingWebhookConfiguration {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", self.name_prefix)),
                ..ObjectMeta::default()
            },
            webhooks: Some(vec![MutatingWebhook {
                name: format!("{}.fermata.dev", self.name_prefix),
                admission_review_versions: vec!["v1".to_owned()],
                client_config: WebhookClientConfig {
                    url: Some(self.url.clone()),
                    ca_bundle: Some(ByteString(self.ca_bundle.clone().into_bytes())),
                    service: None,
                },
                failure_policy: Some(format!("{:?}", self.failure_policy)),
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(LabelSelector {
                    match_labels: Some(labels),
                    ..LabelSelector::default()
                }),
                reinvocation_policy: Some("IfNeeded".to_owned()),
                rules: Some(vec![RuleWithOperations {
                    api_groups: one(""),
                    api_versions: one("v1"),
                    operations: one("CREATE"),
                    resources: one("pods"),
                    scope: Some("Namespaced".to_owned()),
                }]),
                side_effects: "None".to_owned(),
                timeout_seconds: Some(5),
                ..MutatingWebhook::default()
            }]),
        }
    }
}

/// A registered webhook. Dropping it deletes the registration in the background.
pub struct WebhookRegistration {
    name: String,
    config: Config,
    registered: bool,
}

impl WebhookRegistration {
    /// Creates the configuration. The API server acts on it a little later: see
    /// [`WebhookRegistration::wait_until_effective`].
    ///
    /// # Errors
    ///
    /// When the API server refuses it.
    pub async fn create(control_plane: &ControlPlane, options: &WebhookOptions) -> anyhow::Result<Self> {
        let config = control_plane.config().clone();
        let created = Api::all(client(&config)?)
            .create(&PostParams::default(), &options.configuration())
            .await
            .context("failed to create the MutatingWebhookConfiguration")?;
        Ok(Self { name: created.name_any(), config, registered: true })
    }

    /// The name of the `MutatingWebhookConfiguration`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates `probe` by server-side dry run until `reached` recognises in what comes back that the webhook was
    /// called: by the Pod as changed, or by a refusal.
    ///
    /// # Errors
    ///
    /// When that does not happen in time; with what came back last.
    pub async fn wait_until_effective(
        &self,
        namespace: &TestNamespace,
        probe: &Pod,
        mut reached: impl FnMut(&kube::Result<Pod>) -> bool,
    ) -> anyhow::Result<()> {
        let pods = namespace.pods();
        let dry_run = PostParams { dry_run: true, field_manager: None };
        let what = format!("the API server to call the webhook of {}", self.name);
        wait::until(&what, EFFECTIVE_BOUND, async || {
            let answer = pods.create(&dry_run, probe).await;
            Ok(match answer {
                answer if reached(&answer) => Seen::Yes(()),
                Ok(_) => Seen::NotYet("the probe Pod was admitted without a trace of the webhook".to_owned()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })
        .await
    }

    /// Deletes the configuration. The API server may go on calling the webhook for a moment.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn delete(mut self) -> anyhow::Result<()> {
        Api::<MutatingWebhookConfiguration>::all(client(&self.config)?)
            .delete(&self.name, &DeleteParams::default())
            .await
            .with_context(|| format!("failed to delete the MutatingWebhookConfiguration {}", self.name))?;
        self.registered = false;
        Ok(())
    }
}

impl Drop for WebhookRegistration {
    fn drop(&mut self) {
        if !self.registered {
            return;
        }
        let name = std::mem::take(&mut self.name);
        in_background(self.config.clone(), async move |client| {
            let configurations = Api::<MutatingWebhookConfiguration>::all(client);
            configurations.delete(&name, &DeleteParams::default()).await.ok();
        });
    }
}
