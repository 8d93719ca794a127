//! What the program logs, and what it does when nobody reads it.

use rustls::{ClientConnection, pki_types::ServerName};

use crate::{
    certificates::Authority,
    client::{Client, Trust, eventually, tcp},
    fixture::metric,
    process::Process,
    reviews::{drain, plain},
};

/// How many log lines were given up.
fn lost(process: &Process) -> u64 {
    let page = Client::plain(process.admin).unwrap().get("/metrics").unwrap();
    let lost = page.text().lines().find_map(|line| line.strip_prefix("fermata_log_lines_lost_total "));
    lost.expect("the metric is there").parse().unwrap()
}

/// A container runtime whose disk is full stops reading. That fills the pipe, which takes 64 KiB, and then the queue.
#[test]
fn a_reader_that_stalls_costs_log_lines_and_no_review() {
    let (mut process, lines) = Process::start_logging(&["--log-level", "trace"], &[]);
    assert_eq!(lost(&process), 0);
    eventually("lines are given up", || {
        let mut client = process.client();
        for _ in 0..50 {
            assert_eq!(drain(&client.review(&plain()).unwrap()), Some(15));
        }
        lost(&process) > 0
    });
    // Nor does it stand in the way of the end: the second signal ends at once.
    process.signal("TERM");
    eventually("it is not ready", || !crate::fixture::ready(process.admin).0);
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(143));
    drop(lines);
}

/// An API server whose caBundle is another one shows in nothing else: it ends each handshake, and Pods start unchanged.
#[test]
fn a_client_without_trust_is_reported_once_and_not_at_every_handshake() {
    let (mut process, lines) = Process::start_logging(&["--drain", "0"], &[]);
    let stranger = Trust::in_authorities([Authority::new().pem().as_str()]);
    for _ in 0..5 {
        let mut tcp = tcp(process.address).unwrap();
        let name = ServerName::from(process.address.ip());
        let mut session = ClientConnection::new(stranger.0.clone(), name).unwrap();
        assert!(session.complete_io(&mut tcp).is_err());
    }
    // Health checks by TCP are no distrust.
    for _ in 0..3 {
        drop(tcp(process.address).unwrap());
    }
    eventually("the handshakes are counted", || {
        metric(process.admin, "fermata_tls_handshake_failures_total") == 8
    });
    assert_eq!(metric(process.admin, "fermata_tls_distrusted_total"), 5);
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(0));
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    let reports = lines.iter().filter(|line| line.contains("does not trust the certificate")).count();
    assert_eq!(reports, 1, "{lines:#?}");
}
