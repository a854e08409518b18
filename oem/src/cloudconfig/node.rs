//! YAML as a tree that remembers where everything stood. Built from the
//! parser's events, so that raw scalar text (`0644`), key positions and what
//! follows a wrong item stay available.

use super::diag::{Diagnostic, Spot};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};
use std::collections::HashMap;
use std::rc::Rc;

/// Deepest nesting accepted; the language needs 6.
const MAX_DEPTH: usize = 64;
/// Most values accepted after aliases are expanded: some 130 bytes each.
pub(crate) const MAX_NODES: usize = 64_000;
/// Most bytes of text accepted after aliases are expanded.
const MAX_BYTES: usize = crate::userdata::unpack::MAX as usize;

/// How much may yet be read, over several texts: aliases make much of little.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    most: usize,
    nodes: usize,
    bytes: usize,
}

impl Default for Count {
    fn default() -> Self {
        Count::of(MAX_NODES)
    }
}

impl Count {
    /// So many values, and their text.
    pub fn of(nodes: usize) -> Count {
        Count {
            most: nodes,
            nodes,
            bytes: MAX_BYTES,
        }
    }
    /// Whether nothing is left.
    pub(super) fn is_used_up(&self) -> bool {
        self.nodes == 0 || self.bytes == 0
    }
    /// Takes some of it; whether there was as much.
    fn take(&mut self, nodes: usize, bytes: usize) -> bool {
        let fits = nodes <= self.nodes && bytes <= self.bytes;
        self.nodes = self.nodes.saturating_sub(nodes);
        self.bytes = self.bytes.saturating_sub(bytes);
        fits
    }
}

/// One YAML value.
#[derive(Debug)]
pub struct Node {
    /// Where it starts.
    pub spot: Spot,
    /// What it is.
    pub kind: Kind,
    nodes: usize,
    bytes: usize,
}

/// What a [`Node`] is.
#[derive(Debug)]
pub enum Kind {
    /// Text; `plain` when not quoted, `binary` when tagged `!!binary`.
    Scalar {
        /// Text after YAML's escapes.
        text: String,
        /// Neither quoted nor a block.
        plain: bool,
        /// Tagged `!!binary`.
        binary: bool,
    },
    /// A list.
    Seq(Vec<Rc<Node>>),
    /// A mapping in the order written.
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// A value that was not read from YAML.
    pub fn new(spot: Spot, kind: Kind) -> Node {
        let sum = |of: fn(&Node) -> usize| match &kind {
            Kind::Scalar { .. } => 0,
            Kind::Seq(items) => items.iter().fold(0, |n: usize, i| n.saturating_add(of(i))),
            Kind::Map(entries) => entries.iter().fold(0, |n: usize, (k, v)| {
                n.saturating_add(of(k)).saturating_add(of(v))
            }),
        };
        let text = match &kind {
            Kind::Scalar { text, .. } => text.len(),
            _ => 0,
        };
        let (nodes, bytes) = (sum(|n| n.nodes).saturating_add(1), sum(|n| n.bytes));
        Node {
            spot,
            nodes,
            bytes: bytes.saturating_add(text),
            kind,
        }
    }
    /// Bytes of text in it, those that aliases stand for each time.
    pub fn text_size(&self) -> usize {
        self.bytes
    }
    /// `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true, .. }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
    /// The kind in words, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            _ if self.is_null() => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

enum Open {
    Seq {
        spot: Spot,
        anchor: usize,
        items: Vec<Rc<Node>>,
    },
    Map {
        spot: Spot,
        anchor: usize,
        entries: Vec<(Rc<Node>, Rc<Node>)>,
        key: Option<Rc<Node>>,
    },
}

struct Builder<'c> {
    stack: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    left: &'c mut Count,
}

/// Parses the first document of `text`. `Ok(None)` is an empty document.
/// Warnings go to `notes`. Linear in the length of `text`; what aliases expand
/// to is counted before anyone walks it.
pub fn parse(text: &str, notes: &mut Vec<Diagnostic>) -> Result<Option<Rc<Node>>, Diagnostic> {
    parse_below(text, 0, notes, &mut Count::default())
}

/// Parses a piece of a text that has `above` lines above it.
pub(crate) fn parse_below(
    text: &str,
    above: u32,
    notes: &mut Vec<Diagnostic>,
    left: &mut Count,
) -> Result<Option<Rc<Node>>, Diagnostic> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut b = Builder {
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        left,
    };
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| {
            let line = above.saturating_add(clamp(e.marker().line()));
            let spot = Spot {
                line,
                column: clamp(e.marker().col() + 1),
            };
            let what = e.info();
            Diagnostic::error(spot, "", format!("not valid YAML: {what}")).hint(remedy(&what))
        })?;
        let spot = spot_of(&span, above);
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    notes.push(Diagnostic::warning(
                        spot,
                        "",
                        "a second YAML document starts here; only the first is read".to_owned(),
                    ));
                    break;
                }
            }
            Event::StreamEnd => break,
            Event::Scalar(value, style, anchor, tag) => {
                let binary = tag.as_deref().is_some_and(is_binary);
                let kind = Kind::Scalar {
                    plain: style == ScalarStyle::Plain,
                    binary,
                    text: value.into_owned(),
                };
                let bytes = if let Kind::Scalar { text, .. } = &kind {
                    text.len()
                } else {
                    0
                };
                b.add(
                    Node {
                        spot,
                        kind,
                        nodes: 1,
                        bytes,
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(_, anchor, _) => b.open(
                Open::Seq {
                    spot,
                    anchor,
                    items: Vec::new(),
                },
                spot,
            )?,
            Event::MappingStart(_, anchor, _) => b.open(
                Open::Map {
                    spot,
                    anchor,
                    entries: Vec::new(),
                    key: None,
                },
                spot,
            )?,
            Event::SequenceEnd | Event::MappingEnd => b.close()?,
            Event::Alias(id) => {
                let Some(target) = b.anchors.get(&id).cloned() else {
                    return Err(Diagnostic::error(
                        spot,
                        "",
                        "this alias points to itself or to nothing".to_owned(),
                    )
                    .hint("write the value out"));
                };
                b.count(target.nodes, target.bytes, spot)?;
                b.place(target);
            }
            _ => {}
        }
    }
    Ok(b.root.filter(|r| !r.is_null()))
}

