//! The operator's settings: what Helm lets pass is what the program takes, and nothing else.

use std::{collections::BTreeMap, path::Path};

use fermata_core::annotation::TABLE;
use fermata_stop_plan::PROFILES;
use fermata_test_cluster::{Helm, assets::Binary};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{HELMS, objects, offline, only, template};

const DURATIONS: (&str, &str) = (
    r#"["15s", "1m30s", "90", 90, "0", 0, "24h", "1440m", "86400", "1h30s"]"#,
    r#"["soon", "", "15 s", "1.5s", 1.5, "500ms", "-5s", -5, "1d", "30s1m", "1m30", "015", "24h1s", 86401, "86401", "1440m1s",
        "5124095576030431h", true, ["15s"], {}]"#,
);

const COMMANDS: (&str, &str) = (
    r#"["none", "[\"app\", \"stop\"]", " [\"a \\\"b\\\"\", \"\\u00e9\", \"\"] ", ["app", "stop"], ["app", "--port", 5000, true]]"#,
    r#"["", " ", "[]", [], [""], "[\"\"]", "[app, stop]", "[\"app\", 1]", "[\"app\"", "[\"\\x\"]", [["app"]], { "app": "stop" }]"#,
);

const WORDS: (&str, &str) = (
    r#"[{ "entrypoint": ["/app"] }, { "cmd": ["a", 1, true] }, { "entrypoint": ["/app"], "cmd": [] },
        { "stopSignal": "QUIT" }, { "stopSignal": "sigusr1", "cmd": ["a"] }, { "stopSignal": 12 }, { "stopSignal": "RTMIN+3" }]"#,
    r#"[{}, { "entrypoint": [] }, { "entrypoint": [], "cmd": [] }, { "cmds": ["a"] }, { "entrypoint": "/app" },
        { "cmd": [["a"]] }, "nginx", ["nginx"], { "stopSignal": "KILL" }, { "stopSignal": 19 }, { "stopSignal": "CLD" },
        { "stopSignal": "SIGNOPE" }, { "stopSignal": 99 }, { "stopSignal": 0 }, { "stopSignal": "" }, { "stopSignal": ["QUIT"] }]"#,
);

