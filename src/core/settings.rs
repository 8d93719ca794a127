//! The layers that a setting can come from. Later layers win, and every value remembers its own.

mod images;
mod layer;
mod reference;
mod resolve;

use std::{borrow::Cow, fmt};

use fermata_stop_plan::Seconds;

pub use images::{ImageConfig, Images};
pub use layer::{LayerValues, PodAnnotations};
pub use reference::is_reference;
pub(crate) use resolve::Resolved;

use crate::{annotation::Key, opt_in, skip::ContainerSkip};

/// Who asked for a value. Later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Nobody: it is Fermata's own default.
    BuiltIn,
    /// The operator's config file.
    Cluster,
    /// An annotation of the Namespace.
    Namespace,
    /// An annotation of the Pod.
    Pod,
    /// An annotation of the Pod for one container.
    Container,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => "built-in default",
            Self::Cluster => "cluster config",
            Self::Namespace => "namespace annotation",
            Self::Pod => "pod annotation",
            Self::Container => "container annotation",
        })
    }
}

/// A value and the layer that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who asked for it.
    pub layer: Layer,
}

/// Ceilings that the operator sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest drain.
    pub max_drain: Option<Seconds>,
    /// The longest grace period that Fermata raises to. One that a Pod already has is never lowered.
    ///
    /// No drain gets more than half of it, so that something is left for the app. That is so even where there
    /// would be room for more: what a container gets may not depend on the others, or it would change when
    /// another webhook adds one.
    pub max_grace_period: Option<Seconds>,
}

/// The operator's ceiling on one drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainLimit {
    /// The longest drain that is left.
    pub to: Seconds,
    /// Which ceiling it is.
    pub ceiling: Ceiling,
}

/// A ceiling in the operator's config file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// `limits.maxDrain`
    Drain,
    /// `limits.maxGracePeriod`, of which a drain may take half.
    GracePeriod,
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "limits.maxDrain",
            Self::GracePeriod => "limits.maxGracePeriod",
        })
    }
}

/// What happens to a Pod whose own annotations hold a mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// The layer below counts, and a warning says so.
    #[default]
    Warn,
    /// The Pod is refused.
    Deny,
}

/// The operator's settings for the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Values for all Pods.
    pub defaults: LayerValues<'static>,
    /// Ceilings.
    pub limits: Limits,
    /// What a mistake leads to.
    pub on_invalid: OnInvalid,
    /// The image that brings the shim. Without one, no Pod gets it.
    pub shim_image: Option<String>,
    /// What images start, where the Pods do not say.
    pub images: Images,
}

/// What a Namespace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSettings {
    /// Whether it has the label that opts it in.
    pub opted_in: bool,
    /// The values of its annotations.
    pub values: LayerValues<'static>,
    /// The mistakes in its annotations, for the warnings of its Pods.
    pub mistakes: Vec<Mistake>,
}

impl NamespaceSettings {
    /// Reads the labels and annotations of a Namespace.
    pub fn read<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let opted_in = labels.into_iter().any(|label| label == (opt_in::LABEL, opt_in::ENABLED));
        let (values, mistakes) = layer::read_namespace(annotations);
        Self { opted_in, values, mistakes }
    }
}

/// All that is known beside the Pod when it is planned.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The operator's settings.
    pub cluster: &'a ClusterSettings,
    /// What the Pod's Namespace says; nothing where it is not known, which counts as opted in: the API server
    /// asks only about Namespaces that are.
    pub namespace: Option<&'a NamespaceSettings>,
    /// The name of that Namespace, from the request.
    pub namespace_name: Option<&'a str>,
    /// The Namespace in which Fermata itself runs.
    pub own_namespace: Option<&'a str>,
    /// The API server's version; nothing counts as a current one.
    pub server: Option<crate::ServerVersion>,
}

impl Settings<'_> {
    /// Whether the API server has native sleep. One whose version is not known counts as current.
    #[must_use]
    pub fn has_native_sleep(&self) -> bool {
        self.server.is_none_or(crate::ServerVersion::has_native_sleep)
    }
}

