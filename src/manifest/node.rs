//! A document as a tree that knows where in the text everything stands.

use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StructureStyle, Tag};

use super::{Fault, Place};

/// How deep a document may nest. A Pod needs about a dozen levels, and everything that walks a tree may recurse.
const DEEPEST: usize = 200;

/// A value in a text.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it stands, without tag and anchor. Unit: bytes.
    pub(crate) span: Range<usize>,
    pub(crate) anchor: Option<usize>,
    pub(crate) tag: Option<Box<str>>,
    pub(crate) content: Content,
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Content {
    Scalar(Scalar),
    Sequence {
        flow: bool,
        items: Vec<Node>,
    },
    Mapping {
        flow: bool,
        entries: Vec<Entry>,
    },
    /// The node with that anchor.
    Alias(usize),
}

/// A scalar as the parser read it.
#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    pub(crate) style: Style,
}

/// The notation of a scalar, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
    /// `|` or `>`: its span begins with its first line and includes the line breaks after its last.
    Block,
}

/// A member of a mapping.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    /// The column at which a block mapping's keys stand. Unit: characters, from 0.
    pub(crate) indent: Option<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// Whether nothing is written, a null, or an empty collection, so that nothing is lost with it.
    pub(crate) fn is_blank(&self) -> bool {
        let is_empty = match &self.content {
            Content::Mapping { entries, .. } => entries.is_empty(),
            Content::Sequence { items, .. } => items.is_empty(),
            Content::Scalar(scalar) => scalar.is_null(),
            Content::Alias(_) => false,
        };
        is_empty && self.anchor.is_none() && self.tag.is_none()
    }

    /// The member of that name, if this is a mapping that names it itself.
    pub(crate) fn member(&self, name: &str) -> Option<&Entry> {
        let Content::Mapping { entries, .. } = &self.content else { return None };
        entries.iter().find(|entry| entry.key.is_key(name))
    }

    /// The node at the end of that path.
    pub(crate) fn find<'t>(&self, path: impl IntoIterator<Item = &'t str>) -> Option<&Self> {
        path.into_iter().try_fold(self, Self::child)
    }

    /// The node at the end of that path, or the last one on the way to it.
    pub(crate) fn nearest<'t>(&self, path: impl IntoIterator<Item = &'t str>) -> &Self {
        let mut node = self;
        for step in path {
            let Some(next) = node.child(step) else { break };
            node = next;
        }
        node
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping { .. } => self.member(step).map(|entry| &entry.value),
            Content::Sequence { items, .. } => step.parse().ok().and_then(|index: usize| items.get(index)),
            Content::Scalar(_) | Content::Alias(_) => None,
        }
    }

    /// Whether this is the key of that name. Keys that are not written as strings are not looked for.
    fn is_key(&self, name: &str) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if &*scalar.text == name)
    }

    /// The last byte of the last thing that is written in it, plus one.
    pub(crate) fn end(&self) -> usize {
        match &self.content {
            Content::Mapping { flow: false, entries } => entries.last().map_or(self.span.end, Entry::end),
            Content::Sequence { items, .. } if !items.is_empty() => {
                items.last().map_or(self.span.end, Self::end).max(self.span.end)
            }
            _ => self.span.end,
        }
    }
}

impl Entry {
    /// The last byte of the last thing that is written in it, plus one.
    pub(crate) fn end(&self) -> usize {
        self.value.end().max(self.key.span.end)
    }
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads all documents of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { text, roots: Vec::new(), open: Vec::new() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let place = Place { line: error.marker().line(), column: error.marker().col() + 1 };
            match error.kind() {
                ErrorKind::RecursionLimitExceeded => too_deep(place),
                _ => Fault::new(place, error.info()),
            }
        })?;
        let bytes = span.byte_range().unwrap_or_default();
        builder.take(event, bytes, span.indent)?;
    }
    Ok(builder.roots)
}

fn too_deep(place: Place) -> Fault {
    Fault::new(place, format!("nested deeper than {DEEPEST} levels"))
}

struct Builder<'t> {
    text: &'t str,
    roots: Vec<Node>,
    open: Vec<Open>,
}

/// A collection whose end has not come yet.
struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<(Node, Option<usize>)>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Range<usize>, indent: Option<usize>) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                // The parser writes `~` where nothing is written.
                let text = if span.is_empty() && style == Style::Plain { "".into() } else { text.into() };
                let content = Content::Scalar(Scalar { text, style });
                self.add(node(span, anchor, tag.as_deref(), content), indent);
            }
            Event::Alias(anchor) => self.add(node(span, 0, None, Content::Alias(anchor)), indent),
            Event::SequenceStart(style, anchor, tag) => {
                let content = Content::Sequence { flow: style == StructureStyle::Flow, items: Vec::new() };
                self.open(node(span, anchor, tag.as_deref(), content))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Content::Mapping { flow: style == StructureStyle::Flow, entries: Vec::new() };
                self.open(node(span, anchor, tag.as_deref(), content))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, node: Node) -> Result<(), Fault> {
        if self.open.len() == DEEPEST {
            return Err(too_deep(Place::of(self.text, node.span.start)));
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn close(&mut self, span: Range<usize>) {
        let Some(Open { mut node, .. }) = self.open.pop() else { return };
        // The end of a flow collection is its bracket; that of a block collection is wherever the next thing
        // begins, which says nothing about it.
        if !span.is_empty() {
            node.span.end = span.end;
        }
        let end = node.end();
        node.span.end = node.span.end.max(end);
        self.add(node, None);
    }

    fn add(&mut self, node: Node, indent: Option<usize>) {
        let Some(Open { node: parent, key }) = self.open.last_mut() else {
            self.roots.push(node);
            return;
        };
        match &mut parent.content {
            Content::Sequence { items, .. } => items.push(node),
            Content::Mapping { entries, .. } => match key.take() {
                None => *key = Some((node, indent)),
                Some((key, indent)) => entries.push(Entry { key, indent, value: node }),
            },
            Content::Scalar(_) | Content::Alias(_) => {}
        }
    }
}

fn node(span: Range<usize>, anchor: usize, tag: Option<&Tag>, content: Content) -> Node {
    let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()).into());
    Node { span, anchor: (anchor != 0).then_some(anchor), tag, content }
}
