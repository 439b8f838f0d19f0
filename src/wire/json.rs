//! Strict JSON (RFC 8259) as a tape of values with exact byte ranges.
//!
//! `serde_json` alone cannot give this: it accepts duplicate keys, and its
//! `RawValue` parses every level again to reach the next.
//!
//! One node of 16 bytes a value; a member's key belongs to its value's node.
//! Short scalars in arrays (token ids, numbers) have no node: nothing reads
//! them, and a million of them would cost 16 MB.

mod parse;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::text::escape;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A value on the tape of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Position on the tape.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// `start` and `end` are raw bytes, quotes and brackets included; `next` is
/// the index behind the value's last descendant; `key` is the offset of the
/// opening quote of the member's key plus one, zero without a key.
#[derive(Clone, Copy, Debug)]
struct Node {
    start_kind: u32,
    end: u32,
    next: u32,
    key: u32,
}

/// Bits of `start_kind` that hold the offset.
const OFFSET_BITS: u32 = 26;
const OFFSET_MASK: u32 = (1 << OFFSET_BITS) - 1;

/// A parsed document over the bytes it was parsed from.
#[derive(Debug)]
pub struct Doc<'b> {
    bytes: &'b [u8],
    nodes: Vec<Node>,
}

/// Where and why a document is refused. Never holds content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the fault.
    pub offset: usize,
    /// The fault.
    pub kind: JsonErrorKind,
}

/// See [`JsonError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JsonErrorKind {
    Utf8,
    ByteOrderMark,
    Syntax,
    Control,
    Escape,
    LoneSurrogate,
    Number,
    DuplicateKey,
    Trailing,
    Eof,
    TooDeep,
    TooMany,
    TooLarge,
}

impl JsonErrorKind {
    /// The fault in words, without its place.
    pub fn what(self) -> &'static str {
        match self {
            JsonErrorKind::Utf8 => "invalid UTF-8",
            JsonErrorKind::ByteOrderMark => "a byte order mark",
            JsonErrorKind::Syntax => "unexpected character",
            JsonErrorKind::Control => "control character in a string",
            JsonErrorKind::Escape => "invalid escape",
            JsonErrorKind::LoneSurrogate => "lone surrogate escape",
            JsonErrorKind::Number => "invalid number",
            JsonErrorKind::DuplicateKey => "a key occurs twice in one object",
            JsonErrorKind::Trailing => "text behind the document",
            JsonErrorKind::Eof => "the document ends early",
            JsonErrorKind::TooDeep => "nested too deep",
            JsonErrorKind::TooMany => "too many values for its size",
            JsonErrorKind::TooLarge => "too large",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind.what(), self.offset)
    }
}

impl std::error::Error for JsonError {}

