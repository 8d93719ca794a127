//! The alerts: when they fire, by Prometheus' own evaluation.

use std::{
    env,
    io::{ErrorKind, Write as _},
    process::Command,
};

use serde_json::{Value, json};

use crate::alerts::rules_of;

/// What is scraped each minute, and at which minutes an alert fires and does not.
struct Case {
    alert: &'static str,
    series: &'static [(&'static str, &'static str)],
    fires: &'static [u32],
    is_silent: &'static [u32],
}

const OPEN: &str = r#"apiserver_admission_webhook_fail_open_count{name="pods.fermata.dev",type="admit"}"#;
const REJECTED: &str = r#"apiserver_admission_webhook_rejection_count{name="pods.fermata.dev",error_type="calling_webhook_error"}"#;
const DENIED: &str =
    r#"apiserver_admission_webhook_rejection_count{name="pods.fermata.dev",error_type="no_error"}"#;
const READY: &str = r#"fermata_ready{namespace="fermata",pod="fermata-1"}"#;
const READY_TOO: &str = r#"fermata_ready{namespace="fermata",pod="fermata-2"}"#;
const FAILURES: &str = r#"fermata_tls_handshake_failures_total{namespace="fermata",pod="fermata-1"}"#;
const DISTRUST: &str = r#"fermata_tls_distrusted_total{namespace="fermata",pod="fermata-1"}"#;
const EXPIRY: &str = r#"fermata_certificate_expiry_timestamp_seconds{namespace="fermata",pod="fermata-1"}"#;
const VALID: &str = r#"fermata_config_valid{namespace="fermata",pod="fermata-1"}"#;
const VALID_TOO: &str = r#"fermata_config_valid{namespace="fermata",pod="fermata-2"}"#;

const CASES: &[Case] = &[
    // No replica is there, or none is ready; one that is will do.
    Case { alert: "FermataDown", series: &[], fires: &[6, 60], is_silent: &[2] },
    Case {
        alert: "FermataDown",
        series: &[(READY, "1+0x9 0+0x60"), (READY_TOO, "0+0x60")],
        fires: &[20],
        is_silent: &[9, 12],
    },
    Case {
        alert: "FermataDown",
        series: &[(READY, "1+0x60"), (READY_TOO, "0+0x60")],
        fires: &[],
        is_silent: &[6, 30, 60],
    },
    // The first time, when there was no series; not for ever; and again.
    Case {
        alert: "FermataFailedOpen",
        series: &[(OPEN, "_x10 3+0x30 4+0x30")],
        fires: &[12, 42],
        is_silent: &[9, 30, 55],
    },
    // One that was there long before, and one that was not scraped for a while.
    Case { alert: "FermataFailedOpen", series: &[(OPEN, "5+0x60")], fires: &[], is_silent: &[25, 60] },
    Case {
        alert: "FermataFailedOpen",
        series: &[(OPEN, "5+0x15 _x5 5+0x30")],
        fires: &[],
        is_silent: &[22, 26, 31, 40],
    },
    // An API server that begins anew.
    Case {
        alert: "FermataFailedOpen",
        series: &[(OPEN, "5+0x12 _x3 2+0x30")],
        fires: &[17],
        is_silent: &[14, 35],
    },
    Case {
        alert: "FermataFailedOpen",
        series: &[(OPEN, "5+0x10 _x13 2+0x30")],
        fires: &[32],
        is_silent: &[22, 50],
    },
    // A port scan or a health check is no distrust.
    Case {
        alert: "FermataNotTrusted",
        series: &[(FAILURES, "0+6x60"), (DISTRUST, "0+0x60")],
        fires: &[],
        is_silent: &[30, 60],
    },
    Case {
        alert: "FermataNotTrusted",
        series: &[(FAILURES, "0+6x60"), (DISTRUST, "0+6x60")],
        fires: &[20],
        is_silent: &[5],
    },
    // Time begins at 0 here, so the third ends in 100 days.
    Case {
        alert: "FermataCertificateExpires",
        series: &[(EXPIRY, "0+0x60")],
        fires: &[],
        is_silent: &[30, 60],
    },
    Case {
        alert: "FermataCertificateExpires",
        series: &[(EXPIRY, "259200+0x60")],
        fires: &[30],
        is_silent: &[5],
    },
    Case {
        alert: "FermataCertificateExpires",
        series: &[(EXPIRY, "8640000+0x60")],
        fires: &[],
        is_silent: &[30],
    },
    // For as long as the file is there, and no longer.
    Case {
        alert: "FermataConfigRefused",
        series: &[(VALID, "1+0x9 0+0x180 1+0x30"), (VALID_TOO, "1+0x220")],
        fires: &[20, 180],
        is_silent: &[9, 12, 200],
    },
];

const CASES_OF_FAIL: &[Case] = &[
    Case {
        alert: "FermataPodsRefused",
        series: &[(REJECTED, "_x10 3+0x30")],
        fires: &[12],
        is_silent: &[9, 30],
    },
    Case { alert: "FermataPodsRefused", series: &[(DENIED, "_x10 3+0x30")], fires: &[], is_silent: &[12] },
];

fn test(case: &Case) -> Value {
    let series: Vec<Value> =
        case.series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let fires = case.fires.iter().map(|minute| (minute, 1));
    let expected: Vec<Value> = fires
        .chain(case.is_silent.iter().map(|minute| (minute, 0)))
        .map(|(minute, count)| {
            json!({
                "expr": format!(r#"count(ALERTS{{alertname="{}",alertstate="firing"}}) or vector(0)"#, case.alert),
                "eval_time": format!("{minute}m"),
                "exp_samples": [{ "labels": "{}", "value": count }],
            })
        })
        .collect();
    json!({ "interval": "1m", "input_series": series, "promql_expr_test": expected })
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_at_no_other_time() {
    let folder = tempfile::tempdir().unwrap();
    for (policy, cases) in [("Ignore", CASES), ("Fail", CASES_OF_FAIL)] {
        let rules = rules_of(&["--set", &format!("webhook.failurePolicy={policy}")]).await;
        for case in cases {
            assert!(rules.iter().any(|rule| rule["alert"] == case.alert), "{} with {policy}", case.alert);
        }
        let groups = json!({ "groups": [{ "name": "fermata", "rules": rules }] });
        let tests = json!({
            "rule_files": ["rules.yaml"],
            "evaluation_interval": "1m",
            "tests": cases.iter().map(test).collect::<Vec<_>>(),
        });
        for (name, content) in [("rules.yaml", groups), ("tests.yaml", tests)] {
            std::fs::write(folder.path().join(name), content.to_string()).unwrap();
        }
        let mut promtool = Command::new("promtool");
        let run = match promtool.args(["test", "rules", "tests.yaml"]).current_dir(folder.path()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let required = env::var_os("FERMATA_REQUIRE_ALL").is_some_and(|value| value == "1");
                assert!(!required, "promtool is missing");
                let _ =
                    writeln!(std::io::stderr(), "SKIPPED: promtool is missing, so no alert was evaluated");
                return;
            }
            run => run.unwrap(),
        };
        assert!(
            run.status.success(),
            "{}{}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
    }
}