/// What can be said of each setting, by its place: values that the program takes, and values that it does not.
const SETTINGS: &[(&str, (&str, &str))] = &[
    ("/defaults/drain", DURATIONS),
    (
        "/defaults/drain",
        (
            r#"["5s..60s", "5..60", "0..1m30s", "7s..7s"]"#,
            r#"["60s..5s", "5s..", "..5s", "5s..60s..70s", "5s...60s", "5s..25h", "5s..soon"]"#,
        ),
    ),
    ("/defaults/quiet", (DURATIONS.0, r#"["5s..60s", "soon", 1.5, "25h"]"#)),
    ("/defaults/grace-period", (DURATIONS.0, r#"["5s..60s", "", "015", -1]"#)),
    (
        "/defaults/shim",
        (r#"["off", "hook", "init", "true", "false", true, false]"#, r#"["on", "Init", "", 1, ["init"]]"#),
    ),
    (
        "/defaults/profile",
        (
            r#"["nginx", "apache", "php-fpm", "haproxy", "postgres", "puma", "unicorn", "passenger", "gunicorn", "uvicorn",
                "sidekiq", "node", "spring", "none"]"#,
            r#"["ngnix", "Nginx", "", false, ["nginx"]]"#,
        ),
    ),
    (
        "/defaults/rewrite",
        (
            r#"["TERM:QUIT", "TERM:INT,2:15,HUP:0", "sigterm:SIGQUIT", "Term:quit", "TERM:QUIT, HUP:0", "RTMIN+3:RTMAX-1",
                "RTMIN:RTMAX", "64:1", "POLL:CLD", "USR1:SIGUSR2", "TERM:KILL"]"#,
            r#"["", "TERM", "TERM:QUIT,", "TERM:", ":QUIT", "TERM:99", "0:TERM", "TERM:QUIT:INT", "TERMINATE:QUIT", "KILL:TERM",
                "STOP:0", "17:0", "TERM:QUIT,15:3", "TERM:QUIT,SIGTERM:INT", "SIG15:QUIT", "SIGSIGTERM:QUIT", "RTMIN+31:TERM",
                "RTMIN-1:TERM", "TERM: QUIT", "TERM;QUIT", "IO:0,POLL:0", 15, { "TERM": "QUIT" }]"#,
        ),
    ),
    ("/defaults/signal-scope", (r#"["child", "group"]"#, r#"["all", "", "Child", true]"#)),
    (
        "/defaults/exit-code",
        (
            r#"["app", "0", 0, "143", 255, "143:0", "143:0, 2:7", "007", "0143:00"]"#,
            r#"["", "child", "-1", -1, 256, "256", "143:", "143:0,", "143:999", "143:0,143:1", "143:0,0143:1", "1 : 0", true,
                "99999999999999"]"#,
        ),
    ),
    ("/defaults/status-command", COMMANDS),
    ("/defaults/status-command", (r#"["app stop; sleep 1", " app"]"#, "[]")),
    ("/defaults/stop-command", (r#"["app stop; sleep 1", ["app"]]"#, r#"["", [], "[app]"]"#)),
    ("/defaults/entrypoint", COMMANDS),
    ("/defaults/entrypoint", ("[]", r#"["/app", " none"]"#)),
    (
        "/defaults/containers",
        (
            r#"["app", "app, log-2", ["app", "web"], ["app, web"]]"#,
            r#"["", [], "app,", ",", "App", "a b", ["app", "A"], [["app"]], {},
                "a-name-of-more-than-63-signs-0123456789-0123456789-0123456789-012"]"#,
        ),
    ),
    // Empty is no limit, and the chart then says nothing.
    (
        "/limits/maxDrain",
        (DURATIONS.0, r#"["soon", "5s..60s", 1.5, -5, "015", "24h1s", 86401, true, ["15s"]]"#),
    ),
    ("/limits/maxGracePeriod", (DURATIONS.0, r#"["soon", "5s..60s", "25h", {}]"#)),
    ("/onInvalid", (r#"["warn", "deny"]"#, r#"["denied", "", true]"#)),
    (
        "/shimImage",
        (
            r#"["fermata-shim", "registry.example.com:5000/fermata-shim:0.1.0", "[::1]:5000/shim", "a", "a_b/c", "a.b",
                "shim@sha256:0000000000000000000000000000000000000000000000000000000000000000", "Registry.example.com/a__b/c--d"]"#,
            r#"["a b", "shim:", "/shim", "-shim", ".shim", "shim@", ":1", "_", "shim@sha256:00", "ghcr.io/Acme/shim", "ghcr.io//a",
                "a._b", "a_b.c/d", "shim:1:2"]"#,
        ),
    ),
    ("/images/nginx", WORDS),
    ("/images/registry.example.com:5000~1shop~1app", WORDS),
    (
        "/images",
        (
            r#"[{ "nginx": { "cmd": ["a"] }, "nginx:1.27": { "cmd": ["a"] }, "docker.io/library/a/b": { "cmd": ["a"] },
                 "a/b": { "cmd": ["a"] } }]"#,
            r#"[{ "nginx": { "cmd": ["a"] }, "docker.io/nginx": { "cmd": ["b"] } },
                { "library/nginx:1": { "cmd": ["a"] }, "index.docker.io/library/nginx:1": { "cmd": ["b"] } }, ["nginx"]]"#,
        ),
    ),
];

/// The values of a row.
fn values(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What the program says to its config file.
fn program(folder: &TempDir, text: &str) -> Result<(), String> {
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    fermata::config::load(&file).map(|_| ()).map_err(|error| error.to_string())
}

/// What Helm says to the values, and the config file that it makes of them.
async fn chart(helm: &Helm, folder: &TempDir, config: &Value) -> Result<String, String> {
    let file = folder.path().join("values.json");
    std::fs::write(&file, json!({ "config": config }).to_string()).unwrap();
    let words = ["--values", path(&file), "--show-only", "templates/config.yaml"];
    let run = helm.run(&template(&words)).await.unwrap();
    if !run.success {
        return Err(run.stderr);
    }
    Ok(only(&objects(&run.stdout), "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned())
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// Values by the place they are for.
type Table = BTreeMap<&'static str, Vec<Value>>;

fn table(side: fn(&(&'static str, &'static str)) -> &'static str) -> Table {
    let mut table = Table::new();
    for (place, both) in SETTINGS {
        table.entry(place).or_default().extend(values(side(both)));
    }
    table
}

/// Rows with one value for each place that has one left.
fn rows(mut table: Table) -> impl Iterator<Item = Vec<(&'static str, Value)>> {
    std::iter::from_fn(move || {
        let row: Vec<_> =
            table.iter_mut().filter_map(|(place, values)| Some((*place, values.pop()?))).collect();
        (!row.is_empty()).then_some(row)
    })
}

/// The config with these values.
fn config(values: &[(&str, Value)]) -> Value {
    let mut made = json!({ "defaults": {}, "limits": {}, "images": {} });
    for (place, value) in values {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = made.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.replace("~1", "/"), value.clone());
    }
    made
}

#[tokio::test]
async fn helm_refuses_what_the_program_would() {
    let folder = tempfile::tempdir().unwrap();
    let helm = offline(Binary::Helm).await;
    let mut table = table(|(_, bad)| bad);
    for (place, bad) in &table {
        for value in bad {
            let config = config(&[(place, value.clone())]);
            assert!(program(&folder, &config.to_string()).is_err(), "the program takes {config}");
        }
    }
    // A schema says all that is wrong with one of each at once. What is not among it is refused elsewhere, by itself.
    let images = table.remove("/images").unwrap();
    let mut alone: Vec<_> = images.into_iter().map(|value| ("/images", value)).collect();
    for row in rows(table) {
        let answer = chart(&helm, &folder, &config(&row)).await.expect_err("a bad value in each place");
        let is_said = |place: &str| answer.contains(&format!("at '/config{place}"));
        alone.extend(row.into_iter().filter(|(place, _)| !is_said(place)));
    }
    for (place, value) in alone {
        let config = config(&[(place, value)]);
        let answer = chart(&helm, &folder, &config).await.expect_err(&config.to_string());
        let setting = place.trim_start_matches('/').split('/').next().unwrap();
        assert!(answer.contains("schema") || answer.contains("config."), "{config}: {answer}");
        assert!(answer.contains(setting), "{config}: {answer}");
    }
}

#[test]
fn every_setting_is_tried() {
    let places: Vec<&str> = SETTINGS.iter().map(|(place, _)| *place).collect();
    for row in &TABLE {
        assert!(places.contains(&&*format!("/defaults/{}", row.name)), "{}", row.name);
    }
    let profiles = values(SETTINGS.iter().find(|(place, _)| *place == "/defaults/profile").unwrap().1.0);
    for profile in &PROFILES {
        assert!(profiles.contains(&json!(profile.name)), "{}", profile.name);
    }
}

#[tokio::test]
async fn helm_takes_what_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    for binary in HELMS {
        let helm = offline(binary).await;
        let mut table = table(|(good, _)| good);
        for (place, good) in &table {
            for value in good {
                let config = config(&[(place, value.clone())]);
                assert_eq!(program(&folder, &config.to_string()), Ok(()), "{config}");
            }
        }
        // One of each at a time, and not each alone: there are many.
        let all = table.remove("/images").unwrap();
        for row in rows(table) {
            let config = config(&row);
            let made =
                chart(&helm, &folder, &config).await.unwrap_or_else(|error| panic!("{config}: {error}"));
            assert_eq!(program(&folder, &made), Ok(()), "{made}");
        }
        for images in all {
            let made = chart(&helm, &folder, &json!({ "images": images })).await.unwrap();
            assert_eq!(program(&folder, &made), Ok(()), "{made}");
        }
    }
}

/// A limit of nothing is a limit.
#[tokio::test]
async fn a_zero_arrives() {
    let folder = tempfile::tempdir().unwrap();
    for binary in HELMS {
        let helm = offline(binary).await;
        for zero in [json!(0), json!("0"), json!("0s")] {
            let config = json!({ "limits": { "maxDrain": zero } });
            let made = chart(&helm, &folder, &config).await.unwrap();
            let made: Value = serde_saphyr::from_str(&made).unwrap();
            assert_eq!(made["limits"]["maxDrain"], zero);
        }
    }
}
