//! One JSON document a line (Ollama, OpenAI batch files).
//!
//! Lines end in LF; a CR before it is white space to JSON. Blank lines have
//! nothing to inspect. The last line may lack its end.

use memchr::memchr;

use super::framing::{Body, Frame, FrameError, push_opaque};

/// State between chunks.
#[derive(Debug)]
pub(super) struct Ndjson {
    max: usize,
    /// The current line, without its end.
    line: Vec<u8>,
}

impl Ndjson {
    pub(super) fn new(max: usize) -> Self {
        Ndjson { max, line: Vec::new() }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        let mut rest = chunk;
        while let Some((head, tail)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at + 1)) {
            self.grow(head)?;
            self.end_line(true, out);
            rest = tail;
        }
        self.grow(rest)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.end_line(false, out);
        Ok(())
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        if bytes.len() > self.max.saturating_sub(self.line.len()) {
            return Err(FrameError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, terminated: bool, out: &mut Vec<Frame>) {
        let doc = self.line.trim_ascii();
        if doc.is_empty() {
            push_opaque(out, &self.line);
            self.line.clear();
            return;
        }
        let start = self.line.len() - self.line.trim_ascii_start().len();
        let doc = start..start + doc.len();
        out.push(Frame::new(std::mem::take(&mut self.line), 0..0, Body::Plain(doc), terminated));
    }
}
