//! What answers the API server's reviews.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;

use super::{also_unknown, count, few};
use crate::cli::check::{
    catalogue::{Check, Group},
    facts::{Facts, Registrations, Replica},
    finding::Finding,
    selector::selects,
};

/// The label by which an object names the version that it is of.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let checks = || Check::ALL.iter().copied().filter(|check| check.group() == Group::Replicas);
    let by_url = facts
        .registrations
        .as_ref()
        .ok()
        .and_then(Registrations::webhook)
        .is_some_and(|webhook| webhook.client_config.service.is_none());
    let (Some(namespace), Some(deployments)) = (&facts.own_namespace, &facts.deployments) else {
        let reason = if by_url {
            "registered by URL; --namespace says where the replicas run, if they are Pods"
        } else {
            "nothing is registered that says where; --namespace does"
        };
        return checks().map(|check| Finding::skipped(check, reason)).collect();
    };
    let deployment = deployments.as_ref().map(|found| found.first());
    let deployed = match &deployment {
        Err(gap) => Finding::unknown(Check::ReplicasDeployed, gap),
        Ok(Some(deployment)) => {
            Finding::ok(Check::ReplicasDeployed, format!("{} in {namespace}", deployment.name_any()))
        }
        Ok(None) if by_url => {
            let reason = format!("registered by URL, and no Deployment in {namespace}");
            return checks().map(|check| Finding::skipped(check, reason.clone())).collect();
        }
        Ok(None) => Finding::failed(
            Check::ReplicasDeployed,
            format!("no Deployment with the label app.kubernetes.io/name=fermata in {namespace}"),
            "install it again, or take away what is registered as well, which `helm uninstall` does",
        ),
    };
    let replicas = facts.replicas.as_ref().map(|replicas| replicas.as_ref());
    let pods = || replicas.and_then(Result::ok).into_iter().flatten();
    let wanted = deployment.ok().flatten().map(wanted);
    let known = matches!(replicas, Some(Ok(_)));
    vec![
        deployed,
        match deployment {
            Ok(Some(deployment)) => ready(namespace, deployment, &pods().collect::<Vec<_>>(), known),
            Ok(None) => Finding::skipped(Check::ReplicasReady, "there is no Deployment"),
            Err(gap) => also_unknown(Check::ReplicasReady, gap),
        },
        match (wanted, deployment) {
            (Some(wanted), _) => enough(wanted),
            (None, Err(gap)) => also_unknown(Check::ReplicasEnough, gap),
            (None, _) => Finding::skipped(Check::ReplicasEnough, "there is no Deployment"),
        },
        match replicas {
            Some(Err(gap)) => Finding::unknown(Check::ReplicasSpread, gap),
            _ => match deployment.ok().flatten() {
                Some(deployment) => spread(namespace, deployment, pods().map(|replica| &replica.pod)),
                None => Finding::skipped(Check::ReplicasSpread, "there is no Deployment"),
            },
        },
        budget(facts, deployment.ok().flatten(), wanted),
        reached(facts),
        match replicas {
            Some(Ok(_)) if wanted.is_some() => version(facts, pods()),
            Some(Err(gap)) => also_unknown(Check::ReplicasVersion, gap),
            _ => Finding::skipped(Check::ReplicasVersion, "there is no Deployment"),
        },
    ]
}

