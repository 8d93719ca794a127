//! From one `tls.mode` to another, as the chart's README says: replicas of both serve side by side for a while, and while
//! reviews that fail are refused, none fails.
//!
//! As in [`crate::replica`] the replicas are processes of this test. What an API server would do is done here: with the
//! `caBundle` of the moment, each replica that is ready is asked for a review.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use fermata_test_cluster::{
    Fermata, Ports, Scratch,
    assets::Binary,
    credentials::{Authority, write_private},
    http, reviews,
    service::Service,
    webhook_client::WebhookClient,
};
use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    install::define_custom_resources,
    replica::start,
    stage::{HELMS, Stage, eventually},
};

/// By what API servers call the replicas.
const NAME: &str = "fermata.fermata.svc";

/// Calls all replicas that are ready, again and again.
struct Caller {
    replicas: Arc<Mutex<Vec<Ports>>>,
    /// How often a replica was asked while failures were refused, and what failed.
    seen: Arc<Mutex<(usize, Vec<String>)>>,
    calling: JoinHandle<()>,
}

impl Caller {
    fn start(stage: &Stage) -> Self {
        let (replicas, seen) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
        let api = Api::all(stage.cluster.client().unwrap());
        let calling = tokio::spawn({
            let (replicas, seen) = (Arc::clone(&replicas), Arc::clone(&seen));
            async move {
                loop {
                    round(&api, &replicas, &seen).await;
                    sleep(Duration::from_millis(25)).await;
                }
            }
        });
        Self { replicas, seen, calling }
    }

    fn calls(&self, fermata: &Fermata) {
        self.replicas.lock().unwrap().push(fermata.ports());
    }

    fn forgets(&self, fermata: &Fermata) {
        self.replicas.lock().unwrap().retain(|ports| *ports != fermata.ports());
    }

    /// Calls the new replica in the old one's place, and ends that.
    async fn goes_over(&self, old: Fermata, new: &Fermata) {
        self.calls(new);
        self.forgets(&old);
        old.stop().await.unwrap();
    }

    /// Waits for that many more reviews.
    async fn goes_on(&self, more: usize) {
        let begin = self.seen.lock().unwrap().0;
        eventually("reviews", async || {
            let (asked, failed) = self.seen.lock().unwrap().clone();
            if asked >= begin + more { Ok(()) } else { Err(format!("{asked} so far; {failed:?}")) }
        })
        .await;
    }

    fn stop(self) {
        self.calling.abort();
        let (asked, failed) = self.seen.lock().unwrap().clone();
        println!("{asked} reviews");
        assert!(failed.is_empty(), "{} of {asked} failed: {failed:#?}", failed.len());
    }
}

async fn configuration(api: &Api<MutatingWebhookConfiguration>) -> (Option<String>, bool, String) {
    let configuration = api.get("fermata").await.unwrap();
    let webhook = configuration.webhooks.unwrap().swap_remove(0);
    let bundle = webhook.client_config.ca_bundle.unwrap_or_default().0;
    let refuses = webhook.failure_policy.as_deref() == Some("Fail");
    (configuration.metadata.resource_version, refuses, String::from_utf8(bundle).unwrap())
}

/// Asks each replica once.
async fn round(
    api: &Api<MutatingWebhookConfiguration>,
    replicas: &Mutex<Vec<Ports>>,
    seen: &Mutex<(usize, Vec<String>)>,
) {
    let body = reviews::samples(1).remove(0).body;
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: {NAME}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let (version, refuses, bundle) = configuration(api).await;
    if !refuses {
        return;
    }
    let (mut answered, mut failed) = (0, Vec::new());
    let called = replicas.lock().unwrap().clone();
    for ports in &called {
        let ready = http::get(&format!("http://127.0.0.1:{}/readyz", ports.admin)).await;
        if !ready.is_ok_and(|page| page.status == 200) {
            continue;
        }
        let service = Arc::new(Service::of([SocketAddr::from((Ipv4Addr::LOCALHOST, ports.webhook))]));
        let client = WebhookClient::new(service, NAME, &bundle, Duration::from_secs(5)).unwrap();
        match client.send(&request).await {
            Ok(answer) if answer.status == 200 => answered += 1,
            Ok(answer) => failed.push(format!("{}: {}", ports.webhook, answer.status)),
            Err(lost) => failed.push(format!("{}: {lost}", ports.webhook)),
        }
    }
    if answered == 0 && !called.is_empty() && failed.is_empty() {
        failed.push("no replica is ready".to_owned());
    }
    // What has changed meanwhile was not asked by what is registered.
    if failed.is_empty() || configuration(api).await.0 == version {
        let mut seen = seen.lock().unwrap();
        seen.0 += answered;
        seen.1.extend(failed);
    }
}

