//! A stream of bytes cut into frames, each with at most one document.
//!
//! Contract of every framing, whatever the borders of the chunks are:
//! * the raw bytes of all frames, in order, are the input;
//! * frames with a document are the same for every way of cutting the input
//!   (frames without one may be merged or apart);
//! * a frame leaves as soon as its last byte is known to be its last.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Framing;
use super::edit::{self, Edit, Overlap};
use super::eventstream::{self, EventStream};
use super::jsonarray::JsonArray;
use super::ndjson::Ndjson;
use super::sse::Sse;
use crate::limits::{MAX_BODY_BYTES, MAX_STREAM_EVENT_BYTES};

/// Cuts one stream into frames.
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter,
    failed: Option<FrameError>,
}

#[derive(Debug)]
enum Cutter {
    Whole { bytes: Vec<u8>, max: usize },
    Sse(Sse),
    Ndjson(Ndjson),
    JsonArray(JsonArray),
    EventStream(EventStream),
}

impl Framer {
    /// At the start of a stream.
    pub fn new(framing: Framing) -> Self {
        let max = if framing == Framing::Whole { MAX_BODY_BYTES } else { MAX_STREAM_EVENT_BYTES };
        Framer::with_max(framing, max)
    }

    /// Like [`Framer::new`], with a cap on the bytes of one frame.
    pub fn with_max(framing: Framing, max: usize) -> Self {
        let cutter = match framing {
            Framing::Whole => Cutter::Whole { bytes: Vec::new(), max },
            Framing::Sse => Cutter::Sse(Sse::new(max)),
            Framing::Ndjson => Cutter::Ndjson(Ndjson::new(max)),
            Framing::JsonArray => Cutter::JsonArray(JsonArray::new(max)),
            Framing::EventStream => Cutter::EventStream(EventStream::new(max)),
        };
        Framer { cutter, failed: None }
    }

    /// The framing it was made for.
    pub fn framing(&self) -> Framing {
        match self.cutter {
            Cutter::Whole { .. } => Framing::Whole,
            Cutter::Sse(_) => Framing::Sse,
            Cutter::Ndjson(_) => Framing::Ndjson,
            Cutter::JsonArray(_) => Framing::JsonArray,
            Cutter::EventStream(_) => Framing::EventStream,
        }
    }

    /// Take the next bytes; append the frames they complete to `out`. After an
    /// error nothing more is read and the error comes back again: the bytes
    /// behind the last frame were not inspected and must not be sent on.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.unless_failed(|cutter| match cutter {
            Cutter::Whole { bytes, max } => {
                if chunk.len() > max.saturating_sub(bytes.len()) {
                    return Err(FrameError::TooLarge);
                }
                bytes.extend_from_slice(chunk);
                Ok(())
            }
            Cutter::Sse(sse) => sse.push(chunk, out),
            Cutter::Ndjson(lines) => lines.push(chunk, out),
            Cutter::JsonArray(array) => array.push(chunk, out),
            Cutter::EventStream(messages) => messages.push(chunk, out),
        })
    }

    /// The stream has ended: what is left becomes a frame that is not
    /// [`Frame::is_terminated`].
    pub fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.unless_failed(|cutter| match cutter {
            Cutter::Whole { bytes, .. } => {
                let raw = std::mem::take(bytes);
                if !raw.is_empty() {
                    let doc = 0..raw.len();
                    out.push(Frame::new(raw, 0..0, Body::Plain(doc), true));
                }
                Ok(())
            }
            Cutter::Sse(sse) => sse.finish(out),
            Cutter::Ndjson(lines) => lines.finish(out),
            Cutter::JsonArray(array) => array.finish(out),
            Cutter::EventStream(messages) => messages.finish(),
        })
    }

    fn unless_failed(
        &mut self,
        step: impl FnOnce(&mut Cutter) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(&mut self.cutter).inspect_err(|error| self.failed = Some(*error))
    }
}

/// Why a stream cannot be cut any further. The stream is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// One frame is over the cap.
    TooLarge,
    /// The bytes are not of this framing.
    Malformed,
    /// A checksum is wrong.
    Checksum,
    /// The stream ends inside a frame that means nothing in part.
    Truncated,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::TooLarge => "an event of the stream is too large",
            FrameError::Malformed => "the stream is not framed as its content type says",
            FrameError::Checksum => "a message of the stream has a wrong checksum",
            FrameError::Truncated => "the stream ends inside a message",
        })
    }
}

impl std::error::Error for FrameError {}

/// A piece of a stream that is sent on or held as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    raw: Vec<u8>,
    name: Range<usize>,
    body: Body,
    terminated: bool,
}

/// Where the document of a frame is. Ranges are offsets in `Frame::raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// No document: comments, separators, blank lines.
    Opaque,
    /// The document as it stands.
    Plain(Range<usize>),
    /// A document over several lines of an SSE event, joined by line feeds.
    Lines { doc: Vec<u8>, parts: Vec<Part> },
    /// The payload of an event-stream message.
    Payload(Range<usize>),
    /// The payload is a JSON object with the document in base64 at `value`.
    Base64 { doc: Vec<u8>, payload: Range<usize>, value: Range<usize> },
}

/// `len` bytes of a joined document and where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) doc: usize,
    pub(super) raw: usize,
    pub(super) len: usize,
}

