//! nginx, in front of a slow application.

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    server::{Late, Server, words},
    site::Site,
    upstream,
};

const NGINX: Server = Server {
    profile: "nginx",
    command,
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app exited with 0",
};

fn command(site: &Site) -> Vec<String> {
    upstream::start(site);
    let configuration = site.write("nginx.conf", &configuration(site, "daemon off;"));
    words(&["nginx", "-e", "stderr", "-c", &configuration])
}

/// A proxy that keeps all its files at the site.
pub(crate) fn configuration(site: &Site, more: &str) -> String {
    let folder = site.text("");
    let (address, upstream) = (site.address(), site.upstream());
    format!(
        "{more} pid {folder}nginx.pid; error_log stderr; worker_processes 2; events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}1; proxy_temp_path {folder}2; fastcgi_temp_path {folder}3;
            uwsgi_temp_path {folder}4; scgi_temp_path {folder}5;
            server {{ listen {address}; location / {{ proxy_pass http://{upstream}; }} }}
        }}"
    )
}

#[test]
fn nginx_finishes_requests() {
    NGINX.finishes_requests();
}

#[test]
fn nginx_loses_requests_by_term() {
    NGINX.loses_requests(&[], &[Signal::TERM]);
}
