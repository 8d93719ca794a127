//! The stop plan, and its place on the shim's command line.

use std::{ffi::OsString, fmt, str::FromStr};

use crate::{Arguments, Command, Drain, ExitCodes, FlagError, Profile, Rewrite, Seconds, Signal, SignalSet};

/// How long traffic must have stopped for a range of a drain to end, where nobody says.
pub const DEFAULT_QUIET: Seconds = match Seconds::new(3) {
    Some(seconds) => seconds,
    None => Seconds::ZERO,
};

/// Whom signals are passed on to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The program alone: servers with workers stop these themselves, and most stop badly when both are told.
    #[default]
    Child,
    /// The program's process group: what a shell script started in the foreground hears of it too.
    Group,
}

impl Scope {
    /// What is accepted where a scope is written.
    pub const ACCEPTS: &str = "child or group";
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Child => "child",
            Self::Group => "group",
        })
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "child" => Ok(Self::Child),
            "group" => Ok(Self::Group),
            _ => Err("is neither child nor group"),
        }
    }
}

/// What the shim does with a stop signal.
///
/// A trigger begins the stop: status command, drain, stop command or the signal itself (through the signal map),
/// wait, exit code. A trigger that comes again changes nothing. All other signals are passed on through the map.
///
/// It is written as flags, and [`StopPlan::render`] leaves out what is built in:
///
/// ```
/// use fermata_stop_plan::{Arguments, StopPlanFlags};
///
/// let line = ["--profile", "nginx", "--drain", "5s..60s", "--stop-command", "nginx", "-s", "quit", ";"];
/// let mut flags = StopPlanFlags::default();
/// let mut words = Arguments::new(line);
/// while flags.take(&mut words)? {}
/// let plan = flags.into_plan();
/// assert_eq!(plan.triggers.to_string(), "QUIT,TERM");
/// assert_eq!(plan.rewrite.to_string(), "TERM:QUIT");
/// # Ok::<(), fermata_stop_plan::FlagError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopPlan {
    /// The signals that begin the stop. The runtime sends the Pod's `stopSignal`, else the image's `STOPSIGNAL`,
    /// else TERM. Never empty.
    pub triggers: SignalSet,
    /// What is passed on for each signal, triggers included.
    pub rewrite: Rewrite,
    /// Whom signals are passed on to.
    pub scope: Scope,
    /// How long the program goes on serving after the trigger. In a Pod the preStop hook drains, before the
    /// trigger comes; this is for containers that have none.
    pub drain: Drain,
    /// How long no new connection must come for a range to end early.
    pub quiet: Seconds,
    /// Runs first. Whatever comes of it, the stop goes on.
    pub status_command: Option<Command>,
    /// Runs in place of delivering the trigger. If it fails, the trigger is delivered.
    pub stop_command: Option<Command>,
    /// What the stop reports.
    pub exit_codes: ExitCodes,
    /// How long the whole stop may take, counted from the trigger; what is left then is killed. Nothing for as
    /// long as it takes.
    pub budget: Option<Seconds>,
}

impl Default for StopPlan {
    fn default() -> Self {
        Self {
            triggers: SignalSet::of(&[Signal::TERM]),
            rewrite: Rewrite::default(),
            scope: Scope::default(),
            drain: Drain::ZERO,
            quiet: DEFAULT_QUIET,
            status_command: None,
            stop_command: None,
            exit_codes: ExitCodes::default(),
            budget: None,
        }
    }
}

pub(crate) const ACCEPTS_DRAIN: &str = "a duration such as 15s, or a range such as 5s..60s";
pub(crate) const ACCEPTS_SECONDS: &str = "a duration such as 15s, 1m30s or 90";

impl StopPlan {
    /// The plan as words of the shim's command line, without what is built in.
    #[must_use]
    pub fn render(&self) -> Vec<OsString> {
        let built_in = Self::default();
        let mut line: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, value: &dyn fmt::Display, same: bool| {
            if !same {
                line.push(name.into());
                line.push(value.to_string().into());
            }
        };
        flag("--trigger", &self.triggers, self.triggers == built_in.triggers);
        flag("--rewrite", &self.rewrite, self.rewrite.is_empty());
        flag("--signal-scope", &self.scope, self.scope == built_in.scope);
        flag("--drain", &self.drain, self.drain == built_in.drain);
        flag("--quiet", &self.quiet, self.quiet == built_in.quiet);
        flag("--exit-code", &self.exit_codes, self.exit_codes.is_app());
        if let Some(budget) = self.budget {
            flag("--budget", &budget, false);
        }
        for (name, command) in
            [("--status-command", &self.status_command), ("--stop-command", &self.stop_command)]
        {
            if let Some(command) = command {
                line.push(name.into());
                command.render(&mut line);
            }
        }
        line
    }
}

/// A stop plan as it is being read from flags: what is absent is the profile's, or built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopPlanFlags {
    profile: Option<&'static Profile>,
    triggers: Option<SignalSet>,
    rewrite: Rewrite,
    scope: Option<Scope>,
    drain: Drain,
    quiet: Option<Seconds>,
    status_command: Option<Command>,
    stop_command: Option<Command>,
    exit_codes: Option<ExitCodes>,
    budget: Option<Seconds>,
}