/// A mistake in an annotation: what stands there counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The value is not of the setting's grammar.
    Value {
        /// The layer.
        layer: Layer,
        /// The whole key of the annotation.
        annotation: Box<str>,
        /// The setting.
        key: Key,
        /// The value, quoted and shortened.
        value: Box<str>,
        /// What is wrong with it.
        why: crate::annotation::InvalidValue,
    },
    /// No setting has that name.
    UnknownKey {
        /// The layer.
        layer: Layer,
        /// The whole key of the annotation.
        annotation: Box<str>,
        /// The annotation that was probably meant.
        nearest: Option<Box<str>>,
    },
    /// The annotation exists, but not for one container.
    NotPerContainer {
        /// The whole key of the annotation.
        annotation: Box<str>,
        /// The setting.
        key: Key,
    },
    /// `CONTAINER.fermata.dev/...` on a Namespace.
    ContainerOnNamespace {
        /// The whole key of the annotation.
        annotation: Box<str>,
    },
    /// The Pod has no container of the name in the annotation's key.
    UnknownContainer {
        /// The whole key of the annotation.
        annotation: Box<str>,
        /// The container that was probably meant.
        nearest: Option<Box<str>>,
    },
    /// The Pod has no container of a name in its list.
    UnknownInList {
        /// The name.
        container: Box<str>,
        /// The container that was probably meant.
        nearest: Option<Box<str>>,
    },
    /// The container is not under the shim, to which this says something.
    NeedsInit {
        /// The whole key of the annotation.
        annotation: Box<str>,
    },
    /// The container is one that is never drained.
    NeverDrained {
        /// The whole key of the annotation.
        annotation: Box<str>,
        /// Why it is not.
        reason: ContainerSkip,
    },
    /// The label `fermata.dev/inject` of a Pod has a value without a meaning.
    InjectLabel {
        /// The value, quoted and shortened.
        value: Box<str>,
    },
}

impl Mistake {
    /// The characters that a message about a wrong value has around annotation, value, reason and what is accepted.
    pub(crate) const AROUND_A_VALUE: usize = r#"fermata: : "" ; use  (on the Namespace; ignored)"#.len();

    /// Whether the Pod may be refused for it.
    ///
    /// Not for one on the Namespace: that would stop all its Pods. And not for a container that is not there,
    /// or not drained: another webhook may add it after this one has looked.
    #[must_use]
    pub const fn may_deny(&self) -> bool {
        match self {
            Self::Value { layer, .. } | Self::UnknownKey { layer, .. } => {
                matches!(layer, Layer::Pod | Layer::Container)
            }
            Self::NotPerContainer { .. } | Self::InjectLabel { .. } => true,
            Self::ContainerOnNamespace { .. }
            | Self::UnknownContainer { .. }
            | Self::UnknownInList { .. }
            | Self::NeedsInit { .. }
            | Self::NeverDrained { .. } => false,
        }
    }
}

/// A value that a user wrote, quoted, in what a message has room for.
///
/// What a terminal would not show, or obey, becomes a replacement character.
pub(crate) fn short_value(value: &str) -> String {
    short_value_in(value, MOST_OF_A_VALUE)
}

/// What a message shows of a value at most.
const MOST_OF_A_VALUE: usize = 40;

/// The same, in a message that has room for so many characters of it.
pub(crate) fn short_value_in(value: &str, room: usize) -> String {
    let shown = cut(value, room.min(MOST_OF_A_VALUE));
    let shown = shown.chars().map(|c| match c {
        '"' => '\'',
        '\'' | '\\' => c,
        _ if c.escape_debug().len() > 1 => char::REPLACEMENT_CHARACTER,
        _ => c,
    });
    format!("\"{}\"", shown.collect::<String>())
}

/// Shortens a key or a name. Legal ones are cut only where a container's name is absurdly long.
pub(crate) fn short_name(name: &str) -> Cow<'_, str> {
    cut(name, 96)
}

/// Shortens the key of an annotation. Where it has to be cut, the container's name is: what stands behind it says more.
/// Legal keys of known annotations are never cut.
pub(crate) fn short_key(annotation: &str) -> Cow<'_, str> {
    const ROOM: usize = 90;
    const ROOM_FOR_CONTAINER: usize = 24;
    if annotation.chars().count() <= ROOM {
        return Cow::Borrowed(annotation);
    }
    match annotation.split_once(&format!(".{}/", opt_in::PREFIX)) {
        Some((container, name)) => {
            let container = cut(container, ROOM_FOR_CONTAINER);
            let name = cut(name, ROOM - ROOM_FOR_CONTAINER - opt_in::PREFIX.len() - 2);
            Cow::Owned(format!("{container}.{}/{name}", opt_in::PREFIX))
        }
        None => cut(annotation, ROOM),
    }
}

/// At most so many characters; where some are left out, an ellipsis says so.
pub(crate) fn cut(text: &str, room: usize) -> Cow<'_, str> {
    if text.char_indices().nth(room).is_none() {
        return Cow::Borrowed(text);
    }
    let end = text.char_indices().nth(room.saturating_sub(1)).map_or(0, |(end, _)| end);
    Cow::Owned(format!("{}…", &text[..end]))
}
