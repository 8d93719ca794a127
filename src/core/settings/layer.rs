//! Reads the annotations of a Namespace or a Pod into the values of one layer.

use std::{borrow::Cow, collections::BTreeMap};

use fermata_stop_plan::Seconds;

use super::{Layer, Mistake, short_name, short_value};
use crate::{
    annotation::{self, Key, Name, STATUS, TABLE, Value},
    opt_in::{self, PREFIX},
    suggest::nearest,
};

/// The values that one layer gives. What is absent is left to the layer below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerValues<'a> {
    /// See [`Key::Drain`].
    pub drain: Option<Seconds>,
    /// See [`Key::GracePeriod`].
    pub grace_period: Option<Seconds>,
    /// See [`Key::Containers`].
    pub containers: Option<Vec<Cow<'a, str>>>,
}

impl<'a> LayerValues<'a> {
    /// Takes one value in.
    pub fn set(&mut self, value: Value<'a>) {
        match value {
            Value::Drain(drain) => self.drain = Some(drain),
            Value::GracePeriod(grace_period) => self.grace_period = Some(grace_period),
            Value::Containers(containers) => self.containers = Some(containers),
        }
    }

    /// The same values, on their own.
    #[must_use]
    pub fn into_owned(self) -> LayerValues<'static> {
        let owned =
            |names: Vec<Cow<'a, str>>| names.into_iter().map(|name| Cow::Owned(name.into_owned())).collect();
        LayerValues {
            drain: self.drain,
            grace_period: self.grace_period,
            containers: self.containers.map(owned),
        }
    }
}

/// What a Pod's annotations say.
#[derive(Debug, Default)]
pub struct PodAnnotations<'a> {
    /// For the whole Pod.
    pub pod: LayerValues<'a>,
    /// For single containers, by name.
    pub containers: BTreeMap<&'a str, LayerValues<'a>>,
    /// What counts for nothing.
    pub mistakes: Vec<Mistake>,
}

impl<'a> PodAnnotations<'a> {
    /// Reads the annotations under Fermata's prefix.
    pub fn read(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        for (annotation, value) in annotations {
            let Some(Name { container, name }) = Name::of(annotation) else { continue };
            let layer = if container.is_some() { Layer::Container } else { Layer::Pod };
            match read_one(annotation, container, name, value, layer) {
                Ok(None) => {}
                Ok(Some(value)) => match container {
                    Some(container) => read.containers.entry(container).or_default().set(value),
                    None => read.pod.set(value),
                },
                Err(mistake) => read.mistakes.push(mistake),
            }
        }
        read
    }

    /// Whether the Pod asks for anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.pod == LayerValues::default() && self.containers.is_empty()
    }
}

/// Reads a Namespace's annotations.
pub(super) fn read_namespace<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> (LayerValues<'static>, Vec<Mistake>) {
    let mut values = LayerValues::default();
    let mut mistakes = Vec::new();
    for (annotation, value) in annotations {
        let Some(Name { container, name }) = Name::of(annotation) else { continue };
        if container.is_some() {
            mistakes.push(Mistake::ContainerOnNamespace { annotation: short_name(annotation).into() });
            continue;
        }
        match read_one(annotation, None, name, value, Layer::Namespace) {
            Ok(Some(value)) => values.set(value),
            Ok(None) => {}
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (values.into_owned(), mistakes)
}

/// Reads one annotation; `None` is one that is written by Fermata and says nothing to it.
fn read_one<'a>(
    annotation: &str,
    container: Option<&str>,
    name: &str,
    value: &'a str,
    layer: Layer,
) -> Result<Option<Value<'a>>, Mistake> {
    let Some(key) = Key::named(name) else {
        if annotation == STATUS {
            return Ok(None);
        }
        let nearest = match container {
            None if name == "inject" => Some(opt_in::LABEL.into()),
            None => nearest(name, TABLE.iter().map(|row| row.name))
                .map(|meant| format!("{PREFIX}/{meant}").into()),
            Some(container) => {
                nearest(name, TABLE.iter().filter(|row| row.per_container).map(|row| row.name))
                    .map(|meant| format!("{}.{PREFIX}/{meant}", short_name(container)).into())
            }
        };
        return Err(Mistake::UnknownKey { layer, annotation: short_name(annotation).into(), nearest });
    };
    if container.is_some() && !key.definition().per_container {
        return Err(Mistake::NotPerContainer { annotation: short_name(annotation).into(), key });
    }
    annotation::parse(key, value).map(Some).map_err(|why| Mistake::Value {
        layer,
        annotation: short_name(annotation).into(),
        key,
        value: short_value(value).into(),
        why,
    })
}
