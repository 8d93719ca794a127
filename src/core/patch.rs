//! A plan as a JSON Patch (RFC 6902).
//!
//! The operations are written, not found by comparing two objects: a comparison works by array position and
//! rewrites what it did not mean to touch.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    annotation::STATUS,
    plan::{Action, AnnotationsPath, HookPath, Plan},
};

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Put a value where there is none, or null.
    Add {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
    /// Put a value where there is one.
    Replace {
        /// Where.
        path: Pointer,
        /// What.
        value: Value,
    },
}

impl Operation {
    /// Where it applies.
    #[must_use]
    pub const fn path(&self) -> &Pointer {
        match self {
            Self::Add { path, .. } | Self::Replace { path, .. } => path,
        }
    }

    /// What it puts there.
    #[must_use]
    pub const fn value(&self) -> &Value {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } => value,
        }
    }
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
pub fn operations(plan: &Plan<'_>) -> Vec<Operation> {
    plan.steps.iter().map(|step| operation(&step.action)).collect()
}

fn operation(action: &Action) -> Operation {
    let lifecycle = |container: usize| {
        Pointer::new().member("spec").member("containers").element(container).member("lifecycle")
    };
    match action {
        Action::AddSleep { container, path, drain } => {
            let pre_stop = json!({ "sleep": { "seconds": drain.get() } });
            match path {
                HookPath::NoLifecycle => {
                    Operation::Add { path: lifecycle(*container), value: json!({ "preStop": pre_stop }) }
                }
                HookPath::NoPreStop => {
                    Operation::Add { path: lifecycle(*container).member("preStop"), value: pre_stop }
                }
            }
        }
        Action::LengthenSleep { container, drain } => Operation::Replace {
            path: lifecycle(*container).member("preStop").member("sleep"),
            value: json!({ "seconds": drain.get() }),
        },
        Action::ReplaceSleepCommand { container, drain } => Operation::Replace {
            path: lifecycle(*container).member("preStop"),
            value: json!({ "sleep": { "seconds": drain.get() } }),
        },
        Action::RaiseGracePeriod { present, to } => {
            let path = Pointer::new().member("spec").member("terminationGracePeriodSeconds");
            let value = Value::from(*to);
            if *present { Operation::Replace { path, value } } else { Operation::Add { path, value } }
        }
        Action::WriteStatus { path, status } => {
            let metadata = Pointer::new().member("metadata");
            let annotations = || json!({ STATUS: status });
            match path {
                AnnotationsPath::NoMetadata => {
                    Operation::Add { path: metadata, value: json!({ "annotations": annotations() }) }
                }
                AnnotationsPath::NoAnnotations => {
                    Operation::Add { path: metadata.member("annotations"), value: annotations() }
                }
                AnnotationsPath::NoStatus => Operation::Add {
                    path: metadata.member("annotations").member(STATUS),
                    value: Value::from(status.as_str()),
                },
                AnnotationsPath::Status => Operation::Replace {
                    path: metadata.member("annotations").member(STATUS),
                    value: Value::from(status.as_str()),
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
