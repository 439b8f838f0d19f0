//! One walk over a document that serves whole bodies and stream events alike.
//!
//! A message and the delta of one have the same fields. In a whole body each
//! text stands alone; in an event it continues a channel.

use super::json::{Doc, Kind, NodeId};
use super::media::is_base64;
use super::{Channel, Claims, Found, Piece, Request, Response, SkipReason, StreamEvent, ToolCall};
use crate::text::{Encoding, SpanKind};

/// Channel fields from here on are hashes of the path to a field no dialect
/// names. Lower ones belong to the dialects.
const UNNAMED: u16 = 0x8000;

/// Sixteen floats in base64: shorter strings of letters are scanned as text.
const MIN_VECTOR_BYTES: usize = 84;

/// Claims on a document, and what else was found on the way.
pub(super) struct Walk<'d, 'b> {
    pub(super) doc: &'d Doc<'b>,
    pub(super) claims: Claims<'d, 'b>,
    /// Images and other media seen.
    pub(super) media: u32,
    /// Tool calls, each with the channel of its arguments.
    pub(super) calls: Vec<(Channel, ToolCall)>,
    /// See [`Response::partial_calls`].
    pub(super) partial_calls: bool,
    /// Pieces of channels; `None` in a whole body.
    pieces: Option<Vec<Piece>>,
}

impl<'d, 'b> Walk<'d, 'b> {
    /// Over a whole body.
    pub(super) fn whole(doc: &'d Doc<'b>) -> Self {
        let claims = Claims::new(doc);
        Walk { doc, claims, media: 0, calls: Vec::new(), partial_calls: false, pieces: None }
    }

    /// Over an event of a stream.
    pub(super) fn event(doc: &'d Doc<'b>) -> Self {
        Walk { pieces: Some(Vec::new()), ..Walk::whole(doc) }
    }

    /// The string at `node` is text, in a stream a part of `channel`.
    pub(super) fn text(&mut self, node: NodeId, kind: SpanKind, channel: Channel) {
        self.put(node, kind, Encoding::Json, channel);
    }

    /// The same for a member of `object`.
    pub(super) fn member(&mut self, object: NodeId, key: &str, kind: SpanKind, channel: Channel) {
        if let Some(node) = self.doc.get(object, key) {
            self.text(node, kind, channel);
        }
    }

    /// Arguments of a tool: JSON in a string, in a stream a part of it, or an
    /// object as such.
    pub(super) fn arguments(&mut self, node: NodeId, kind: SpanKind, channel: Channel) {
        if self.doc.kind(node) == Kind::String {
            self.put(node, kind, Encoding::JsonInJson, channel);
        } else {
            self.claims.tree(node, kind);
        }
    }

    /// A call of the tool named at `name`.
    pub(super) fn call(&mut self, name: Option<NodeId>, arguments: Option<NodeId>, channel: Channel) {
        let Some(name) = name else { return };
        self.claims.skip(name, SkipReason::Token);
        match self.doc.kind(name) {
            Kind::String => {
                if let Some(text) = self.doc.str(name).filter(|text| !text.is_empty()) {
                    self.call_named(&text, arguments, channel);
                }
            }
            Kind::Null => {}
            // Somebody may make a name of it: `tools[["rm"]]` is `tools.rm` in
            // JavaScript. No list allows the empty name.
            _ => self.call_named("", arguments, channel),
        }
    }

    /// A call of a tool that is named by its type.
    pub(super) fn call_named(&mut self, name: &str, arguments: Option<NodeId>, channel: Channel) {
        let range = arguments.map(|node| self.doc.inner_range(node)).filter(|range| !range.is_empty());
        self.calls.push((channel, ToolCall { name: name.to_owned(), arguments: range }));
    }

    /// Claim what `claim` finds as whole texts, also in a stream: a text that is
    /// repeated in full, or that comes in one event.
    pub(super) fn alone(&mut self, claim: impl FnOnce(&mut Self)) {
        let pieces = self.pieces.take();
        claim(self);
        self.pieces = pieces;
    }

    /// A reference to text or media that the provider keeps: it is read by the
    /// model and not seen here.
    pub(super) fn remote(&mut self, object: NodeId, keys: &[&str]) {
        for key in keys {
            if let Some(node) = self.doc.get(object, key) {
                self.claims.skip(node, SkipReason::Remote);
            }
        }
    }

