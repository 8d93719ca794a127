//! Finds the places in the text at which a patch is carried out.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{
    Change,
    layout::layout,
    lines::{after_colon, begins_line, blank_before, end_of_content, end_of_line, ends_line, next_token},
    render::{self, Flow, Layout},
    splice::{Splice, apply},
    values::{values, wrap},
};
use crate::manifest::{
    document::Document,
    node::{Content, Entry, Node, Style},
};

/// The text with the patches carried out; nothing where they are out of reach.
pub(super) fn edit(text: &str, document: &Document, changes: &[Change<'_>]) -> Option<String> {
    let layout = layout(text, document);
    let mut editor = Editor { text, layout, splices: Vec::new(), commas: Vec::new() };
    for change in changes {
        for (path, value) in values(&document.root, change)? {
            editor.set(&document.root, &path, &value, 0)?;
        }
    }
    apply(text, editor.splices)
}

/// A text that is being edited.
pub(super) struct Editor<'t> {
    pub(super) text: &'t str,
    pub(super) layout: Layout<'t>,
    splices: Vec<Splice>,
    /// The ends of flow collections that have got a comma already, for what is written behind them.
    commas: Vec<usize>,
}

impl Editor<'_> {
    /// Makes the value at the end of a path the given one.
    fn set(&mut self, node: &Node, path: &[String], value: &Value, depth: usize) -> Option<()> {
        let (step, rest) = path.split_first()?;
        match &node.content {
            Content::Sequence { items, .. } => {
                self.set(items.get(step.parse::<usize>().ok()?)?, rest, value, depth + 1)
            }
            Content::Mapping { flow, entries } => match node.member(step) {
                None => self.insert(*flow, entries.last()?, (step, &wrap(rest, value)), depth),
                Some(entry) => match (&entry.value.content, rest) {
                    (_, []) => self.replace(entry, *flow, value, depth),
                    // A path that ends in a list adds to it.
                    (Content::Sequence { .. }, [_]) if entry.value.is_blank() => {
                        self.replace(entry, *flow, &Value::Array(vec![value.clone()]), depth)
                    }
                    (Content::Sequence { .. }, [place]) => self.add_item(entry, place, value, depth + 1),
                    _ => self.set(&entry.value, rest, value, depth + 1),
                },
            },
            Content::Scalar(_) | Content::Alias(_) => None,
        }
    }

    /// Adds a member behind the last one.
    fn insert(&mut self, flow: bool, last: &Entry, (key, value): (&str, &Value), depth: usize) -> Option<()> {
        if flow {
            let end =
                last.value.span.end.max(last.key.span.end).max(after_colon(self.text, last).unwrap_or(0));
            if begins_line(self.text, last.key.span.start) {
                let indent = blank_before(self.text, last.key.span.start);
                let style = self.layout.lines(indent);
                let member = render::flow_key(key, &style) + &render::flow(value, &style);
                self.behind(end, &member, indent, depth);
            } else {
                let style = self.inline(last);
                let comma = if matches!(style, Flow::Inline { spaced: true, .. }) { ", " } else { "," };
                let member = render::flow_key(key, &style) + &render::flow(value, &style);
                self.splice(end..end, format!("{comma}{member}"), depth);
            }
        } else {
            let indent = " ".repeat(last.indent?);
            let line = end_of_line(self.text, end_of_content(self.text, &last.value).max(last.key.span.end));
            let member = render::member(key, value, &indent, &self.layout);
            self.splice(line..line, format!("{}{indent}{member}", self.layout.line_break), depth);
        }
        Some(())
    }

    /// Adds a line to a flow collection, behind what ends there: below the comment that stands behind that.
    pub(super) fn behind(&mut self, end: usize, line: &str, indent: &str, depth: usize) {
        let comma = next_token(self.text, end);
        let is_closed = self.text[comma..].starts_with(',');
        let last = if is_closed { comma + 1 } else { end };
        let line = format!("{}{indent}{line}", self.layout.line_break);
        if !ends_line(self.text, last) {
            self.splice(end..end, format!(",{line}"), depth);
            return;
        }
        let below = end_of_line(self.text, last);
        if is_closed {
            self.splice(below..below, line + ",", depth);
        } else if self.commas.contains(&end) {
            self.splice(below..below, format!(",{line}"), depth);
        } else {
            self.commas.push(end);
            self.splice(end..end, ",".to_owned(), depth);
            self.splice(below..below, line, depth);
        }
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
            (Content::Sequence { items, .. }, Value::Array(new)) if !items.is_empty() && !new.is_empty() => {
                self.change_items(entry, new, depth + 1)
            }
            _ if flow || (!old.is_blank() && is_flow(old)) => {
                let style = if begins_line(self.text, entry.key.span.start) && self.layout.json {
                    self.layout.lines(blank_before(self.text, entry.key.span.start))
                } else {
                    self.inline(entry)
                };
                self.fill(entry, render::flow(value, &style), depth)
            }
            (_, Value::Object(_) | Value::Array(_)) if old.is_blank() => self.open(entry, value, depth),
            (Content::Scalar(scalar), value)
                if scalar.style != Style::Block && !value.is_object() && !value.is_array() =>
            {
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

    /// Puts a collection below a key of a block mapping whose value is null or empty.
    fn open(&mut self, entry: &Entry, value: &Value, depth: usize) -> Option<()> {
        let colon = after_colon(self.text, entry)?;
        let span = &entry.value.span;
        if !span.is_empty() {
            // Brackets on lines of their own are not worth the trouble.
            if self.text.get(colon..span.end)?.contains('\n') {
                return None;
            }
            self.splice(colon..span.end, String::new(), depth);
        }
        let deeper = if value.is_array() { self.layout.dash } else { self.layout.step };
        let indent = " ".repeat(entry.indent?) + deeper;
        let line = end_of_line(self.text, span.end.max(colon));
        let block = render::block(value, &indent, &self.layout);
        self.splice(line..line, format!("{}{indent}{block}", self.layout.line_break), depth + 1);
        Some(())
    }

    /// One line, spaced as the member that is there. YAML reads `{a:1}` as one long key, so only JSON may be dense.
    pub(super) fn inline(&self, entry: &Entry) -> Flow<'static> {
        let json = self.layout.json;
        let dense = json
            && after_colon(self.text, entry)
                .is_some_and(|colon| self.text[colon..].starts_with(|next: char| !next.is_whitespace()));
        Flow::Inline { json, spaced: !dense }
    }

    pub(super) fn splice(&mut self, range: Range<usize>, text: String, depth: usize) {
        self.splices.push(Splice { range, text, depth });
    }
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
