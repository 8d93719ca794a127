//! The table of annotations: the one place that knows which there are and what they accept.
//!
//! Parsing, warnings, the operator's config file and the table in the README all come from here.

use std::{borrow::Cow, fmt};

use fermata_stop_plan::{
    Command, Drain, ExitCodes, ParseCommandError, ParseDrainError, ParseExitCodesError, ParseProfileError,
    ParseRewriteError, ParseSecondsError, Profile, Rewrite, Scope, Seconds,
};

use crate::opt_in::PREFIX;

/// A setting that an annotation can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// How long a container goes on serving between the Pod's deletion and its stop signal.
    Drain,
    /// How long no new connection must come for a range of a drain to end early.
    Quiet,
    /// The app's own time after its stop signal.
    GracePeriod,
    /// Whether the shim is put into the container, and what for.
    Shim,
    /// Which server it is, and so how it stops.
    Profile,
    /// The shim's signal map.
    Rewrite,
    /// Whom the shim signals.
    SignalScope,
    /// What the shim runs when the stop signal comes.
    StatusCommand,
    /// What the shim runs in place of delivering the stop signal.
    StopCommand,
    /// What a stop reports.
    ExitCode,
    /// What the image starts.
    Entrypoint,
    /// Which containers are drained, and given the shim.
    Containers,
}

/// The row of one [`Key`] in the table.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Which setting this is.
    pub key: Key,
    /// What stands behind the prefix, and the key in the operator's config file.
    pub name: &'static str,
    /// What is accepted, in words that fit behind "use".
    pub accepts: &'static str,
    /// What counts if no layer says anything.
    pub built_in: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Whether `CONTAINER.fermata.dev/NAME` exists.
    pub per_container: bool,
    /// Whether it says something to the shim as PID 1 only, and nothing without it.
    pub needs_init: bool,
}

/// The drain of a container when no layer says anything.
///
/// Long enough for endpoint controllers, kube-proxy and an in-cluster ingress to forget a Pod; a cloud load
/// balancer may want 25 to 40 seconds.
pub const BUILT_IN_DRAIN: Drain = match Seconds::new(15) {
    Some(seconds) => Drain::fixed(seconds),
    None => Drain::ZERO,
};

/// What is accepted where a command is expected.
const A_COMMAND: &str = "a JSON array of words, a string for /bin/sh -c, or none";

