//! The lines of a text, around the places that its tree knows.

use crate::manifest::node::{Content, Entry, Node, Scalar, Style};

/// Where the line of a place begins.
pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The blanks with which the line of a place begins, as far as that place.
pub(super) fn blank_before(text: &str, offset: usize) -> &str {
    let line = &text[line_start(text, offset)..offset];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but blanks stand before a place in its line.
pub(super) fn begins_line(text: &str, offset: usize) -> bool {
    line_start(text, offset) + blank_before(text, offset).len() == offset
}

/// Where the line of a place ends, before its line break.
pub(super) fn end_of_line(text: &str, offset: usize) -> usize {
    let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
    text[offset..end].strip_suffix('\r').map_or(end, |line| offset + line.len())
}

/// Whether nothing but blanks and a comment stand behind a place in its line.
pub(super) fn ends_line(text: &str, offset: usize) -> bool {
    let rest = text[offset..end_of_line(text, offset)].trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with('#')
}

/// The next place at which something else than blanks, line breaks and comments stands.
pub(super) fn next_token(text: &str, offset: usize) -> usize {
    let mut offset = offset;
    loop {
        let rest = &text[offset..];
        offset += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        if !text[offset..].starts_with('#') {
            return offset;
        }
        offset = end_of_line(text, offset);
    }
}

/// The place behind the colon of a member, if that is where it should be.
pub(super) fn after_colon(text: &str, entry: &Entry) -> Option<usize> {
    let rest = text.get(entry.key.span.end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blank..].starts_with(':').then_some(entry.key.span.end + blank + 1)
}

/// The first dash of the block list that a member holds, where nothing stands before it in its line.
pub(super) fn first_dash(text: &str, entry: &Entry) -> Option<usize> {
    let dash = next_token(text, after_colon(text, entry)?);
    (text[dash..].starts_with('-') && begins_line(text, dash)).then_some(dash)
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
        Content::Sequence { items, .. } => items.last().and_then(last_scalar),
        Content::Mapping { flow: false, entries } => {
            entries.last().and_then(|entry| last_scalar(&entry.value))
        }
        Content::Mapping { .. } | Content::Alias(_) => None,
    }
}
