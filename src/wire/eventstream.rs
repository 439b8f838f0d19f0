//! `application/vnd.amazon.eventstream`: binary messages with checksums.
//!
//! ```text
//! total length u32 | headers length u32 | CRC-32 of these 8 bytes
//! headers: (name length u8, name, type u8, value)*
//! payload
//! CRC-32 of all before it
//! ```
//! Big endian; CRC-32 as in gzip. Source: AWS, "Event stream encoding" (Amazon
//! Transcribe and S3 Select guides) and Smithy, "Amazon Event Stream".

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::framing::{Body, Frame, FrameError};
use super::json::{Doc, Kind};

/// Lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TRAILER: usize = 4;

/// State between chunks.
#[derive(Debug)]
pub(super) struct EventStream {
    max: usize,
    buf: Vec<u8>,
}

impl EventStream {
    pub(super) fn new(max: usize) -> Self {
        EventStream { max, buf: Vec::new() }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameError> {
        self.buf.extend_from_slice(chunk);
        let mut start = 0;
        while let Some(len) = self.message_len(start)? {
            let Some(message) = self.buf.get(start..start + len) else { break };
            out.push(read(message)?);
            start += len;
        }
        self.buf.drain(..start);
        Ok(())
    }

    /// Half a message cannot be checked, and no client reads one.
    pub(super) fn finish(&mut self) -> Result<(), FrameError> {
        if self.buf.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }

    /// Length of the message at `start`, once its prelude is there.
    fn message_len(&self, start: usize) -> Result<Option<usize>, FrameError> {
        let Some(prelude) = self.buf.get(start..start + PRELUDE) else { return Ok(None) };
        let (lengths, crc) = prelude.split_at(8);
        if be_u32(crc, 0) != Some(crc32fast::hash(lengths)) {
            return Err(FrameError::Checksum);
        }
        let (total, headers) = (be_len(lengths, 0), be_len(lengths, 4));
        if total > self.max {
            return Err(FrameError::TooLarge);
        }
        if headers > total.checked_sub(PRELUDE + TRAILER).ok_or(FrameError::Malformed)? {
            return Err(FrameError::Malformed);
        }
        Ok(Some(total))
    }
}

/// A message of string headers, checksums included.
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).ok()?);
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    assemble(&block, payload)
}

/// The message `raw` with another payload.
pub(super) fn rebuild(raw: &[u8], payload: &Range<usize>, with: &[u8]) -> Option<Vec<u8>> {
    assemble(raw.get(PRELUDE..payload.start)?, with)
}

fn assemble(headers: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let total = u32::try_from(PRELUDE + headers.len() + payload.len() + TRAILER).ok()?;
    let mut out = Vec::with_capacity(total as usize);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&u32::try_from(headers.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    Some(out)
}

/// Check one whole message and find its parts.
fn read(message: &[u8]) -> Result<Frame, FrameError> {
    let (body, crc) = message.split_last_chunk::<TRAILER>().ok_or(FrameError::Malformed)?;
    if u32::from_be_bytes(*crc) != crc32fast::hash(body) {
        return Err(FrameError::Checksum);
    }
    let payload = PRELUDE + be_len(message, 4)..body.len();
    let headers = message.get(PRELUDE..payload.start).ok_or(FrameError::Malformed)?;
    let name = event_name(headers)?;
    let name = PRELUDE + name.start..PRELUDE + name.end;
    let mut frame_body = Body::Opaque;
    if !payload.is_empty() {
        let is_chunk = message.get(name.clone()) == Some(b"chunk");
        let wrapped = if is_chunk { unwrap_base64(message, &payload)? } else { None };
        frame_body = wrapped.unwrap_or(Body::Payload(payload));
    }
    Ok(Frame::new(message.to_vec(), name, frame_body, true))
}

/// Bedrock's `InvokeModelWithResponseStream` wraps the model's own event:
/// `{"bytes":"<base64>","p":"<padding>"}`. `None`: not of that shape.
fn unwrap_base64(message: &[u8], payload: &Range<usize>) -> Result<Option<Body>, FrameError> {
    let bytes = message.get(payload.clone()).unwrap_or_default();
    let Ok(outer) = Doc::parse(bytes) else { return Ok(None) };
    let Some(node) = outer.get(outer.root(), "bytes").filter(|id| outer.kind(*id) == Kind::String) else {
        return Ok(None);
    };
    // The outer object is not shown to anybody: it may hold padding, not text.
    let silent = outer.items(outer.root()).all(|id| match outer.kind(id) {
        Kind::String => id == node || outer.raw_str(id).iter().all(u8::is_ascii_alphanumeric),
        Kind::Array | Kind::Object => false,
        _ => true,
    });
    let doc = STANDARD.decode(outer.raw_str(node)).ok().filter(|_| silent).ok_or(FrameError::Malformed)?;
    let value = outer.inner_range(node);
    let value = payload.start + value.start..payload.start + value.end;
    Ok(Some(Body::Base64 { doc, payload: payload.clone(), value }))
}

/// Where the name of the event stands in the headers: `:event-type`, or what
/// names an exception or an error. Reads and checks every header.
fn event_name(headers: &[u8]) -> Result<Range<usize>, FrameError> {
    let mut found = 0..0;
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    while at < headers.len() {
        let (name, value, next) = header(headers, at).ok_or(FrameError::Malformed)?;
        let name = headers.get(name).unwrap_or_default();
        if matches!(name, b":event-type" | b":exception-type" | b":error-code") {
            if !found.is_empty() {
                return Err(FrameError::Malformed);
            }
            found = value;
        }
        seen.push(name);
        at = next;
    }
    // Which of two equal headers a client reads is its own choice.
    seen.sort_unstable();
    if seen.iter().zip(seen.iter().skip(1)).any(|(a, b)| a == b) {
        return Err(FrameError::Malformed);
    }
    Ok(found)
}

/// Name, value and end of the header at `at`. The value is empty where the type
/// says it all.
fn header(headers: &[u8], at: usize) -> Option<(Range<usize>, Range<usize>, usize)> {
    let name_len = usize::from(*headers.get(at)?);
    let name = at + 1..at + 1 + name_len;
    let mut from = name.end + 1;
    let len = match headers.get(name.end)? {
        // true, false
        0 | 1 => 0,
        // byte, short, integer, long
        2 => 1,
        3 => 2,
        4 => 4,
        5 => 8,
        // byte array, string
        6 | 7 => {
            let len = headers.get(from..from + 2)?;
            from += 2;
            usize::from(u16::from_be_bytes(len.try_into().ok()?))
        }
        // timestamp (milliseconds), UUID
        8 => 8,
        9 => 16,
        _ => return None,
    };
    let value = from..from + len;
    headers.get(value.clone())?;
    (name_len > 0).then_some(())?;
    let next = value.end;
    Some((name, value, next))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn be_len(bytes: &[u8], at: usize) -> usize {
    be_u32(bytes, at).map_or(0, |len| len as usize)
}