impl Frame {
    pub(super) fn new(raw: Vec<u8>, name: Range<usize>, body: Body, terminated: bool) -> Self {
        Frame { raw, name, body, terminated }
    }

    /// All bytes of the frame, its terminator included.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// [`Frame::raw`], without a copy.
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// SSE `event:` field or event-stream event, exception or error name; empty
    /// where there is none, U+FFFD where it is not UTF-8.
    pub fn name(&self) -> &str {
        let name = self.raw.get(self.name.clone()).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or("\u{FFFD}")
    }

    /// The document; `None` for a frame that has nothing to inspect.
    pub fn doc_bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Opaque => None,
            Body::Plain(range) | Body::Payload(range) => self.raw.get(range.clone()),
            Body::Lines { doc, .. } | Body::Base64 { doc, .. } => Some(doc),
        }
    }

    /// Whether the frame came with its end. One without is what a broken
    /// stream left over; some clients read it all the same.
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// The bytes of the frame after `edits`, whose ranges are offsets in
    /// [`Frame::doc_bytes`]. Lengths and checksums are made right. Edits that
    /// cannot be placed are an error: overlapping, outside, over the border of
    /// two lines of an SSE event, or a line break where it would end the frame.
    pub fn apply(&self, edits: &mut [Edit]) -> Result<Vec<u8>, Overlap> {
        if edits.is_empty() {
            return Ok(self.raw.clone());
        }
        match &self.body {
            Body::Opaque => Err(Overlap),
            Body::Plain(doc) => {
                let part = Part { doc: 0, raw: doc.start, len: doc.len() };
                self.apply_in_lines(&[part], edits)
            }
            Body::Lines { parts, .. } => self.apply_in_lines(parts, edits),
            Body::Payload(payload) => {
                let doc = self.raw.get(payload.clone()).ok_or(Overlap)?;
                self.with_payload(payload, &edit::apply(doc, edits)?)
            }
            Body::Base64 { doc, payload, value } => {
                let with = STANDARD.encode(edit::apply(doc, edits)?).into_bytes();
                let outer = self.raw.get(payload.clone()).ok_or(Overlap)?;
                let range = value.start.checked_sub(payload.start).ok_or(Overlap)?
                    ..value.end.checked_sub(payload.start).ok_or(Overlap)?;
                let outer = edit::apply(outer, &mut [Edit { range, with }])?;
                self.with_payload(payload, &outer)
            }
        }
    }

    /// [`Frame::apply`] with edits besides the document too, as ranges of
    /// [`Frame::raw`]. For server-sent events only.
    pub fn apply_all(&self, edits: &mut [Edit], mut beside: Vec<Edit>) -> Result<Vec<u8>, Overlap> {
        if beside.is_empty() {
            return self.apply(edits);
        }
        if beside.iter().any(|edit| memchr::memchr2(b'\n', b'\r', &edit.with).is_some()) {
            return Err(Overlap);
        }
        match &self.body {
            Body::Opaque if edits.is_empty() => {}
            Body::Plain(doc) => {
                beside.extend(in_raw(&[Part { doc: 0, raw: doc.start, len: doc.len() }], edits)?);
            }
            Body::Lines { parts, .. } => beside.extend(in_raw(parts, edits)?),
            _ => return Err(Overlap),
        }
        Ok(edit::apply(&self.raw, &mut beside)?.into_owned())
    }

    fn apply_in_lines(&self, parts: &[Part], edits: &[Edit]) -> Result<Vec<u8>, Overlap> {
        Ok(edit::apply(&self.raw, &mut in_raw(parts, edits)?)?.into_owned())
    }

    fn with_payload(&self, payload: &Range<usize>, with: &[u8]) -> Result<Vec<u8>, Overlap> {
        eventstream::rebuild(&self.raw, payload, with).ok_or(Overlap)
    }
}

/// Edits of a document as edits of the lines that it came in.
fn in_raw(parts: &[Part], edits: &[Edit]) -> Result<Vec<Edit>, Overlap> {
    let mut moved = Vec::with_capacity(edits.len());
    for edit in edits {
        // JSON escapes line breaks; a raw one would forge an event.
        if memchr::memchr2(b'\n', b'\r', &edit.with).is_some() {
            return Err(Overlap);
        }
        let after = parts.partition_point(|part| part.doc <= edit.range.start);
        let part = after.checked_sub(1).and_then(|at| parts.get(at)).ok_or(Overlap)?;
        let start = edit.range.start - part.doc;
        let end = edit.range.end.checked_sub(part.doc).filter(|end| *end <= part.len).ok_or(Overlap)?;
        moved.push(Edit { range: part.raw + start..part.raw + end, with: edit.with.clone() });
    }
    Ok(moved)
}

/// Append bytes without a document. They join such bytes before them: a chunk
/// of a million blank lines is one frame, not a million.
pub(super) fn push_opaque(out: &mut Vec<Frame>, bytes: &[u8]) {
    match out.last_mut() {
        _ if bytes.is_empty() => {}
        Some(last) if last.body == Body::Opaque => last.raw.extend_from_slice(bytes),
        _ => out.push(Frame::new(bytes.to_vec(), 0..0, Body::Opaque, true)),
    }
}

#[cfg(test)]
#[path = "framing/tests.rs"]
mod tests;
