//! The manner of a document, as its author shows it.

use super::{
    lines::{blank_before, first_dash},
    render::Layout,
};
use crate::manifest::{
    Syntax,
    document::Document,
    node::{Content, Node},
};

/// The manner of a document.
pub(super) fn layout<'t>(text: &'t str, document: &Document) -> Layout<'t> {
    Layout {
        line_break: if text.contains("\r\n") { "\r\n" } else { "\n" },
        step: step(text, &document.root),
        dash: dash(text, &document.root).unwrap_or_default(),
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

/// What the dashes of the first block list are indented by, below its key.
fn dash<'t>(text: &'t str, node: &Node) -> Option<&'t str> {
    match &node.content {
        Content::Mapping { entries, .. } => entries.iter().find_map(|entry| match &entry.value.content {
            Content::Sequence { flow: false, .. } => {
                blank_before(text, first_dash(text, entry)?).get(entry.indent?..)
            }
            _ => dash(text, &entry.value),
        }),
        Content::Sequence { items, .. } => items.iter().find_map(|item| dash(text, item)),
        Content::Scalar(_) | Content::Alias(_) => None,
    }
}
