//! A server that answers requests, and the two claims of its profile.

use std::{
    thread,
    time::{Duration, Instant},
};

use fermata_stop_plan::{Profile, Signal};

use crate::{
    client::{Answer, Page},
    installed::is_installed,
    running::Running,
    site::{PATIENCE, Site},
};

/// How long a request is held open after the stop signal, at least: longer than any server takes that only looks as
/// if it waited.
const HELD: Duration = Duration::from_secs(2);

/// A server that answers requests.
pub(crate) struct Server {
    /// The name of its profile.
    pub(crate) profile: &'static str,
    /// Writes its configuration, and says how to start it in the foreground.
    pub(crate) command: fn(&Site) -> Vec<String>,
    /// Asks it for a page.
    pub(crate) ask: fn(&Site, Page) -> Answer,
    /// Whether it has come to rest, where it answers before it has.
    pub(crate) is_settled: fn(&Site) -> bool,
    /// What a connection gets that comes when the stop has begun.
    pub(crate) late: Late,
    /// How the program ends, in the words of the shim's last line.
    pub(crate) ends: &'static str,
}

/// What a connection gets that comes when the stop has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// It is refused: the proxy in front may send the request to another Pod.
    Refused,
    /// It is taken and not answered, since some process still has the socket. Only a drain helps against that.
    Unanswered,
    /// It may even be answered.
    Anything,
}

impl Server {
    /// Whatever the runtime sends, a request that is under way is answered, and the stop counts as a success.
    pub(crate) fn finishes_requests(&self) {
        if !is_installed(self.profile) {
            return;
        }
        let profile: &Profile = self.profile.parse::<&Profile>().unwrap();
        thread::scope(|scope| {
            for trigger in profile.triggers {
                scope.spawn(|| {
                    self.finishes_request(&["--profile", self.profile], *trigger, profile.delivers);
                });
            }
        });
    }

    fn finishes_request(&self, flags: &[&str], trigger: Signal, delivers: Signal) {
        let site = Site::new();
        let command = (self.command)(&site);
        let mut running = Running::start(&site, flags, &command, |site| self.is_ready(site));
        thread::scope(|scope| {
            let held = scope.spawn(|| (self.ask)(&site, Page::Slow));
            site.until_begun();
            running.signal(trigger);
            let sent = Instant::now();
            match self.late {
                Late::Refused => self.until(&site, |answer| *answer == Answer::Refused),
                Late::Unanswered => self.until(&site, |answer| *answer != Answer::Whole),
                Late::Anything => {}
            }
            thread::sleep(HELD.saturating_sub(sent.elapsed()));
            site.release();
            assert_eq!(held.join().unwrap(), Answer::Whole, "{trigger}\n{}", site.log());
        });
        let (code, last) = running.ends();
        assert_eq!(code, 0, "{trigger}\n{}", site.log());
        for part in [format!(": {trigger}: stopped in "), format!(": {delivers} "), format!(" {}", self.ends)]
        {
            assert!(last.contains(&part), "{part:?} is not in {last:?}\n{}", site.log());
        }
        assert!(last.ends_with("; exit 0"), "{last:?}");
        assert_eq!(site.processes(), [], "{trigger}\n{}", site.log());
    }

    /// With these flags in the place of the profile, and these signals one after the other, a request that is under
    /// way is lost.
    pub(crate) fn loses_requests(&self, flags: &[&str], signals: &[Signal]) {
        if !is_installed(self.profile) {
            return;
        }
        let site = Site::new();
        let command = (self.command)(&site);
        // Not each server comes to an end that has lost a request: Passenger's agent has been seen to wait for ever.
        let flags = [&["--budget", "20s"], flags].concat();
        let mut running = Running::start(&site, &flags, &command, |site| self.is_ready(site));
        thread::scope(|scope| {
            let held = scope.spawn(|| (self.ask)(&site, Page::Slow));
            site.until_begun();
            for signal in signals {
                running.signal(*signal);
                thread::sleep(Duration::from_millis(200));
            }
            site.until("the request to be lost", || held.is_finished());
            site.release();
            let answer = held.join().unwrap();
            assert!(matches!(answer, Answer::Lost(_)), "{answer:?} in spite of {signals:?}\n{}", site.log());
        });
        running.ends();
        assert_eq!(site.processes(), [], "{signals:?}\n{}", site.log());
    }

    /// Waits until late connections fare as they must.
    fn until(&self, site: &Site, fares: impl Fn(&Answer) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = (self.ask)(site, Page::Fast);
            if fares(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "late connections: {answer:?}\n{}", site.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_ready(&self, site: &Site) -> bool {
        (self.ask)(site, Page::Fast) == Answer::Whole && (self.is_settled)(site)
    }
}

/// The words of a command.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
