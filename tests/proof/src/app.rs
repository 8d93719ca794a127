//! The applications, each in an image of its own, and what Fermata is told about them.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use fermata_test_cluster::Image;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::proxy::NGINX;

/// Where Debian's nginx has the module that lets it take its time for an answer.
const ECHO: &str = "/usr/lib/nginx/modules/ngx_http_echo_module.so";

/// What the applications need of this machine.
///
/// # Errors
///
/// When something is missing, with where it is to be had.
pub fn check() -> anyhow::Result<()> {
    for (file, package) in [(NGINX, "nginx"), (ECHO, "libnginx-mod-http-echo")] {
        ensure!(Path::new(file).exists(), "missing: {file} (Debian and Ubuntu: apt install {package})");
    }
    Ok(())
}

/// An application that somebody has, with the way in which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum App {
    /// Ends at once on TERM.
    Dies,
    /// A graceful server behind `sh -c`, which is PID 1 and passes no signal on.
    Shell,
    /// On TERM it stops accepting, answers what it has begun and what comes on open connections with `Connection: close` for a
    /// second, closes those that stay idle, and ends.
    Graceful,
    /// The real one, stopped by QUIT, as its official image asks.
    Nginx,
    /// Ignores TERM, and has a command that stops it, as the post-mortem's. That cuts off what is under way, and the program ends
    /// with 2, as Passenger's launcher does.
    Passenger,
}

impl App {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dies, Self::Shell, Self::Graceful, Self::Nginx, Self::Passenger];

    /// What it is, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Dies => "dies at once on TERM",
            Self::Shell => "`sh -c` swallows TERM",
            Self::Graceful => "graceful server",
            Self::Nginx => "nginx",
            Self::Passenger => "Passenger-like, stop command",
        }
    }

    /// How it ends, for people who judge the figures.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Dies => "ends at once on TERM, whatever is under way",
            Self::Shell => {
                "the graceful server below, started by `sh -c`, which is PID 1 and passes no signal on"
            }
            Self::Graceful => {
                "on TERM it stops accepting, finishes what it has begun, answers what still comes on open connections with \
                 `Connection: close`, and closes a second later those that stay idle, as nginx does with \
                 `keepalive_min_timeout`"
            }
            Self::Nginx => {
                "nginx of this machine, stopped by QUIT as its official image is, which finishes what is under way and closes \
                 idle connections at once"
            }
            Self::Passenger => {
                "ignores TERM; `passenger stop` ends it, with 2, and cuts off what is under way. With the shim it runs the \
                 sequence of the post-mortem, which its Pods' logs are held to: 30 s of drain, then on the signal \
                 `passenger-status`, `passenger stop`, and 0 as the exit code"
            }
        }
    }

    /// The name of its image.
    #[must_use]
    pub fn image_name(self) -> String {
        format!("fermata.test/{self}:1")
    }

    /// Where it listens.
    #[must_use]
    pub fn port(self) -> u16 {
        if self == Self::Passenger { 5000 } else { 8080 }
    }

    /// Its container's `command`.
    #[must_use]
    pub fn command(self) -> Value {
        match self {
            Self::Dies => json!(["/app", "serve", "8080", "die"]),
            // What follows keeps the shell from becoming the server.
            Self::Shell => json!(["/bin/sh", "-c", "/app serve 8080 finish; echo \"ended with $?\""]),
            Self::Graceful => json!(["/app", "serve", "8080", "finish"]),
            Self::Nginx => json!([NGINX, "-c", "/etc/nginx/proof.conf", "-g", "daemon off;"]),
            Self::Passenger => json!(["/passenger", "start", "--port", "5000"]),
        }
    }

    /// What its Pods are annotated with where the shim is asked for.
    #[must_use]
    pub fn annotations(self) -> Value {
        match self {
            Self::Dies | Self::Shell | Self::Graceful => json!({ "fermata.dev/shim": "init" }),
            Self::Nginx => json!({ "fermata.dev/shim": "init", "fermata.dev/profile": "nginx" }),
            // The sequence of the post-mortem, whose sleep comes before the signal, as the preStop hook.
            Self::Passenger => json!({
                "fermata.dev/shim": "init",
                "fermata.dev/drain": "30s",
                "fermata.dev/status-command": "[\"/passenger-status\"]",
                "fermata.dev/stop-command": "[\"/passenger\", \"stop\", \"--port\", \"5000\"]",
                "fermata.dev/exit-code": "0",
            }),
        }
    }

    /// What the log of a Pod that ends under the shim shows, where there is a sequence to be run: first on standard output, then
    /// on standard error, each in that order.
    #[must_use]
    pub fn says_in_the_end(self) -> Option<[&'static [&'static str]; 2]> {
        match self {
            Self::Dies | Self::Shell | Self::Graceful | Self::Nginx => None,
            Self::Passenger => Some([
                // The status command, then the stop command.
                &["passenger.5000.pid: process ", "stopped process "],
                // The shim, which says of each command how long it took and its exit code, and reports 0 for the program's 2.
                &[
                    "stopping: status command ",
                    "s exit 0",
                    "running stop command",
                    "s exit 0, app exited with 2; exit 0",
                ],
            ]),
        }
    }

    /// Its image, from the static program of the applications and the programs of this machine.
    ///
    /// # Errors
    ///
    /// When one of them is missing.
    pub fn image(self, program: &Path) -> anyhow::Result<Image> {
        let name = self.image_name();
        let image = match self {
            Self::Dies | Self::Graceful => Image::new(&name).program("/app", program)?,
            Self::Shell => Image::busybox(&name)?.program("/app", program)?,
            Self::Nginx => nginx(&name)?,
            Self::Passenger => Image::new(&name)
                .program("/passenger", program)?
                .link("/passenger-status", "passenger")
                .folder("/tmp", 0o1777),
        };
        Ok(image)
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dies => "dies",
            Self::Shell => "shell",
            Self::Graceful => "graceful",
            Self::Nginx => "nginx",
            Self::Passenger => "passenger",
        })
    }
}