    /// Texts below `node` that no schema names. In a stream each continues the
    /// same field of earlier events, so that a field added tomorrow cannot
    /// carry a split value past the rules.
    pub(super) fn rest(&mut self, node: NodeId, kind: SpanKind, index: u32) {
        if self.pieces.is_some() {
            self.unnamed(node, kind, index, UNNAMED);
        } else {
            self.claims.tree(node, kind);
        }
    }

    // Depth is bounded by `MAX_JSON_DEPTH`.
    fn unnamed(&mut self, node: NodeId, kind: SpanKind, index: u32, path: u16) {
        let doc = self.doc;
        match doc.kind(node) {
            Kind::Object => {
                for (key, id) in doc.members(node) {
                    let path =
                        key.bytes().fold(path.rotate_left(1), |h, b| h.wrapping_mul(31) ^ u16::from(b));
                    self.unnamed(id, kind, index, path | UNNAMED);
                }
            }
            Kind::Array => {
                for id in doc.items(node) {
                    self.unnamed(id, kind, index, path);
                }
            }
            Kind::String => self.text(node, kind, Channel { field: path, index, sub: 0 }),
            _ => {}
        }
    }

    fn put(&mut self, node: NodeId, kind: SpanKind, encoding: Encoding, channel: Channel) {
        match &mut self.pieces {
            None if encoding == Encoding::JsonInJson => self.claims.json_text(node, kind),
            None => self.claims.text(node, kind),
            Some(pieces) => {
                if let Some(span) = self.claims.piece(node, kind, encoding) {
                    pieces.push(Piece { channel, span });
                }
            }
        }
    }

    /// Leave ids and enumerated values of `object` alone, and numbers that are
    /// times or counts.
    pub(super) fn tokens(&mut self, object: NodeId, keys: &[&str]) {
        for (key, id) in self.doc.members(object) {
            if keys.contains(&&*key) {
                self.claims.skip(id, SkipReason::Token);
                self.claims.numbers_at(id);
            }
        }
    }

    /// Vectors, as numbers or packed in base64.
    pub(super) fn vectors(&mut self, node: NodeId) {
        self.claims.numbers(node);
        for id in self.doc.subtree(node) {
            let raw = self.doc.raw_str(id);
            // Short base64 may be a word; vectors are not short.
            if raw.len() > MIN_VECTOR_BYTES && is_base64(raw) {
                self.claims.data(id);
            }
        }
    }

    /// The same for all strings below `node`, of which none is a text: verdicts
    /// of content filters, lists of modalities.
    pub(super) fn all_tokens(&mut self, object: NodeId, keys: &[&str]) {
        for node in keys.iter().filter_map(|key| self.doc.get(object, key)) {
            self.claims.numbers(node);
            for id in self.doc.subtree(node) {
                self.claims.skip(id, SkipReason::Token);
            }
        }
    }

    /// End the walk of a request.
    pub(super) fn request(self, request: &mut Request) {
        let Found { spans, skipped, runs, names, .. } = self.claims.finish();
        request.spans = spans;
        request.names = names;
        request.runs = runs;
        request.skipped = skipped;
        request.media = self.media;
        request.tool_calls = self.calls.into_iter().map(|(_, call)| call).collect();
    }

    /// End the walk of a whole response.
    pub(super) fn response(self, response: &mut Response) {
        let Found { spans, skipped, echoes, runs, names } = self.claims.finish();
        response.spans = spans;
        response.names = names;
        response.runs = runs;
        response.skipped = skipped;
        response.echoes = echoes;
        response.partial_calls = self.partial_calls;
        response.tool_calls = self.calls.into_iter().map(|(_, call)| call).collect();
    }

    /// End the walk of an event.
    pub(super) fn stream_event(self, event: &mut StreamEvent) {
        let Found { spans, skipped, echoes, names, .. } = self.claims.finish();
        event.pieces = self.pieces.unwrap_or_default();
        event.spans = spans;
        event.names = names;
        event.skipped = skipped;
        event.echoes = echoes;
        event.partial_calls = self.partial_calls;
        event.tool_calls = self.calls;
    }
}
