//! From a tree to the value that `kubectl` would send.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Fault, Place,
    node::{Content, Entry, Node, Scalar, Style},
    scalar,
};

/// How many values the aliases of one document may copy. A bomb of nested aliases copies billions; no API object
/// that fits into etcd comes near.
const COPIES: usize = 500_000;

/// Reads a document's tree.
pub(crate) fn read(text: &str, root: &Node) -> Result<Value, Fault> {
    Reader { text, anchors: HashMap::new(), copies: 0 }.value(root)
}

struct Reader<'t> {
    text: &'t str,
    anchors: HashMap<usize, Value>,
    copies: usize,
}

impl Reader<'_> {
    fn value(&mut self, node: &Node) -> Result<Value, Fault> {
        let value = match &node.content {
            Content::Scalar(scalar) => self.scalar(node, scalar)?,
            Content::Sequence { items, .. } => {
                Value::Array(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Content::Mapping { entries, .. } => Value::Object(self.object(entries)?),
            Content::Alias(anchor) => self.alias(node, *anchor)?,
        };
        if let Some(anchor) = node.anchor {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, node: &Node, anchor: usize) -> Result<Value, Fault> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(self.fault(node, "this alias stands inside of what it names"));
        };
        self.copies += size(value);
        if self.copies > COPIES {
            return Err(self.fault(node, "the aliases of this document expand to more than any object holds"));
        }
        Ok(value.clone())
    }

    fn object(&mut self, entries: &[Entry]) -> Result<Map<String, Value>, Fault> {
        let mut object = Map::with_capacity(entries.len());
        let mut merged = Map::new();
        let mut lines = HashMap::with_capacity(entries.len());
        for entry in entries {
            if is_merge(&entry.key) {
                self.merge(&entry.value, &mut merged)?;
                continue;
            }
            let key = self.key(&entry.key)?;
            if let Some(first) = lines.insert(key.clone(), entry.key.span.start) {
                let first = Place::of(self.text, first).line;
                let message = format!("the key {key:?} stands here for the second time, after line {first}");
                return Err(self.fault(&entry.key, message));
            }
            let value = self.value(&entry.value)?;
            object.insert(key, value);
        }
        for (key, value) in merged {
            object.entry(key).or_insert(value);
        }
        Ok(object)
    }

    /// What `<<` brings in; what came in first counts.
    fn merge(&mut self, node: &Node, merged: &mut Map<String, Value>) -> Result<(), Fault> {
        match self.value(node)? {
            Value::Object(object) => {
                for (key, value) in object {
                    merged.entry(key).or_insert(value);
                }
            }
            Value::Array(objects) => {
                for object in objects {
                    let Value::Object(object) = object else {
                        return Err(self.fault(node, "expected mappings to merge"));
                    };
                    for (key, value) in object {
                        merged.entry(key).or_insert(value);
                    }
                }
            }
            _ => return Err(self.fault(node, "expected a mapping to merge")),
        }
        Ok(())
    }

    fn key(&mut self, node: &Node) -> Result<String, Fault> {
        match self.value(node)? {
            Value::String(key) => Ok(key),
            Value::Bool(key) => Ok(key.to_string()),
            Value::Number(key) => Ok(key.to_string()),
            Value::Null => Err(self.fault(node, "expected a key, found null")),
            Value::Array(_) | Value::Object(_) => {
                Err(self.fault(node, "expected text as a key, found a collection"))
            }
        }
    }

    fn scalar(&self, node: &Node, scalar: &Scalar) -> Result<Value, Fault> {
        let text = &*scalar.text;
        let value = match node.tag.as_deref().map(|tag| tag.strip_prefix("tag:yaml.org,2002:")) {
            None if scalar.style == Style::Plain => scalar::plain(text),
            Some(Some("int" | "float" | "bool" | "null")) => scalar::plain(text),
            Some(Some("binary")) => {
                return Err(self.fault(node, "!!binary is not read here; write the text itself"));
            }
            None | Some(_) => Some(text.into()),
        };
        value.ok_or_else(|| self.fault(node, format!("{text} is a number that JSON cannot hold")))
    }

    fn fault(&self, node: &Node, message: impl Into<String>) -> Fault {
        Fault::new(Place::of(self.text, node.span.start), message)
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.content, Content::Scalar(scalar) if scalar.style == Style::Plain && &*scalar.text == "<<")
}

/// How many values a value consists of.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;
    use crate::manifest::node;

    fn value(text: &str) -> Result<Value, String> {
        let roots = node::parse(text).map_err(|fault| fault.to_string())?;
        read(text, &roots[0]).map_err(|fault| fault.to_string())
    }

    #[test]
    fn anchors_and_merges_are_resolved() {
        let text = "base: &b {a: 1, c: 2}\nw:\n  <<: *b\n  a: 3\nx: *b\nz:\n  <<: [{a: 7}, *b]\n";
        let expected = json!({ "base": { "a": 1, "c": 2 }, "w": { "a": 3, "c": 2 }, "x": { "a": 1, "c": 2 }, "z": { "a": 7, "c": 2 } });
        assert_eq!(value(text), Ok(expected));
    }

    #[test]
    fn quotes_and_tags_make_text() {
        assert_eq!(
            value("[yes, 'yes', \"10\", !!str 10, !!int '10']"),
            Ok(json!([true, "yes", "10", "10", 10]))
        );
        assert_eq!(value("on: 1\n2: x\n"), Ok(json!({ "true": 1, "2": "x" })));
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, fault) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: the key \"a\" stands here for the second time, after line 1"),
            ("a: &x [*x]\n", "1:8: this alias stands inside of what it names"),
            ("a: .inf\n", "1:4: .inf is a number that JSON cannot hold"),
            ("? [a]\n: b\n", "1:3: expected text as a key, found a collection"),
            ("<<: 3\n", "1:5: expected a mapping to merge"),
        ] {
            assert_eq!(value(text), Err(fault.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_does_not_go_off() {
        let line = |level: usize| {
            let item = level.checked_sub(1).map_or("x".to_owned(), |below| format!("*a{below}"));
            format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "))
        };
        let text: String = (0..30).map(line).collect();
        assert!(value(&text).unwrap_err().contains("expand to more than any object holds"));
    }
}