/// How many there should be.
fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn ready(namespace: &str, deployment: &Deployment, replicas: &[&Replica], known: bool) -> Finding {
    const CHECK: Check = Check::ReplicasReady;
    let wanted = wanted(deployment);
    let name = deployment.name_any();
    if wanted == 0 {
        let way_out = format!("kubectl -n {namespace} scale deployment/{name} --replicas=2");
        return Finding::failed(CHECK, "the Deployment is scaled to 0", way_out);
    }
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let ill: Vec<&Replica> = replicas.iter().copied().filter(|replica| !is_ready(&replica.pod)).collect();
    let mut said = vec![format!("{ready} of {wanted} ready")];
    let unsettled = unsettled(deployment, wanted);
    let is_complete = ready >= wanted && unsettled.is_empty();
    said.extend(unsettled);
    if !is_complete {
        said.extend(ill.iter().map(|replica| format!("{}: {}", replica.pod.name_any(), unready(replica))));
        if known && replicas.is_empty() {
            said.push("there is no Pod".to_owned());
        }
    }
    let degraded = degraded(replicas);
    let is_well = degraded.is_empty();
    said.extend(degraded);
    let message = said.join("; ");
    if ready == 0 {
        return Finding::failed(CHECK, message, look(namespace, &name, ill.first().copied()));
    }
    // One that is ready answers all reviews.
    if !is_complete {
        return Finding::warning(CHECK, message, look(namespace, &name, ill.first().copied()));
    }
    if !is_well {
        let way_out = format!(
            "reviews are answered all the same; mend what is said, of which the log says more:\nkubectl -n {namespace} logs -l app.kubernetes.io/name=fermata --prefix"
        );
        return Finding::warning(CHECK, message, way_out);
    }
    Finding::ok(CHECK, message)
}

/// Why replicas that are ready are not the end of it: an earlier revision answers while a new one may never start.
fn unsettled(deployment: &Deployment, wanted: i32) -> Vec<String> {
    let status = deployment.status.clone().unwrap_or_default();
    let mut reasons = Vec::new();
    let (seen, latest) = (status.observed_generation, deployment.metadata.generation);
    if latest.is_some_and(|latest| seen.is_none_or(|seen| seen < latest)) {
        reasons.push("the latest change of the Deployment was not acted upon yet".to_owned());
    }
    let (updated, all) = (status.updated_replicas.unwrap_or(0), status.replicas.unwrap_or(0));
    if updated < wanted {
        reasons.push(format!("only {updated} of the latest revision"));
    } else if all > updated {
        reasons.push(format!("{} of an earlier revision", all - updated));
    }
    let conditions = status.conditions.iter().flatten();
    reasons.extend(conditions.filter_map(|condition| {
        let is_bad = matches!(
            (condition.type_.as_str(), condition.status.as_str()),
            ("Progressing", "False") | ("ReplicaFailure", "True")
        );
        is_bad.then(|| condition.message.clone().or(condition.reason.clone()).unwrap_or_default())
    }));
    reasons
}

/// What ready replicas say is not as it should be: each thing once, with who says it.
fn degraded(replicas: &[&Replica]) -> Vec<String> {
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for replica in replicas.iter().filter(|replica| is_ready(&replica.pod)) {
        for line in amiss(replica) {
            said.entry(line.to_owned()).or_default().push(replica.pod.name_any());
        }
    }
    let one = |(line, names): (String, Vec<String>)| {
        format!("{line} (says {})", few(names.iter().map(String::as_str)))
    };
    said.into_iter().map(one).collect()
}

/// What a replica says of itself that is not well.
fn amiss(replica: &Replica) -> impl Iterator<Item = &str> {
    let page = replica.ready_page.as_deref().unwrap_or_default();
    page.lines().filter_map(|line| line.strip_prefix("[-]"))
}

/// Where there is more to be seen: a container that has run has a log, and before that there are events.
fn look(namespace: &str, deployment: &str, replica: Option<&Replica>) -> String {
    let Some(Replica { pod, .. }) = replica else {
        return format!("kubectl -n {namespace} describe deployment/{deployment}");
    };
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let has_run = statuses.into_iter().any(|status| {
        let state = status.state.as_ref();
        let runs = state.is_some_and(|state| state.running.is_some() || state.terminated.is_some());
        runs || status.last_state.as_ref().is_some_and(|state| state.terminated.is_some())
    });
    let name = pod.name_any();
    if has_run {
        format!("kubectl -n {namespace} logs {name} --all-containers")
    } else {
        format!("kubectl -n {namespace} describe pod/{name}")
    }
}

