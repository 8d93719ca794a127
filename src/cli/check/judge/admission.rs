//! What becomes of a Pod.

use fermata_core::{
    annotation::STATUS,
    opt_in::{ENABLED, LABEL, SYSTEM_NAMESPACES},
};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;
use serde_json::Value;

use super::{
    few,
    registration::{NAME_LABEL, fails_open},
};
use crate::cli::check::{
    catalogue::Check,
    certificate::verdict,
    facts::{Admitted, Facts, Handshake, Probe, asks_for_pods, blames_fermata, is_invalid},
    finding::{Finding, State},
    selector::{labels, selects, taken},
};
use crate::tls::registration::Verdict;

const CHECK: Check = Check::PodPatched;

const ANOTHER: &str = "--probe-namespace names another Namespace to try one in";

/// What the webhook has written on a Pod.
pub(super) fn status(pod: &Value) -> Option<Value> {
    serde_json::from_str(pod["metadata"]["annotations"][STATUS].as_str()?).ok()
}

/// The version of the webhook that has changed the Pod.
pub(super) fn version(probe: &Probe) -> Option<String> {
    let Probe::Admitted(admitted) = probe else { return None };
    status(&admitted.pod)?["version"].as_str().map(str::to_owned)
}

pub(super) fn judge(facts: &Facts) -> Finding {
    let finding = tried(facts);
    if facts.is_probe_asked_for && finding.state == State::Skipped {
        let message = format!("it could not be tried: {}", finding.message);
        return Finding::failed(CHECK, message, finding.hint.unwrap_or_else(|| ANOTHER.to_owned()));
    }
    finding
}

fn tried(facts: &Facts) -> Finding {
    match &facts.probe {
        Probe::NoNamespace => nowhere(facts),
        Probe::NotPermitted { namespaces, reason } => Finding::skipped(
            CHECK,
            format!("not permitted in {}: {reason}", few(namespaces.iter().map(String::as_str))),
        )
        .hinting(format!(
            "permit create of pods in an opted-in Namespace, and name it with --probe-namespace; or let somebody look who may:\nkubectl -n {} run probe --image=probe --dry-run=server -o yaml",
            namespaces.first().map_or("NAMESPACE", String::as_str)
        )),
        Probe::NoAnswer { namespace, error } => Finding::failed(
            CHECK,
            format!("a Pod in {namespace} got no answer: {error}"),
            "another webhook may hang:\nkubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations",
        ),
        Probe::Refused { namespace, code, message } => refused(facts.webhook(), namespace, *code, message),
        Probe::Admitted(admitted) => match status(&admitted.pod) {
            Some(status) => patched(admitted, &status),
            None => unpatched(facts, facts.webhook(), admitted),
        },
    }
}

fn nowhere(facts: &Facts) -> Finding {
    let own = facts.own_namespace.as_deref();
    let opted_in = facts.opted_in.as_ref().ok();
    let left_out = opted_in.into_iter().flat_map(|known| known.left_out(own, facts.namespace_selector()));
    let left_out: Vec<_> = left_out.map(|(name, _)| name).collect();
    let reason = match (&facts.opted_in, left_out.as_slice()) {
        (Err(_), _) => "the opted-in Namespaces are not known".to_owned(),
        (Ok(_), []) => "no opted-in Namespace takes part".to_owned(),
        (Ok(_), names) => {
            format!("the registered namespaceSelector leaves out {}", few(names.iter().copied()))
        }
    };
    Finding::skipped(CHECK, reason).hinting("--probe-namespace names a Namespace to try one in")
}

/// The Pod fits widely, so a refusal is either Fermata's fault or somebody's policy, which says nothing about it.
fn refused(webhook: Option<&MutatingWebhook>, namespace: &str, code: u16, message: &str) -> Finding {
    if is_invalid(message) {
        return Finding::failed(
            CHECK,
            format!("the Pod is not valid in {namespace} as it was changed: {message}"),
            "this may be a fault of Fermata or of another mutating webhook; please report it with the Namespace's annotations",
        );
    }
    if blames_fermata(message, webhook) {
        let way_out = if message.contains("failed calling webhook") {
            "failurePolicy: Fail refuses Pods while no webhook answers; what replicas-ready and registration-ca-matches say is why it does not".to_owned()
        } else {
            format!(
                "onInvalid: deny refuses Pods whose annotations hold a mistake; see the annotations of the Namespace:\nkubectl get namespace {namespace} -o yaml"
            )
        };
        return Finding::failed(CHECK, format!("refused in {namespace}: {message}"), way_out);
    }
    // A Namespace that is not there, or was made a moment ago and gets its ServiceAccount in the next.
    if code == 404 || message.contains("error looking up service account") {
        return Finding::failed(CHECK, format!("no Pod can be created in {namespace}: {message}"), ANOTHER);
    }
    Finding::skipped(CHECK, format!("{namespace} takes no such Pod: {message}")).hinting(ANOTHER)
}

