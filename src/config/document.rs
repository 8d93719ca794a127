//! The shape of the config file.
//!
//! The YAML is read into a small tree that remembers where everything stood, and the tree is then walked by
//! hand: so an unknown key is answered with the nearest known one, and a bad value with its place and with what
//! the annotation of the same name accepts.

use std::{borrow::Cow, fmt};

use fermata_core::{
    annotation::{self, InvalidValue, Key, TABLE, Value},
    settings::{ClusterSettings, ImageConfig, Images, LayerValues, Limits, OnInvalid, is_reference},
    suggest::nearest,
};
use fermata_stop_plan::{ParseSecondsError, Seconds, Signal};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// What is wrong with the document, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub(super) struct DocumentError {
    line: u64,
    column: u64,
    message: String,
}

impl DocumentError {
    fn new(at: Location, message: impl fmt::Display) -> Self {
        // A reader that does not know the place says line 0.
        Self { line: at.line().max(1), column: at.column().max(1), message: message.to_string() }
    }
}

/// Reads the settings.
pub(super) fn parse(text: &str) -> Result<ClusterSettings, DocumentError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let message = message.split(" at line ").next().unwrap_or_default();
        DocumentError::new(error.location().unwrap_or(Location::UNKNOWN), message)
    })?;
    let mut settings = ClusterSettings::default();
    for (key, value) in table(&root, "the file")? {
        match key.value.as_str() {
            "defaults" => settings.defaults = defaults(value)?,
            "limits" => settings.limits = limits(value)?,
            "onInvalid" => settings.on_invalid = on_invalid(value)?,
            "shimImage" => settings.shim_image = Some(image(value, "shimImage")?.to_owned()),
            "images" => settings.images = images(value)?,
            name if Key::named(name).is_some() => {
                let message = format!("there is no setting {name}; it belongs under defaults");
                return Err(DocumentError::new(key.referenced, message));
            }
            _ => {
                return Err(unknown(key, "", &["defaults", "limits", "onInvalid", "shimImage", "images"]));
            }
        }
    }
    Ok(settings)
}

fn defaults(node: &Spanned<Node>) -> Result<LayerValues<'static>, DocumentError> {
    let mut values = LayerValues::default();
    for (name, value) in table(node, "defaults")? {
        let Some(key) = Key::named(&name.value) else {
            return Err(unknown(name, "defaults.", &TABLE.map(|row| row.name)));
        };
        let setting = format!("defaults.{}", name.value);
        if let (Key::StatusCommand | Key::StopCommand | Key::Entrypoint, Node::List(_)) = (key, &value.value)
        {
            // The annotation has the same words as JSON.
            let words = serde_json::Value::from(words(value, &setting)?).to_string();
            let parsed =
                annotation::parse(key, &words).map_err(|why| refused(value, &setting, &words, key, why))?;
            let mut command = LayerValues::default();
            command.set(parsed);
            values.status_command = command.status_command.or(values.status_command);
            values.stop_command = command.stop_command.or(values.stop_command);
            values.entrypoint = command.entrypoint.or(values.entrypoint);
        } else if let (Key::Containers, Node::List(items)) = (key, &value.value) {
            let names =
                items.iter().map(|item| names(item, &setting)).collect::<Result<Vec<_>, _>>()?.concat();
            if names.is_empty() {
                let accepts = key.definition().accepts;
                let message = format!("{setting}: names no container; use {accepts}");
                return Err(DocumentError::new(value.referenced, message));
            }
            values.containers = Some(names);
        } else {
            values.set(read(key, value, &setting)?);
        }
    }
    Ok(values.into_owned())
}

/// The words of a command, as a list.
fn words(node: &Spanned<Node>, setting: &str) -> Result<Vec<String>, DocumentError> {
    let Node::List(items) = &node.value else {
        let message = format!("{setting} must be a list of words, such as [nginx, -g, daemon off;]");
        return Err(DocumentError::new(node.referenced, message));
    };
    items.iter().map(|item| Ok(scalar(item, setting)?.to_owned())).collect()
}

/// A stop signal, by name or number.
fn stop_signal(node: &Spanned<Node>, setting: &str) -> Result<Signal, DocumentError> {
    let text = scalar(node, setting)?;
    let signal: Result<Signal, _> = text.parse();
    let why = match signal {
        Ok(signal) if signal.is_passed_on() => return Ok(signal),
        Ok(_) => "tells no program to end".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("{setting}: {text:?} {why}; use one such as QUIT or SIGUSR1");
    Err(DocumentError::new(node.referenced, message))
}

/// An image's reference: what no runtime could pull would stop every Pod that gets the shim.
fn image<'a>(node: &'a Spanned<Node>, setting: &str) -> Result<&'a str, DocumentError> {
    let text = scalar(node, setting)?;
    if !is_reference(text) {
        let message = format!(
            "{setting}: {text:?} is no image; use a reference such as registry.example.com/fermata-shim:0.1.0, in small letters but for the tag"
        );
        return Err(DocumentError::new(node.referenced, message));
    }
    Ok(text)
}

