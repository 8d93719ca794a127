//! What a patch puts where, for a text.

use serde_json::{Map, Value};

use super::Change;
use crate::manifest::node::{Content, Node};

/// What is put where. What one operation puts into the value of another, or beside it into a mapping that is empty as
/// yet, is put there with it: the text does not know of the one when the other is written.
pub(super) fn values(root: &Node, change: &Change<'_>) -> Option<Vec<(Vec<String>, Value)>> {
    let mut values: Vec<(Vec<String>, Value)> = Vec::new();
    for operation in change.operations {
        let pointer = operation.path().as_str().split('/').skip(1);
        let steps = pointer.map(|step| step.replace("~1", "/").replace("~0", "~"));
        let mut path: Vec<_> = change.path.iter().cloned().chain(steps).collect();
        let mut value = serde_json::to_value(operation.value()).ok()?;
        let is_empty = |depth: &usize| {
            let node = root.find(path.iter().take(*depth).map(String::as_str));
            node.is_some_and(|node| node.is_blank() && !matches!(node.content, Content::Sequence { .. }))
        };
        if let Some(depth) = (0..path.len()).find(is_empty) {
            value = wrap(&path.split_off(depth), &value);
        }
        let outer = values.iter_mut().find_map(|(outer, into)| Some((into, path.strip_prefix(&**outer)?)));
        // What goes behind the last element of a list is put there once each time.
        match outer.filter(|_| path.last().is_some_and(|step| step != "-")) {
            Some((into, rest)) => merge(into, wrap(rest, &value)),
            None => values.push((path, value)),
        }
    }
    Some(values)
}

/// Puts the members of one object into another.
fn merge(into: &mut Value, value: Value) {
    match (into, value) {
        (Value::Object(into), Value::Object(members)) => {
            for (key, value) in members {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}

/// The value below the rest of a path that is not there yet.
pub(super) fn wrap(rest: &[String], value: &Value) -> Value {
    rest.iter().rev().fold(value.clone(), |value, key| {
        let mut object = Map::new();
        object.insert(key.clone(), value);
        Value::Object(object)
    })
}