/// A certificate such as somebody brings who has an authority of his own.
fn certificate(scratch: &Scratch, authority: &Authority) {
    let identity = authority.issue_server(&[NAME]).unwrap();
    write_private(&scratch.path().join("tls.crt"), &identity.certificate).unwrap();
    write_private(&scratch.path().join("tls.key"), &identity.key).unwrap();
}

fn file(scratch: &Scratch, name: &str, content: &str) -> PathBuf {
    let path = scratch.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn bundle_flag(file: &Path) -> String {
    format!("--set-file=tls.caBundle={}", file.display())
}

/// What the documentation says of each version of Helm.
fn forced<'a>(binary: Binary, flags: &[&'a str]) -> Vec<&'a str> {
    let force: &[&str] = if binary == Binary::Helm { &["--force-conflicts"] } else { &[] };
    [&["--reset-then-reuse-values"], flags, force].concat()
}

const RELAXED: &str = "--set=webhook.failurePolicy=Ignore";
const STRICT: &str = "--set=webhook.failurePolicy=Fail";

#[tokio::test(flavor = "multi_thread")]
async fn to_files_and_back() {
    for binary in HELMS {
        let stage = Stage::shared(binary).await;
        stage.install("fermata", "fermata", &[STRICT, "--set=drainSeconds=1"]).await;
        let api: Api<MutatingWebhookConfiguration> = Api::all(stage.cluster.client().unwrap());
        let scratches = [(); 3].map(|()| Scratch::create().unwrap());
        let first = start(&stage, &scratches[0]).await;
        let caller = Caller::start(&stage);
        caller.calls(&first);
        caller.goes_on(20).await;

        let own = Authority::new("own").unwrap();
        certificate(&scratches[1], &own);
        let both = format!("{}{}", configuration(&api).await.2, own.pem());
        let [both, alone] = [("both.crt", both.as_str()), ("own.crt", own.pem())]
            .map(|(name, content)| bundle_flag(&file(&scratches[1], name, content)));
        let files = ["--set=tls.mode=files,tls.secretName=own", both.as_str()];
        if binary == Binary::Helm {
            // What the replicas own is theirs until somebody insists.
            let words = [
                "upgrade",
                "fermata",
                crate::stage::CHART,
                "--namespace=fermata",
                "--reset-then-reuse-values",
            ];
            let answer = stage.helm.refusal(&[&words[..], &files].concat()).await.unwrap();
            assert!(answer.contains("conflict") && answer.contains(".clientConfig.caBundle"), "{answer}");
        }
        stage.upgrade("fermata", "fermata", &forced(binary, &files)).await;
        let second = start(&stage, &scratches[1]).await;
        caller.calls(&second);
        // The first one has lost its rights and its Secret by now, and serves until its Pod ends.
        caller.goes_on(100).await;
        caller.forgets(&first);
        first.stop().await.unwrap();
        remove_the_authority(&stage).await;
        stage.upgrade("fermata", "fermata", &["--reset-then-reuse-values", &alone]).await;
        assert_eq!(configuration(&api).await.2.trim(), own.pem().trim());
        caller.goes_on(20).await;

        // Back: the bundle goes before the new replicas come, so for so long nothing is refused.
        stage
            .upgrade(
                "fermata",
                "fermata",
                &[
                    "--reset-then-reuse-values",
                    RELAXED,
                    "--set=tls.mode=selfSigned,tls.secretName=,tls.caBundle=",
                ],
            )
            .await;
        let third = start(&stage, &scratches[2]).await;
        caller.goes_over(second, &third).await;
        stage.upgrade("fermata", "fermata", &["--reset-then-reuse-values", STRICT]).await;
        caller.goes_on(20).await;
        caller.stop();
        third.stop().await.unwrap();
        stage.uninstall("fermata", "fermata").await;
    }
}