/// Why a replica is not ready: in its own words, else in the kubelet's, else in the scheduler's.
fn unready(replica: &Replica) -> String {
    let lines: Vec<_> = amiss(replica).collect();
    if !lines.is_empty() {
        return lines.join(", ");
    }
    let Some(status) = &replica.pod.status else { return "no status yet".to_owned() };
    for container in status.container_statuses.iter().flatten() {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let Some(reason) = waiting.and_then(|waiting| waiting.reason.as_deref()) else { continue };
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let message = last
            .and_then(|last| last.message.clone().or(Some(format!("last exit code {}", last.exit_code))))
            .or(waiting.and_then(|waiting| waiting.message.clone()));
        return message.map_or(reason.to_owned(), |message| format!("{reason} ({})", message.trim()));
    }
    let mut conditions = status.conditions.iter().flatten().filter(|condition| condition.status == "False");
    let message =
        conditions.find_map(|condition| condition.message.clone().or_else(|| condition.reason.clone()));
    message.unwrap_or_else(|| status.phase.clone().unwrap_or_else(|| "no reason given".to_owned()))
}

fn enough(wanted: i32) -> Finding {
    if wanted == 1 {
        return Finding::warning(
            Check::ReplicasEnough,
            "1 replica: while it moves to another node Pods start without their endings",
            "set the chart's value replicas to 2 or more",
        );
    }
    Finding::ok(Check::ReplicasEnough, count(usize::try_from(wanted).unwrap_or(0), "replica"))
}

fn spread<'p>(namespace: &str, deployment: &Deployment, pods: impl Iterator<Item = &'p Pod>) -> Finding {
    const CHECK: Check = Check::ReplicasSpread;
    let nodes: Vec<&str> = pods.filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    let distinct: BTreeSet<_> = nodes.iter().copied().collect();
    match (nodes.len(), distinct.len()) {
        (0 | 1, _) => Finding::skipped(CHECK, "there are not two that have a node"),
        (_, 1) => Finding::warning(
            CHECK,
            format!("all on {}", few(distinct)),
            format!(
                "the chart prefers different nodes; where there are more by now, this places them anew:\nkubectl -n {namespace} rollout restart deployment/{}",
                deployment.name_any()
            ),
        ),
        (_, _) => Finding::ok(CHECK, format!("on {}", few(distinct))),
    }
}

fn budget(facts: &Facts, deployment: Option<&Deployment>, wanted: Option<i32>) -> Finding {
    const CHECK: Check = Check::ReplicasBudget;
    let budgets = match &facts.budgets {
        Some(Ok(budgets)) => budgets,
        Some(Err(gap)) => return Finding::unknown(CHECK, gap),
        None => return Finding::skipped(CHECK, "where the replicas run is not known"),
    };
    let (Some(deployment), Some(wanted)) = (deployment, wanted) else {
        return Finding::skipped(CHECK, "there is no Deployment");
    };
    let none = BTreeMap::new();
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let labels = template.and_then(|metadata| metadata.labels.as_ref()).unwrap_or(&none);
    // Unlike a webhook's, a budget's selector that is not there selects nothing.
    let covers = |budget: &&PodDisruptionBudget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| selects(Some(selector), labels))
    };
    let Some(budget) = budgets.iter().find(covers) else {
        return if wanted > 1 {
            let message = "there is none: a node drain may take all replicas at once";
            Finding::warning(CHECK, message, "set the chart's value podDisruptionBudget.enabled to true")
        } else {
            Finding::skipped(CHECK, "there is none, which is right for one replica")
        };
    };
    let name = budget.name_any();
    if blocks(budget, wanted) {
        let message = format!("{name} lets no replica go, so that no node with one can be drained");
        return Finding::warning(CHECK, message, "set its maxUnavailable to 1");
    }
    Finding::ok(CHECK, name)
}

