//! The opted-in Namespaces that the watch knows, each read once and not at every review.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use fermata_core::settings::NamespaceSettings;
use k8s_openapi::api::core::v1::Namespace;
use kube::{ResourceExt, core::PartialObjectMeta};

/// What Namespaces say, by name.
pub(super) type ByName = HashMap<String, Arc<NamespaceSettings>>;

/// The Namespaces of the last events. They stay when the watch is lost: old news is better than none.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    known: RwLock<ByName>,
}

impl Namespaces {
    pub(super) fn get(&self, name: &str) -> Option<Arc<NamespaceSettings>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Changes what is known, and gives back how many there are then.
    pub(super) fn change(&self, change: impl FnOnce(&mut ByName)) -> usize {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        known.len()
    }
}

/// Reads the labels and annotations of a Namespace.
pub(super) fn read(namespace: &PartialObjectMeta<Namespace>) -> Arc<NamespaceSettings> {
    fn pair<'a>((key, value): (&'a String, &'a String)) -> (&'a str, &'a str) {
        (key, value)
    }
    let labels = namespace.labels().iter().map(pair);
    let annotations = namespace.annotations().iter().map(pair);
    Arc::new(NamespaceSettings::read(labels, annotations))
}
