//! A plan as a JSON Patch (RFC 6902).
//!
//! The operations are written, not found by comparing two objects: a comparison works by array position and
//! rewrites what it did not mean to touch.

mod container;

use std::{borrow::Cow, fmt};

use fermata_stop_plan::Seconds;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
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

/// What a patch puts into a Pod. There are no others, and none of them needs a tree of generic JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A count of seconds.
    Seconds(i64),
    /// `{"sleep":{"seconds":N}}`
    Sleep(Seconds),
    /// `{"exec":{"command":[...]}}`
    Exec(Cow<'a, [String]>),
    /// Words of a command.
    Words(Cow<'a, [String]>),
    /// A member in a map that is not there yet: `{"NAME": ...}`.
    Member(&'static str, Box<Self>),
    /// An element in a list that is not there yet: `[...]`.
    Element(Box<Self>),
    /// The mount of the shim's volume in a container.
    ShimMount,
    /// The shim's volume.
    ShimVolume,
    /// The container that brings the shim.
    ShimContainer {
        /// Its image.
        image: Cow<'a, str>,
        /// Its resources, as JSON.
        resources: Option<Cow<'a, str>>,
        /// The user to run as.
        run_as_user: Option<i64>,
    },
    /// The resources of a container, as JSON.
    Resources(Cow<'a, str>),
    /// The value of an annotation.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The same value, on its own.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Seconds(seconds) => Value::Seconds(seconds),
            Self::Sleep(drain) => Value::Sleep(drain),
            Self::Exec(words) => Value::Exec(Cow::Owned(words.into_owned())),
            Self::Words(words) => Value::Words(Cow::Owned(words.into_owned())),
            Self::Member(name, value) => Value::Member(name, Box::new(value.into_owned())),
            Self::Element(value) => Value::Element(Box::new(value.into_owned())),
            Self::ShimMount => Value::ShimMount,
            Self::ShimVolume => Value::ShimVolume,
            Self::ShimContainer { image, resources, run_as_user } => {
                Value::ShimContainer { image: text(image), resources: resources.map(text), run_as_user }
            }
            Self::Resources(resources) => Value::Resources(text(resources)),
            Self::Text(value) => Value::Text(text(value)),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seconds(seconds) => serializer.serialize_i64(*seconds),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Words(words) => words.serialize(serializer),
            Self::Resources(resources) => container::raw(resources).serialize(serializer),
            Self::Sleep(drain) => member(serializer, "sleep", &Sleep { seconds: drain.get() }),
            Self::Exec(words) => member(serializer, "exec", &Exec { command: words }),
            Self::Member(name, value) => member(serializer, name, value),
            Self::Element(value) => [value].serialize(serializer),
            Self::ShimMount => container::VolumeMount::READ_ONLY.serialize(serializer),
            Self::ShimVolume => container::Volume::SHIM.serialize(serializer),
            Self::ShimContainer { image, resources, run_as_user } => {
                container::Container::new(image, resources.as_deref(), *run_as_user).serialize(serializer)
            }
        }
    }
}

#[derive(Serialize)]
struct Sleep {
    seconds: u32,
}

#[derive(Serialize)]
struct Exec<'a> {
    command: &'a [String],
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
    let spec = || Pointer::new().member("spec");
    let container = |index: usize| spec().member("containers").element(index);
    let hook = |index: usize, path: HookPath, value| {
        let lifecycle = container(index).member("lifecycle");
        match path {
            HookPath::NoLifecycle => {
                Operation::Add { path: lifecycle, value: Value::Member("preStop", Box::new(value)) }
            }
            HookPath::NoPreStop => Operation::Add { path: lifecycle.member("preStop"), value },
            HookPath::PreStop => Operation::Replace { path: lifecycle.member("preStop"), value },
        }
    };
    // Behind the last element of a list, or in a list of its own.
    let append = |list: Pointer, present: bool, value| {
        if present {
            Operation::Add { path: list.member("-"), value }
        } else {
            Operation::Add { path: list, value: Value::Element(Box::new(value)) }
        }
    };
    let put = |present: bool, path: Pointer, value| {
        if present { Operation::Replace { path, value } } else { Operation::Add { path, value } }
    };
    match action {
        Action::AddSleep { container, path, drain } => hook(*container, *path, Value::Sleep(*drain)),
        // An `add` overwrites as well, and a manifest may have left `seconds` out.
        Action::LengthenSleep { container: index, drain } => Operation::Add {
            path: container(*index).member("lifecycle").member("preStop").member("sleep").member("seconds"),
            value: Value::Seconds((*drain).into()),
        },
        Action::ReplaceSleepCommand { container, drain } => {
            hook(*container, HookPath::PreStop, Value::Sleep(*drain))
        }
        Action::SetShimHook { container, path, command } => {
            hook(*container, *path, Value::Exec(command.into()))
        }
        Action::WrapEntrypoint { container: index, present, command } => {
            put(*present, container(*index).member("command"), Value::Words(command.into()))
        }
        Action::MountShim { container: index, present } => {
            append(container(*index).member("volumeMounts"), *present, Value::ShimMount)
        }
        Action::AddShimVolume { present } => append(spec().member("volumes"), *present, Value::ShimVolume),
        Action::AddShimContainer { present, image, resources, run_as_user } => {
            let list = spec().member("initContainers");
            let value = Value::ShimContainer {
                image: image.into(),
                resources: resources.as_deref().map(Cow::Borrowed),
                run_as_user: *run_as_user,
            };
            if *present {
                Operation::Add { path: list.element(0), value }
            } else {
                Operation::Add { path: list, value: Value::Element(Box::new(value)) }
            }
        }
        // An `add` overwrites as well.
        Action::SetShimResources { container, resources } => Operation::Add {
            path: spec().member("initContainers").element(*container).member("resources"),
            value: Value::Resources((&**resources).into()),
        },
        Action::RaiseGracePeriod { present, to } => {
            put(*present, spec().member("terminationGracePeriodSeconds"), Value::Seconds(*to))
        }
        Action::Annotate { key, present, path, value } => {
            let metadata = Pointer::new().member("metadata");
            let value = Value::Text(value.into());
            match path {
                AnnotationsPath::NoMetadata => {
                    let annotations = Value::Member(key, Box::new(value));
                    Operation::Add {
                        path: metadata,
                        value: Value::Member("annotations", Box::new(annotations)),
                    }
                }
                AnnotationsPath::NoAnnotations => Operation::Add {
                    path: metadata.member("annotations"),
                    value: Value::Member(key, Box::new(value)),
                },
                AnnotationsPath::Annotations => {
                    put(*present, metadata.member("annotations").member(key), value)
                }
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
