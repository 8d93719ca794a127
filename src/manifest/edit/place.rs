//! Finds the places in the text at which a patch is carried out.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{
    Change,
    render::{self, Flow, Layout},
    splice::{Splice, apply},
};
use crate::manifest::{
    Syntax,
    document::Document,
    node::{Content, Entry, Node, Scalar, Style},
};

/// The text with the patches carried out; nothing where they are out of reach.
pub(super) fn edit(text: &str, document: &Document, changes: &[Change<'_>]) -> Option<String> {
    let mut editor = Editor { text, layout: layout(text, document), splices: Vec::new() };
    for change in changes {
        for operation in change.operations {
            let pointer = operation.path().as_str().split('/').skip(1);
            let steps = pointer.map(|step| step.replace("~1", "/").replace("~0", "~"));
            let path: Vec<_> = change.path.iter().cloned().chain(steps).collect();
            editor.set(&document.root, &path, operation.value(), 0)?;
        }
    }
    apply(text, editor.splices)
}

/// The manner of a document.
pub(super) fn layout<'t>(text: &'t str, document: &Document) -> Layout<'t> {
    Layout {
        line_break: if text.contains("\r\n") { "\r\n" } else { "\n" },
        step: step(text, &document.root),
        json: document.syntax == Syntax::Json,
    }
}

/// What the first nested level is indented by.
fn step<'t>(text: &'t str, root: &Node) -> &'t str {
    let Content::Mapping { flow, entries } = &root.content else { return "  " };
    let nested = if *flow {
        entries.first().map(|entry| entry.key.span.start)
    } else {
        entries.iter().find_map(|entry| match &entry.value.content {
            Content::Mapping { flow: false, entries } => entries.first().map(|entry| entry.key.span.start),
            _ => None,
        })
    };
    nested
        .map(|offset| blank_before(text, offset))
        .and_then(|blank| blank.strip_prefix(blank_before(text, root.span.start)))
        .filter(|step| !step.is_empty())
        .unwrap_or("  ")
}

/// Where the line of a place begins.
fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The blanks with which the line of a place begins, as far as that place.
fn blank_before(text: &str, offset: usize) -> &str {
    let line = &text[line_start(text, offset)..offset];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but blanks stand before a place in its line.
fn begins_line(text: &str, offset: usize) -> bool {
    line_start(text, offset) + blank_before(text, offset).len() == offset
}

/// Where what a node says ends: before the line break, if a block scalar ends it.
pub(super) fn end_of_content(text: &str, node: &Node) -> usize {
    let end = node.end();
    match last_scalar(node) {
        // The blank lines below a block scalar are part of it only if it says so by `+`, or by what it reads as.
        Some(scalar) if scalar.style == Style::Block => {
            let body = &text[..end];
            if scalar.text.ends_with("\n\n") {
                body.strip_suffix('\n').map_or(end, |body| body.strip_suffix('\r').unwrap_or(body).len())
            } else {
                body.trim_end_matches(['\n', '\r', ' ', '\t']).len()
            }
        }
        _ => end,
    }
}

fn last_scalar(node: &Node) -> Option<&Scalar> {
    match &node.content {
        Content::Scalar(scalar) => Some(scalar),
        Content::Sequence { items } => items.last().and_then(last_scalar),
        Content::Mapping { flow: false, entries } => {
            entries.last().and_then(|entry| last_scalar(&entry.value))
        }
        Content::Mapping { .. } | Content::Alias(_) => None,
    }
}

struct Editor<'t> {
    text: &'t str,
    layout: Layout<'t>,
    splices: Vec<Splice>,
}

