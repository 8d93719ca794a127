//! Passenger Standalone, with both of its engines, and the stop that the post-mortem wrote by hand.
//!
//! Its nginx engine is one that it compiles itself, with a module of its own. Here the launcher runs the plain nginx by
//! a template of the test: what is verified is the launcher, which is what gets the signal.

use fermata_stop_plan::Signal;

use crate::{
    client::{Answer, Page, get},
    installed::is_installed,
    nginx::configuration,
    rack,
    running::Running,
    server::{Late, Server, words},
    site::Site,
    upstream,
};

const NGINX_ENGINE: Server = Server {
    profile: "passenger",
    command: nginx_engine,
    ask: |site, page| get(site.address(), page),
    is_settled: catches_signals,
    late: Late::Refused,
    ends: "app exited with 2",
};

const BUILTIN_ENGINE: Server = Server { command: builtin_engine, ..NGINX_ENGINE };

/// Whether the launcher catches signals. It answers before it does: the block that catches them begins when the engine runs.
/// The first thing in there that can be seen from outside is a helper which keeps the launcher's folder from being tidied away.
fn catches_signals(site: &Site) -> bool {
    site.processes().iter().any(|(_, words)| words.contains("temp-dir-toucher"))
}

/// `passenger start` in the foreground, which asks nobody on the network for anything.
fn start(site: &Site, more: &[&str]) -> Vec<String> {
    rack::application(site);
    std::fs::create_dir(site.path("public")).unwrap();
    let address = site.address();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = words(&["passenger", "start", "--address", &host, "--port", &port]);
    command.extend(words(&["--disable-security-update-check", "--disable-anonymous-telemetry"]));
    command.extend(words(&["--log-file", &site.text("passenger.log")]));
    command.extend(words(more));
    command
}

fn nginx_engine(site: &Site) -> Vec<String> {
    upstream::start(site);
    // Where the launcher looks for it, which differs from the test's own.
    let template = configuration(site, "").replace(&site.text("nginx.pid"), "<%= @options[:pid_file] %>");
    let template = site.write("nginx.conf.erb", &template);
    let nginx = crate::installed::program("nginx").unwrap();
    start(site, &["--nginx-bin", nginx.to_str().unwrap(), "--nginx-config-template", &template])
}

fn builtin_engine(site: &Site) -> Vec<String> {
    start(site, &["--engine", "builtin", "--max-pool-size", "2"])
}

#[test]
fn passenger_finishes_requests() {
    NGINX_ENGINE.finishes_requests();
}

#[test]
fn passenger_with_its_builtin_engine_loses_requests_without_a_drain() {
    BUILTIN_ENGINE.loses_requests(&["--profile", "passenger"], &[Signal::TERM]);
}

#[test]
fn passenger_stop_loses_requests_without_a_drain() {
    if !is_installed("passenger") {
        return;
    }
    // The command needs the port, so that the flags differ from site to site: all sites have the same.
    let port = Site::new().address().port().to_string();
    NGINX_ENGINE
        .loses_requests(&["--stop-command", "passenger", "stop", "--port", &port, ";"], &[Signal::TERM]);
}

#[test]
fn the_stop_of_the_post_mortem_finishes_requests() {
    if !is_installed("passenger") {
        return;
    }
    for command in [nginx_engine, builtin_engine] {
        let site = Site::new();
        let port = site.address().port().to_string();
        let flags = [
            "--drain",
            "3s",
            "--exit-code",
            "0",
            "--status-command",
            "passenger-status",
            ";",
            "--stop-command",
            "passenger",
            "stop",
            "--port",
            &port,
            ";",
        ];
        let ready = |site: &Site| get(site.address(), Page::Fast) == Answer::Whole;
        let mut running = Running::start(&site, &flags, &command(&site), ready);
        std::thread::scope(|scope| {
            let held = scope.spawn(|| get(site.address(), Page::Slow));
            site.until_begun();
            running.signal(Signal::TERM);
            site.until("the drain to begin", || site.log().contains("drain of 3s begins"));
            // The proxy does not know yet, and goes on sending requests.
            assert_eq!(get(site.address(), Page::Fast), Answer::Whole, "{}", site.log());
            site.release();
            assert_eq!(held.join().unwrap(), Answer::Whole, "{}", site.log());
        });
        let (code, last) = running.ends();
        assert_eq!(code, 0, "{}", site.log());
        for part in [" status command ", " drain 3.", " stop command "] {
            assert!(last.contains(part), "{part:?} is not in {last:?}\n{}", site.log());
        }
        assert_eq!(site.processes(), [], "{}", site.log());
    }
}