/// Whether a budget allows no disruption even when all replicas are ready.
fn blocks(budget: &PodDisruptionBudget, wanted: i32) -> bool {
    let Some(spec) = &budget.spec else { return false };
    let percent = |text: &str| text.strip_suffix('%').and_then(|digits| digits.parse::<i32>().ok());
    match (&spec.min_available, &spec.max_unavailable) {
        (Some(IntOrString::Int(least)), _) => *least >= wanted,
        // Rounded up: 51 % of two are two.
        (Some(IntOrString::String(least)), _) => {
            percent(least).is_some_and(|least| (least * wanted + 99) / 100 >= wanted)
        }
        (None, Some(IntOrString::Int(most))) => *most == 0,
        (None, Some(IntOrString::String(most))) => percent(most) == Some(0),
        (None, None) => false,
    }
}

fn reached(facts: &Facts) -> Finding {
    const CHECK: Check = Check::ReplicasReached;
    let target = facts.registrations.as_ref().ok().and_then(Registrations::webhook);
    let Some(target) = target.and_then(|webhook| webhook.client_config.service.as_ref()) else {
        return Finding::skipped(CHECK, "no Service is registered");
    };
    let name = format!("{} in {}", target.name, target.namespace);
    let service = match &facts.service {
        Some(Ok(Some(service))) => service,
        Some(Err(gap)) => return Finding::unknown(CHECK, gap),
        Some(Ok(None)) | None => {
            let message = format!("the Service {name} does not exist");
            return Finding::failed(CHECK, message, "install the release again that was registered");
        }
    };
    let port = target.port.unwrap_or(443);
    let ports: Vec<_> = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()).collect();
    let external = service.spec.as_ref().and_then(|spec| spec.external_name.as_deref());
    if let Some(external) = external {
        return Finding::ok(CHECK, format!("the Service {name}, which stands for {external}"));
    }
    if ports.iter().all(|known| known.port != port) {
        let message = format!("the Service {name} has no port {port}, which is registered");
        return Finding::failed(CHECK, message, "upgrade the release, which makes them agree");
    }
    let slices = match &facts.endpoints {
        Some(Ok(slices)) => slices,
        Some(Err(gap)) => return Finding::unknown(CHECK, gap),
        None => return Finding::skipped(CHECK, "not asked"),
    };
    let endpoints = || slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints().filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let (ready, all) = (ready.count(), endpoints().count());
    if ready > 0 {
        return Finding::ok(CHECK, format!("the Service {name}, with {}", count(ready, "ready endpoint")));
    }
    let message = match all {
        0 => format!("the Service {name} leads to no Pod"),
        all => format!("the Service {name} has {}, none of them ready", count(all, "endpoint")),
    };
    let way_out = format!(
        "see what replicas-ready says, and:\nkubectl -n {} get pods -l app.kubernetes.io/name=fermata --show-labels",
        target.namespace
    );
    Finding::failed(CHECK, message, way_out)
}

fn version<'r>(facts: &Facts, replicas: impl Iterator<Item = &'r Replica>) -> Finding {
    const CHECK: Check = Check::ReplicasVersion;
    let own = env!("CARGO_PKG_VERSION");
    let mut versions: BTreeSet<String> =
        replicas.filter_map(|replica| replica.pod.labels().get(VERSION_LABEL).cloned()).collect();
    // What a Pod says that one of them has just changed is the surest.
    versions.extend(super::admission::version(&facts.probe));
    if versions.is_empty() {
        return Finding::skipped(CHECK, format!("no Pod of theirs has the label {VERSION_LABEL}"));
    }
    if versions.len() == 1 && versions.contains(own) {
        return Finding::ok(CHECK, own);
    }
    let message =
        format!("they are of {}, and this program of {own}", few(versions.iter().map(String::as_str)));
    let way_out = if versions.len() > 1 {
        "wait for the rollout to end, or run this program in their version"
    } else {
        "run this program in their version, or helm upgrade to its own"
    };
    Finding::warning(CHECK, message, way_out)
}