impl Editor<'_> {
    /// Makes the value at the end of a path the given one.
    fn set(&mut self, node: &Node, path: &[String], value: &Value, depth: usize) -> Option<()> {
        let (step, rest) = path.split_first()?;
        match &node.content {
            Content::Sequence { items } => {
                self.set(items.get(step.parse::<usize>().ok()?)?, rest, value, depth + 1)
            }
            Content::Mapping { flow, entries } => match node.member(step) {
                None => self.insert(*flow, entries.last()?, (step, &wrap(rest, value)), depth),
                Some(entry) if rest.is_empty() || is_blank(&entry.value) => {
                    self.replace(entry, *flow, &wrap(rest, value), depth)
                }
                Some(entry) => self.set(&entry.value, rest, value, depth + 1),
            },
            Content::Scalar(_) | Content::Alias(_) => None,
        }
    }

    /// Adds a member behind the last one.
    fn insert(&mut self, flow: bool, last: &Entry, (key, value): (&str, &Value), depth: usize) -> Option<()> {
        if flow {
            let end =
                last.value.span.end.max(last.key.span.end).max(after_colon(self.text, last).unwrap_or(0));
            let text = if begins_line(self.text, last.key.span.start) {
                let indent = blank_before(self.text, last.key.span.start);
                let style = self.layout.lines(indent);
                let (key, value) = (render::flow_key(key, &style), render::flow(value, &style));
                format!(",{}{indent}{key}{value}", self.layout.line_break)
            } else {
                let style = self.inline(last);
                let comma = if matches!(style, Flow::Inline { spaced: true, .. }) { ", " } else { "," };
                format!("{comma}{}{}", render::flow_key(key, &style), render::flow(value, &style))
            };
            self.splice(end..end, text, depth);
        } else {
            let indent = " ".repeat(last.indent?);
            let line = self.end_of_line(end_of_content(self.text, &last.value).max(last.key.span.end));
            let member = render::member(key, value, &indent, &self.layout);
            self.splice(line..line, format!("{}{indent}{member}", self.layout.line_break), depth);
        }
        Some(())
    }

    /// Puts a value in the place of another.
    fn replace(&mut self, entry: &Entry, flow: bool, value: &Value, depth: usize) -> Option<()> {
        let old = &entry.value;
        if old.anchor.is_some() || old.tag.is_some() {
            return None;
        }
        match (&old.content, value) {
            (Content::Mapping { entries, .. }, Value::Object(new)) if keeps_all(entries, new) => new
                .iter()
                .try_for_each(|(key, value)| self.set(old, std::slice::from_ref(key), value, depth + 1)),
            (Content::Mapping { flow: false, .. }, Value::Object(_)) => {
                if !begins_line(self.text, old.span.start) {
                    return None;
                }
                let indent = blank_before(self.text, old.span.start);
                let range = old.span.start..end_of_content(self.text, old);
                let block = render::block(value, indent, &self.layout);
                self.splice(range, block, depth);
                Some(())
            }
            _ if flow || (!is_blank(old) && is_flow(old)) => {
                let style = if begins_line(self.text, entry.key.span.start) && self.layout.json {
                    self.layout.lines(blank_before(self.text, entry.key.span.start))
                } else {
                    self.inline(entry)
                };
                self.fill(entry, render::flow(value, &style), depth)
            }
            (_, Value::Object(_)) if is_blank(old) => self.open(entry, value, depth),
            (Content::Scalar(scalar), value) if scalar.style != Style::Block && !value.is_object() => {
                self.fill(entry, render::block(value, "", &self.layout), depth)
            }
            _ => None,
        }
    }

    /// Puts a value on its key's line.
    fn fill(&mut self, entry: &Entry, text: String, depth: usize) -> Option<()> {
        let span = entry.value.span.clone();
        if span.is_empty() {
            let colon = after_colon(self.text, entry)?;
            self.splice(colon..colon, format!(" {text}"), depth);
        } else {
            self.splice(span, text, depth);
        }
        Some(())
    }

    /// Puts an object below a key of a block mapping whose value is null or `{}`.
    fn open(&mut self, entry: &Entry, value: &Value, depth: usize) -> Option<()> {
        let colon = after_colon(self.text, entry)?;
        let span = &entry.value.span;
        if !span.is_empty() {
            // `{}` on a line of its own is not worth the trouble.
            if self.text.get(colon..span.start)?.contains('\n') {
                return None;
            }
            self.splice(colon..span.end, String::new(), depth);
        }
        let indent = " ".repeat(entry.indent?) + self.layout.step;
        let line = self.end_of_line(span.end.max(colon));
        let block = render::block(value, &indent, &self.layout);
        self.splice(line..line, format!("{}{indent}{block}", self.layout.line_break), depth + 1);
        Some(())
    }

    /// One line, spaced as the member that is there. YAML reads `{a:1}` as one long key, so only JSON may be dense.
    fn inline(&self, entry: &Entry) -> Flow<'static> {
        let json = self.layout.json;
        let dense = json
            && after_colon(self.text, entry)
                .is_some_and(|colon| self.text[colon..].starts_with(|next: char| !next.is_whitespace()));
        Flow::Inline { json, spaced: !dense }
    }

    fn end_of_line(&self, offset: usize) -> usize {
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |newline| offset + newline);
        self.text[offset..end].strip_suffix('\r').map_or(end, |line| offset + line.len())
    }

    fn splice(&mut self, range: Range<usize>, text: String, depth: usize) {
        self.splices.push(Splice { range, text, depth });
    }
}

/// The value below the rest of a path that is not there yet.
fn wrap(rest: &[String], value: &Value) -> Value {
    rest.iter().rev().fold(value.clone(), |value, key| {
        let mut object = Map::new();
        object.insert(key.clone(), value);
        Value::Object(object)
    })
}

/// Whether a value is null or an empty mapping, so that nothing is lost with it.
fn is_blank(node: &Node) -> bool {
    let empty = matches!(&node.content, Content::Mapping { entries, .. } if entries.is_empty());
    node.anchor.is_none() && node.tag.is_none() && (empty || node.is_plain_null())
}

/// Whether it is a mapping in flow notation.
const fn is_flow(node: &Node) -> bool {
    matches!(&node.content, Content::Mapping { flow: true, .. })
}

/// Whether the new object has all members of the old mapping.
fn keeps_all(entries: &[Entry], new: &Map<String, Value>) -> bool {
    !entries.is_empty()
        && entries.iter().all(|entry| match &entry.key.content {
            Content::Scalar(scalar) => new.contains_key(&*scalar.text),
            _ => false,
        })
}

/// The place behind the colon of a member, if that is where it should be.
fn after_colon(text: &str, entry: &Entry) -> Option<usize> {
    let rest = text.get(entry.key.span.end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blank..].starts_with(':').then_some(entry.key.span.end + blank + 1)
}