fn patched(admitted: &Admitted, status: &Value) -> Finding {
    let namespace = &admitted.namespace;
    let spec = &admitted.pod["spec"];
    let grace = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(0);
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let hook = containers
        .iter()
        .find(|container| container["name"] == "app")
        .map(|app| &app["lifecycle"]["preStop"]);
    let hook = hook.filter(|hook| !hook.is_null());
    let ours: Vec<_> = admitted.warnings.iter().filter(|warning| warning.starts_with("fermata: ")).collect();
    if let (Some(drain), None) = (status["drain"]["app"].as_str(), hook) {
        return Finding::failed(
            CHECK,
            format!(
                "the status of a Pod in {namespace} promises a drain of {drain}, but it has no preStop hook"
            ),
            "another mutating webhook has taken it away again; let it keep lifecycle.preStop",
        );
    }
    let what = match (status["drain"]["app"].as_str(), status["skipped"]["app"].as_str()) {
        (Some(drain), _) => {
            format!("in {namespace} it gets a drain of {drain} and a grace period of {grace} s")
        }
        (None, Some(reason)) => format!("in {namespace} it gets no drain ({reason})"),
        (None, None) => format!("in {namespace} it gets a grace period of {grace} s"),
    };
    if let Some(sleep) = hook.and_then(|hook| hook["sleep"]["seconds"].as_i64())
        && sleep > grace
    {
        let message =
            format!("a Pod in {namespace} would sleep {sleep} s within a grace period of {grace} s");
        return Finding::failed(
            CHECK,
            message,
            "another webhook or a policy lowers terminationGracePeriodSeconds",
        );
    }
    if !ours.is_empty() {
        let said: Vec<_> = ours.iter().map(|warning| warning.as_str()).collect();
        return Finding::warning(
            CHECK,
            format!("{what}, with warnings: {}", said.join("; ")),
            format!("see the operator's config file, and:\nkubectl get namespace {namespace} -o yaml"),
        );
    }
    if status["drain"]["app"].is_null() {
        let message = format!("{what}, which the settings of the Namespace or the cluster ask for");
        return Finding::warning(CHECK, message, format!("kubectl get namespace {namespace} -o yaml"));
    }
    Finding::ok(CHECK, what)
}

/// Why a Pod can be admitted as it was: what keeps the API server from asking first, and then what keeps the answer
/// away.
fn unpatched(facts: &Facts, webhook: Option<&MutatingWebhook>, admitted: &Admitted) -> Finding {
    let namespace = admitted.namespace.as_str();
    let (reason, way_out) = why(facts, webhook, admitted);
    Finding::failed(CHECK, format!("a Pod in {namespace} is admitted as it was: {reason}"), way_out)
}

fn why(facts: &Facts, webhook: Option<&MutatingWebhook>, admitted: &Admitted) -> (String, String) {
    let namespace = admitted.namespace.as_str();
    if SYSTEM_NAMESPACES.contains(&namespace) || facts.own_namespace.as_deref() == Some(namespace) {
        let reason = format!("{namespace} is never touched");
        return (reason, "--probe-namespace names another one".to_owned());
    }
    if let Ok(known) = &admitted.labels
        && known.get(LABEL).map(String::as_str) != Some(ENABLED)
    {
        let reason = format!("the Namespace does not have the label {LABEL}: {ENABLED}");
        return (reason, format!("kubectl label namespace {namespace} {LABEL}={ENABLED}"));
    }
    let Some(webhook) = webhook else {
        let reason = match &facts.registrations {
            Ok(_) => "nothing is registered".to_owned(),
            Err(_) => "what is registered is not known".to_owned(),
        };
        return (reason, "see registration-exists".to_owned());
    };
    if !asks_for_pods(webhook) {
        return ("the registered rules leave Pods out".to_owned(), "see registration-rules".to_owned());
    }
    let assumed = labels([(NAME_LABEL, namespace), (LABEL, ENABLED)]);
    let known = admitted.labels.as_ref().unwrap_or(&assumed);
    if !selects(webhook.namespace_selector.as_ref(), known) {
        let key = taken(webhook.namespace_selector.as_ref(), known, |_, value| value.is_none()).err();
        let by = key.map_or_else(String::new, |key| format!(", by what it asks of {key}"));
        let reason = format!("namespaceSelector leaves {namespace} out{by}");
        return (reason, format!("see registration-selectors; {ANOTHER}"));
    }
    let own = serde_json::from_value(admitted.pod["metadata"]["labels"].clone()).unwrap_or_default();
    if !selects(webhook.object_selector.as_ref(), &own) {
        let reason = "objectSelector leaves the Pod out".to_owned();
        return (reason, "see registration-selectors".to_owned());
    }
    let open =
        if fails_open(webhook) { "the call failed, and failurePolicy is Ignore" } else { "the call failed" };
    match &facts.handshake {
        Handshake::Unreachable { address, error } => {
            return (
                format!("{open}: nobody answers at {address}: {error}"),
                "start the webhook, and see replicas-ready and replicas-reached".to_owned(),
            );
        }
        Handshake::Presented { chain, .. } => {
            if let Verdict::Refused(reason) = verdict(webhook, chain, facts.now) {
                return (
                    format!("{open}: API servers refuse the certificate: {reason}"),
                    "see registration-ca-matches".to_owned(),
                );
            }
        }
        Handshake::NotTried(_) => {}
    }
    let endpoints = facts.endpoints.as_ref().and_then(|found| found.as_ref().ok());
    if webhook.client_config.service.is_some()
        && endpoints.is_some_and(|slices| slices.iter().all(|slice| slice.endpoints.is_empty()))
        && !matches!(&facts.service, Some(Ok(Some(service))) if service.spec.as_ref().is_some_and(|spec| spec.external_name.is_some()))
    {
        return (format!("{open}: the Service leads to no Pod"), "see replicas-reached".to_owned());
    }
    let conditions: Vec<_> =
        webhook.match_conditions.iter().flatten().map(|condition| condition.name.as_str()).collect();
    let conditions = if conditions.is_empty() {
        String::new()
    } else {
        format!(", or a matchCondition ({}) leaves it out", few(conditions))
    };
    (
        format!("{open} for a reason that only the API server knows{conditions}"),
        "look for `failed calling webhook` in the API server's log, and into the webhook's own; a network policy or \
         firewall may stand between the control plane and the webhook's port"
            .to_owned(),
    )
}
