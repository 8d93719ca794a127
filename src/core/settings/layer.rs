//! Reads the annotations of a Namespace or a Pod into the values of one layer.

use std::borrow::Cow;

use fermata_stop_plan::Seconds;

use super::{Layer, Mistake, short_name, short_value};
use crate::{
    annotation::{self, Key, STATUS, TABLE, Value},
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
    /// For single containers, by name, in the order in which they first appear.
    pub containers: Vec<(&'a str, LayerValues<'a>)>,
    /// What counts for nothing.
    pub mistakes: Vec<Mistake>,
}

impl<'a> PodAnnotations<'a> {
    /// Reads the annotations under Fermata's prefix.
    pub fn read(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        for (annotation, value) in annotations {
            match name_of(annotation) {
                Some(Name { container: None, name }) => match read_one(annotation, name, value, Layer::Pod) {
                    Ok(value) => read.pod.extend(value),
                    Err(mistake) => read.mistakes.push(mistake),
                },
                Some(Name { container: Some(container), name }) => {
                    match read_one(annotation, name, value, Layer::Container) {
                        Ok(value) => read.container(container).extend(value),
                        Err(mistake) => read.mistakes.push(mistake),
                    }
                }
                None => {}
            }
        }
        read
    }

    fn container(&mut self, name: &'a str) -> &mut LayerValues<'a> {
        let known = self.containers.iter().position(|(container, _)| *container == name);
        let index = known.unwrap_or_else(|| {
            self.containers.push((name, LayerValues::default()));
            self.containers.len() - 1
        });
        &mut self.containers[index].1
    }
}

impl<'a> Extend<Value<'a>> for LayerValues<'a> {
    fn extend<T: IntoIterator<Item = Value<'a>>>(&mut self, values: T) {
        values.into_iter().for_each(|value| self.set(value));
    }
}

/// Reads a Namespace's annotations.
pub(super) fn read_namespace<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> (LayerValues<'static>, Vec<Mistake>) {
    let mut values = LayerValues::default();
    let mut mistakes = Vec::new();
    for (annotation, value) in annotations {
        let Some(name) = name_of(annotation) else { continue };
        if name.container.is_some() {
            mistakes.push(Mistake::ContainerOnNamespace { annotation: short_name(annotation).into() });
            continue;
        }
        match read_one(annotation, name.name, value, Layer::Namespace) {
            Ok(value) => values.extend(value),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (values.into_owned(), mistakes)
}

struct Name<'a> {
    container: Option<&'a str>,
    name: &'a str,
}

/// Takes `fermata.dev/NAME` and `CONTAINER.fermata.dev/NAME` apart; other keys are none of our business.
fn name_of(annotation: &str) -> Option<Name<'_>> {
    let (prefix, name) = annotation.split_once('/')?;
    let container = prefix.strip_suffix(PREFIX)?;
    match container.strip_suffix('.') {
        Some(container) => Some(Name { container: Some(container), name }),
        None if container.is_empty() => Some(Name { container: None, name }),
        None => None,
    }
}

/// Reads one annotation; `None` is one that is written by Fermata and says nothing to it.
fn read_one<'a>(
    annotation: &str,
    name: &str,
    value: &'a str,
    layer: Layer,
) -> Result<Option<Value<'a>>, Mistake> {
    let per_container = layer == Layer::Container;
    let Some(key) = Key::named(name) else {
        if annotation == STATUS {
            return Ok(None);
        }
        let annotation = short_name(annotation).into();
        let nearest = if name == "inject" {
            Some(opt_in::LABEL.into())
        } else {
            let known = TABLE.iter().filter(|row| row.per_container || !per_container).map(|row| row.name);
            nearest(name, known).map(|meant| format!("{PREFIX}/{meant}").into())
        };
        return Err(Mistake::UnknownKey { layer, annotation, nearest });
    };
    if per_container && !key.definition().per_container {
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
