//! What is known about the stop of well-known servers.

use std::{fmt, str::FromStr};

use crate::{ExitCodes, Scope, Signal, SignalSet, StopPlan};

/// A server's stop: one row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name by which users ask for it.
    pub name: &'static str,
    /// The signals that the runtime may send: TERM, and the `STOPSIGNAL` of the usual images.
    pub triggers: &'static [Signal],
    /// The signal that makes it end gracefully.
    pub delivers: Signal,
    /// Whom to deliver it to.
    pub scope: Scope,
    /// Exit codes that a clean stop has beside 0.
    pub success: &'static [u8],
    /// Why the row is what it is.
    pub reason: &'static str,
    /// What users must see to themselves, where the signal alone does not make a good end.
    pub advice: Option<&'static str>,
}

const TERM: &[Signal] = &[Signal::TERM];

/// The table of profiles, in the order of the documentation.
pub const PROFILES: [Profile; 13] = [
    Profile {
        name: "nginx",
        triggers: &[Signal::TERM, Signal::QUIT],
        delivers: Signal::QUIT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, QUIT lets them finish; the official image stops with QUIT",
        advice: None,
    },
    Profile {
        name: "apache",
        triggers: &[Signal::TERM, Signal::WINCH],
        delivers: Signal::WINCH,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, WINCH is its graceful stop; the official images stop with WINCH",
        advice: None,
    },
    Profile {
        name: "php-fpm",
        triggers: &[Signal::TERM, Signal::QUIT],
        delivers: Signal::QUIT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, QUIT lets them finish; the official image stops with QUIT",
        advice: Some("set process_control_timeout: without it QUIT cuts requests off as TERM does"),
    },
    Profile {
        name: "haproxy",
        triggers: &[Signal::TERM, Signal::USR1],
        delivers: Signal::USR1,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts connections off, USR1 is its soft stop; the official image stops with USR1",
        advice: Some("set hard-stop-after: it waits for connections that never end"),
    },
    Profile {
        name: "postgres",
        triggers: &[Signal::TERM, Signal::INT],
        delivers: Signal::INT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM waits for every client, maybe for ever; INT ends their transactions and shuts down cleanly; the official image stops with INT",
        advice: None,
    },
    Profile {
        name: "puma",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "it stops its workers itself and lets requests finish; it then ends by TERM, although all went well",
        advice: None,
    },
    Profile {
        name: "unicorn",
        triggers: &[Signal::TERM, Signal::QUIT],
        delivers: Signal::QUIT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, QUIT lets the workers finish",
        advice: None,
    },
    Profile {
        name: "passenger",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[2],
        reason: "the launcher stops its engine at the first TERM and exits with 2, although all went well; a third TERM makes it exit at once",
        advice: Some(
            "with the builtin engine requests are cut off at any stop, and so they are by passenger stop: only a drain lets them finish",
        ),
    },
    Profile {
        name: "gunicorn",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[],
        reason: "TERM lets requests finish within its graceful_timeout of 30 seconds; QUIT and INT cut them off",
        advice: Some("set graceful_timeout to what the slowest request takes"),
    },
    Profile {
        name: "uvicorn",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "TERM lets requests finish, an INT after it forces the exit; it then ends by TERM, although all went well",
        advice: Some("set --timeout-graceful-shutdown: it waits for requests that never end"),
    },
    Profile {
        name: "sidekiq",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[],
        reason: "TERM stops fetching jobs, lets them finish within its timeout of 25 seconds, and pushes the others back; QUIT loses them",
        advice: Some("set its timeout to what the slowest job takes"),
    },
    Profile {
        name: "node",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "without a handler of its own TERM ends it at once, which the drain has made harmless; USR1 would open its debugger",
        advice: Some("let a handler for SIGTERM close the server: without one requests are cut off"),
    },
    Profile {
        name: "spring",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "TERM runs the JVM's shutdown hooks, and the JVM then exits with 143 although all went well",
        advice: Some("before Spring Boot 3.4 set server.shutdown=graceful: without it requests are cut off"),
    },
];

impl Profile {
    /// What is accepted where a profile is named.
    pub const ACCEPTS: &str = "nginx, apache, php-fpm, haproxy, postgres, puma, unicorn, passenger, gunicorn, \
                               uvicorn, sidekiq, node or spring";

    /// The plan that the row alone says.
    #[must_use]
    pub fn plan(&self) -> StopPlan {
        let rewritten = self.triggers.iter().filter(|trigger| **trigger != self.delivers);
        StopPlan {
            triggers: SignalSet::of(self.triggers),
            rewrite: rewritten.map(|trigger| (*trigger, Some(self.delivers))).collect(),
            scope: self.scope,
            exit_codes: ExitCodes::map(self.success.iter().map(|code| (*code, 0))),
            ..StopPlan::default()
        }
    }
}

/// No profile has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseProfileError;

impl fmt::Display for ParseProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not the name of a profile")
    }
}

impl std::error::Error for ParseProfileError {}

impl FromStr for &'static Profile {
    type Err = ParseProfileError;

    fn from_str(name: &str) -> Result<Self, ParseProfileError> {
        PROFILES.iter().find(|profile| profile.name == name).ok_or(ParseProfileError)
    }
}

#[cfg(test)]
mod tests {
    use super::{PROFILES, Profile};
    use crate::Signal;

    #[test]
    fn every_profile_is_named_where_profiles_are_accepted() {
        let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        let (last, others) = names.split_last().unwrap();
        assert_eq!(Profile::ACCEPTS, format!("{} or {last}", others.join(", ")));
    }

    #[test]
    fn every_trigger_of_a_profile_delivers_its_signal() {
        for profile in &PROFILES {
            let plan = profile.plan();
            assert!(plan.triggers.contains(Signal::TERM), "{}", profile.name);
            for trigger in plan.triggers.iter() {
                assert_eq!(plan.rewrite.apply(trigger), Some(profile.delivers), "{}", profile.name);
            }
        }
    }
}
