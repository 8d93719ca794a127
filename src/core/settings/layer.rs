//! Reads the annotations of a Namespace or a Pod into the values of one layer.

use std::{borrow::Cow, collections::BTreeMap};

use fermata_stop_plan::{Command, Drain, ExitCodes, Profile, Rewrite, Scope, Seconds};

use super::{Layer, Mistake, short_key, short_name, short_value_in};
use crate::{
    annotation::{self, Key, Name, STATUS, ShimMode, TABLE, Value},
    opt_in::{self, PREFIX},
    suggest::nearest,
    warning::MAX_CHARACTERS,
};

/// What a message shows of a value at least.
const LEAST_OF_A_VALUE: usize = 8;

/// The values that one layer gives. What is absent is left to the layer below.
///
/// Where the value is itself an `Option`, its `None` was written as `none` and takes back what the layers below say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerValues<'a> {
    /// See [`Key::Drain`].
    pub drain: Option<Drain>,
    /// See [`Key::Quiet`].
    pub quiet: Option<Seconds>,
    /// See [`Key::GracePeriod`].
    pub grace_period: Option<Seconds>,
    /// See [`Key::Shim`].
    pub shim: Option<ShimMode>,
    /// See [`Key::Profile`].
    pub profile: Option<Option<&'static Profile>>,
    /// See [`Key::Rewrite`].
    pub rewrite: Option<Rewrite>,
    /// See [`Key::SignalScope`].
    pub signal_scope: Option<Scope>,
    /// See [`Key::StatusCommand`].
    pub status_command: Option<Option<Command>>,
    /// See [`Key::StopCommand`].
    pub stop_command: Option<Option<Command>>,
    /// See [`Key::ExitCode`].
    pub exit_code: Option<ExitCodes>,
    /// See [`Key::Entrypoint`].
    pub entrypoint: Option<Option<Command>>,
    /// See [`Key::Containers`].
    pub containers: Option<Vec<Cow<'a, str>>>,
}

impl<'a> LayerValues<'a> {
    /// Takes one value in.
    pub fn set(&mut self, value: Value<'a>) {
        match value {
            Value::Drain(drain) => self.drain = Some(drain),
            Value::Quiet(quiet) => self.quiet = Some(quiet),
            Value::GracePeriod(grace_period) => self.grace_period = Some(grace_period),
            Value::Shim(mode) => self.shim = Some(mode),
            Value::Profile(profile) => self.profile = Some(profile),
            Value::Rewrite(rewrite) => self.rewrite = Some(rewrite),
            Value::SignalScope(scope) => self.signal_scope = Some(scope),
            Value::StatusCommand(command) => self.status_command = Some(command),
            Value::StopCommand(command) => self.stop_command = Some(command),
            Value::ExitCode(codes) => self.exit_code = Some(codes),
            Value::Entrypoint(command) => self.entrypoint = Some(command),
            Value::Containers(containers) => self.containers = Some(containers),
        }
    }

    /// Whether a value is there.
    #[must_use]
    pub fn has(&self, key: Key) -> bool {
        match key {
            Key::Drain => self.drain.is_some(),
            Key::Quiet => self.quiet.is_some(),
            Key::GracePeriod => self.grace_period.is_some(),
            Key::Shim => self.shim.is_some(),
            Key::Profile => self.profile.is_some(),
            Key::Rewrite => self.rewrite.is_some(),
            Key::SignalScope => self.signal_scope.is_some(),
            Key::StatusCommand => self.status_command.is_some(),
            Key::StopCommand => self.stop_command.is_some(),
            Key::ExitCode => self.exit_code.is_some(),
            Key::Entrypoint => self.entrypoint.is_some(),
            Key::Containers => self.containers.is_some(),
        }
    }

    /// The same values, on their own.
    #[must_use]
    pub fn into_owned(self) -> LayerValues<'static> {
        let owned =
            |names: Vec<Cow<'a, str>>| names.into_iter().map(|name| Cow::Owned(name.into_owned())).collect();
        LayerValues {
            drain: self.drain,
            quiet: self.quiet,
            grace_period: self.grace_period,
            shim: self.shim,
            profile: self.profile,
            rewrite: self.rewrite,
            signal_scope: self.signal_scope,
            status_command: self.status_command,
            stop_command: self.stop_command,
            exit_code: self.exit_code,
            entrypoint: self.entrypoint,
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
            mistakes.push(Mistake::ContainerOnNamespace { annotation: short_key(annotation).into() });
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
        return Err(Mistake::UnknownKey { layer, annotation: short_key(annotation).into(), nearest });
    };
    if container.is_some() && !key.definition().per_container {
        return Err(Mistake::NotPerContainer { annotation: short_key(annotation).into(), key });
    }
    annotation::parse(key, value).map(Some).map_err(|why| {
        let annotation: Box<str> = short_key(annotation).into();
        // The way out stands behind the value, and must not be cut off.
        let others = annotation.chars().count() + why.to_string().len() + key.definition().accepts.len();
        let room = MAX_CHARACTERS.saturating_sub(others + Mistake::AROUND_A_VALUE).max(LEAST_OF_A_VALUE);
        Mistake::Value { layer, annotation, key, value: short_value_in(value, room).into(), why }
    })
}
