//! Apache httpd, in front of a slow application.

use std::fmt::Write as _;

use fermata_stop_plan::Signal;

use crate::{
    client::get,
    server::{Late, Server, words},
    site::Site,
    upstream,
};

const APACHE: Server = Server {
    profile: "apache",
    command,
    ask: |site, page| get(site.address(), page),
    is_settled: |_| true,
    late: Late::Refused,
    ends: "app exited with 0",
};

fn command(site: &Site) -> Vec<String> {
    upstream::start(site);
    let folder = site.text("");
    let (address, upstream) = (site.address(), site.upstream());
    // Started by root it insists on workers that are not.
    let mut configuration = format!(
        "ServerRoot {folder}\nServerName test\nListen {address}\nPidFile {folder}apache.pid\n\
         DefaultRuntimeDir {folder}\nMutex file:{folder} default\nErrorLog /dev/stderr\n\
         User nobody\nGroup nogroup\n"
    );
    for module in ["mpm_event", "authz_core", "proxy", "proxy_http"] {
        let place = format!("/usr/lib/apache2/modules/mod_{module}.so");
        writeln!(configuration, "LoadModule {module}_module {place}").unwrap();
    }
    writeln!(configuration, "ProxyPass / http://{upstream}/").unwrap();
    words(&["apache2", "-D", "FOREGROUND", "-f", &site.write("apache.conf", &configuration)])
}

#[test]
fn apache_finishes_requests() {
    APACHE.finishes_requests();
}

#[test]
fn apache_loses_requests_by_term() {
    APACHE.loses_requests(&[], &[Signal::TERM]);
}
