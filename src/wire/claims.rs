//! What a dialect says of the leaves of one document; what it forgets is swept
//! up as text.

use std::ops::Range;

use super::json::{Doc, Kind, NodeId};
use super::name::{MIN_NUMBER_BYTES, is_plain, is_plain_number};
use crate::text::{Encoding, Span, SpanKind};

/// Why a string leaf is not a span. Each reason shows in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SkipReason {
    /// An identifier or an enumerated value that was checked to be one.
    Token,
    /// Base64 or a data URL of an image, sound, video or file: not text here.
    Media,
    /// A signature or an encrypted blob that only the provider can read.
    Opaque,
    /// A text repeated in a form that cannot be edited with it.
    Echo,
    /// An id of text or media that the provider keeps and adds by itself: a
    /// stored prompt, an earlier response, an uploaded file.
    Remote,
}

/// Counts of skipped leaves by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skips {
    /// See [`SkipReason::Token`].
    pub tokens: u32,
    /// See [`SkipReason::Media`]: makes coverage partial.
    pub media: u32,
    /// See [`SkipReason::Opaque`]: makes coverage partial.
    pub opaque: u32,
    /// See [`SkipReason::Echo`]: makes coverage partial unless the echoes are
    /// taken out.
    pub echoes: u32,
    /// See [`SkipReason::Remote`]: makes coverage partial.
    pub remote: u32,
    /// See [`Claims::token_ids`]: makes coverage partial.
    pub token_ids: u32,
}

