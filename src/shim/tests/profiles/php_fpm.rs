//! PHP-FPM, asked by `FastCGI`.

use fermata_stop_plan::Signal;

use crate::{
    client::{Answer, Page, exchange},
    installed::php_fpm,
    server::{Late, Server, words},
    site::Site,
};

const PHP_FPM: Server = Server {
    profile: "php-fpm",
    command: |site| command(site, "process_control_timeout = 60s"),
    ask,
    is_settled: |_| true,
    // The master has the socket until the last of its children has ended.
    late: Late::Unanswered,
    ends: "app exited with 0",
};

fn command(site: &Site, timeout: &str) -> Vec<String> {
    let address = site.address();
    let (begun, released) = (site.begun(), site.released());
    // The sleep of PHP ends early when a signal comes, so it stands in a loop.
    let slow = format!(
        "touch('{begun}'); while (!file_exists('{released}')) {{ usleep(10000); clearstatcache(); }}"
    );
    for (name, work) in [("slow.php", slow.as_str()), ("fast.php", "")] {
        site.write(name, &format!("<?php echo 'first half, '; flush(); {work} echo \"second half\\n\";"));
    }
    let configuration = format!(
        "[global]\nerror_log = /dev/stderr\ndaemonize = no\n{timeout}\n\
         [www]\nuser = nobody\ngroup = nogroup\nlisten = {address}\npm = static\npm.max_children = 2\n"
    );
    let program = php_fpm().unwrap();
    words(&[program.to_str().unwrap(), "-n", "-F", "-y", &site.write("php-fpm.conf", &configuration)])
}

fn ask(site: &Site, page: Page) -> Answer {
    let script = match page {
        Page::Fast => site.text("fast.php"),
        Page::Slow => site.text("slow.php"),
    };
    let mut variables = Vec::new();
    for (name, value) in [("SCRIPT_FILENAME", script.as_str()), ("REQUEST_METHOD", "GET")] {
        variables.extend([name.len(), value.len()].map(|length| u8::try_from(length).unwrap()));
        variables.extend([name, value].map(str::as_bytes).concat());
    }
    // The beginning of a request as a responder, its variables, and the empty ends of these and of its body.
    let begin = [0, 1, 0, 0, 0, 0, 0, 0];
    let request = [record(1, &begin), record(4, &variables), record(4, &[]), record(5, &[])].concat();
    exchange(site.address(), &request, page, output)
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

/// What the script has written, from the records that it came in.
fn output(mut records: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    while let [_, kind, _, _, high, low, padding, _, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((content, rest)) = rest.split_at_checked(length) else { break };
        if *kind == 6 {
            output.extend_from_slice(content);
        }
        records = rest.get(usize::from(*padding)..).unwrap_or_default();
    }
    output
}

#[test]
fn php_fpm_finishes_requests() {
    PHP_FPM.finishes_requests();
}

#[test]
fn php_fpm_loses_requests_by_term() {
    PHP_FPM.loses_requests(&[], &[Signal::TERM]);
}

#[test]
fn php_fpm_loses_requests_by_quit_too_without_its_timeout() {
    let server = Server { command: |site| command(site, ""), ..PHP_FPM };
    server.loses_requests(&["--profile", "php-fpm"], &[Signal::QUIT]);
}