/// This machine's nginx with the libraries that it needs.
fn nginx(name: &str) -> anyhow::Result<Image> {
    let configuration = format!(
        "load_module {ECHO};\n\
         user nobody nobody;\n\
         worker_processes 1;\n\
         pid /tmp/nginx.pid;\n\
         error_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n    \
             access_log off;\n    \
             server {{\n        \
                 listen 8080;\n        \
                 location / {{ echo_sleep 0.05; echo token=$arg_token; }}\n    \
             }}\n\
         }}\n"
    );
    let mut image = Image::new(name)
        .stop_signal("SIGQUIT")
        .folder("/tmp", 0o1777)
        .folder("/var/log/nginx", 0o777)
        .folder("/var/lib/nginx", 0o777)
        .file("/etc/passwd", 0o644, "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n")
        .file("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n")
        .file("/etc/nginx/proof.conf", 0o644, configuration)
        .program(NGINX, Path::new(NGINX))?
        .program(ECHO, Path::new(ECHO))?;
    for library in libraries(NGINX)? {
        image = image.program(&library.display().to_string(), &library)?;
    }
    Ok(image)
}

/// The libraries that a program is linked with, the loader included, where the program looks for them.
fn libraries(program: &str) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("failed to run ldd")?;
    ensure!(output.status.success(), "ldd {program} failed");
    let listed = String::from_utf8(output.stdout)?;
    let paths = listed.lines().flat_map(str::split_whitespace).filter(|word| word.starts_with('/'));
    let mut paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    // The C library finds out who `nobody` is with a library that it is not linked with.
    let names = paths.iter().filter_map(|path| path.parent()).map(|folder| folder.join("libnss_files.so.2"));
    let names: Vec<PathBuf> = names.filter(|path| fs::exists(path).unwrap_or(false)).collect();
    paths.extend(names);
    paths.sort();
    paths.dedup();
    Ok(paths)
}
