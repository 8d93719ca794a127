//! `PostgreSQL`. What must survive here is the database and not the request: its own images end the sessions.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use fermata_stop_plan::{Profile, Signal};

use crate::{
    installed::{is_installed, postgres},
    running::Running,
    server::words,
    site::Site,
};

/// A database and how to start its server.
fn command(site: &Site) -> Vec<String> {
    let folder = site.text("database");
    let initdb = as_nobody("initdb", &["-D", &folder, "-U", "test", "-A", "trust", "--no-sync"]);
    let made = Command::new(&initdb[0]).args(&initdb[1..]).current_dir("/").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let (address, sockets) = (site.address(), site.text("."));
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    as_nobody("postgres", &["-D", &folder, "-k", &sockets, "-h", &host, "-p", &port])
}

/// A program of `PostgreSQL`; it refuses to be run by root.
fn as_nobody(program: &str, arguments: &[&str]) -> Vec<String> {
    let program = postgres(program).unwrap();
    let mut command = if fs::metadata("/proc/self").unwrap().uid() == 0 {
        words(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
    } else {
        Vec::new()
    };
    command.push(program.to_str().unwrap().to_owned());
    command.extend(words(arguments));
    command
}

/// A client.
fn psql(site: &Site) -> Command {
    let mut command = Command::new(postgres("psql").unwrap());
    let address = site.address();
    command.args(["-X", "-A", "-t", "-U", "test", "-d", "postgres", "-h", &address.ip().to_string()]);
    command.args(["-p", &address.port().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a statement, and returns all that the client says.
fn ask(site: &Site, statement: &str) -> String {
    let output = psql(site).args(["-c", statement]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

fn is_ready(site: &Site) -> bool {
    ask(site, "select 'ready'") == "ready"
}

/// A statement that takes until the test says so, and says that it has begun.
fn slow(site: &Site) -> String {
    let (begun, released) = (site.begun(), site.released());
    format!(
        "copy (select 1) to '{begun}';
         do $$ begin
             while (pg_stat_file('{released}', true)).size is null loop perform pg_sleep(0.01); end loop;
         end $$;
         select 'whole'"
    )
}

/// Whether the database was shut down, and has nothing to recover from.
fn is_shut_down(site: &Site) -> bool {
    let folder = site.path("database");
    let control = Command::new(postgres("pg_controldata").unwrap()).args([Path::new("-D"), &folder]).output();
    let control = String::from_utf8_lossy(&control.unwrap().stdout).into_owned();
    let state = control.lines().find(|line| line.starts_with("Database cluster state:")).unwrap();
    state.ends_with(" shut down")
}

/// A session that stays open.
fn idle(site: &Site) -> Child {
    let session = psql(site).spawn().unwrap();
    site.until("the session to be open", || {
        ask(site, "select count(*) from pg_stat_activity where backend_type = 'client backend'") == "2"
    });
    session
}

#[test]
fn postgres_shuts_down_cleanly_with_sessions_open() {
    if !is_installed("postgres") {
        return;
    }
    let profile: &Profile = "postgres".parse::<&Profile>().unwrap();
    thread::scope(|scope| {
        for trigger in profile.triggers {
            scope.spawn(|| shuts_down_cleanly(*trigger));
        }
    });
}

fn shuts_down_cleanly(trigger: Signal) {
    let site = Site::new();
    let mut running = Running::start(&site, &["--profile", "postgres"], &command(&site), is_ready);
    let mut idle = idle(&site);
    thread::scope(|scope| {
        let held = scope.spawn(|| ask(&site, &slow(&site)));
        site.until_begun();
        running.signal(trigger);
        let (code, last) = running.ends();
        assert_eq!(code, 0, "{}", site.log());
        assert!(last.contains(": INT ") && last.ends_with("app exited with 0; exit 0"), "{last:?}");
        let answer = held.join().unwrap();
        assert!(answer.contains("terminating connection due to administrator command"), "{answer}");
    });
    assert!(is_shut_down(&site), "{}", site.log());
    idle.kill().unwrap();
    idle.wait().unwrap();
    assert_eq!(site.processes(), [], "{}", site.log());
}

#[test]
fn postgres_waits_for_every_session_by_term() {
    if !is_installed("postgres") {
        return;
    }
    let site = Site::new();
    let mut running = Running::start(&site, &[], &command(&site), is_ready);
    let mut idle = idle(&site);
    thread::scope(|scope| {
        let held = scope.spawn(|| ask(&site, &slow(&site)));
        site.until_begun();
        running.signal(Signal::TERM);
        site.until("new sessions to be refused", || ask(&site, "select 1").contains("is shutting down"));
        site.release();
        assert!(held.join().unwrap().ends_with("whole"), "{}", site.log());
    });
    assert!(running.is_alive(), "{}", site.log());
    drop(idle.stdin.take());
    idle.wait().unwrap();
    assert_eq!(running.ends().0, 0, "{}", site.log());
    assert!(is_shut_down(&site));
}
