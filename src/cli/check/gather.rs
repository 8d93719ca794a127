//! Finds out what is known: everything once, as much as possible at the same time, and nothing for longer than its
//! deadline.

mod coverage;
mod handshake;
mod probe;
mod replicas;

use std::{error::Error, fmt::Debug, future::Future, net::IpAddr, time::Duration, time::SystemTime};

use fermata_core::opt_in;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        apps::v1::Deployment,
        core::v1::{Namespace, Secret, Service},
        discovery::v1::EndpointSlice,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    facts::{ApiServer, Fact, Facts, Gap, OptedIn, Registrations},
    registered,
};
use crate::cluster::Reached;
use probe::Attempt;

/// How long one question may take: less than connecting may, whose error says less.
const PATIENCE: Duration = Duration::from_secs(4);

/// The most objects of one kind that are listed. More than one page of them are never needed for a judgement.
const PAGE: u32 = 500;

/// What is looked at, as far as whoever runs this has said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'o> {
    /// The Namespace of the installation.
    pub(super) namespace: Option<&'o str>,
    /// The Namespace in which a Pod is tried.
    pub(super) probe_namespace: Option<&'o str>,
}

/// Finds everything out.
///
/// # Errors
///
/// When the API server does not answer; with what was heard instead.
pub(super) async fn gather(reached: &Reached, scope: Scope<'_>) -> Result<Facts, String> {
    let client = &reached.client;
    let api = api_server(reached).await?;
    let (registrations, opted_in) = tokio::join!(registrations(client, scope.namespace), opted_in(client));
    let chosen = registrations.as_ref().ok().and_then(Registrations::chosen);
    let webhook = registrations.as_ref().ok().and_then(Registrations::webhook);
    let target = webhook.map(|webhook| &webhook.client_config);
    let service = target.and_then(|target| target.service.as_ref());
    let namespace_selector = webhook.and_then(|webhook| webhook.namespace_selector.as_ref());
    let own_namespace =
        scope.namespace.or(service.map(|service| service.namespace.as_str())).map(str::to_owned);
    let own = own_namespace.as_deref();
    let instance = chosen.and_then(|chosen| {
        chosen.metadata.labels.as_ref()?.get("app.kubernetes.io/instance").map(String::as_str)
    });
    let selector = registered::selector(instance);
    let deployments = match own {
        Some(own) => Some(list::<Deployment>(client, own, &selector).await),
        None => None,
    };
    let known = deployments.as_ref().and_then(|found| found.as_deref().ok()).unwrap_or_default();
    let attempt = Attempt { named: scope.probe_namespace, webhook, image: registered::image(known) };
    let (secret, replicas, budgets, (found, handshake), endpoints, probe, coverage) = tokio::join!(
        async {
            let name = registered::secret(known)?;
            let secrets: Api<Secret> = Api::namespaced(client.clone(), own?);
            let secret = ask("get secrets", secrets.get_opt(&name)).await;
            Some((name, secret))
        },
        async {
            let own = own?;
            Some(replicas::replicas(client, own, &selector).await)
        },
        async { Some(list::<PodDisruptionBudget>(client, own?, "").await) },
        async {
            let found = match service {
                Some(service) => {
                    let services: Api<Service> = Api::namespaced(client.clone(), &service.namespace);
                    Some(ask("get services", services.get_opt(&service.name)).await)
                }
                None => None,
            };
            let is_inside = reached.own_namespace.is_some();
            let handshake = handshake::handshake(target, cluster_ip(found.as_ref()), is_inside).await;
            (found, handshake)
        },
        async {
            let service = service?;
            let selector = format!("kubernetes.io/service-name={}", service.name);
            Some(list::<EndpointSlice>(client, &service.namespace, &selector).await)
        },
        async {
            let known = opted_in.as_ref().ok();
            let names = known.into_iter().flat_map(|opted_in| opted_in.names(own, namespace_selector));
            probe::probe(client, &attempt, names).await
        },
        async {
            let opted_in = opted_in.as_ref().ok()?;
            Some(coverage::coverage(client, opted_in, own, webhook).await)
        },
    );
    Ok(Facts {
        now: SystemTime::now(),
        api,
        handshake,
        deployments,
        replicas,
        budgets,
        service: found,
        endpoints,
        secret,
        probe,
        is_probe_asked_for: scope.probe_namespace.is_some(),
        coverage,
        own_namespace,
        registrations,
        opted_in,
    })
}

/// The address of a Service, unless it is headless.
fn cluster_ip(found: Option<&Fact<Option<Service>>>) -> Option<String> {
    let service = found?.as_ref().ok()?.as_ref()?;
    service.spec.as_ref()?.cluster_ip.clone().filter(|address| address.parse::<IpAddr>().is_ok())
}

async fn api_server(reached: &Reached) -> Result<ApiServer, String> {
    let server = reached.server.clone();
    let info = match timeout(PATIENCE, reached.client.apiserver_version()).await {
        Ok(Ok(info)) => info,
        Ok(Err(error)) => return Err(format!("{server}: {}", said(&error))),
        Err(_) => return Err(format!("{server}: no answer within {} s", PATIENCE.as_secs())),
    };
    let version = format!("{}.{}", info.major, info.minor).parse().ok();
    Ok(ApiServer { server, git_version: info.git_version, version })
}

async fn registrations(client: &Client, namespace: Option<&str>) -> Fact<Registrations> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let found =
        ask("list mutatingwebhookconfigurations", api.list(&ListParams::default().limit(PAGE))).await?;
    Ok(registered::choose(found.items, namespace))
}

async fn opted_in(client: &Client) -> Fact<OptedIn> {
    let api: Api<Namespace> = Api::all(client.clone());
    let label = format!("{}={}", opt_in::LABEL, opt_in::ENABLED);
    // All of them, as the replicas watch them: whoever is left out here would be well unseen.
    let params = ListParams::default().labels(&label);
    let found = ask("list namespaces", api.list_metadata(&params)).await?;
    let mut namespaces: Vec<_> = found.items.into_iter().map(|namespace| namespace.metadata).collect();
    namespaces.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(OptedIn { namespaces })
}

/// Lists objects of one Namespace.
async fn list<K>(client: &Client, namespace: &str, labels: &str) -> Fact<Vec<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let what = format!("list {} in {namespace}", K::plural(&()));
    let found = ask(&what, api.list(&ListParams::default().labels(labels).limit(PAGE))).await?;
    Ok(found.items)
}

/// Asks, within a deadline.
async fn ask<T>(what: &str, question: impl Future<Output = kube::Result<T>>) -> Fact<T> {
    match timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(Gap::NotPermitted(what.to_owned())),
        Ok(Err(error)) => Err(Gap::NoAnswer(format!("{what}: {}", said(&error)))),
        Err(_) => Err(Gap::NoAnswer(format!("{what}: nothing within {} s", PATIENCE.as_secs()))),
    }
}

/// What an error comes down to: the layers above its first cause say which part of the program has met it.
fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return match status.message.as_str() {
            "" => format!("HTTP status {}", status.code),
            message => message.to_owned(),
        };
    }
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
