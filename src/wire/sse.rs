//! `text/event-stream`: WHATWG HTML section 9.2.
//!
//! Lines end in LF, CRLF or CR. A CR that is the last byte of a chunk waits for
//! the next byte, since an LF after it belongs to the same line end.
//!
//! A comment outside an event leaves at once, so that keep-alives stay alive. One
//! with text is a frame of its own: it may be what the stream is cut for.
//! An event whose data is empty or blank has nothing to inspect. An event
//! without its blank line is dropped by browsers and delivered by some SDKs:
//! it becomes a frame at the end of the stream.

use std::ops::Range;

use memchr::memchr2;

use super::framing::{Body, Frame, FrameError, Part, push_opaque};

/// State between chunks.
#[derive(Debug)]
pub(super) struct Sse {
    max: usize,
    /// Bytes not yet given out; `start`, `line` and `scanned` are offsets here.
    buf: Vec<u8>,
    /// First byte of the current event.
    start: usize,
    /// First byte of the current line.
    line: usize,
    /// No line of the current event ends before this.
    scanned: usize,
    /// The next line is the first of the stream: it may start with a BOM.
    first: bool,
    event: Event,
}

/// What the lines of the current event said. Ranges count from its start.
#[derive(Debug, Default)]
struct Event {
    name: Range<usize>,
    data: Vec<Range<usize>>,
    /// It has a line that is not a comment.
    begun: bool,
}

impl Sse {
    pub(super) fn new(max: usize) -> Self {
        let event = Event::default();
        Sse { max, buf: Vec::new(), start: 0, line: 0, scanned: 0, first: true, event }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.buf.extend_from_slice(chunk);
        while let Some((end, next)) = self.line_end() {
            self.end_line(end, next, out)?;
        }
        self.buf.drain(..self.start);
        self.line -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        if self.buf.len() > self.max {
            return Err(FrameError::TooLarge);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        let len = self.buf.len();
        if self.line < len {
            let end = len - usize::from(self.buf.last() == Some(&b'\r'));
            self.end_line(end, len, out)?;
        }
        if self.start < len {
            self.dispatch(len, false, out);
        }
        self.buf.clear();
        (self.start, self.line, self.scanned) = (0, 0, 0);
        Ok(())
    }

    /// End of the text of the current line, and start of the next line.
    fn line_end(&mut self) -> Option<(usize, usize)> {
        let Some(found) = memchr2(b'\n', b'\r', self.buf.get(self.scanned..)?) else {
            self.scanned = self.buf.len();
            return None;
        };
        let end = self.scanned + found;
        self.scanned = end;
        match (self.buf.get(end), self.buf.get(end + 1)) {
            (Some(b'\r'), None) => None,
            (Some(b'\r'), Some(b'\n')) => Some((end, end + 2)),
            _ => Some((end, end + 1)),
        }
    }

    fn end_line(&mut self, end: usize, next: usize, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        if next - self.start > self.max {
            return Err(FrameError::TooLarge);
        }
        let mut from = self.line;
        let mut text = self.buf.get(from..end).unwrap_or_default();
        if std::mem::take(&mut self.first) && text.starts_with(b"\xEF\xBB\xBF") {
            from += 3;
            text = text.get(3..).unwrap_or_default();
        }
        (self.line, self.scanned) = (next, next);
        match text.first() {
            None => self.dispatch(next, true, out),
            Some(b':') if self.event.begun => {}
            Some(b':') => {
                let raw = self.buf.get(self.start..next).unwrap_or_default();
                if text.len() > 1 {
                    out.push(Frame::new(raw.to_vec(), 0..0, Body::Opaque, true));
                } else {
                    push_opaque(out, raw);
                }
                self.start = next;
            }
            Some(_) => self.event.field(text, from - self.start),
        }
        Ok(())
    }

    /// Give out the event up to `next`.
    fn dispatch(&mut self, next: usize, terminated: bool, out: &mut Vec<Frame>) {
        let raw = self.buf.get(self.start..next).unwrap_or_default();
        let event = std::mem::take(&mut self.event);
        self.start = next;
        match event.body(raw) {
            Body::Opaque if !event.begun => push_opaque(out, raw),
            body => out.push(Frame::new(raw.to_vec(), event.name, body, terminated)),
        }
    }
}

impl Event {
    /// Read a line that is neither blank nor a comment and starts at `at`.
    fn field(&mut self, line: &[u8], at: usize) {
        self.begun = true;
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(colon).unwrap_or_default();
        let skip = match rest {
            [b':', b' ', ..] => 2,
            [b':', ..] => 1,
            _ => 0,
        };
        let value = at + colon + skip..at + line.len();
        match name {
            b"data" => self.data.push(value),
            // The last one counts.
            b"event" => self.name = value,
            _ => {}
        }
    }

    fn body(&self, raw: &[u8]) -> Body {
        let value = |range: &Range<usize>| raw.get(range.clone()).unwrap_or_default();
        if self.data.iter().all(|range| value(range).iter().all(u8::is_ascii_whitespace)) {
            return Body::Opaque;
        }
        if let [only] = self.data.as_slice() {
            return Body::Plain(only.clone());
        }
        let mut doc = Vec::new();
        let mut parts = Vec::with_capacity(self.data.len());
        for (at, range) in self.data.iter().enumerate() {
            if at > 0 {
                doc.push(b'\n');
            }
            parts.push(Part { doc: doc.len(), raw: range.start, len: range.len() });
            doc.extend_from_slice(value(range));
        }
        Body::Lines { doc, parts }
    }
}

/// A line of a frame that is no `data:`. Clients show comments and unknown
/// fields to nobody, but hand out names and ids of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What of it is text: the value of a field of the standard, else all of it.
    pub range: Range<usize>,
    /// A field of the standard: an id, a name or a number.
    pub is_field: bool,
}

/// The lines beside the document in the bytes of a frame. `first`: the stream
/// starts with it.
pub fn lines_beside(raw: &[u8], first: bool) -> impl Iterator<Item = Line> {
    let mut at = if first && raw.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    std::iter::from_fn(move || {
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..end).unwrap_or_default();
            let start = at;
            at += end + 1;
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let (from, is_field) = match line.get(..colon).unwrap_or_default() {
                b"data" => continue,
                b"event" | b"id" | b"retry" => ((colon + 1).min(line.len()), true),
                _ => (0, false),
            };
            if line.len() > from {
                return Some(Line { range: start + from..start + line.len(), is_field });
            }
        }
        None
    })
}
