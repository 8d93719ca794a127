//! Changes lists: adds elements before the first or behind the last, and changes the words of a command.

use serde_json::Value;

use super::{
    lines::{after_colon, begins_line, blank_before, end_of_content, end_of_line, ends_line, first_dash},
    place::Editor,
    render::{self, Flow},
};
use crate::manifest::{
    node::{Content, Entry, Node, Style},
    scalar,
};

/// How the elements of a list are written.
#[derive(Clone, Copy, Debug)]
enum Manner<'t> {
    /// Each on a line behind a dash: the indent of the dashes, and the blank behind each.
    Dashes { indent: &'t str, gap: &'t str },
    /// In brackets, each on a line of its own, with that indent.
    Lines { indent: &'t str },
    /// In brackets on one line, with that between them.
    Line { comma: &'static str },
}

impl<'t> Editor<'t> {
    /// Adds an element to the list that a member holds.
    pub(super) fn add_item(&mut self, entry: &Entry, place: &str, value: &Value, depth: usize) -> Option<()> {
        match place {
            "0" => self.prepend(entry, std::slice::from_ref(value), depth),
            "-" => self.append(entry, value, depth),
            _ => None,
        }
    }

    /// Makes the list that a member holds say other words. The words at its end that stay are not touched, and neither
    /// are the comments between them.
    pub(super) fn change_items(&mut self, entry: &Entry, new: &[Value], depth: usize) -> Option<()> {
        let Content::Sequence { items, .. } = &entry.value.content else { return None };
        let same = items.iter().rev().zip(new.iter().rev()).take_while(|(item, new)| says(item, new)).count();
        let old = items.get(..items.len() - same)?;
        let new = new.get(..new.len() - same)?;
        let manner = self.manner(entry)?;
        let Some(last) = old.last() else { return self.prepend(entry, new, depth) };
        if new.len() < old.len() {
            // What is left over goes, and its comments go with it.
            let (kept, last) = (old.get(new.len().checked_sub(1)?)?.end(), end_of_content(self.text, last));
            let range = match manner {
                Manner::Dashes { .. } => end_of_line(self.text, kept)..end_of_line(self.text, last),
                Manner::Lines { .. } | Manner::Line { .. } => kept..last,
            };
            self.splice(range, String::new(), depth);
        }
        // Each word in the place of another, so that the comments around them stay; the rest behind the last.
        for (index, item) in old.iter().take(new.len()).enumerate() {
            let is_word = matches!(&item.content, Content::Scalar(scalar) if scalar.style != Style::Block);
            if !is_word || item.anchor.is_some() || item.tag.is_some() {
                return None;
            }
            let style = self.style_of_items(entry, manner);
            self.splice(item.span.clone(), self.item(new.get(index)?, manner, &style), depth);
            if index + 1 == old.len() {
                self.insert_behind(item.span.end, new.get(index + 1..)?, entry, manner, depth);
            }
        }
        Some(())
    }

    /// Adds elements before the first, and before the comments above it.
    fn prepend(&mut self, entry: &Entry, new: &[Value], depth: usize) -> Option<()> {
        let manner = self.manner(entry)?;
        let line_break = self.layout.line_break;
        let open = entry.value.span.start + 1;
        let (place, before, between) = match manner {
            Manner::Dashes { indent, gap } => {
                let line = end_of_line(self.text, after_colon(self.text, entry)?);
                (line, format!("{line_break}{indent}-{gap}"), "")
            }
            Manner::Lines { indent } => (end_of_line(self.text, open), format!("{line_break}{indent}"), ","),
            Manner::Line { comma } => {
                let rest = self.text.get(open..)?;
                let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                (open + blank, String::new(), comma)
            }
        };
        let text = self.items(new, entry, manner, (&before, between));
        self.splice(place..place, text, depth);
        Some(())
    }

    /// Adds an element behind the last.
    fn append(&mut self, entry: &Entry, value: &Value, depth: usize) -> Option<()> {
        let Content::Sequence { items, .. } = &entry.value.content else { return None };
        let manner = self.manner(entry)?;
        let last = items.last()?;
        let end = match manner {
            Manner::Dashes { .. } => end_of_content(self.text, &entry.value),
            Manner::Lines { .. } | Manner::Line { .. } => last.end(),
        };
        if let Manner::Lines { indent } = manner {
            let text = self.item(value, manner, &self.style_of_items(entry, manner));
            self.behind(end, &text, indent, depth);
        } else {
            self.insert_behind(end, std::slice::from_ref(value), entry, manner, depth);
        }
        Some(())
    }

    /// Adds elements behind one of which this is the end.
    fn insert_behind(&mut self, end: usize, new: &[Value], entry: &Entry, manner: Manner<'_>, depth: usize) {
        let line_break = self.layout.line_break;
        let (place, before) = match manner {
            Manner::Dashes { indent, gap } => {
                (end_of_line(self.text, end), format!("{line_break}{indent}-{gap}"))
            }
            Manner::Lines { indent } => (end, format!(",{line_break}{indent}")),
            Manner::Line { comma } => (end, comma.to_owned()),
        };
        let text = self.items(new, entry, manner, (&before, ""));
        self.splice(place..place, text, depth);
    }

    /// Elements, each with the same before and behind it.
    fn items(
        &self,
        values: &[Value],
        entry: &Entry,
        manner: Manner<'_>,
        (before, behind): (&str, &str),
    ) -> String {
        let style = self.style_of_items(entry, manner);
        let mut out = String::new();
        for value in values {
            out.push_str(before);
            out.push_str(&self.item(value, manner, &style));
            out.push_str(behind);
        }
        out
    }

    /// How the elements of a list that is not empty are written.
    fn manner(&self, entry: &Entry) -> Option<Manner<'t>> {
        let Content::Sequence { flow, items } = &entry.value.content else { return None };
        let first = items.first()?;
        if !flow {
            let dash = first_dash(self.text, entry)?;
            let gap = self.text.get(dash + 1..first.span.start).unwrap_or_default();
            let is_gap = !gap.is_empty() && gap.bytes().all(|byte| byte == b' ');
            return Some(Manner::Dashes {
                indent: blank_before(self.text, dash),
                gap: if is_gap { gap } else { " " },
            });
        }
        if ends_line(self.text, entry.value.span.start + 1) && begins_line(self.text, first.span.start) {
            return Some(Manner::Lines { indent: blank_before(self.text, first.span.start) });
        }
        let comma = match items.as_slice() {
            [first, second, ..] => self.text.get(first.end()..second.span.start) != Some(","),
            _ => matches!(self.inline(entry), Flow::Inline { spaced: true, .. }),
        };
        Some(Manner::Line { comma: if comma { ", " } else { "," } })
    }

    /// How an element in brackets is laid out: on one line, as the last one is, or on several.
    fn style_of_items<'m>(&self, entry: &Entry, manner: Manner<'m>) -> Flow<'m>
    where
        't: 'm,
    {
        let Content::Sequence { items, .. } = &entry.value.content else { return self.inline(entry) };
        let text = |item: &Node| self.text.get(item.span.clone()).unwrap_or_default();
        match manner {
            Manner::Lines { indent } if items.last().is_some_and(|item| text(item).contains('\n')) => {
                self.layout.lines(indent)
            }
            // Who quotes all words as JSON does wants to see them so.
            Manner::Lines { .. } if items.iter().all(|item| text(item).starts_with('"')) => {
                Flow::Inline { json: true, spaced: true }
            }
            Manner::Line { .. } if items.iter().all(|item| text(item).starts_with('"')) => {
                match self.inline(entry) {
                    Flow::Inline { spaced, .. } => Flow::Inline { json: true, spaced },
                    style @ Flow::Lines { .. } => style,
                }
            }
            _ => self.inline(entry),
        }
    }

    /// An element, without dash and commas.
    fn item(&self, value: &Value, manner: Manner<'_>, style: &Flow<'_>) -> String {
        match manner {
            Manner::Dashes { indent, gap } => render::item(value, indent, gap, &self.layout),
            Manner::Lines { .. } | Manner::Line { .. } => render::flow(value, style),
        }
    }
}

/// Whether an element is that word.
fn says(item: &Node, word: &Value) -> bool {
    match &item.content {
        Content::Scalar(found) if item.tag.is_none() => {
            let is_text = found.style != Style::Plain || scalar::is_text(&found.text);
            is_text && word.as_str() == Some(&*found.text)
        }
        _ => false,
    }
}