impl Builder<'_> {
    fn count(&mut self, nodes: usize, bytes: usize, spot: Spot) -> Result<(), Diagnostic> {
        if !self.left.take(nodes, bytes) {
            return Err(Diagnostic::error(
                spot,
                "",
                format!(
                    "too large: more than {} values or {} MiB after aliases are expanded",
                    self.left.most,
                    MAX_BYTES >> 20
                ),
            )
            .hint("write the values out, or use fewer aliases"));
        }
        Ok(())
    }
    fn open(&mut self, open: Open, spot: Spot) -> Result<(), Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::error(
                spot,
                "",
                format!("nested deeper than {MAX_DEPTH} levels"),
            )
            .hint(DEEP));
        }
        self.stack.push(open);
        Ok(())
    }
    fn close(&mut self) -> Result<(), Diagnostic> {
        let (node, anchor) = match self.stack.pop() {
            Some(Open::Seq {
                spot,
                anchor,
                items,
            }) => {
                let nodes = items.iter().fold(1usize, |n, i| n.saturating_add(i.nodes));
                let bytes = items.iter().fold(0usize, |n, i| n.saturating_add(i.bytes));
                (
                    Node {
                        spot,
                        kind: Kind::Seq(items),
                        nodes,
                        bytes,
                    },
                    anchor,
                )
            }
            Some(Open::Map {
                spot,
                anchor,
                entries,
                ..
            }) => {
                let entries = merge(entries);
                let nodes = entries.iter().fold(1usize, |n, (k, v)| {
                    n.saturating_add(k.nodes).saturating_add(v.nodes)
                });
                let bytes = entries.iter().fold(0usize, |n, (k, v)| {
                    n.saturating_add(k.bytes).saturating_add(v.bytes)
                });
                (
                    Node {
                        spot,
                        kind: Kind::Map(entries),
                        nodes,
                        bytes,
                    },
                    anchor,
                )
            }
            None => return Ok(()),
        };
        // The children were counted when they came; the container itself is one more.
        self.count(1, 0, node.spot)?;
        self.finish(node, anchor);
        Ok(())
    }
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        self.count(node.nodes, node.bytes, node.spot)?;
        self.finish(node, anchor);
        Ok(())
    }
    fn finish(&mut self, node: Node, anchor: usize) {
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
    }
    fn place(&mut self, node: Rc<Node>) {
        match self.stack.last_mut() {
            Some(Open::Seq { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(k) => entries.push((k, node)),
                None => *key = Some(node),
            },
            None => {
                if self.root.is_none() {
                    self.root = Some(node);
                }
            }
        }
    }
}

/// Applies merge keys (`<<`): what the mapping says itself wins.
fn merge(entries: Vec<(Rc<Node>, Rc<Node>)>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let is_merge =
        |k: &Node| matches!(&k.kind, Kind::Scalar { text, plain: true, .. } if text == "<<");
    if !entries.iter().any(|(k, _)| is_merge(k)) {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(k, _)| is_merge(k));
    let text = |k: &Node| {
        if let Kind::Scalar { text, .. } = &k.kind {
            Some(text.replace('-', "_"))
        } else {
            None
        }
    };
    let mut seen: std::collections::HashSet<String> =
        own.iter().filter_map(|(k, _)| text(k)).collect();
    let mut add = |from: &Node| {
        if let Kind::Map(inner) = &from.kind {
            for (k, v) in inner {
                if text(k).is_none_or(|t| seen.insert(t)) {
                    own.push((k.clone(), v.clone()));
                }
            }
        }
    };
    for (_, value) in &merges {
        match &value.kind {
            Kind::Seq(items) => items.iter().for_each(|i| add(i)),
            _ => add(value),
        }
    }
    own
}

const DEEP: &str = "look for brackets that are not closed: no key needs more than eight levels";

/// What to do about broken YAML.
fn remedy(what: &str) -> &'static str {
    if what.contains("recursion") {
        DEEP
    } else if what.contains("character: `\\u{") {
        "this byte is not text: look at the file with `cat -v`"
    } else if what.contains("anchor") {
        "an alias `*name` needs an anchor `&name` above it"
    } else {
        "check the indentation: a long line inside a block must not wrap to the left margin, and tabs cannot indent"
    }
}

fn is_binary(tag: &Tag) -> bool {
    // Not one of YAML 1.2's core types, but of YAML 1.1's.
    tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() == Some("binary")
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn spot_of(span: &Span, above: u32) -> Spot {
    Spot {
        line: above.saturating_add(clamp(span.start.line())),
        column: clamp(span.start.col() + 1),
    }
}
