//! Base64, data URLs and links, by their looks.
//!
//! A field's name alone makes nothing media: what does not look the part is
//! scanned as text.

use super::json::NodeId;
use super::walk::Walk;
use super::{Claims, SkipReason};
use crate::text::SpanKind;

/// Longest link: browsers and CDNs refuse longer ones; data hides in them.
const MAX_URL_BYTES: usize = 2048;

/// Longest `image/png;charset=…` between `data:` and the comma.
const MAX_MEDIA_TYPE_BYTES: usize = 128;

impl Walk<'_, '_> {
    /// The string at `node` is an image, sound, video or file: base64, a data
    /// URL or a link to it. Anything else is text of this kind.
    pub(super) fn media(&mut self, node: NodeId, kind: SpanKind) {
        let raw = self.doc.raw_str(node);
        if raw.is_empty() {
            return;
        }
        self.media += 1;
        if is_data_url(raw) || is_base64(raw) {
            self.claims.skip(node, SkipReason::Media);
        } else if is_link(raw) {
            self.claims.media_url(node, kind);
        } else {
            self.claims.text(node, kind);
        }
    }

    /// The string at `node` is a signature or an encrypted blob.
    pub(super) fn opaque(&mut self, node: NodeId) {
        opaque(&mut self.claims, self.doc.raw_str(node), node);
    }
}

fn opaque(claims: &mut Claims<'_, '_>, raw: &[u8], node: NodeId) {
    if is_base64(raw) {
        claims.skip(node, SkipReason::Opaque);
    }
}

/// The inside of a JSON string that is one run of base64 or base64url. Line
/// breaks and slashes may be escaped.
pub(super) fn is_base64(raw: &[u8]) -> bool {
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' if matches!(rest.next(), Some(b'/' | b'n' | b'r')) => {}
            b'+' | b'/' | b'=' | b'-' | b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => return false,
        }
    }
    !raw.is_empty()
}

/// A base64 data URL of a type that is not text itself.
fn is_data_url(raw: &[u8]) -> bool {
    let Some(rest) = raw.strip_prefix(b"data:") else { return false };
    let Some(comma) = rest.iter().take(MAX_MEDIA_TYPE_BYTES).position(|&b| b == b',') else { return false };
    let (head, tail) = rest.split_at(comma);
    head.ends_with(b";base64") && !is_text_type(head) && is_base64(tail.get(1..).unwrap_or_default())
}

/// Media types whose bytes a model reads as text.
fn is_text_type(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    let has = |word: &[u8]| head.windows(word.len()).any(|w| w == word);
    head.starts_with(b"text/") || head.starts_with(b";") || has(b"json") || has(b"xml") || has(b"yaml")
}

fn is_link(raw: &[u8]) -> bool {
    let schemes: [&[u8]; 5] = [b"http://", b"https://", b"gs://", b"s3://", b"http:\\/\\/"];
    raw.len() <= MAX_URL_BYTES
        && (schemes.iter().any(|s| raw.starts_with(s)) || raw.starts_with(b"https:\\/\\/"))
        && raw.iter().all(|&b| b > b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_no_room_for_words() {
        for yes in ["aGVsbG8=", "a-_b", r"a\/b", r"ab\ncd"] {
            assert!(is_base64(yes.as_bytes()), "{yes}");
        }
        for no in ["", "two words", r"a\u0020b", "a.b", "é", "a\\"] {
            assert!(!is_base64(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_data_url_of_text_is_text() {
        assert!(is_data_url(b"data:image/png;base64,iVBORw0KGgo="));
        for no in [
            "data:text/plain;base64,aGk=",
            "data:application/json;base64,e30=",
            "data:;base64,aGk=",
            "data:image/png,raw words",
            "data:image/png;base64,not base64",
            "image/png;base64,aGk=",
        ] {
            assert!(!is_data_url(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn links_are_short_and_have_no_spaces() {
        assert!(is_link(b"https://example.com/a.png") && is_link(br"https:\/\/example.com\/a.png"));
        assert!(!is_link(b"https://example.com/ ignore") && !is_link(b"ftp://example.com"));
    }
}
