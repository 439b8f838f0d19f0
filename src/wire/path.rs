//! A request path as its segments, or nothing if it is written oddly.

use std::borrow::Cow;

/// Deepest path recognised: Vertex models lie nine deep, gateways add a prefix.
const MAX_SEGMENTS: usize = 16;

/// The decoded segments of a path.
///
/// Empty segments are dropped, so that `//v1/chat/completions/` is
/// `/v1/chat/completions`. A path that two servers could read in two ways is no
/// path here: dot segments, a `%` that decodes to another `%`, control bytes,
/// backslashes, a bad escape. Nothing recognises it, so it is refused.
#[derive(Debug)]
pub(super) struct Path<'p> {
    segments: Vec<Cow<'p, str>>,
    /// Some segment holds an encoded slash: Bedrock writes ARNs so.
    encoded_slash: bool,
}

impl<'p> Path<'p> {
    /// Split `path`, which has no query.
    pub(super) fn parse(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix('/')?;
        let mut segments = Vec::new();
        let mut encoded_slash = false;
        for raw in rest.split('/').filter(|s| !s.is_empty()) {
            let segment = decode(raw)?;
            if matches!(&*segment, "." | "..") || segments.len() == MAX_SEGMENTS {
                return None;
            }
            encoded_slash |= segment.contains('/');
            segments.push(segment);
        }
        Some(Path { segments, encoded_slash })
    }

    /// The segments, if none of them hides a slash.
    pub(super) fn plain(&self) -> Option<&[Cow<'p, str>]> {
        (!self.encoded_slash).then_some(self.segments.as_slice())
    }

    /// The segments; they may hold slashes.
    pub(super) fn any(&self) -> &[Cow<'p, str>] {
        &self.segments
    }

    /// What stands before `tail`, which is matched without regard to case.
    pub(super) fn before(&self, tail: &[&str]) -> Option<&[Cow<'p, str>]> {
        let segments = self.plain()?;
        let (prefix, end) = segments.split_at_checked(segments.len().checked_sub(tail.len())?)?;
        let same = end.iter().zip(tail).all(|(a, b)| a.eq_ignore_ascii_case(b));
        same.then_some(prefix)
    }

    /// `tail` stands at the root of an API: nothing, a version or `openai` is
    /// before it. Tells `/v1/messages` from `/v1/threads/t_1/messages`.
    pub(super) fn is_api(&self, tail: &[&str]) -> bool {
        self.before(tail).is_some_and(|prefix| {
            prefix.last().is_none_or(|last| is_version(last) || is(last, "openai") || is(last, "beta"))
        })
    }
}

/// `segment` is `word`, in any case.
pub(super) fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

/// `v1`, `v1beta`, `v1beta1`, `v2alpha`.
pub(super) fn is_version(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    matches!(bytes, [b'v' | b'V', b'0'..=b'9', ..])
        && bytes.len() <= 10
        && bytes.iter().all(u8::is_ascii_alphanumeric)
}

/// Undo percent-encoding once. `None` for bytes that no honest path has.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if raw.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b'\\') {
        return None;
    }
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        let byte = u8::try_from(high * 16 + low).ok()?;
        if byte <= b' ' || byte >= 0x7f || matches!(byte, b'%' | b'\\') {
            return None;
        }
        out.push(byte);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_no_paths() {
        for path in [
            "",
            "v1/chat",
            "/v1/../chat",
            "/v1/./chat",
            "/%2e%2E/chat",
            "/a%252fb",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a\\b",
            "/a%5cb",
            "/a b",
            "/a%20b",
            "/a%00",
            "/a\u{7f}",
            "/é",
            "/%c3%a9",
        ] {
            assert!(Path::parse(path).is_none(), "{path:?}");
        }
        assert!(Path::parse(&"/a".repeat(17)).is_none());
    }

    #[test]
    fn slashes_and_case_do_not_matter() {
        for path in ["/v1/chat/completions", "//v1//chat/completions/", "/V1/Chat/%63ompletions"] {
            let parsed = Path::parse(path).unwrap();
            assert_eq!(parsed.before(&["chat", "completions"]).unwrap().len(), 1, "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_is_only_seen_by_who_asks() {
        let path = Path::parse("/model/arn%3Aaws%3Ax%2Fy/converse").unwrap();
        assert!(path.plain().is_none() && path.before(&["converse"]).is_none());
        assert_eq!(path.any().get(1).unwrap(), "arn:aws:x/y");
    }

    #[test]
    fn an_api_word_stands_after_a_version() {
        for (path, want) in [
            ("/v1/messages", true),
            ("/messages", true),
            ("/anthropic/v1/messages", true),
            ("/v1beta/openai/messages", true),
            ("/v1/threads/t_1/messages", false),
            ("/verse/messages", false),
        ] {
            assert_eq!(Path::parse(path).unwrap().is_api(&["messages"]), want, "{path}");
        }
    }
}