/// All annotations, in the order of the documentation.
pub const TABLE: [Definition; 12] = [
    Definition {
        key: Key::Drain,
        name: "drain",
        accepts: "a duration such as 15s, 1m30s or 90, or a range such as 5s..60s",
        built_in: "15s",
        meaning: "How long a container goes on serving between the Pod's deletion and its stop signal. `0` means no drain. A range ends early when traffic has stopped; it needs the shim.",
        per_container: true,
        needs_init: false,
    },
    Definition {
        key: Key::Quiet,
        name: "quiet",
        accepts: "a duration such as 3s",
        built_in: "3s",
        meaning: "No new connection for this long ends a range early.",
        per_container: true,
        needs_init: false,
    },
    Definition {
        key: Key::GracePeriod,
        name: "grace-period",
        accepts: "a duration such as 30s, 2m or 120",
        built_in: "what the Pod has",
        meaning: "The app's own time after its stop signal: the Pod gets at least its drain plus this.",
        per_container: true,
        needs_init: false,
    },
    Definition {
        key: Key::Shim,
        name: "shim",
        accepts: "off, hook or init",
        built_in: "off",
        meaning: "`hook` puts the shim into the container for its preStop hook: for ranges, in front of the container's own hook, and on API servers below 1.30. `init` also runs the entrypoint under it, as PID 1. `false` and `true` mean `off` and `init`.",
        per_container: true,
        needs_init: false,
    },
    Definition {
        key: Key::Profile,
        name: "profile",
        accepts: "nginx, apache, php-fpm, haproxy, postgres, puma, unicorn, passenger, gunicorn, uvicorn, sidekiq, node, spring, or none",
        built_in: "none",
        meaning: "How a well-known server stops: which signals begin its stop, which one it gets, and which exit codes mean success. See the table below.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::Rewrite,
        name: "rewrite",
        accepts: Rewrite::ACCEPTS,
        built_in: "none",
        meaning: "The signal that the program gets in place of the one that comes.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::SignalScope,
        name: "signal-scope",
        accepts: Scope::ACCEPTS,
        built_in: "`child`; `group` for a shell",
        meaning: "Whom signals are passed on to: the program alone, or its whole process group.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::StatusCommand,
        name: "status-command",
        accepts: A_COMMAND,
        built_in: "none",
        meaning: "Runs when the stop signal comes; the stop goes on whatever comes of it.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::StopCommand,
        name: "stop-command",
        accepts: A_COMMAND,
        built_in: "none",
        meaning: "Runs in place of delivering the stop signal. If it fails, the signal is delivered.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::ExitCode,
        name: "exit-code",
        accepts: ExitCodes::ACCEPTS,
        built_in: "`app`, or the profile's",
        meaning: "What a stop reports: the program's own code, always this one, or another one for some.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::Entrypoint,
        name: "entrypoint",
        accepts: "a JSON array of words, or none",
        built_in: "the operator's `images`",
        meaning: "What the image starts, for containers that have no `command`: its ENTRYPOINT, and its CMD unless the container has `args`. Where a Pod has several containers, only the form for one of them counts.",
        per_container: true,
        needs_init: true,
    },
    Definition {
        key: Key::Containers,
        name: "containers",
        accepts: "container names separated by commas",
        built_in: "all that qualify",
        meaning: "Which containers are drained, and given the shim.",
        per_container: false,
        needs_init: false,
    },
];

/// The annotation that Fermata itself writes. It reports and is never read.
pub const STATUS: &str = "fermata.dev/status";

/// The parts of an annotation's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The container that it is for, in `CONTAINER.fermata.dev/NAME`.
    pub container: Option<&'a str>,
    /// What stands behind the prefix.
    pub name: &'a str,
}

impl<'a> Name<'a> {
    /// Takes `fermata.dev/NAME` and `CONTAINER.fermata.dev/NAME` apart; other keys are none of our business.
    #[must_use]
    pub fn of(annotation: &'a str) -> Option<Self> {
        let (prefix, name) = annotation.split_once('/')?;
        let container = prefix.strip_suffix(PREFIX)?;
        match container.strip_suffix('.') {
            Some(container) => Some(Self { container: Some(container), name }),
            None if container.is_empty() => Some(Self { container: None, name }),
            None => None,
        }
    }
}

impl Key {
    /// The row of this key: the table is in the order of the keys.
    #[must_use]
    pub const fn definition(self) -> &'static Definition {
        &TABLE[self as usize]
    }

    /// The key of that name, such as `drain`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}/{}", self.definition().name)
    }
}

/// Whether the shim is put into a container, and what for. Later ones include the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShimMode {
    /// It is not.
    #[default]
    Off,
    /// For the preStop hook only.
    Hook,
    /// For the preStop hook, and as PID 1.
    Init,
}

