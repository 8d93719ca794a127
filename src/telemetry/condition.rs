//! Readiness, earned by every part on its own.
//!
//! Each part holds its [`Condition`] and says how it is; the page at `/readyz` lists them all. Only what makes
//! reviews impossible is required: a webhook that takes itself out of service because of something it can do
//! without turns a small fault into Pods without a drain.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Absent(&'static str),
    Degraded(String),
    Failed(String),
}

/// A reason on one line, because the page has one line a part.
fn line(why: impl Into<String>) -> String {
    why.into().replace(char::is_control, " ")
}

/// The condition of one part.
#[derive(Debug)]
pub struct Condition {
    name: &'static str,
    state: Mutex<State>,
}

impl Condition {
    fn new(name: &'static str, state: State) -> Arc<Self> {
        Arc::new(Self { name, state: Mutex::new(state) })
    }

    /// All is well. Gives back whether that is news.
    pub fn ok(&self) -> bool {
        self.set(State::Ok)
    }

    /// There is nothing to be well or amiss.
    pub fn absent(&self, why: &'static str) -> bool {
        self.set(State::Absent(why))
    }

    /// Something is amiss, and reviews are answered all the same. Gives back whether that is news.
    pub fn degraded(&self, why: impl Into<String>) -> bool {
        self.set(State::Degraded(line(why)))
    }

    /// Reviews cannot be answered, or should go elsewhere. Gives back whether that is news.
    pub fn failed(&self, why: impl Into<String>) -> bool {
        self.set(State::Failed(line(why)))
    }

    /// Whether reviews cannot be answered, or should go elsewhere.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.state(), State::Failed(_))
    }

    fn set(&self, state: State) -> bool {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *current != state;
        *current = state;
        news
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The conditions of all parts.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Whether there is a certificate that clients can accept.
    pub tls: Arc<Condition>,
    /// Whether the authority that the replicas share can be used.
    pub authority: Arc<Condition>,
    /// Whether API servers accept the certificate, by what is registered.
    pub registration: Arc<Condition>,
    /// Whether the config file says what counts.
    pub config: Arc<Condition>,
    /// Whether the opted-in Namespaces are known.
    pub namespaces: Arc<Condition>,
    /// Whether the API server's version is known.
    pub version: Arc<Condition>,
    /// Whether the end has not begun.
    pub serving: Arc<Condition>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            tls: Condition::new("tls", State::Ok),
            authority: Condition::new(
                "authority",
                State::Absent("not used: the certificate comes from elsewhere"),
            ),
            registration: Condition::new(
                "registration",
                State::Absent("not watched: no --webhook-configuration"),
            ),
            config: Condition::new("config", State::Ok),
            namespaces: Condition::new("namespaces", State::Degraded("not synced yet".into())),
            version: Condition::new("version", State::Degraded("not asked yet".into())),
            serving: Condition::new("serving", State::Ok),
        }
    }
}

impl Conditions {
    /// Whether reviews should come here, and the page that says why.
    #[must_use]
    pub fn report(&self) -> (bool, String) {
        let mut ready = true;
        let mut page = String::new();
        let all = [
            &self.tls,
            &self.authority,
            &self.registration,
            &self.config,
            &self.namespaces,
            &self.version,
            &self.serving,
        ];
        for condition in all {
            let name = condition.name;
            // Writing to a string cannot fail.
            let _ = match condition.state() {
                State::Ok => writeln!(page, "[+]{name} ok"),
                State::Absent(why) => writeln!(page, "[ ]{name} {why}"),
                State::Degraded(why) => writeln!(page, "[-]{name} degraded: {why}"),
                State::Failed(why) => {
                    ready = false;
                    writeln!(page, "[-]{name} failed: {why}")
                }
            };
        }
        page.push_str(if ready { "ready\n" } else { "not ready\n" });
        (ready, page)
    }
}

#[cfg(test)]
mod tests {
    use super::Conditions;

    #[test]
    fn what_is_degraded_is_named_and_stays_ready() {
        let conditions = Conditions::default();
        conditions.namespaces.degraded("the watch\nis lost");
        conditions.version.absent("not asked");
        let (ready, page) = conditions.report();
        assert!(ready);
        assert_eq!(
            page,
            "[+]tls ok\n[ ]authority not used: the certificate comes from elsewhere\n\
             [ ]registration not watched: no --webhook-configuration\n[+]config ok\n[-]namespaces degraded: the watch is lost\n\
             [ ]version not asked\n[+]serving ok\nready\n"
        );
    }

    #[test]
    fn what_fails_takes_it_out_of_service_until_it_is_well_again() {
        let conditions = Conditions::default();
        conditions.namespaces.ok();
        conditions.tls.failed("expired");
        let (ready, page) = conditions.report();
        assert!(!ready && conditions.tls.has_failed() && !conditions.config.has_failed());
        assert!(page.contains("[-]tls failed: expired\n") && page.ends_with("not ready\n"), "{page}");
        conditions.tls.ok();
        assert!(conditions.report().0);
    }
}
