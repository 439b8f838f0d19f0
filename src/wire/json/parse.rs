//! The parser: one pass, no recursion, every byte looked at a fixed number of times.

use super::{JsonError, JsonErrorKind as E, Kind, Node, OFFSET_BITS, OFFSET_MASK};
use crate::lanes::{BLOCK, Lanes, within};
use crate::limits::{JSON_BYTES_PER_VALUE, JSON_VALUES_BASE, MAX_JSON_DEPTH};
use crate::text::escape;

/// Shortest scalar in an array that gets a node: numbers that can identify
/// somebody have 7 digits or more.
const MIN_ARRAY_SCALAR: usize = 7;

/// Parse all of `bytes` to a tape.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Node>, JsonError> {
    if bytes.len() > OFFSET_MASK as usize {
        return fail(OFFSET_MASK as usize, E::TooLarge);
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return fail(0, E::ByteOrderMark);
    }
    if let Err(e) = std::str::from_utf8(bytes) {
        return fail(e.valid_up_to(), E::Utf8);
    }
    let mut parser = Parser {
        bytes,
        at: 0,
        nodes: Vec::new(),
        open: Vec::new(),
        max_nodes: JSON_VALUES_BASE + bytes.len() / JSON_BYTES_PER_VALUE,
        keys: Vec::new(),
    };
    parser.document()?;
    Ok(parser.nodes)
}

fn fail<T>(offset: usize, kind: E) -> Result<T, JsonError> {
    Err(JsonError { offset, kind })
}

struct Parser<'b> {
    bytes: &'b [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Nodes of the arrays and objects we are in.
    open: Vec<Open>,
    max_nodes: usize,
    /// Scratch for the comparison of keys.
    keys: Vec<(std::borrow::Cow<'b, [u8]>, u32)>,
}

struct Open {
    node: u32,
    object: bool,
    /// Nothing read in it yet.
    fresh: bool,
}

impl<'b> Parser<'b> {
    fn document(&mut self) -> Result<(), JsonError> {
        self.space();
        self.value(0)?;
        loop {
            self.space();
            let Some(top) = self.open.last_mut() else { break };
            let (node, object, first) = (top.node, top.object, std::mem::take(&mut top.fresh));
            self.next_in(node, object, first)?;
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => fail(self.at, E::Trailing),
        }
    }

    /// In a container, behind its bracket (`first`) or a value: the next value,
    /// or the end.
    fn next_in(&mut self, node: u32, object: bool, first: bool) -> Result<(), JsonError> {
        let close = if object { b'}' } else { b']' };
        match self.peek() {
            Some(c) if c == close => {
                self.at += 1;
                self.close(node)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.space();
                self.member(object)
            }
            Some(_) if first => self.member(object),
            Some(_) => fail(self.at, E::Syntax),
            None => fail(self.at, E::Eof),
        }
    }

