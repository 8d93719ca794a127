//! Unicorn.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    rack,
    server::{Late, Server, words},
    site::Site,
};

const UNICORN: Server = Server {
    profile: "unicorn",
    command,
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    // The worker with the slow request still has the socket, and answers what has queued there before it ends.
    late: Late::Anything,
    ends: "app exited with 0",
};

fn command(site: &Site) -> Vec<String> {
    let configuration = site.write("unicorn.rb", "worker_processes 2\ntimeout 120\n");
    let address = site.address().to_string();
    words(&["unicorn", "-c", &configuration, "-l", &address, &rack::application(site)])
}

#[test]
fn unicorn_finishes_requests() {
    UNICORN.finishes_requests();
}

#[test]
fn unicorn_loses_requests_by_term() {
    UNICORN.loses_requests(&[], &[Signal::TERM]);
}
