//! Sidekiq, and a Redis server for its jobs.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use fermata_stop_plan::Signal;

use crate::{installed::is_installed, running::Running, server::words, site::Site};

/// A Redis server that is ready.
struct Redis<'a> {
    site: &'a Site,
    server: Child,
}

impl<'a> Redis<'a> {
    fn start(site: &'a Site) -> Self {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            "0",
            "--unixsocket",
            &site.text("redis"),
            "--save",
            "",
            "--dir",
            &site.text("."),
        ]);
        let redis = Self { site, server: command.stdout(Stdio::null()).spawn().unwrap() };
        site.until("Redis to be ready", || redis.ask(&["ping"]) == "PONG");
        redis
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-s", &self.site.text("redis")]).args(words).output();
        String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
    }

    /// Puts a job into the queue.
    fn push(&self, name: &str) {
        let job = format!(
            r#"{{"class":"Work","args":["{name}"],"jid":"{name}","queue":"default","retry":false,"created_at":0,"enqueued_at":0}}"#
        );
        self.ask(&["lpush", "queue:default", &job]);
    }

    /// How many jobs are in the queue.
    fn waiting(&self) -> String {
        self.ask(&["llen", "queue:default"])
    }
}

impl Drop for Redis<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn command(site: &Site, more: &[&str]) -> Vec<String> {
    let (begun, released, done, redis) =
        (site.begun(), site.released(), site.text("done"), site.text("redis"));
    let text = format!(
        "require 'sidekiq'
        Sidekiq.configure_server {{ |config| config.redis = {{ path: '{redis}' }} }}
        class Work
          include Sidekiq::Worker
          def perform(name)
            if name == 'slow'
              File.write('{begun}', '')
              sleep 0.01 until File.exist?('{released}')
            end
            File.write('{done}-' + name, '')
          end
        end"
    );
    let application = site.write("jobs.rb", &text);
    [&words(&["sidekiq", "--concurrency", "2", "--require", &application]), words(more).as_slice()].concat()
}

fn is_ready(site: &Site) -> bool {
    site.log().contains("Booting Sidekiq")
}

#[test]
fn sidekiq_finishes_jobs() {
    if !is_installed("sidekiq") {
        return;
    }
    let site = Site::new();
    let redis = Redis::start(&site);
    let mut running = Running::start(&site, &["--profile", "sidekiq"], &command(&site, &[]), is_ready);
    redis.push("slow");
    site.until_begun();
    running.signal(Signal::TERM);
    site.until("fetching to stop", || site.log().contains("Terminating quiet"));
    redis.push("late");
    thread::sleep(Duration::from_secs(2));
    site.release();
    let (code, last) = running.ends();
    assert_eq!(code, 0, "{}", site.log());
    assert!(last.ends_with("app exited with 0; exit 0"), "{last:?}");
    assert!(site.path("done-slow").exists(), "{}", site.log());
    // The job of others to do.
    assert!(!site.path("done-late").exists());
    assert_eq!(redis.waiting(), "1");
    drop(redis);
    assert_eq!(site.processes(), [], "{}", site.log());
}

#[test]
fn sidekiq_pushes_jobs_back_that_take_longer_than_its_timeout() {
    if !is_installed("sidekiq") {
        return;
    }
    let site = Site::new();
    let redis = Redis::start(&site);
    // Shorter ones can lose the job: an idle thread may wait for work for 2 seconds more, and take it again.
    let command = command(&site, &["--timeout", "4"]);
    let mut running = Running::start(&site, &["--profile", "sidekiq"], &command, is_ready);
    redis.push("slow");
    site.until_begun();
    running.signal(Signal::TERM);
    assert_eq!(running.ends().0, 0, "{}", site.log());
    assert!(!site.path("done-slow").exists());
    assert_eq!(redis.waiting(), "1", "{}", site.log());
}

#[test]
fn sidekiq_loses_jobs_by_quit() {
    if !is_installed("sidekiq") {
        return;
    }
    let site = Site::new();
    let redis = Redis::start(&site);
    let mut running = Running::start(&site, &[], &command(&site, &[]), is_ready);
    redis.push("slow");
    site.until_begun();
    running.signal(Signal::QUIT);
    running.ends();
    assert!(!site.path("done-slow").exists());
    assert_eq!(redis.waiting(), "0", "{}", site.log());
}
