//! How the API server has been told to ask.

use fermata_core::opt_in::{DISABLED, ENABLED, LABEL, SYSTEM_NAMESPACES};
use k8s_openapi::{
    api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt;

use super::{also_unknown, few};
use crate::cli::check::{
    catalogue::{Check, Group},
    facts::{Facts, Registrations, asks_for_pods},
    finding::Finding,
    selector::{labels, requirements, selects, taken, text},
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
        Err(gap) => {
            let rest = checks().skip(1).map(|check| also_unknown(check, gap));
            return std::iter::once(Finding::unknown(Check::RegistrationExists, gap)).chain(rest).collect();
        }
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
        selectors(chosen, webhook, facts.own_namespace.as_deref()),
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
        "uninstall the release that is not wanted; --namespace chooses which one is looked at here",
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
        restore(configuration),
    )
}

/// How a registration becomes again as the chart has made it.
fn restore(configuration: &MutatingWebhookConfiguration) -> String {
    let annotation = |name: &str| configuration.annotations().get(&format!("meta.helm.sh/release-{name}"));
    if let (Some(release), Some(namespace)) = (annotation("name"), annotation("namespace")) {
        return format!(
            "see what differs from the chart's, and undo it:\nhelm -n {namespace} get manifest {release} | kubectl diff -f -"
        );
    }
    format!(
        "compare it with deploy/manifests, and undo what differs:\nkubectl get mutatingwebhookconfiguration {} -o yaml",
        configuration.name_any()
    )
}

/// Whether a label may be on a Namespace that the chart's registration can take: any name but those that are never
/// touched.
fn may_be_elsewhere(own: Option<&str>, key: &str, value: Option<&str>) -> bool {
    key != NAME_LABEL || value.is_some_and(|name| !SYSTEM_NAMESPACES.contains(&name) && own != Some(name))
}

/// That it takes some of the opted-in Namespaces and Pods alone is the operator's right; that it takes none of them, or
/// others, is not.
fn selectors(
    configuration: &MutatingWebhookConfiguration,
    webhook: &MutatingWebhook,
    own: Option<&str>,
) -> Finding {
    const CHECK: Check = Check::RegistrationSelectors;
    let (namespaces, pods) = (webhook.namespace_selector.as_ref(), webhook.object_selector.as_ref());
    let opted_in = labels([(LABEL, ENABLED)]);
    if let Err(key) = taken(namespaces, &opted_in, |key, value| may_be_elsewhere(own, key, value)) {
        let message = format!(
            "namespaceSelector leaves out every Namespace with the label {LABEL}: {ENABLED}, by what it asks of {key}"
        );
        return Finding::failed(CHECK, message, restore(configuration));
    }
    if let Err(key) = taken(pods, &labels([]), |key, value| key != LABEL || value != Some(DISABLED)) {
        let message = format!("objectSelector leaves out every Pod, by what it asks of {key}");
        return Finding::failed(CHECK, message, restore(configuration));
    }
    let critical: Vec<_> = SYSTEM_NAMESPACES
        .into_iter()
        .chain(own)
        .filter(|name| {
            taken(namespaces, &labels([(LABEL, ENABLED), (NAME_LABEL, *name)]), |_, _| true).is_ok()
        })
        .collect();
    if !critical.is_empty() {
        let message = format!(
            "namespaceSelector lets in {}: their Pods are left as they are, but wait for the webhook, which may wait for them",
            critical.join(", ")
        );
        let exclude = format!(
            "add to namespaceSelector.matchExpressions: {{key: {NAME_LABEL}, operator: NotIn, values: [{}]}}",
            critical.join(", ")
        );
        return if fails_open(webhook) {
            Finding::warning(CHECK, message, exclude)
        } else {
            Finding::failed(CHECK, message, exclude)
        };
    }
    let not_opted_in = taken(namespaces, &labels([]), |key, value| {
        may_be_elsewhere(own, key, value) && (key != LABEL || value != Some(ENABLED))
    });
    if not_opted_in.is_ok() {
        let message = "namespaceSelector lets in Namespaces without the label: their Pods are left as they are, and wait for the webhook all the same";
        return Finding::warning(CHECK, message, restore(configuration));
    }
    let aside = labels([(LABEL, DISABLED)]);
    let spared = if selects(pods, &aside) { "" } else { ", without Pods that opt out" };
    Finding::ok(CHECK, format!("{LABEL}: {ENABLED}{spared}{}", narrower(namespaces, pods, own)))
}

/// What the operator asks for beyond what the chart always does.
fn narrower(namespaces: Option<&LabelSelector>, pods: Option<&LabelSelector>, own: Option<&str>) -> String {
    let never: Vec<&str> = SYSTEM_NAMESPACES.into_iter().chain(own).collect();
    let further = requirements(namespaces).into_iter().filter_map(|mut asked| {
        if let (NAME_LABEL, "NotIn", Some(names)) =
            (asked.key.as_str(), asked.operator.as_str(), asked.values.as_mut())
        {
            names.retain(|name| !never.contains(&name.as_str()));
            return (!names.is_empty()).then_some(asked);
        }
        (asked.key != LABEL).then_some(asked)
    });
    let further: Vec<_> = further.map(|asked| text(&asked)).collect();
    // That Pods can opt out is said already.
    let mut of_pods: Vec<_> = requirements(pods).iter().map(text).collect();
    of_pods.retain(|asked| *asked != format!("{LABEL}!={DISABLED}"));
    match (further.as_slice(), of_pods.as_slice()) {
        ([], []) => String::new(),
        (further, []) => format!("; of these only Namespaces with {}", further.join(", ")),
        ([], of_pods) => format!("; in these only Pods with {}", of_pods.join(", ")),
        (further, of_pods) => format!(
            "; of these only Namespaces with {}, and there only Pods with {}",
            further.join(", "),
            of_pods.join(", ")
        ),
    }
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
