//! What can be typed, and where the cluster is found.

use std::process::Command;

use serde_json::json;

use crate::{
    sandbox::{Ran, Sandbox},
    stage::Stage,
};

#[test]
fn without_a_cluster_there_is_nothing_to_check() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.fermata(&["check"]).env("HOME", sandbox.path()));
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
    assert!(ran.stderr.contains("--kubeconfig"), "{}", ran.stderr);
    let ran = sandbox.run(&["check", "--kubeconfig", "nowhere"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr.contains("--kubeconfig nowhere"), "{}", ran.stderr);
}

#[test]
fn mistakes_are_named() {
    let sandbox = Sandbox::new();
    for (arguments, part) in [
        (&["check", "-n", "../pods"][..], "name of a Namespace"),
        (&["check", "--probe-namespace", "A"], "name of a Namespace"),
        (&["check", "--wait", "soon"], "--wait"),
        (&["check", "everything"], "everything"),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}

#[test]
fn help_names_the_checks_and_the_exit_codes() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["check", "--help"]).stdout;
    for part in ["registration-ca-matches", "pods-covered", "Exit codes:", "  5  "] {
        assert!(help.contains(part), "{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]).stdout;
        assert!(script.contains("probe-namespace"), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_found_as_kubectl_finds_it() {
    let stage = Stage::new().await;
    let admin = std::fs::read_to_string(stage.cluster.kubeconfig_path()).unwrap();
    let mut two: serde_json::Value = serde_json::from_str(&admin).unwrap();
    two["clusters"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "away", "cluster": { "server": "https://127.0.0.1:1" } }));
    let user = two["users"][0]["name"].clone();
    two["contexts"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "away", "context": { "cluster": "away", "user": user } }));
    let sandbox = Sandbox::new().with(".kube/config", two.to_string()).with("other", two.to_string());
    let reached = |command: &mut Command| {
        let ran = Ran::of(command.env("HOME", sandbox.path()));
        ran.stdout.contains("√ the API server answers")
    };
    assert!(reached(&mut sandbox.fermata(&["check"])));
    assert!(!reached(&mut sandbox.fermata(&["check", "--context", "away"])));
    assert!(reached(sandbox.fermata(&["check"]).env("KUBECONFIG", "other")));
    let ran = Ran::of(sandbox.fermata(&["check", "--context", "nowhere"]).env("HOME", sandbox.path()));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
}
