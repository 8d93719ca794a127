//! Puma, alone and with workers.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    rack,
    server::{Late, Server, words},
    site::Site,
};

const PUMA: Server = Server {
    profile: "puma",
    command: |site| command(site, "0"),
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app ended by TERM",
};

fn command(site: &Site, workers: &str) -> Vec<String> {
    let bind = format!("tcp://{}", site.address());
    words(&["puma", "--bind", &bind, "--threads", "2:2", "--workers", workers, &rack::application(site)])
}

#[test]
fn puma_finishes_requests() {
    PUMA.finishes_requests();
}

#[test]
fn puma_with_workers_finishes_requests() {
    Server { command: |site| command(site, "2"), ..PUMA }.finishes_requests();
}

#[test]
fn puma_loses_requests_by_quit() {
    PUMA.loses_requests(&[], &[Signal::QUIT]);
}
