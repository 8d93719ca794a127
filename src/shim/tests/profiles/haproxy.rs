//! `HAProxy`, in front of a slow application, with the words of the official image's entrypoint.

use std::fs;

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    server::{Late, Server, words},
    site::Site,
    upstream,
};

const HAPROXY: Server = Server {
    profile: "haproxy",
    command,
    ask: |site, page| get(site.address(), page),
    is_settled: is_waiting,
    late: Late::Refused,
    ends: "app exited with 0",
};

fn command(site: &Site) -> Vec<String> {
    upstream::start(site);
    let (address, upstream) = (site.address(), site.upstream());
    let configuration = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend front\n bind {address}\n default_backend back\n\
         backend back\n server app {upstream}\n"
    );
    words(&["haproxy", "-W", "-db", "-f", &site.write("haproxy.cfg", &configuration)])
}

/// Whether the master only waits for its worker. To become that it executes itself once more when the worker answers
/// already, and forgets a signal that it gets before it waits.
fn is_waiting(site: &Site) -> bool {
    site.processes().iter().any(|(pid, _)| {
        let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let environment = file("environ");
        let status = file("status");
        let status = String::from_utf8_lossy(&status);
        String::from_utf8_lossy(&environment).contains("HAPROXY_MWORKER_WAIT_ONLY=1")
            && status.contains("\nState:\tS")
            && status.contains("\nSigBlk:\t0000000000000000")
    })
}

#[test]
fn haproxy_finishes_requests() {
    HAPROXY.finishes_requests();
}

#[test]
fn haproxy_loses_requests_by_term() {
    HAPROXY.loses_requests(&[], &[Signal::TERM]);
}