fn images(node: &Spanned<Node>) -> Result<Images, DocumentError> {
    let mut images = Images::default();
    for (name, value) in table(node, "images")? {
        let setting = format!("images.{}", name.value);
        let mut config = ImageConfig::default();
        for (key, value) in table(value, &setting)? {
            let setting = format!("{setting}.{}", key.value);
            match key.value.as_str() {
                "entrypoint" => config.entrypoint = words(value, &setting)?,
                "cmd" => config.cmd = words(value, &setting)?,
                "stopSignal" => config.stop_signal = Some(stop_signal(value, &setting)?),
                _ => {
                    let known = ["entrypoint", "cmd", "stopSignal"];
                    return Err(unknown(key, &format!("images.{}.", name.value), &known));
                }
            }
        }
        if config == ImageConfig::default() {
            let message = format!(
                "{setting} says nothing; give it an entrypoint or a cmd, as lists of words, or a stopSignal"
            );
            return Err(DocumentError::new(name.referenced, message));
        }
        if !images.insert(&name.value, config) {
            return Err(DocumentError::new(
                name.referenced,
                format!("{setting} is there twice, under another name"),
            ));
        }
    }
    Ok(images)
}

fn names(node: &Spanned<Node>, setting: &str) -> Result<Vec<Cow<'static, str>>, DocumentError> {
    let mut values = LayerValues::default();
    values.set(read(Key::Containers, node, setting)?);
    Ok(values.into_owned().containers.unwrap_or_default())
}

fn limits(node: &Spanned<Node>) -> Result<Limits, DocumentError> {
    let mut limits = Limits::default();
    for (name, value) in table(node, "limits")? {
        let setting = format!("limits.{}", name.value);
        match name.value.as_str() {
            "maxDrain" => limits.max_drain = Some(duration(value, &setting)?),
            "maxGracePeriod" => limits.max_grace_period = Some(duration(value, &setting)?),
            _ => return Err(unknown(name, "limits.", &["maxDrain", "maxGracePeriod"])),
        }
    }
    Ok(limits)
}

fn on_invalid(node: &Spanned<Node>) -> Result<OnInvalid, DocumentError> {
    match scalar(node, "onInvalid")? {
        "warn" => Ok(OnInvalid::Warn),
        "deny" => Ok(OnInvalid::Deny),
        other => {
            Err(DocumentError::new(node.referenced, format!("onInvalid: {other:?} is neither warn nor deny")))
        }
    }
}

/// Reads a value by the grammar of the annotation of the same name.
fn read<'a>(key: Key, node: &'a Spanned<Node>, setting: &str) -> Result<Value<'a>, DocumentError> {
    let text = scalar(node, setting)?;
    annotation::parse(key, text).map_err(|why| refused(node, setting, text, key, why))
}

fn refused(node: &Spanned<Node>, setting: &str, text: &str, key: Key, why: InvalidValue) -> DocumentError {
    let accepts = key.definition().accepts;
    DocumentError::new(node.referenced, format!("{setting}: {text:?} {why}; use {accepts}"))
}

/// A ceiling.
fn duration(node: &Spanned<Node>, setting: &str) -> Result<Seconds, DocumentError> {
    let text = scalar(node, setting)?;
    text.parse().map_err(|why: ParseSecondsError| {
        let message = format!("{setting}: {text:?} {why}; use a duration such as 15s, 1m30s or 90");
        DocumentError::new(node.referenced, message)
    })
}

fn table<'a>(node: &'a Spanned<Node>, what: &str) -> Result<&'a [Entry], DocumentError> {
    match &node.value {
        Node::Table(entries) => {
            for (index, (key, _)) in entries.iter().enumerate() {
                if entries[..index].iter().any(|(earlier, _)| earlier.value == key.value) {
                    return Err(DocumentError::new(key.referenced, format!("{} is there twice", key.value)));
                }
            }
            Ok(entries)
        }
        _ => Err(DocumentError::new(
            node.referenced,
            format!("{what} must hold settings, each as `name: value`; write {{}} for none"),
        )),
    }
}

fn scalar<'a>(node: &'a Spanned<Node>, setting: &str) -> Result<&'a str, DocumentError> {
    match &node.value {
        Node::Scalar(text) => Ok(text),
        Node::Nothing => Err(DocumentError::new(
            node.referenced,
            format!("{setting} has no value; leave it out, or give it one"),
        )),
        Node::List(_) | Node::Table(_) => {
            Err(DocumentError::new(node.referenced, format!("{setting} must be one value")))
        }
    }
}

fn unknown(key: &Spanned<String>, parent: &str, known: &[&'static str]) -> DocumentError {
    let name = &key.value;
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("known are {}", known.join(", ")),
    };
    DocumentError::new(key.referenced, format!("there is no setting {parent}{name}; {help}"))
}

type Entry = (Spanned<String>, Spanned<Node>);

/// A piece of YAML.
enum Node {
    Nothing,
    Scalar(String),
    List(Vec<Spanned<Node>>),
    Table(Vec<Entry>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings, each as `name: value`")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // With its point, so that `1e3` is refused as the annotation refuses it.
        Ok(Node::Scalar(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Table(entries))
    }
}