/// A value that has passed its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of [`Key::Drain`].
    Drain(Drain),
    /// Of [`Key::Quiet`].
    Quiet(Seconds),
    /// Of [`Key::GracePeriod`].
    GracePeriod(Seconds),
    /// Of [`Key::Shim`].
    Shim(ShimMode),
    /// Of [`Key::Profile`].
    Profile(Option<&'static Profile>),
    /// Of [`Key::Rewrite`].
    Rewrite(Rewrite),
    /// Of [`Key::SignalScope`].
    SignalScope(Scope),
    /// Of [`Key::StatusCommand`].
    StatusCommand(Option<Command>),
    /// Of [`Key::StopCommand`].
    StopCommand(Option<Command>),
    /// Of [`Key::ExitCode`].
    ExitCode(ExitCodes),
    /// Of [`Key::Entrypoint`].
    Entrypoint(Option<Command>),
    /// Of [`Key::Containers`].
    Containers(Vec<Cow<'a, str>>),
}

/// Why a value has not passed its grammar. The message continues a sentence whose subject is the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Of a duration.
    #[error(transparent)]
    Duration(#[from] ParseSecondsError),
    /// Of a drain.
    #[error(transparent)]
    Drain(#[from] ParseDrainError),
    /// Of a mode of the shim.
    #[error("is no mode of the shim")]
    Shim,
    /// Of a profile.
    #[error("is no profile")]
    Profile(#[from] ParseProfileError),
    /// Of a signal map.
    #[error(transparent)]
    Rewrite(#[from] ParseRewriteError),
    /// Of a scope.
    #[error("is neither child nor group")]
    Scope,
    /// Of a command that is not of the form that is expected.
    #[error("is not a JSON array of strings")]
    Words,
    /// Of a command without a program.
    #[error("is a command that {0}")]
    Command(#[from] ParseCommandError),
    /// Of a command that no process could be given.
    #[error("has a NUL character")]
    Nul,
    /// Of exit codes.
    #[error(transparent)]
    ExitCodes(#[from] ParseExitCodesError),
    /// Of a list of names.
    #[error("is not a list of container names")]
    Names,
}

/// Reads the value of one setting.
///
/// # Errors
///
/// When the value is not of the setting's grammar.
pub fn parse(key: Key, value: &str) -> Result<Value<'_>, InvalidValue> {
    Ok(match key {
        Key::Drain => Value::Drain(value.parse()?),
        Key::Quiet => Value::Quiet(value.parse()?),
        Key::GracePeriod => Value::GracePeriod(value.parse()?),
        Key::Shim => Value::Shim(match value {
            "off" | "false" => ShimMode::Off,
            "hook" => ShimMode::Hook,
            "init" | "true" => ShimMode::Init,
            _ => return Err(InvalidValue::Shim),
        }),
        Key::Profile if value == NONE => Value::Profile(None),
        Key::Profile => Value::Profile(Some(value.parse()?)),
        Key::Rewrite => Value::Rewrite(value.parse()?),
        Key::SignalScope => Value::SignalScope(value.parse().map_err(|_| InvalidValue::Scope)?),
        Key::StatusCommand => Value::StatusCommand(command(value)?),
        Key::StopCommand => Value::StopCommand(command(value)?),
        Key::ExitCode => Value::ExitCode(value.parse()?),
        Key::Entrypoint if value == NONE => Value::Entrypoint(None),
        Key::Entrypoint => Value::Entrypoint(Some(words(value)?)),
        Key::Containers => Value::Containers(names(value)?),
    })
}

/// Takes back what a layer below says.
const NONE: &str = "none";

/// A command: words as a JSON array, or a script for a shell.
fn command(value: &str) -> Result<Option<Command>, InvalidValue> {
    let script = value.trim();
    if script == NONE {
        return Ok(None);
    }
    if script.starts_with('[') {
        return words(script).map(Some);
    }
    if script.is_empty() {
        return Err(ParseCommandError::Empty.into());
    }
    if script.contains('\0') {
        return Err(InvalidValue::Nul);
    }
    Ok(Some(Command::shell(script)))
}

/// Words as a JSON array.
fn words(value: &str) -> Result<Command, InvalidValue> {
    let words: Vec<String> = serde_json::from_str(value).map_err(|_| InvalidValue::Words)?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err(InvalidValue::Nul);
    }
    Ok(Command::new(words)?)
}

/// Container names are DNS labels (RFC 1123): small letters, digits and dashes, at most 63.
fn names(list: &str) -> Result<Vec<Cow<'_, str>>, InvalidValue> {
    let label = |name: &str| {
        !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    list.split(',')
        .map(str::trim)
        .map(|name| if label(name) { Ok(Cow::Borrowed(name)) } else { Err(InvalidValue::Names) })
        .collect()
}

/// The table as Markdown, for the README.
#[must_use]
pub fn markdown() -> String {
    let head = "| annotation | value | built-in | per container | meaning |\n|---|---|---|---|---|\n";
    let rows = TABLE.iter().map(|row| {
        let Definition { name, accepts, built_in, meaning, .. } = row;
        let per_container = if row.per_container { format!("`NAME.{PREFIX}/{name}`") } else { "no".into() };
        format!("| `{PREFIX}/{name}` | {accepts} | {built_in} | {per_container} | {meaning} |\n")
    });
    head.to_owned() + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use fermata_stop_plan::{Command, PROFILES, ParseCommandError};

    use super::{BUILT_IN_DRAIN, InvalidValue, Key, ShimMode, TABLE, Value, parse};

    #[test]
    fn rows_and_keys_point_at_each_other() {
        for row in &TABLE {
            assert_eq!(row.key.definition().name, row.name);
            assert_eq!(Key::named(row.name), Some(row.key));
        }
    }

    #[test]
    fn every_profile_is_named_where_profiles_are_accepted() {
        let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        assert_eq!(Key::Profile.definition().accepts, format!("{}, or none", names.join(", ")));
    }

    #[test]
    fn the_documented_default_is_the_one_that_counts() {
        assert_eq!(Key::Drain.definition().built_in.parse(), Ok(BUILT_IN_DRAIN));
    }

    #[test]
    fn commands_are_words_or_a_script() {
        let stop = |value| parse(Key::StopCommand, value);
        let passenger = Command::new(["passenger", "stop", "--port", "5000"]).unwrap();
        assert_eq!(
            stop(r#"["passenger", "stop", "--port", "5000"]"#),
            Ok(Value::StopCommand(Some(passenger)))
        );
        assert_eq!(stop(" sleep 1; bye "), Ok(Value::StopCommand(Some(Command::shell("sleep 1; bye")))));
        assert_eq!(stop("none"), Ok(Value::StopCommand(None)));
        for (value, why) in [
            ("", InvalidValue::Command(ParseCommandError::Empty)),
            ("[]", InvalidValue::Command(ParseCommandError::Empty)),
            (r#"[""]"#, InvalidValue::Command(ParseCommandError::NoProgram)),
            ("[passenger, stop]", InvalidValue::Words),
            (r#"["a", 1]"#, InvalidValue::Words),
            (r#"["a\u0000"]"#, InvalidValue::Nul),
            ("a\0b", InvalidValue::Nul),
        ] {
            assert_eq!(stop(value), Err(why), "{value:?}");
        }
        assert_eq!(parse(Key::Entrypoint, "/app"), Err(InvalidValue::Words));
    }

    #[test]
    fn modes_of_the_shim_may_be_booleans() {
        for (value, mode) in [
            ("off", ShimMode::Off),
            ("false", ShimMode::Off),
            ("hook", ShimMode::Hook),
            ("init", ShimMode::Init),
            ("true", ShimMode::Init),
        ] {
            assert_eq!(parse(Key::Shim, value), Ok(Value::Shim(mode)));
        }
        assert_eq!(parse(Key::Shim, "on"), Err(InvalidValue::Shim));
    }

    #[test]
    fn lists_of_names_are_strict() {
        assert_eq!(
            parse(Key::Containers, "app, log-2"),
            Ok(Value::Containers(vec!["app".into(), "log-2".into()]))
        );
        for list in ["", "app,", ",", "App", "a b", "a/b", "*", &"x".repeat(64)] {
            assert_eq!(parse(Key::Containers, list), Err(InvalidValue::Names), "{list:?}");
        }
    }
}
