//! How the API server has been told to ask.

use std::collections::BTreeMap;

use fermata_core::opt_in::{DISABLED, ENABLED, LABEL, SYSTEM_NAMESPACES};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::ResourceExt;

use super::few;
use crate::cli::check::{
    catalogue::{Check, Group},
    facts::{Facts, Registrations, asks_for_pods},
    finding::Finding,
    selector::{labels, selects},
};

/// The label that the API server itself puts on each Namespace.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// From here on a webhook that hangs is felt: the API server has 34 seconds for a whole request, and asks twice.
const LONG: i32 = 10;

/// What is behind all of it.
const INSTALL: &str = "helm upgrade --install fermata charts/fermata -n fermata --create-namespace";

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let checks = || Check::ALL.iter().copied().filter(|check| check.group() == Group::Registration);
    let registrations = match &facts.registrations {
        Ok(registrations) => registrations,
        Err(gap) => return checks().map(|check| Finding::unknown(check, gap)).collect(),
    };
    let (Some(chosen), Some(webhook)) = (registrations.chosen(), registrations.webhook()) else {
        let rest = checks().skip(1).map(|check| Finding::skipped(check, "nothing is registered"));
        return std::iter::once(missing(registrations, facts.own_namespace.as_deref())).chain(rest).collect();
    };
    vec![
        Finding::ok(
            Check::RegistrationExists,
            format!("{}, which calls {}", chosen.name_any(), called(webhook)),
        ),
        unique(registrations),
        rules(chosen, webhook),
        selectors(webhook, facts.own_namespace.as_deref()),
        conditions(webhook),
        failure_policy(webhook),
        timeout(webhook),
        reinvocation(webhook),
    ]
}

fn missing(registrations: &Registrations, namespace: Option<&str>) -> Finding {
    let check = Check::RegistrationExists;
    if let Some(empty) = registrations.chosen() {
        let message = format!("{} has no webhooks, so that nothing is called", empty.name_any());
        return Finding::failed(check, message, INSTALL);
    }
    if registrations.others.is_empty() {
        let message = "no MutatingWebhookConfiguration has the label app.kubernetes.io/name=fermata or the webhook \
                       pods.fermata.dev, so that no Pod is changed";
        return Finding::failed(check, message, INSTALL);
    }
    let others = registrations.others.iter().map(|other| {
        let webhook = other.webhooks.iter().flatten().next();
        format!("{}, which calls {}", other.name_any(), webhook.map_or("nothing".to_owned(), called))
    });
    let message = format!(
        "none calls a Service in {}, but there is {}",
        namespace.unwrap_or_default(),
        others.collect::<Vec<_>>().join("; ")
    );
    Finding::failed(check, message, "give the --namespace of the installation, or leave it out")
}

/// What a webhook calls.
pub(super) fn called(webhook: &MutatingWebhook) -> String {
    let target = &webhook.client_config;
    match (&target.service, &target.url) {
        (Some(service), _) => format!("the Service {} in {}", service.name, service.namespace),
        (None, Some(url)) => url.clone(),
        (None, None) => "nothing".to_owned(),
    }
}

fn unique(registrations: &Registrations) -> Finding {
    let others: Vec<_> = registrations
        .candidates
        .iter()
        .skip(1)
        .chain(&registrations.others)
        .map(|other| {
            let webhook = other.webhooks.iter().flatten().next();
            format!("{} calls {}", other.name_any(), webhook.map_or("nothing".to_owned(), called))
        })
        .collect();
    if others.is_empty() {
        return Finding::ok(Check::RegistrationUnique, "");
    }
    // The second one finds the Pod as it should be; only where their settings differ does the order of names decide.
    Finding::warning(
        Check::RegistrationUnique,
        format!(
            "{}: Pods go through both, and the settings of either may count",
            few(others.iter().map(String::as_str))
        ),
        "helm uninstall the release that is not wanted; --namespace chooses which one is looked at here",
    )
}

fn rules(configuration: &MutatingWebhookConfiguration, webhook: &MutatingWebhook) -> Finding {
    if asks_for_pods(webhook) {
        return Finding::ok(Check::RegistrationRules, "CREATE pods");
    }
    Finding::failed(
        Check::RegistrationRules,
        format!(
            "no webhook of {} has a rule for CREATE of v1 pods, so that no Pod is changed",
            configuration.name_any()
        ),
        "helm upgrade the release, which restores its rules",
    )
}

fn namespace(name: &str, enabled: bool) -> BTreeMap<String, String> {
    let mut labels = labels([(NAME_LABEL, name)]);
    if enabled {
        labels.insert(LABEL.to_owned(), ENABLED.to_owned());
    }
    labels
}

