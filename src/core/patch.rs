//! A plan as a JSON Patch (RFC 6902).
//!
//! The operations are written, not found by comparing two objects: a comparison works by array position and
//! rewrites what it did not mean to touch.

use std::{borrow::Cow, fmt};

use fermata_stop_plan::Seconds;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    annotation::STATUS,
    plan::{Action, Plan},
    pod::{AnnotationsPath, HookPath},
};

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation<'a> {
    /// Put a value where there is none, or in the place of the one that is there.
    Add {
        /// Where.
        path: Pointer,
        /// What.
        value: Value<'a>,
    },
    /// Put a value in the place of the one that is there.
    Replace {
        /// Where.
        path: Pointer,
        /// What.
        value: Value<'a>,
    },
}

impl<'a> Operation<'a> {
    /// Where it applies.
    #[must_use]
    pub const fn path(&self) -> &Pointer {
        match self {
            Self::Add { path, .. } | Self::Replace { path, .. } => path,
        }
    }

    /// The same operation, on its own.
    #[must_use]
    pub fn into_owned(self) -> Operation<'static> {
        match self {
            Self::Add { path, value } => Operation::Add { path, value: value.into_owned() },
            Self::Replace { path, value } => Operation::Replace { path, value: value.into_owned() },
        }
    }

    /// What it puts there.
    #[must_use]
    pub const fn value(&self) -> &Value<'a> {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } => value,
        }
    }
}

impl Value<'_> {
    /// The same value, on its own.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        let owned = |status: Cow<'_, str>| Cow::Owned(status.into_owned());
        match self {
            Self::Seconds(seconds) => Value::Seconds(seconds),
            Self::PreStop(drain) => Value::PreStop(drain),
            Self::Lifecycle(drain) => Value::Lifecycle(drain),
            Self::Status(status) => Value::Status(owned(status)),
            Self::Annotations(status) => Value::Annotations(owned(status)),
            Self::Metadata(status) => Value::Metadata(owned(status)),
        }
    }
}

/// What a patch puts into a Pod. There are no others, and none of them needs a tree of generic JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A count of seconds.
    Seconds(i64),
    /// `{"sleep":{"seconds":N}}`
    PreStop(Seconds),
    /// `{"preStop":{"sleep":{"seconds":N}}}`
    Lifecycle(Seconds),
    /// The value of the status annotation.
    Status(Cow<'a, str>),
    /// All annotations of a Pod that has none.
    Annotations(Cow<'a, str>),
    /// The metadata of a Pod that has none.
    Metadata(Cow<'a, str>),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seconds(seconds) => serializer.serialize_i64(*seconds),
            Self::Status(status) => serializer.serialize_str(status),
            Self::PreStop(drain) => member(serializer, "sleep", &Sleep { seconds: drain.get() }),
            Self::Lifecycle(drain) => member(serializer, "preStop", &Self::PreStop(*drain)),
            Self::Annotations(status) => member(serializer, STATUS, &**status),
            Self::Metadata(status) => {
                member(serializer, "annotations", &Value::Annotations(Cow::Borrowed(status)))
            }
        }
    }
}

#[derive(Serialize)]
struct Sleep {
    seconds: u32,
}

fn member<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    name: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

/// A JSON Pointer (RFC 6901), escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pointer(String);

impl Pointer {
    fn new() -> Self {
        Self(String::new())
    }

    /// The pointer to a member of what this one points to.
    fn member(mut self, name: &str) -> Self {
        self.0.push('/');
        for c in name.chars() {
            match c {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// The pointer to an element of what this one points to.
    fn element(self, index: usize) -> Self {
        self.member(&index.to_string())
    }

    /// The pointer as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The patch that carries a plan out.
#[must_use]
pub fn operations<'a>(plan: &'a Plan<'_>) -> Vec<Operation<'a>> {
    plan.steps.iter().map(|step| operation(&step.action)).collect()
}

fn operation(action: &Action) -> Operation<'_> {
    let lifecycle = |container: usize| {
        Pointer::new().member("spec").member("containers").element(container).member("lifecycle")
    };
    match action {
        Action::AddSleep { container, path: HookPath::NoLifecycle, drain } => {
            Operation::Add { path: lifecycle(*container), value: Value::Lifecycle(*drain) }
        }
        Action::AddSleep { container, path: HookPath::NoPreStop, drain } => {
            Operation::Add { path: lifecycle(*container).member("preStop"), value: Value::PreStop(*drain) }
        }
        // An `add` overwrites as well, and a manifest may have left `seconds` out.
        Action::LengthenSleep { container, drain } => Operation::Add {
            path: lifecycle(*container).member("preStop").member("sleep").member("seconds"),
            value: Value::Seconds((*drain).into()),
        },
        Action::ReplaceSleepCommand { container, drain } => Operation::Replace {
            path: lifecycle(*container).member("preStop"),
            value: Value::PreStop(*drain),
        },
        Action::RaiseGracePeriod { present, to } => {
            let path = Pointer::new().member("spec").member("terminationGracePeriodSeconds");
            let value = Value::Seconds(*to);
            if *present { Operation::Replace { path, value } } else { Operation::Add { path, value } }
        }
        Action::WriteStatus { path, status } => {
            let metadata = Pointer::new().member("metadata");
            let annotations = || Pointer::new().member("metadata").member("annotations");
            match path {
                AnnotationsPath::NoMetadata => {
                    Operation::Add { path: metadata, value: Value::Metadata(status.into()) }
                }
                AnnotationsPath::NoAnnotations => {
                    Operation::Add { path: annotations(), value: Value::Annotations(status.into()) }
                }
                AnnotationsPath::NoStatus => {
                    Operation::Add { path: annotations().member(STATUS), value: Value::Status(status.into()) }
                }
                AnnotationsPath::Status => Operation::Replace {
                    path: annotations().member(STATUS),
                    value: Value::Status(status.into()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pointer;

    #[test]
    fn pointers_are_escaped() {
        let pointer = Pointer::new().member("a/b").member("~1").element(3);
        assert_eq!(pointer.as_str(), "/a~1b/~01/3");
    }
}