impl<'b> Doc<'b> {
    /// Parse all of `bytes`.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, JsonError> {
        parse::parse(bytes).map(|nodes| Doc { bytes, nodes })
    }

    /// The bytes the document was parsed from.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Number of nodes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The outermost value.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// All nodes in document order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id.index()).copied().unwrap_or(Node { start_kind: 0, end: 0, next: 0, key: 0 })
    }

    /// What the value is.
    pub fn kind(&self, id: NodeId) -> Kind {
        match self.node(id).start_kind >> OFFSET_BITS {
            1 => Kind::Bool,
            2 => Kind::Number,
            3 => Kind::String,
            4 => Kind::Array,
            5 => Kind::Object,
            _ => Kind::Null,
        }
    }

    /// Raw bytes of the value, quotes and brackets included.
    pub fn range(&self, id: NodeId) -> Range<usize> {
        let node = self.node(id);
        (node.start_kind & OFFSET_MASK) as usize..node.end as usize
    }

    /// Raw bytes of a string without its quotes; of others like [`Doc::range`].
    pub fn inner_range(&self, id: NodeId) -> Range<usize> {
        let range = self.range(id);
        match self.kind(id) {
            Kind::String => range.start + 1..range.end.saturating_sub(1),
            _ => range,
        }
    }

    /// Raw bytes of a string without quotes; empty for other values.
    pub fn raw_str(&self, id: NodeId) -> &'b [u8] {
        match self.kind(id) {
            Kind::String => self.bytes.get(self.inner_range(id)).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Raw bytes of any value.
    pub fn raw(&self, id: NodeId) -> &'b [u8] {
        self.bytes.get(self.range(id)).unwrap_or_default()
    }

    /// Whether a string is written with escapes.
    pub fn has_escapes(&self, id: NodeId) -> bool {
        memchr::memchr(b'\\', self.raw_str(id)).is_some()
    }

    /// Raw bytes of the key of a member, without quotes.
    pub fn key_range(&self, id: NodeId) -> Option<Range<usize>> {
        let start = self.node(id).key as usize;
        if start == 0 {
            return None;
        }
        Some(start..start + parse::string_len(self.bytes.get(start..)?)?)
    }

    /// The key of a member, decoded.
    pub fn key(&self, id: NodeId) -> Option<Cow<'b, str>> {
        decode(self.bytes.get(self.key_range(id)?)?)
    }

    /// A value and all values below it, in document order.
    pub fn subtree(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        (id.0..self.node(id).next.max(id.0 + 1)).map(NodeId)
    }

    /// Direct children of an array or object. Of arrays, short scalars are
    /// left out: see the module.
    pub fn items(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'_, 'b> {
        let end = match self.kind(id) {
            Kind::Array | Kind::Object => self.node(id).next,
            _ => 0,
        };
        let mut at = id.0 + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let child = NodeId(at);
            at = self.node(child).next.max(at + 1);
            Some(child)
        })
    }

    /// Members of an object with their decoded keys.
    pub fn members(&self, id: NodeId) -> impl Iterator<Item = (Cow<'b, str>, NodeId)> + use<'_, 'b> {
        let object = self.kind(id) == Kind::Object;
        self.items(id).filter(move |_| object).filter_map(|child| Some((self.key(child)?, child)))
    }

    /// The member of that key.
    pub fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        if self.kind(id) != Kind::Object {
            return None;
        }
        self.items(id).find(|child| {
            let raw = self.key_range(*child).and_then(|r| self.bytes.get(r)).unwrap_or_default();
            raw == key.as_bytes() || (raw.contains(&b'\\') && decode(raw).is_some_and(|k| k == key))
        })
    }

    /// The value at a path of keys.
    pub fn at(&self, id: NodeId, path: &[&str]) -> Option<NodeId> {
        path.iter().try_fold(id, |at, key| self.get(at, key))
    }

    /// A string, decoded.
    pub fn str(&self, id: NodeId) -> Option<Cow<'b, str>> {
        (self.kind(id) == Kind::String).then(|| decode(self.raw_str(id))).flatten()
    }

    /// A number that is a whole one from 0 to 2^64-1, written as such or with
    /// a zero fraction.
    pub fn u64(&self, id: NodeId) -> Option<u64> {
        let text = self.number(id)?;
        match text.parse() {
            Ok(n) => Some(n),
            Err(_) => {
                let f: f64 = text.parse().ok()?;
                (f.fract() == 0.0 && (0.0..9e15).contains(&f)).then_some(f as u64)
            }
        }
    }

    /// A number.
    pub fn f64(&self, id: NodeId) -> Option<f64> {
        self.number(id)?.parse().ok()
    }

    /// A truth value.
    pub fn bool(&self, id: NodeId) -> Option<bool> {
        (self.kind(id) == Kind::Bool).then(|| self.raw(id) == b"true")
    }

    fn number(&self, id: NodeId) -> Option<&'b str> {
        if self.kind(id) != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw(id)).ok()
    }
}

fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', raw).is_none() {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let mut out = String::with_capacity(raw.len());
    escape::unescape_json(raw, &mut out).ok()?;
    Some(Cow::Owned(out))
}

#[cfg(test)]
#[path = "json/tests.rs"]
mod tests;