impl Skips {
    /// Add those of another document.
    pub fn merge(&mut self, other: Skips) {
        let Skips { tokens, media, opaque, echoes, remote, token_ids } = other;
        for (sum, more) in [
            (&mut self.tokens, tokens),
            (&mut self.media, media),
            (&mut self.opaque, opaque),
            (&mut self.echoes, echoes),
            (&mut self.remote, remote),
            (&mut self.token_ids, token_ids),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What [`Claims::finish`] hands back.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every text, in document order.
    pub spans: Vec<Span>,
    /// What was left alone, by reason.
    pub skipped: Skips,
    /// Raw bytes of values that repeat a text, see [`Claims::echo`].
    pub echoes: Vec<Range<usize>>,
    /// See [`Claims::run`].
    pub runs: Vec<Range<usize>>,
    /// Ids, names and numbers left alone that a value may hide in.
    pub names: Vec<Span>,
}

/// Collects what a dialect says of the leaves of one document, then sweeps up
/// what it did not name.
#[derive(Debug)]
pub struct Claims<'d, 'b> {
    doc: &'d Doc<'b>,
    claimed: Bits,
    keys_seen: Bits,
    found: Found,
}

impl<'d, 'b> Claims<'d, 'b> {
    /// No leaf claimed yet.
    pub fn new(doc: &'d Doc<'b>) -> Self {
        Claims {
            doc,
            claimed: Bits::new(doc.len()),
            keys_seen: Bits::new(doc.len()),
            found: Found::default(),
        }
    }

    /// The texts of a kind below `node` follow one another: they are one text
    /// to who reads them.
    pub fn run(&mut self, node: NodeId) {
        self.found.runs.push(self.doc.range(node));
    }

    /// The string at `node` is text of this kind. Other values: no effect.
    pub fn text(&mut self, node: NodeId, kind: SpanKind) {
        self.push(node, kind, Encoding::Json);
    }

    /// The string at `node` holds a JSON document.
    pub fn json_text(&mut self, node: NodeId, kind: SpanKind) {
        self.push(node, kind, Encoding::JsonInJson);
    }

    /// The string at `node` continues a channel: the caller keeps its span.
    /// `None` if it is no string, empty, or claimed already.
    pub fn piece(&mut self, node: NodeId, kind: SpanKind, encoding: Encoding) -> Option<Span> {
        if self.doc.kind(node) != Kind::String || self.is_claimed(node) {
            return None;
        }
        self.mark(node);
        let range = self.doc.inner_range(node);
        (!range.is_empty()).then_some(Span { kind, encoding, range })
    }

    /// All string leaves below `node`, and long numbers, are text of this kind:
    /// tool arguments given as an object, schemas.
    pub fn tree(&mut self, node: NodeId, kind: SpanKind) {
        for id in self.doc.subtree(node) {
            self.leaf(id, kind);
        }
    }

    /// The numbers at and below `node` are measures: times, counts, vectors,
    /// probabilities. Strings below stay unclaimed.
    pub fn numbers(&mut self, node: NodeId) {
        for id in self.doc.subtree(node) {
            if self.doc.kind(id) == Kind::Number {
                self.mark(id);
            }
        }
    }

    /// The number at `node`, if it is one, is a measure or an id.
    pub fn numbers_at(&mut self, node: NodeId) {
        if self.doc.kind(node) == Kind::Number && !self.is_claimed(node) {
            self.mark(node);
            if !is_plain_number(self.doc.raw(node)) {
                self.name(node, Encoding::JsonNumber);
            }
        }
    }

    fn name(&mut self, node: NodeId, encoding: Encoding) {
        let range = self.doc.inner_range(node);
        self.found.names.push(Span { kind: SpanKind::Other, encoding, range });
    }

    /// The string at `node` is packed numbers, which the caller has checked.
    pub fn data(&mut self, node: NodeId) {
        if self.doc.kind(node) == Kind::String && !self.is_claimed(node) {
            self.mark(node);
            self.found.skipped.tokens += 1;
        }
    }

    /// The value at `node` may be a prompt as token numbers, alone or in lists:
    /// text that cannot be read here. Strings below stay unclaimed.
    pub fn token_ids(&mut self, node: NodeId) {
        if self.doc.kind(node) == Kind::Array && has_bare_digit(self.doc.raw(node)) {
            self.numbers(node);
            self.found.skipped.token_ids += 1;
        }
    }

    /// The value at `node` repeats a text in a form that no edit can follow:
    /// log-probabilities with the bytes of every token, or the whole answer so
    /// far in every event. It is no span. Whoever edits the text replaces the
    /// value by `null`.
    pub fn echo(&mut self, node: NodeId) {
        if matches!(self.doc.kind(node), Kind::Null | Kind::Bool) {
            return;
        }
        for id in self.doc.subtree(node) {
            self.mark(id);
            self.keys_seen.set(id.index());
        }
        self.found.skipped.echoes += 1;
        self.found.echoes.push(self.doc.range(node));
    }

    /// Leave a leaf alone. A [`SkipReason::Token`] that does not look like one
    /// (spaces, more than 128 bytes) becomes a span after all: an attacker may
    /// write anything into an id. One that a value may hide in is kept as a name.
    pub fn skip(&mut self, node: NodeId, reason: SkipReason) {
        if self.doc.kind(node) != Kind::String || self.is_claimed(node) {
            return;
        }
        if matches!(reason, SkipReason::Token | SkipReason::Remote) {
            let raw = self.doc.raw_str(node);
            if !is_token(raw) && !is_word(raw) {
                return self.text(node, SpanKind::Other);
            }
            if !is_token(raw) || !is_plain(raw) {
                self.name(node, Encoding::Json);
            }
        }
        let skipped = &mut self.found.skipped;
        match reason {
            SkipReason::Remote => skipped.remote += 1,
            SkipReason::Token => skipped.tokens += 1,
            SkipReason::Media => skipped.media += 1,
            SkipReason::Opaque => skipped.opaque += 1,
            SkipReason::Echo => skipped.echoes += 1,
        }
        self.mark(node);
    }

    /// Media behind a URL: the URL is text, what it names is not inspected.
    pub fn media_url(&mut self, node: NodeId, kind: SpanKind) {
        self.text(node, kind);
        self.found.skipped.media += 1;
    }

    /// Everything not claimed becomes [`SpanKind::Other`]. Spans come back in
    /// document order.
    pub fn finish(mut self) -> Found {
        for id in self.doc.ids() {
            self.leaf(id, SpanKind::Other);
        }
        crate::order::sort_by_key(&mut self.found.spans, |s| s.range.start);
        self.found
    }

    fn leaf(&mut self, id: NodeId, kind: SpanKind) {
        if let Some(key) = self.doc.key_range(id).filter(|_| self.keys_seen.set(id.index())) {
            let raw = self.doc.bytes().get(key.clone()).unwrap_or_default();
            // A key is a name; what else stands in its place is text the model reads.
            if !is_plain(raw) {
                self.found.spans.push(Span { kind, encoding: Encoding::Json, range: key });
            }
        }
        match self.doc.kind(id) {
            Kind::String => self.text(id, kind),
            Kind::Number if self.doc.range(id).len() >= MIN_NUMBER_BYTES && !self.is_claimed(id) => {
                self.mark(id);
                let range = self.doc.range(id);
                self.found.spans.push(Span { kind, encoding: Encoding::JsonNumber, range });
            }
            _ => {}
        }
    }

    fn push(&mut self, node: NodeId, kind: SpanKind, encoding: Encoding) {
        if let Some(span) = self.piece(node, kind, encoding) {
            self.found.spans.push(span);
        }
    }

    fn is_claimed(&self, node: NodeId) -> bool {
        self.claimed.get(node.index())
    }

    fn mark(&mut self, node: NodeId) {
        self.claimed.set(node.index());
    }
}

/// A digit outside strings. The tape leaves short numbers of arrays out.
fn has_bare_digit(raw: &[u8]) -> bool {
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'0'..=b'9' => return true,
            b'"' => {
                while let Some(&inner) = bytes.next() {
                    match inner {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

/// A bit a node.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Set a bit; whether it was clear before.
    fn set(&mut self, at: usize) -> bool {
        let Some(word) = self.0.get_mut(at / 64) else { return false };
        let was = *word >> (at % 64) & 1 == 1;
        *word |= 1 << (at % 64);
        !was
    }
}

/// One word, which may be an address or a number.
fn is_word(raw: &[u8]) -> bool {
    raw.len() <= 128 && raw.iter().all(|b| b.is_ascii_graphic() && *b != b'\\')
}

/// An identifier or an enumerated value: no room for a sentence, a mail address
/// or the nine digits of a national number; dates have eight.
pub fn is_token(raw: &[u8]) -> bool {
    raw.len() <= 128
        && raw.iter().all(|b| b.is_ascii_alphanumeric() || b"_.:/+=-".contains(b))
        && (raw.iter().any(u8::is_ascii_alphabetic) || raw.iter().filter(|b| b.is_ascii_digit()).count() < 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_no_room_for_anything_else() {
        for yes in ["", "call_1", "gpt-4o", "2025-05-04T17:37:44", "2025-06-18", "1.0.0", "image/png", "42"] {
            assert!(is_token(yes.as_bytes()), "{yes}");
        }
        let long = "a".repeat(129);
        for no in [
            "two words",
            "ann@example.com",
            "4111111111111111",
            "4111-1111-1111-1111",
            "é",
            "a\\u0020b",
            &long,
        ] {
            assert!(!is_token(no.as_bytes()), "{no}");
        }
    }
}
