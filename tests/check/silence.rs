//! An API server that takes what is said to it, and says nothing. A real one cannot be brought to that.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    sandbox::{Ran, Sandbox},
    stage::checked,
};

/// Answers the question for the version, and no other; each connection until it is closed.
fn answer_only_the_version(connection: TcpStream) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut connection = connection;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.starts_with("GET /version ") {
            let version = json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "",
                "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" });
            let body = version.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = connection.write_all((head + &body).as_bytes());
        }
        line.clear();
    }
}

#[test]
fn each_question_has_an_end_and_silence_is_no_good_sign() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread::spawn(|| answer_only_the_version(connection.unwrap()));
        }
    });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": {} }],
        "contexts": [{ "name": "here", "context": { "cluster": "c", "user": "u" } }],
        "current-context": "here",
    });
    let sandbox = Sandbox::new().with("silent", config.to_string());
    // Every question that there is, and one after the other where one needs what another has found.
    let began = Instant::now();
    let words =
        ["check", "--kubeconfig", "silent", "-o", "json", "-n", "fermata", "--probe-namespace", "shop"];
    let ran = Ran::of(&mut sandbox.fermata(&words));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(45), "{took:?}");
    let checked = checked(&ran);
    assert_eq!(checked.code, 1, "{checked:#?}");
    checked.assert("api-reachable", "ok", "http://127.0.0.1:");
    for (id, part) in [
        ("registration-exists", "no answer: list mutatingwebhookconfigurations: nothing within 4 s"),
        ("replicas-deployed", "no answer: list deployments in fermata: nothing within 4 s"),
        ("replicas-budget", "nothing within 4 s"),
        ("pod-patched", "a Pod in shop got no answer: nothing within 25 s"),
        ("namespaces-opted-in", "nothing within 4 s"),
    ] {
        checked.assert(id, "failed", part);
    }
    // What waits for the same answer does not say it again as a failure.
    checked.assert("registration-rules", "skipped", "nothing within 4 s");
    checked.assert("registration-ca-valid", "skipped", "nothing within 4 s");
}
