//! One JSON array whose elements arrive over time (Gemini without `alt=sse`).
//!
//! Each element is a frame as soon as it is complete; brackets, commas and white
//! space are frames without a document. A single object in place of the array is
//! one element: that is how an error answers a streamed request.
//!
//! The grammar between elements is checked here; an element itself is only
//! followed to its end, and is checked when it is parsed.

use memchr::memchr2;

use super::framing::{Body, Frame, FrameError, push_opaque};
use crate::limits::MAX_JSON_DEPTH;

/// State between chunks.
#[derive(Debug)]
pub(super) struct JsonArray {
    max: usize,
    place: Place,
    /// The element so far, if in one.
    element: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the opening bracket.
    Begin,
    /// Behind it: an element or the closing bracket.
    First,
    /// Behind a comma: an element.
    Next,
    /// In an element. `alone`: it stands in place of the array.
    Element { inside: Inside, alone: bool },
    /// Behind an element: a comma or the closing bracket.
    After,
    /// Behind the closing bracket.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// A number or a word: ends before the byte behind it.
    Scalar,
    /// A string; `depth` brackets are open around it.
    String { depth: usize, escaped: bool },
    /// Between the tokens of an array or object.
    Nested { depth: usize },
}

impl JsonArray {
    pub(super) fn new(max: usize) -> Self {
        JsonArray { max, place: Place::Begin, element: Vec::new() }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let len = match self.place {
                Place::Element { inside, alone } => self.element(inside, alone, rest, out)?,
                _ => self.between(rest, out)?,
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        if !self.element.is_empty() {
            self.end_element(false, out);
        }
        self.place = Place::End;
        Ok(())
    }

    /// Read up to the next element; how many bytes that was.
    fn between(&mut self, bytes: &[u8], out: &mut Vec<Frame>) -> Result<usize, FrameError> {
        let mut len = 0;
        let mut fault = None;
        for byte in bytes {
            match self.place_behind(*byte) {
                Ok(place) => self.place = place,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
            if matches!(self.place, Place::Element { .. }) {
                break;
            }
            len += 1;
        }
        // Also what comes before a fault: cut into single bytes it had left already.
        push_opaque(out, bytes.get(..len).unwrap_or_default());
        fault.map_or(Ok(len + usize::from(len < bytes.len())), Err)
    }

    /// Where one more byte between elements leads.
    fn place_behind(&mut self, byte: u8) -> Result<Place, FrameError> {
        match (self.place, byte) {
            (place, b' ' | b'\t' | b'\n' | b'\r') => Ok(place),
            (Place::Begin, b'[') => Ok(Place::First),
            (Place::Begin, b'{') => self.start_element(byte, true),
            (Place::First | Place::After, b']') => Ok(Place::End),
            (Place::After, b',') => Ok(Place::Next),
            (Place::First | Place::Next, _) => self.start_element(byte, false),
            _ => Err(FrameError::Malformed),
        }
    }

    /// Take the first byte of an element.
    fn start_element(&mut self, first: u8, alone: bool) -> Result<Place, FrameError> {
        let inside = match first {
            b'{' | b'[' => Inside::Nested { depth: 1 },
            b'"' => Inside::String { depth: 0, escaped: false },
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Inside::Scalar,
            _ => return Err(FrameError::Malformed),
        };
        self.element.push(first);
        Ok(Place::Element { inside, alone })
    }

    /// Read on in an element; how many bytes that was.
    fn element(
        &mut self,
        mut inside: Inside,
        alone: bool,
        bytes: &[u8],
        out: &mut Vec<Frame>,
    ) -> Result<usize, FrameError> {
        let mut len = 0;
        let mut ended = false;
        while let Some(byte) = bytes.get(len) {
            let (next, taken) = match (inside, byte) {
                (Inside::Scalar, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r') => (None, 0),
                (Inside::Scalar, _) => (Some(inside), 1),
                (Inside::String { depth, escaped: true }, _) => {
                    (Some(Inside::String { depth, escaped: false }), 1)
                }
                (Inside::String { depth: 0, .. }, b'"') => (None, 1),
                (Inside::String { depth, .. }, b'"') => (Some(Inside::Nested { depth }), 1),
                (Inside::String { depth, .. }, b'\\') => (Some(Inside::String { depth, escaped: true }), 1),
                (Inside::String { .. }, _) => {
                    let rest = bytes.get(len..).unwrap_or_default();
                    (Some(inside), memchr2(b'"', b'\\', rest).unwrap_or(rest.len()))
                }
                (Inside::Nested { depth }, b'"') => (Some(Inside::String { depth, escaped: false }), 1),
                (Inside::Nested { depth }, b'{' | b'[') => {
                    if depth >= MAX_JSON_DEPTH {
                        // In small chunks the size would have been seen first.
                        let too_large = len > self.max.saturating_sub(self.element.len());
                        return Err(if too_large { FrameError::TooLarge } else { FrameError::Malformed });
                    }
                    (Some(Inside::Nested { depth: depth + 1 }), 1)
                }
                (Inside::Nested { depth: 1 }, b'}' | b']') => (None, 1),
                (Inside::Nested { depth }, b'}' | b']') => (Some(Inside::Nested { depth: depth - 1 }), 1),
                (Inside::Nested { .. }, _) => (Some(inside), 1),
            };
            len += taken;
            match next {
                Some(next) => inside = next,
                None => {
                    ended = true;
                    break;
                }
            }
        }
        let taken = bytes.get(..len).unwrap_or_default();
        if taken.len() > self.max.saturating_sub(self.element.len()) {
            return Err(FrameError::TooLarge);
        }
        self.element.extend_from_slice(taken);
        self.place = Place::Element { inside, alone };
        if ended {
            self.place = if alone { Place::End } else { Place::After };
            self.end_element(true, out);
        }
        Ok(len)
    }

    fn end_element(&mut self, terminated: bool, out: &mut Vec<Frame>) {
        let raw = std::mem::take(&mut self.element);
        let doc = 0..raw.len();
        out.push(Frame::new(raw, 0..0, Body::Plain(doc), terminated));
    }
}
