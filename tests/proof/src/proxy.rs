//! The proxy in front of a Service: a real nginx on the node, as an ingress controller is.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use fermata_test_cluster::{Node, network::NODE_ADDRESS};
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use crate::priority::first;

/// nginx as Debian has it.
pub const NGINX: &str = "/usr/sbin/nginx";

/// What a proxy does with a connection to the application behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upstream {
    /// Keeps it for further requests, as ingress controllers do.
    Kept,
    /// Closes it.
    Closed,
}

impl Upstream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Kept, Self::Closed];
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Closed => "closed",
        })
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
    /// How much of its log is not about the load.
    told_before: usize,
}

impl Proxy {
    /// Starts one on a port of the node, in front of a Service.
    ///
    /// # Errors
    ///
    /// When nginx cannot be started.
    pub fn start(node: &Node, port: u16, service: Ipv4Addr, upstream: Upstream) -> anyhow::Result<Self> {
        let folder = node.scratch().path().join(format!("proxy-{port}"));
        fs::create_dir_all(&folder)?;
        let address = SocketAddr::new(NODE_ADDRESS.parse()?, port);
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(&folder.display().to_string(), address, service, upstream))?;
        let process = first(node, Path::new(NGINX))
            // The log that it opens before it has read where its own is.
            .args(["-e".as_ref(), folder.join("error.log").as_os_str(), "-c".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start nginx")?;
        Ok(Self { process, folder, address, told_before: 0 })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on its log tells of the load; before, the way to the Pods was not there yet.
    ///
    /// # Errors
    ///
    /// When its log cannot be read.
    pub fn listen(&mut self) -> anyhow::Result<()> {
        self.told_before = self.log()?.len();
        Ok(())
    }

    fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(self.folder.join("error.log")).context("failed to read the log of nginx")
    }

    /// Ends it, and gives the causes that it wrote down.
    ///
    /// # Errors
    ///
    /// When it cannot be told to end, or its log cannot be read.
    pub async fn finish(mut self, node: &Node) -> anyhow::Result<Causes> {
        let file = self.folder.join("nginx.conf").display().to_string();
        let log = self.folder.join("error.log");
        let errors = self.log()?;
        node.run(&[NGINX, "-e", &log.display().to_string(), "-c", &file, "-s", "stop"]).await?;
        self.process.wait().await?;
        Ok(Causes::read(errors.get(self.told_before..).unwrap_or_default()))
    }
}

fn configuration(folder: &str, address: SocketAddr, service: Ipv4Addr, upstream: Upstream) -> String {
    let (keepalive, version) = match upstream {
        Upstream::Kept => ("keepalive 64;", "proxy_http_version 1.1; proxy_set_header Connection '';"),
        Upstream::Closed => ("", "proxy_http_version 1.1; proxy_set_header Connection close;"),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off;\n\
         user root;\n\
         worker_processes 1;\n\
         worker_rlimit_nofile 16384;\n\
         pid {folder}/pid;\n\
         error_log {folder}/error.log error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         {temporary}    \
             access_log off;\n    \
             upstream app {{ server {service}:80 max_fails=0; {keepalive} }}\n    \
             server {{\n        \
                 listen {address};\n        \
                 # So that what its clients see tells of its upstream alone.\n        \
                 keepalive_requests 10000000;\n        \
                 keepalive_timeout 1h;\n        \
                 location / {{\n            \
                     proxy_pass http://app;\n            \
                     {version}\n            \
                     proxy_next_upstream off;\n            \
                     proxy_connect_timeout 5s;\n            \
                     proxy_read_timeout 10s;\n        \
                 }}\n    \
             }}\n\
         }}\n"
    )
}

/// What a proxy says about the requests that it could not pass on, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Causes(pub BTreeMap<String, u64>);

impl Causes {
    /// Reads nginx's error log.
    fn read(errors: &str) -> Self {
        let mut causes = BTreeMap::new();
        for line in errors.lines().filter(|line| line.contains("upstream: ")) {
            *causes.entry(cause(line).to_owned()).or_default() += 1;
        }
        Self(causes)
    }
}

/// The cause of a request that was under way on a connection that had been made.
pub const CUT_OFF: &str = "cut off: the program ended, or closed the connection, with the request under way";

/// Puts a line of nginx's error log into words.
fn cause(line: &str) -> &'static str {
    let has = |text: &str| line.contains(text);
    match () {
        () if has("(111: Connection refused)") => {
            "connection refused: a new connection was sent to a Pod that no longer listens"
        }
        () if has("(113: ") => "no route to host: a new connection was sent to a Pod that is gone",
        () if has("(110: ") && has("while connecting") => {
            "no answer to a new connection: it was sent to a Pod that is gone"
        }
        () if has("(110: ") => "no answer on an open connection: its Pod is gone",
        () if has("while connecting") => "reset while connecting: the Pod stopped listening at that moment",
        () if has("prematurely closed") || has("(104: ") || has("(32: ") => CUT_OFF,
        () => "another cause",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as nginx 1.22 writes them; the others are not about requests that it could not pass on.
    const LOG: &str = r#"
2026/11/24 02:00:00 [notice] 1#1: start worker process 2
2026/11/24 02:00:01 [error] 2#2: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.10, server: , request: "GET /?token=1 HTTP/1.1", upstream: "http://203.0.113.9:80/?token=1", host: "app.test"
2026/11/24 02:00:01 [error] 2#2: *2 connect() failed (113: No route to host) while connecting to upstream, client: 192.0.2.10, server: , request: "GET /?token=2 HTTP/1.1", upstream: "http://203.0.113.9:80/?token=2", host: "app.test"
2026/11/24 02:00:01 [error] 2#2: *3 upstream prematurely closed connection while reading response header from upstream, client: 192.0.2.10, server: , request: "GET /?token=3 HTTP/1.1", upstream: "http://203.0.113.9:80/?token=3", host: "app.test"
2026/11/24 02:00:01 [error] 2#2: *4 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 192.0.2.10, server: , request: "GET /?token=4 HTTP/1.1", upstream: "http://203.0.113.9:80/?token=4", host: "app.test"
2026/11/24 02:00:06 [error] 2#2: *5 upstream timed out (110: Connection timed out) while connecting to upstream, client: 192.0.2.10, server: , request: "GET /?token=5 HTTP/1.1", upstream: "http://203.0.113.9:80/?token=5", host: "app.test"
"#;

    #[test]
    fn the_log_of_nginx_tells_causes() {
        let Causes(causes) = Causes::read(LOG);
        let counts: Vec<u64> = causes.values().copied().collect();
        assert_eq!(causes.get(CUT_OFF), Some(&2), "{causes:?}");
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert_eq!(counts.len(), 4);
        assert!(!causes.contains_key("another cause"), "{causes:?}");
    }
}