fn selectors(webhook: &MutatingWebhook, own: Option<&str>) -> Finding {
    const CHECK: Check = Check::RegistrationSelectors;
    let selector = webhook.namespace_selector.as_ref();
    // Names that nobody has: a selector that speaks of some Namespaces by name is about others.
    let (stranger, opted_in) =
        (namespace("fermata-check-stranger", false), namespace("fermata-check-stranger", true));
    let way_out = "helm upgrade the release, which restores its selectors";
    let critical: Vec<_> = SYSTEM_NAMESPACES
        .into_iter()
        .chain(own)
        .filter(|name| selects(selector, &namespace(name, true)))
        .collect();
    let none = labels([]);
    if !selects(selector, &opted_in) {
        let message = format!("namespaceSelector leaves out Namespaces with the label {LABEL}: {ENABLED}");
        return Finding::failed(CHECK, message, way_out);
    }
    if !selects(webhook.object_selector.as_ref(), &none) {
        let message = "objectSelector leaves out Pods without labels of its own choice";
        return Finding::failed(CHECK, message, way_out);
    }
    if !critical.is_empty() {
        let message = format!(
            "namespaceSelector lets in {}: their Pods are left as they are, but wait for the webhook, which may wait for them",
            critical.join(", ")
        );
        let exclude = format!(
            "add to namespaceSelector.matchExpressions: {{key: {NAME_LABEL}, operator: NotIn, values: [{}]}}",
            critical.join(", ")
        );
        let refuses = webhook.failure_policy.as_deref() != Some("Ignore");
        return if refuses {
            Finding::failed(CHECK, message, exclude)
        } else {
            Finding::warning(CHECK, message, exclude)
        };
    }
    if selects(selector, &stranger) {
        let message = "namespaceSelector lets in Namespaces without the label: their Pods are left as they are, and wait for the webhook all the same";
        return Finding::warning(CHECK, message, way_out);
    }
    let aside = labels([(LABEL, DISABLED)]);
    let spared =
        if selects(webhook.object_selector.as_ref(), &aside) { "" } else { ", without Pods that opt out" };
    Finding::ok(CHECK, format!("{LABEL}: {ENABLED}{spared}"))
}

fn conditions(webhook: &MutatingWebhook) -> Finding {
    let names: Vec<_> =
        webhook.match_conditions.iter().flatten().map(|condition| condition.name.as_str()).collect();
    // Where the expression fails on a Pod, failurePolicy decides.
    match (names.is_empty(), fails_open(webhook)) {
        (true, _) => Finding::ok(Check::RegistrationConditions, "there are none"),
        (false, true) => Finding::ok(Check::RegistrationConditions, few(names)),
        (false, false) => Finding::warning(
            Check::RegistrationConditions,
            format!("a Pod on which one of {} fails is refused", few(names)),
            "set failurePolicy to Ignore",
        ),
    }
}

/// Whether Pods start while no webhook answers.
pub(super) fn fails_open(webhook: &MutatingWebhook) -> bool {
    webhook.failure_policy.as_deref() == Some("Ignore")
}

fn failure_policy(webhook: &MutatingWebhook) -> Finding {
    if fails_open(webhook) {
        return Finding::ok(Check::RegistrationFailurePolicy, "failurePolicy: Ignore");
    }
    Finding::warning(
        Check::RegistrationFailurePolicy,
        "failurePolicy: Fail refuses every Pod of the opted-in Namespaces while no webhook answers",
        "set failurePolicy to Ignore, unless a Pod without a drain is worse than no Pod",
    )
}

fn timeout(webhook: &MutatingWebhook) -> Finding {
    // Kubernetes' own default.
    let seconds = webhook.timeout_seconds.unwrap_or(10);
    let message = format!("timeoutSeconds: {seconds}");
    if seconds > LONG {
        let message = format!(
            "{message}; asked twice, that is most of the 34 s which the API server has for a request"
        );
        return Finding::warning(Check::RegistrationTimeout, message, "set timeoutSeconds to 5");
    }
    if seconds < 3 {
        let message = format!(
            "{message}; Fermata answers in milliseconds, but may wait 2.5 s for a Namespace to be looked up"
        );
        return Finding::warning(Check::RegistrationTimeout, message, "set timeoutSeconds to 5");
    }
    Finding::ok(Check::RegistrationTimeout, message)
}

fn reinvocation(webhook: &MutatingWebhook) -> Finding {
    if webhook.reinvocation_policy.as_deref() == Some("IfNeeded") {
        return Finding::ok(Check::RegistrationReinvocation, "reinvocationPolicy: IfNeeded");
    }
    Finding::warning(
        Check::RegistrationReinvocation,
        "reinvocationPolicy: Never; a proxy that another webhook adds afterwards gets no drain, and dies under the serving app",
        "set reinvocationPolicy to IfNeeded",
    )
}
