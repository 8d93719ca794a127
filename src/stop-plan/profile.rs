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
    },
    Profile {
        name: "apache",
        triggers: &[Signal::TERM, Signal::WINCH],
        delivers: Signal::WINCH,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, WINCH is its graceful stop; the official images stop with WINCH",
    },
    Profile {
        name: "php-fpm",
        triggers: &[Signal::TERM, Signal::QUIT],
        delivers: Signal::QUIT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off; QUIT lets them finish, but only where process_control_timeout is set",
    },
    Profile {
        name: "haproxy",
        triggers: &[Signal::TERM, Signal::USR1],
        delivers: Signal::USR1,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts connections off, USR1 is its soft stop; set hard-stop-after for connections that never end",
    },
    Profile {
        name: "postgres",
        triggers: &[Signal::TERM, Signal::INT],
        delivers: Signal::INT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM waits for every client, maybe for ever; INT ends their transactions and shuts down cleanly",
    },
    Profile {
        name: "puma",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "the master stops its workers itself, and a worker that hears TERM too counts it twice",
    },
    Profile {
        name: "unicorn",
        triggers: &[Signal::TERM, Signal::QUIT],
        delivers: Signal::QUIT,
        scope: Scope::Child,
        success: &[],
        reason: "TERM cuts requests off, QUIT lets the workers finish",
    },
    Profile {
        name: "passenger",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[2],
        reason: "the launcher stops its engine gracefully at the first TERM, by force at further ones, and exits with 2",
    },
    Profile {
        name: "gunicorn",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[],
        reason: "the arbiter stops its workers itself, within its graceful_timeout of 30 seconds",
    },
    Profile {
        name: "uvicorn",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "one TERM lets requests finish, a second one forces the exit; it then ends by the signal it got",
    },
    Profile {
        name: "sidekiq",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[],
        reason: "TERM stops fetching jobs, lets them finish within its timeout, and pushes the others back",
    },
    Profile {
        name: "node",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "without a handler of its own TERM ends it at once, which the drain has made harmless; USR1 would open its debugger",
    },
    Profile {
        name: "spring",
        triggers: TERM,
        delivers: Signal::TERM,
        scope: Scope::Child,
        success: &[143],
        reason: "TERM runs the JVM's shutdown hooks, and the JVM then exits with 143 although all went well",
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
