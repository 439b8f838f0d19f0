//! The text of a span behind its escapes, and the way back to its bytes.

use std::borrow::Cow;
use std::cell::RefCell;

use super::inspect::Change;
use super::vault::Vault;
use crate::text::escape::{self, Place};
use crate::text::{Encoding, Span};
use crate::wire::edit::Edit;

/// The text of a span, with the way back to its bytes.
///
/// No map of offsets is kept: on the rare text that changes, decoding runs a
/// second time to find where the changes lie.
pub(super) struct Decoded<'t> {
    raw: &'t [u8],
    /// After the outer JSON escapes are undone.
    outer: Option<Cow<'t, str>>,
    /// After those of JSON inside JSON are undone too.
    inner: Option<String>,
}

impl<'t> Decoded<'t> {
    pub(super) fn of(raw: &'t [u8], encoding: Encoding, buffer: &'t mut String) -> Self {
        let plain = || std::str::from_utf8(raw).ok().map(Cow::Borrowed);
        let outer = match encoding {
            Encoding::Plain | Encoding::JsonNumber => plain(),
            Encoding::Json | Encoding::JsonInJson if memchr::memchr(b'\\', raw).is_none() => plain(),
            Encoding::Json | Encoding::JsonInJson => {
                buffer.clear();
                escape::unescape_json(raw, buffer).ok().map(|()| Cow::Borrowed(buffer.as_str()))
            }
        };
        let inner = match (&outer, encoding) {
            (Some(text), Encoding::JsonInJson) if text.contains('\\') => {
                let mut inner = String::with_capacity(text.len());
                escape::unescape_lenient(text, &mut inner);
                Some(inner)
            }
            _ => None,
        };
        Decoded { raw, outer, inner }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.inner.as_deref().or(self.outer.as_deref())
    }

    /// Turn changes of the text into edits of the document. `numbers`: masks in
    /// keys become each value's own, and whether the text is a key itself. True
    /// if there was no room for that.
    pub(super) fn edits(
        &self,
        span: &Span,
        changes: Vec<Change>,
        numbers: Option<(&RefCell<Vault>, bool)>,
        out: &mut Vec<Edit>,
    ) -> bool {
        if changes.is_empty() {
            return false;
        }
        let Some(outer) = self.outer.as_deref() else { return false };
        let mut offsets: Vec<usize> = changes.iter().flat_map(|c| [c.range.start, c.range.end]).collect();
        if self.inner.is_some() {
            offsets = escape::source_offsets_lenient(outer, &offsets);
        }
        let outer_offsets = offsets.clone();
        if matches!(span.encoding, Encoding::Json | Encoding::JsonInJson) {
            offsets = escape::source_offsets(self.raw, &offsets);
        }
        // Changes come in order: what was read for one is not read again.
        let (mut read, mut place, mut full) = (0, Place::default(), false);
        for (i, mut change) in changes.into_iter().enumerate() {
            let (Some(start), Some(end)) = (offsets.get(2 * i), offsets.get(2 * i + 1)) else { continue };
            if span.encoding == Encoding::JsonInJson {
                let at = outer_offsets.get(2 * i).copied().unwrap_or_default();
                place = place.after(outer.get(read..at).unwrap_or_default());
                read = at.max(read);
            }
            if let Some((vault, is_key)) = numbers
                && (is_key || place.in_key && place.in_string)
            {
                full |= !change.number(vault, self.text().unwrap_or_default());
            }
            let with = encode(&change.with, span.encoding, || place.in_string);
            out.push(Edit { range: span.range.start + start..span.range.start + end, with });
        }
        full
    }
}

/// A text that is the key of a member.
pub(super) fn is_key(body: &[u8], span: &Span) -> bool {
    let behind = body.get(span.range.end..).unwrap_or_default();
    let Some((b'"', behind)) = behind.split_first() else { return false };
    behind.trim_ascii_start().first() == Some(&b':')
}

/// A replacement as it stands in a document of that encoding. `in_string`:
/// whether the place is inside a string of the inner document.
pub(super) fn encode(text: &str, encoding: Encoding, in_string: impl FnOnce() -> bool) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() + 4);
    match encoding {
        Encoding::Plain => out.push_str(text),
        Encoding::Json => escape::escape_json(text, &mut out),
        Encoding::JsonNumber => quoted(text, &mut out),
        Encoding::JsonInJson => {
            let mut inner = String::with_capacity(text.len() + 4);
            if in_string() {
                escape::escape_json(text, &mut inner);
            } else {
                // A bare number of the inner document becomes a string.
                quoted(text, &mut inner);
            }
            escape::escape_json(&inner, &mut out);
        }
    }
    out.into_bytes()
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    escape::escape_json(text, out);
    out.push('"');
}
