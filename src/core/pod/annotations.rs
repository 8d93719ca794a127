//! A Pod's annotations: the own ones are kept, and all are measured.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use super::Text;
use crate::annotation::Name;

/// The API server's limit on keys and values of all annotations together (`TotalAnnotationSizeLimitB`).
pub(crate) const SIZE_LIMIT: usize = 256 * 1024;

/// The annotation by which the kubelet marks its copy of a static Pod. Changing the copy changes nothing on
/// the node.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The annotation by which a Pod allows cluster-autoscaler to lose the named volumes when it removes a node.
pub(crate) const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// What the view reads of a Pod's annotations.
#[derive(Debug, Default)]
pub(crate) struct Annotations<'a> {
    own: Vec<(Text<'a>, Text<'a>)>,
    size: usize,
    mirror: bool,
    safe_to_evict: Option<Text<'a>>,
}

impl<'a> Annotations<'a> {
    /// Those under Fermata's prefix, in the order of the object.
    pub(super) fn own(&self) -> &[(Text<'a>, Text<'a>)] {
        &self.own
    }

    /// The bytes of all keys and values together.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// The value of [`SAFE_TO_EVICT`].
    pub(super) fn safe_to_evict(&self) -> Option<&str> {
        self.safe_to_evict.as_ref().map(Text::as_str)
    }

    pub(super) const fn mark_mirror(&self) -> bool {
        self.mirror
    }

    /// Of a key that stands twice, nobody can say which value the API server means.
    fn duplicate(&self) -> Option<&str> {
        let mut keys: Vec<_> = self.own.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;

        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut annotations = Annotations::default();
                // Go reads a null in a map of strings as the empty string.
                while let Some((key, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    let value = value.unwrap_or_default();
                    annotations.size += key.as_str().len() + value.as_str().len();
                    // The API server refuses such a Pod, so there is no use in reading on.
                    if annotations.size > SIZE_LIMIT {
                        return Err(M::Error::custom("more than 256 KiB of annotations"));
                    }
                    if key.as_str() == MIRROR {
                        annotations.mirror = true;
                    } else if key.as_str() == SAFE_TO_EVICT {
                        annotations.safe_to_evict = Some(value);
                    } else if Name::of(key.as_str()).is_some() {
                        annotations.own.push((key, value));
                    }
                }
                match annotations.duplicate() {
                    Some(key) => Err(M::Error::custom(format_args!("duplicate annotation `{key}`"))),
                    None => Ok(annotations),
                }
            }
        }

        deserializer.deserialize_map(AnnotationsVisitor).map(|annotations: Annotations<'de>| annotations)
    }
}
