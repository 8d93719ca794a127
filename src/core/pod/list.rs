//! Lists that are no longer than a Pod can have.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// More than etcd could store in one Pod: an object may have 1.5 MiB.
const LIMIT: usize = 10_000;

/// What lists are made of.
pub(crate) trait Listed {
    /// What they are called in a message, in the plural.
    const PLURAL: &'static str;
}

/// A list that is not longer than a Pod can have: what stands in a request takes more room in memory than on the
/// wire, and nobody needs to be that patient.
#[derive(Debug)]
pub(crate) struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de> + Listed> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Listed> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of {}", T::PLURAL)
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut items = Vec::with_capacity(4);
                while let Some(item) = list.next_element()? {
                    if items.len() == LIMIT {
                        return Err(S::Error::custom(format_args!("more than {LIMIT} {}", T::PLURAL)));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}
