//! The alerts: what they look at is there.

use std::{collections::BTreeSet, time::Duration};

use fermata_test_cluster::{Fermata, Launch, Scratch, assets::Binary, http};
use serde_json::Value;

use crate::stage::{Stage, create, eventually, objects, offline, only, template};

/// The metrics that an expression names.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let metric = |word: &&str| word.starts_with("fermata_") || word.starts_with("apiserver_");
    words.filter(metric).map(str::to_owned).collect()
}

async fn rules() -> Vec<Value> {
    rules_of(&[]).await
}

pub(crate) async fn rules_of(flags: &[&str]) -> Vec<Value> {
    let helm = offline(Binary::Helm).await;
    let flags = [&["--set", "metrics.prometheusRule.enabled=true"], flags].concat();
    let rendered = helm.success(&template(&flags)).await.unwrap();
    let rule = only(&objects(&rendered), "PrometheusRule").clone();
    rule.pointer("/spec/groups/0/rules").unwrap().as_array().unwrap().clone()
}

/// A `fermata serve` that has no cluster has the same page.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_an_alert_is_on_the_page() {
    let scratch = Scratch::create().unwrap();
    let launch = |ports: fermata_test_cluster::Ports| Launch {
        binary: env!("CARGO_BIN_EXE_fermata").into(),
        args: [
            "serve".to_owned(),
            "--tls-self-signed".to_owned(),
            format!("--listen=127.0.0.1:{}", ports.webhook),
            format!("--admin-listen=127.0.0.1:{}", ports.admin),
            "--drain=0s".to_owned(),
        ]
        .into(),
        env: vec![
            ("KUBECONFIG".to_owned(), String::new()),
            ("HOME".to_owned(), scratch.path().display().to_string()),
        ],
        readiness_url: format!("http://127.0.0.1:{}/readyz", ports.admin),
        grace: Duration::from_secs(5),
    };
    let fermata = Fermata::start(&scratch, launch).await.unwrap();
    let page = http::get(&format!("http://127.0.0.1:{}/metrics", fermata.ports().admin)).await.unwrap().body;
    // A counter's own line says the name without the ending that its samples have.
    let known: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let ending = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            [format!("{name}{ending}")]
        })
        .collect();
    let mut named = 0;
    for rule in rules().await {
        for metric in metrics(rule["expr"].as_str().unwrap()) {
            if metric.starts_with("fermata_") {
                assert!(known.contains(&metric), "{metric} of {} is not among {known:?}", rule["alert"]);
                named += 1;
            }
        }
    }
    assert!(named >= 8, "only {named}");
    fermata.stop().await.unwrap();
}

/// Where nobody answers, the API server's own counts tell of the Pods.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_counts_pods_that_nobody_was_asked_about() {
    for (policy, alert, counter, labels) in [
        (
            "Ignore",
            "FermataFailedOpen",
            "apiserver_admission_webhook_fail_open_count",
            &[r#"name="pods.fermata.dev""#][..],
        ),
        (
            "Fail",
            "FermataPodsRefused",
            "apiserver_admission_webhook_rejection_count",
            &[r#"name="pods.fermata.dev""#, r#"error_type="calling_webhook_error""#],
        ),
    ] {
        let set = format!("--set=webhook.failurePolicy={policy}");
        let rules = rules_of(&[&set]).await;
        let names = ["FermataFailedOpen", "FermataPodsRefused"];
        let here: Vec<&Value> =
            rules.iter().filter(|rule| names.contains(&rule["alert"].as_str().unwrap())).collect();
        assert_eq!((here.len(), here[0]["alert"].as_str()), (1, Some(alert)), "{policy}");
        let expression = here[0]["expr"].as_str().unwrap();
        assert_eq!(metrics(expression), BTreeSet::from([counter.to_owned()]));
        assert!(labels.iter().all(|label| expression.contains(label)), "{expression}");

        let stage = Stage::new(Binary::Helm).await;
        stage.install("fermata", "fermata", &[&set]).await;
        let namespace = stage.opted_in().await;
        let client = stage.cluster.client().unwrap();
        let mut number = 0;
        eventually("the count", async || {
            number += 1;
            let created = create(&namespace, &format!("unasked-{number}")).await;
            assert!(created.is_ok() || policy == "Fail", "{created:?}");
            let request = ::http::Request::get("/metrics").body(Vec::new()).unwrap();
            let page = client.request_text(request).await.map_err(|error| error.to_string())?;
            let line = page
                .lines()
                .find(|line| line.starts_with(counter) && labels.iter().all(|label| line.contains(label)));
            line.map(|_| ()).ok_or_else(|| "no such count".to_owned())
        })
        .await;
        stage.uninstall("fermata", "fermata").await;
    }
}

/// What lives shortly is renewed shortly before its end, which is no reason for an alert.
#[tokio::test]
async fn a_certificate_is_late_only_after_its_renewal() {
    const DAY: u64 = 86_400;
    for (flags, certificate, authority) in [
        (&[][..], 6 * DAY, Some(7 * DAY)),
        (
            &["--set=tls.selfSigned.certificateLifetime=24h,tls.selfSigned.authorityLifetime=10d"],
            DAY / 5,
            Some(2 * DAY),
        ),
        (&["--set=tls.selfSigned.certificateLifetime=365d"], 7 * DAY, Some(7 * DAY)),
        (&["--set=tls.mode=certManager"], 7 * DAY, None),
        (&["--set=tls.mode=certManager,tls.certManager.renewBefore=24h30m"], 44_100, None),
        (
            &["--set=tls.mode=certManager,tls.certManager.renewBefore=,tls.certManager.duration=24h"],
            4 * 3600,
            None,
        ),
    ] {
        let rules = rules_of(flags).await;
        let limit = |alert: &str| {
            let rule = rules.iter().find(|rule| rule["alert"] == alert)?;
            rule["expr"].as_str()?.rsplit_once("< ")?.1.parse::<u64>().ok()
        };
        assert_eq!(limit("FermataCertificateExpires"), Some(certificate), "{flags:?}");
        assert_eq!(limit("FermataAuthorityExpires"), authority, "{flags:?}");
    }
}

/// Every rule is whole: a name, how bad it is, and what to do.
#[tokio::test]
async fn every_alert_says_what_to_do() {
    let strict = rules_of(&["--set", "webhook.failurePolicy=Fail"]).await;
    for rule in rules().await.into_iter().chain(strict) {
        let alert = rule["alert"].as_str().unwrap();
        assert!(alert.starts_with("Fermata"), "{alert}");
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{alert}");
        let [summary, description] =
            ["summary", "description"].map(|key| rule["annotations"][key].as_str().unwrap_or_default());
        assert!(
            !summary.is_empty() && description.ends_with(|end: char| end == '.' || end.is_alphanumeric()),
            "{rule}"
        );
    }
}
