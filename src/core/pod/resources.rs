//! The resources of a container, as far as a container of our own has to have the same.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Object;

/// A container's `resources`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Resources<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    limits: Option<Object<Quantities<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    requests: Option<Object<Quantities<'a>>>,
}

/// Quantities as they are written: a number, or a string such as `250m`.
///
/// Others, such as GPUs and huge pages, are for who uses them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Quantities<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    cpu: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    ephemeral_storage: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    memory: Option<&'a RawValue>,
}

impl Quantities<'_> {
    const fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.ephemeral_storage.is_none() && self.memory.is_none()
    }
}

impl Resources<'_> {
    /// The same, as JSON, or nothing where there are none.
    pub(crate) fn to_json(self) -> Option<Box<RawValue>> {
        let some = |quantities: Option<Object<Quantities<'_>>>| {
            quantities.is_some_and(|quantities| !quantities.is_empty())
        };
        if !some(self.limits) && !some(self.requests) {
            return None;
        }
        serde_json::value::to_raw_value(&self).ok()
    }
}