impl StopPlanFlags {
    /// Takes one flag with its value, if the next word is a flag of a stop plan. Signal maps add up, of anything
    /// else the last one counts.
    ///
    /// # Errors
    ///
    /// When the flag has no value or a wrong one.
    pub fn take(&mut self, words: &mut Arguments) -> Result<bool, FlagError> {
        match words.flag() {
            Some("--profile") => self.profile = Some(words.value("--profile", Profile::ACCEPTS)?),
            Some("--trigger") => {
                self.triggers =
                    Some(words.value("--trigger", "signals with commas between them: TERM,QUIT")?);
            }
            Some("--rewrite") => {
                self.rewrite.extend(&words.value("--rewrite", Rewrite::ACCEPTS)?);
            }
            Some("--signal-scope") => self.scope = Some(words.value("--signal-scope", Scope::ACCEPTS)?),
            Some("--drain") => self.drain = words.value("--drain", ACCEPTS_DRAIN)?,
            Some("--quiet") => self.quiet = Some(words.value("--quiet", ACCEPTS_SECONDS)?),
            Some("--exit-code") => {
                self.exit_codes = Some(words.value("--exit-code", ExitCodes::ACCEPTS)?);
            }
            Some("--budget") => self.budget = Some(words.value("--budget", ACCEPTS_SECONDS)?),
            Some("--status-command") => self.status_command = Some(words.command("--status-command")?),
            Some("--stop-command") => self.stop_command = Some(words.command("--stop-command")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The plan that the flags say.
    #[must_use]
    pub fn into_plan(self) -> StopPlan {
        let mut plan = self.profile.map_or_else(StopPlan::default, Profile::plan);
        plan.rewrite.extend(&self.rewrite);
        plan.drain = self.drain;
        plan.status_command = self.status_command;
        plan.stop_command = self.stop_command;
        plan.budget = self.budget;
        plan.triggers = self.triggers.unwrap_or(plan.triggers);
        plan.scope = self.scope.unwrap_or(plan.scope);
        plan.quiet = self.quiet.unwrap_or(plan.quiet);
        plan.exit_codes = self.exit_codes.unwrap_or(plan.exit_codes);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::{StopPlan, StopPlanFlags};
    use crate::Arguments;

    fn plan(line: &[&str]) -> Result<StopPlan, String> {
        let mut words = Arguments::new(line);
        let mut flags = StopPlanFlags::default();
        while flags.take(&mut words).map_err(|error| error.to_string())? {}
        assert_eq!(words.peek(), None, "{line:?}");
        Ok(flags.into_plan())
    }

    fn rendered(line: &[&str]) -> String {
        let words = plan(line).unwrap().render();
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_built_in_is_not_written() {
        assert_eq!(rendered(&[]), "");
        assert_eq!(rendered(&["--trigger=TERM", "--drain", "0s", "--quiet=3", "--exit-code", "app"]), "");
        assert_eq!(rendered(&["--signal-scope", "child", "--profile", "gunicorn"]), "");
    }

    #[test]
    fn the_plan_of_the_post_mortem_can_be_read_by_a_person() {
        let line = [
            "--rewrite",
            "15:10",
            "--drain",
            "30",
            "--exit-code",
            "0",
            "--budget",
            "1m",
            "--status-command",
            "passenger-status",
            ";",
            "--stop-command",
            "passenger",
            "stop",
            "--port",
            "5000",
            ";",
        ];
        assert_eq!(
            rendered(&line),
            "--rewrite TERM:USR1 --drain 30s --exit-code 0 --budget 1m --status-command passenger-status ; \
             --stop-command passenger stop --port 5000 ;"
        );
    }

    #[test]
    fn a_profile_fills_what_no_flag_says_wherever_it_stands() {
        for line in [
            ["--rewrite", "HUP:0", "--trigger", "TERM", "--profile", "nginx"],
            ["--profile", "nginx", "--rewrite", "HUP:0", "--trigger", "TERM"],
        ] {
            assert_eq!(rendered(&line), "--rewrite HUP:0,TERM:QUIT");
        }
        assert_eq!(
            rendered(&["--profile", "nginx", "--rewrite", "TERM:TERM"]),
            "--trigger QUIT,TERM --rewrite TERM:TERM"
        );
    }

    #[test]
    fn wrong_values_name_flag_value_and_what_is_accepted() {
        for (line, message) in [
            (
                &["--drain"][..],
                "--drain: has no value; use a duration such as 15s, or a range such as 5s..60s",
            ),
            (
                &["--drain", "60s..5s"],
                "--drain: \"60s..5s\" is a range that goes down; use a duration such as 15s, or a range such as 5s..60s",
            ),
            (
                &["--rewrite=TERM"],
                "--rewrite: \"TERM\" has an entry without a colon; use pairs of signals such as TERM:QUIT,HUP:0 (names or numbers; 0 drops)",
            ),
            (
                &["--trigger", ""],
                "--trigger: \"\" names no signal; use signals with commas between them: TERM,QUIT",
            ),
            (
                &["--signal-scope", "all"],
                "--signal-scope: \"all\" is neither child nor group; use child or group",
            ),
            (
                &["--exit-code", "300"],
                "--exit-code: \"300\" has a code that is not from 0 to 255; use app, a code from 0 to 255, or a map such as 143:0",
            ),
            (
                &["--stop-command", "passenger", "stop"],
                "--stop-command: the command is not closed by a `;` of its own; use the words of a command and then `;` as a word of its own",
            ),
            (
                &["--stop-command=passenger", ";"],
                "--stop-command: the command is not closed by a `;` of its own; use the words of a command and then `;` as a word of its own",
            ),
        ] {
            assert_eq!(plan(line).unwrap_err(), message, "{line:?}");
        }
    }

    #[test]
    fn unix_words_need_not_be_utf_8() {
        use std::{ffi::OsString, os::unix::ffi::OsStringExt};
        let mut words = Arguments::new([OsString::from("--drain"), OsString::from_vec(vec![0xff])]);
        let error = StopPlanFlags::default().take(&mut words).unwrap_err();
        assert!(error.to_string().starts_with("--drain: \"\u{fffd}\" is not UTF-8"), "{error}");
    }
}
