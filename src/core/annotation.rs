//! The table of annotations: the one place that knows which there are and what they accept.
//!
//! Parsing, warnings, the operator's config file and the table in the README all come from here.

use std::{borrow::Cow, fmt};

use fermata_stop_plan::{ParseSecondsError, Seconds};

use crate::opt_in::PREFIX;

/// A setting that an annotation can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// How long a container goes on serving between the Pod's deletion and its stop signal.
    Drain,
    /// The app's own time after its stop signal.
    GracePeriod,
    /// Which containers are drained.
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
}

/// The drain of a container when no layer says anything.
///
/// Long enough for endpoint controllers, kube-proxy and an in-cluster ingress to forget a Pod; a cloud load
/// balancer may want 25 to 40 seconds.
pub const BUILT_IN_DRAIN: Seconds = match Seconds::new(15) {
    Some(seconds) => seconds,
    None => Seconds::MAX,
};

/// All annotations, in the order of the documentation.
pub const TABLE: [Definition; 3] = [
    Definition {
        key: Key::Drain,
        name: "drain",
        accepts: "a duration such as 15s, 1m30s or 90",
        built_in: "15s",
        meaning: "How long a container goes on serving between the Pod's deletion and its stop signal. `0` means no drain.",
        per_container: true,
    },
    Definition {
        key: Key::GracePeriod,
        name: "grace-period",
        accepts: "a duration such as 30s, 2m or 120",
        built_in: "what the Pod has",
        meaning: "The app's own time after its stop signal: the Pod gets at least its drain plus this.",
        per_container: true,
    },
    Definition {
        key: Key::Containers,
        name: "containers",
        accepts: "container names separated by commas",
        built_in: "all that qualify",
        meaning: "Which containers are drained.",
        per_container: false,
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
    /// The row of this key.
    #[must_use]
    pub const fn definition(self) -> &'static Definition {
        match self {
            Self::Drain => &TABLE[0],
            Self::GracePeriod => &TABLE[1],
            Self::Containers => &TABLE[2],
        }
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

/// A value that has passed its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of [`Key::Drain`].
    Drain(Seconds),
    /// Of [`Key::GracePeriod`].
    GracePeriod(Seconds),
    /// Of [`Key::Containers`].
    Containers(Vec<Cow<'a, str>>),
}

/// Why a value has not passed its grammar. The message continues a sentence whose subject is the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Of a duration.
    #[error(transparent)]
    Duration(#[from] ParseSecondsError),
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
        Key::GracePeriod => Value::GracePeriod(value.parse()?),
        Key::Containers => Value::Containers(names(value)?),
    })
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
    use super::{BUILT_IN_DRAIN, InvalidValue, Key, TABLE, Value, parse};

    #[test]
    fn rows_and_keys_point_at_each_other() {
        for row in &TABLE {
            assert_eq!(row.key.definition().name, row.name);
            assert_eq!(Key::named(row.name), Some(row.key));
        }
    }

    #[test]
    fn the_documented_default_is_the_one_that_counts() {
        assert_eq!(Key::Drain.definition().built_in.parse(), Ok(BUILT_IN_DRAIN));
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