    fn member(&mut self, object: bool) -> Result<(), JsonError> {
        if !object {
            return self.value(0);
        }
        if self.peek() != Some(b'"') {
            return fail(self.at, if self.peek().is_none() { E::Eof } else { E::Syntax });
        }
        let key = self.at + 1;
        self.string()?;
        self.space();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return fail(self.at, E::Syntax),
            None => return fail(self.at, E::Eof),
        }
        self.space();
        self.value(key as u32)
    }

    fn value(&mut self, key: u32) -> Result<(), JsonError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'{') => return self.open(Kind::Object, key),
            Some(b'[') => return self.open(Kind::Array, key),
            Some(b't') => self.word(b"true", Kind::Bool)?,
            Some(b'f') => self.word(b"false", Kind::Bool)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return fail(start, E::Syntax),
            None => return fail(start, E::Eof),
        };
        let in_array = self.open.last().is_some_and(|o| !o.object);
        if in_array && kind != Kind::String && self.at - start < MIN_ARRAY_SCALAR {
            return Ok(());
        }
        self.push(start, kind, key)?;
        Ok(())
    }

    fn push(&mut self, start: usize, kind: Kind, key: u32) -> Result<u32, JsonError> {
        if self.nodes.len() >= self.max_nodes {
            return fail(start, E::TooMany);
        }
        let id = self.nodes.len() as u32;
        let start_kind = start as u32 | (kind as u32) << OFFSET_BITS;
        self.nodes.push(Node { start_kind, end: self.at as u32, next: id + 1, key });
        Ok(id)
    }

    fn open(&mut self, kind: Kind, key: u32) -> Result<(), JsonError> {
        if self.open.len() >= MAX_JSON_DEPTH {
            return fail(self.at, E::TooDeep);
        }
        let node = self.push(self.at, kind, key)?;
        self.open.push(Open { node, object: kind == Kind::Object, fresh: true });
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, id: u32) -> Result<(), JsonError> {
        self.open.pop();
        let (end, next) = (self.at as u32, self.nodes.len() as u32);
        if let Some(node) = self.nodes.get_mut(id as usize) {
            node.end = end;
            node.next = next;
            if node.start_kind >> OFFSET_BITS == Kind::Object as u32 {
                return self.check_keys(id);
            }
        }
        Ok(())
    }

    /// No key twice, compared as decoded: `"a"` and `"\u0061"` are one key to
    /// every parser behind us.
    fn check_keys(&mut self, id: u32) -> Result<(), JsonError> {
        self.keys.clear();
        let end = self.nodes.get(id as usize).map_or(0, |n| n.next);
        let mut at = id + 1;
        while at < end {
            let Some(node) = self.nodes.get(at as usize) else { break };
            let raw = self.bytes.get(node.key as usize..).unwrap_or_default();
            let raw = raw.get(..string_len(raw).unwrap_or(0)).unwrap_or_default();
            let key = if memchr::memchr(b'\\', raw).is_none() {
                std::borrow::Cow::Borrowed(raw)
            } else {
                let mut text = String::new();
                let _ = escape::unescape_json(raw, &mut text);
                std::borrow::Cow::Owned(text.into_bytes())
            };
            self.keys.push((key, node.key));
            at = node.next.max(at + 1);
        }
        self.keys.sort_unstable();
        let twice = self.keys.iter().zip(self.keys.iter().skip(1)).find(|(a, b)| a.0 == b.0);
        match twice {
            Some((_, second)) => fail(second.1 as usize, E::DuplicateKey),
            None => Ok(()),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(kind);
        }
        let short = rest.len() < word.len() && word.starts_with(rest);
        fail(self.at, if short { E::Eof } else { E::Syntax })
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<Kind, JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let n = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if n == 0 {
            return fail(self.at, if rest.is_empty() { E::Eof } else { E::Number });
        }
        self.at += n;
        Ok(())
    }

    /// A string, from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<(), JsonError> {
        let start = self.at + 1;
        self.at = start;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(n) = memchr::memchr2(b'"', b'\\', rest) else { return fail(self.bytes.len(), E::Eof) };
            self.at += n;
            if self.peek() == Some(b'"') {
                break;
            }
            self.escape()?;
        }
        let inside = self.bytes.get(start..self.at).unwrap_or_default();
        if has_control(inside) {
            let at = inside.iter().position(|b| *b < 0x20).unwrap_or(0);
            return fail(start + at, E::Control);
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let at = self.at;
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(at)?;
                self.at += 6;
                match unit {
                    0xDC00..=0xDFFF => return fail(at, E::LoneSurrogate),
                    0xD800..=0xDBFF => {
                        let low = self.bytes.get(at + 6..at + 8) == Some(b"\\u");
                        if !low || !(0xDC00..=0xDFFF).contains(&self.unit(at + 6)?) {
                            return fail(at, E::LoneSurrogate);
                        }
                        self.at += 6;
                    }
                    _ => {}
                }
            }
            Some(_) => return fail(at, E::Escape),
            None => return fail(at, E::Eof),
        }
        Ok(())
    }

    /// The code unit of a `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Result<u32, JsonError> {
        let hex = self.bytes.get(at + 2..at + 6).filter(|h| h.iter().all(u8::is_ascii_hexdigit));
        let text = hex.and_then(|h| std::str::from_utf8(h).ok());
        match text.and_then(|t| u32::from_str_radix(t, 16).ok()) {
            Some(unit) => Ok(unit),
            None => fail(at, E::Escape),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

fn has_control(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    // Where code is compiled for size, a plain loop takes them one by one.
    blocks.iter().any(|block| Lanes::new(block).any(|v| within(v, 0, 0x1F))) || rest.iter().any(|b| *b < 0x20)
}

/// Bytes up to the closing quote of a string that was found well-formed.
pub(super) fn string_len(raw: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', raw.get(at..)?)?;
        if raw.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}