/// There is no cert-manager here, so this test writes the bundle as its injector does.
#[tokio::test(flavor = "multi_thread")]
async fn to_cert_manager_and_back() {
    for binary in HELMS {
        let stage = Stage::shared(binary).await;
        define_custom_resources(&stage).await;
        stage.install("fermata", "fermata", &[STRICT, "--set=drainSeconds=1"]).await;
        let api: Api<MutatingWebhookConfiguration> = Api::all(stage.cluster.client().unwrap());
        let scratches = [(); 3].map(|()| Scratch::create().unwrap());
        let first = start(&stage, &scratches[0]).await;
        let caller = Caller::start(&stage);
        caller.calls(&first);
        caller.goes_on(20).await;

        // Nothing is in conflict: the chart leaves the bundle to whoever injects it.
        stage
            .upgrade(
                "fermata",
                "fermata",
                &["--reset-then-reuse-values", RELAXED, "--set=tls.mode=certManager"],
            )
            .await;
        let issuer = Authority::new("issuer").unwrap();
        certificate(&scratches[1], &issuer);
        inject(&api, &issuer).await;
        let second = start(&stage, &scratches[1]).await;
        caller.goes_over(first, &second).await;
        remove_the_authority(&stage).await;
        assert_eq!(configuration(&api).await.2, issuer.pem());
        stage.upgrade("fermata", "fermata", &["--reset-then-reuse-values", STRICT]).await;
        caller.goes_on(20).await;

        stage
            .upgrade(
                "fermata",
                "fermata",
                &["--reset-then-reuse-values", RELAXED, "--set=tls.mode=selfSigned"],
            )
            .await;
        let annotations = api.get("fermata").await.unwrap().metadata.annotations.unwrap_or_default();
        assert!(!annotations.contains_key("cert-manager.io/inject-ca-from"), "{annotations:?}");
        let third = start(&stage, &scratches[2]).await;
        caller.goes_over(second, &third).await;
        stage.upgrade("fermata", "fermata", &["--reset-then-reuse-values", STRICT]).await;
        caller.goes_on(20).await;
        caller.stop();
        third.stop().await.unwrap();
        stage.uninstall("fermata", "fermata").await;
    }
}

/// An upgrade and a rollback, while a replica of each revision serves.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_rollback_with_replicas_that_serve() {
    for binary in HELMS {
        let stage = Stage::shared(binary).await;
        stage.install("fermata", "fermata", &[STRICT, "--set=drainSeconds=1"]).await;
        let scratches = [(); 3].map(|()| Scratch::create().unwrap());
        let first = start(&stage, &scratches[0]).await;
        let caller = Caller::start(&stage);
        caller.calls(&first);
        caller.goes_on(20).await;
        stage
            .upgrade(
                "fermata",
                "fermata",
                &["--reset-then-reuse-values", "--set=log.level=debug,drainSeconds=2"],
            )
            .await;
        let second = start(&stage, &scratches[1]).await;
        caller.calls(&second);
        caller.goes_on(40).await;
        caller.forgets(&first);
        first.stop().await.unwrap();
        stage.helm.success(&["rollback", "fermata", "1", "--namespace", "fermata"]).await.unwrap();
        let third = start(&stage, &scratches[2]).await;
        caller.calls(&third);
        caller.goes_on(40).await;
        caller.stop();
        second.stop().await.unwrap();
        third.stop().await.unwrap();
        stage.uninstall("fermata", "fermata").await;
    }
}

/// A replica that runs while the release gives its Secret up makes that again.
async fn remove_the_authority(stage: &Stage) {
    let words = ["--namespace=fermata", "delete", "secret", "fermata-authority", "--ignore-not-found"];
    assert!(stage.kubectl(&words).await.status.success());
}

async fn inject(api: &Api<MutatingWebhookConfiguration>, authority: &Authority) {
    let bundle = ByteString(authority.pem().as_bytes().to_vec());
    let patch = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
    let params =
        PatchParams { field_manager: Some("cert-manager-cainjector".to_owned()), ..PatchParams::default() };
    api.patch("fermata", &params, &patch).await.unwrap();
}
