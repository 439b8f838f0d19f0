//! JSON string escapes, there and back, with the way from decoded offsets to source offsets.
//!
//! No map of offsets is kept while decoding. The rare text in which something
//! is found is walked a second time: [`source_offsets`].

/// An escape that no strict parser would have let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

/// Append the text of the inside of a JSON string.
pub fn unescape_json(raw: &[u8], out: &mut String) -> Result<(), BadEscape> {
    let text = std::str::from_utf8(raw).map_err(|_| BadEscape)?;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escaped) = rest.split_at_checked(at).ok_or(BadEscape)?;
        out.push_str(plain);
        let (c, len) = escape(escaped).ok_or(BadEscape)?;
        out.push(c);
        rest = escaped.get(len..).ok_or(BadEscape)?;
    }
    out.push_str(rest);
    Ok(())
}

/// Append the text of JSON that lies inside a JSON string, in whole or in
/// part. What is no escape, or is cut off, stays as it is.
pub fn unescape_lenient(text: &str, out: &mut String) {
    for token in Tokens(text) {
        match token {
            Token::Plain(run) => out.push_str(run),
            Token::Escape(c, _) => out.push(c),
        }
    }
}

/// Offsets in the source of a strictly escaped text, for ascending offsets in
/// the decoded text that lie on character borders.
pub fn source_offsets(raw: &[u8], decoded: &[usize]) -> Vec<usize> {
    std::str::from_utf8(raw).map(|text| walk(text, decoded)).unwrap_or_default()
}

/// The same for [`unescape_lenient`].
pub fn source_offsets_lenient(text: &str, decoded: &[usize]) -> Vec<usize> {
    walk(text, decoded)
}

fn walk(text: &str, decoded: &[usize]) -> Vec<usize> {
    let mut out = Vec::with_capacity(decoded.len());
    let mut wanted = decoded.iter().copied().peekable();
    let (mut source, mut target) = (0, 0);
    for token in Tokens(text) {
        let (from, to) = match token {
            Token::Plain(run) => (run.len(), run.len()),
            Token::Escape(c, len) => (len, c.len_utf8()),
        };
        while let Some(offset) = wanted.next_if(|w| *w < target + to) {
            // Inside a plain run offsets advance alike; inside an escape there
            // is no border, and its start is the nearest one.
            let inside = if matches!(token, Token::Plain(_)) { offset.saturating_sub(target) } else { 0 };
            out.push(source + inside);
        }
        source += from;
        target += to;
    }
    out.extend(wanted.map(|_| source));
    out
}

/// Length of the part of `text` that ends in no unfinished escape.
pub fn whole_escapes(text: &str) -> usize {
    // The longest unfinished escape is a surrogate pair less a digit, 11 bytes:
    // walk forwards from before that, not from behind a backslash.
    let mut from = text.len().saturating_sub(24);
    while from > 0 && (!text.is_char_boundary(from) || text.as_bytes().get(from - 1) == Some(&b'\\')) {
        from -= 1;
    }
    let mut at = from;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        if rest.starts_with('\\') {
            if is_unfinished(rest) {
                return at;
            }
            at += escape(rest).map_or(1, |(_, len)| len);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Whether an escape at the start of `rest` may be completed by more text.
fn is_unfinished(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    if bytes.len() < 2 {
        return true;
    }
    if bytes.get(1) != Some(&b'u') {
        return false;
    }
    let hex = |from: usize| bytes.iter().skip(from).take(4).take_while(|b| b.is_ascii_hexdigit()).count();
    let first = hex(2);
    if first < 4 {
        return 2 + first == bytes.len();
    }
    let high = rest
        .get(2..6)
        .and_then(|h| u32::from_str_radix(h, 16).ok())
        .is_some_and(|u| (0xD800..0xDC00).contains(&u));
    if !high {
        return false;
    }
    match bytes.get(6..).unwrap_or_default() {
        [] | [b'\\'] => true,
        [b'\\', b'u', ..] => hex(8) < 4 && 8 + hex(8) == bytes.len(),
        _ => false,
    }
}

enum Token<'t> {
    Plain(&'t str),
    /// The character and the bytes it is written with.
    Escape(char, usize),
}

struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        if self.0.is_empty() {
            return None;
        }
        if let Some((c, len)) = escape(self.0) {
            self.0 = self.0.get(len..).unwrap_or_default();
            return Some(Token::Escape(c, len));
        }
        // A backslash that starts no escape is plain text.
        let after = self.0.get(1..).unwrap_or_default();
        let skip = usize::from(self.0.starts_with('\\'));
        let search = if skip == 1 { after } else { self.0 };
        let end = memchr::memchr(b'\\', search.as_bytes()).map_or(self.0.len(), |n| n + skip);
        let (run, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(Token::Plain(run))
    }
}

/// The escape at the start of `text`: its character and its length.
fn escape(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'\\') {
        return None;
    }
    let c = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((c, 2))
}

fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let hex = text.get(at..at + 4).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(hex, 16).ok()
    };
    let first = unit(2)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = text.get(6..8).filter(|s| *s == "\\u").and_then(|_| unit(8))?;
    let low = second.checked_sub(0xDC00).filter(|l| *l < 0x400)?;
    Some((char::from_u32(0x10000 + ((first - 0xD800) << 10) + low)?, 12))
}

/// Append `text` as the inside of a JSON string.
pub fn escape_json(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let digit = |n: u32| char::from_digit(n, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.push(digit(c as u32 >> 4));
                out.push(digit(c as u32 & 15));
            }
            c => out.push(c),
        }
    }
}

/// A place in JSON text. The default is its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Inside a string.
    pub in_string: bool,
    /// That string, or the one before, is a key.
    pub in_key: bool,
    /// The last byte outside of strings that is no white space.
    last: u8,
    /// Objects (1) and arrays (0) that it lies in, the innermost last. Nobody
    /// reads deeper than [`crate::limits::MAX_JSON_DEPTH`].
    nest: u128,
}

impl Place {
    /// The place behind `text`, which begins here.
    pub fn after(mut self, text: &str) -> Place {
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            match b {
                b'\\' if self.in_string => {
                    bytes.next();
                }
                b'"' => {
                    self.in_string = !self.in_string;
                    if self.in_string {
                        self.in_key = self.nest & 1 == 1 && self.last != b':';
                    }
                }
                _ if self.in_string || b.is_ascii_whitespace() => {}
                _ => {
                    self.last = b;
                    match b {
                        b'{' | b'[' => self.nest = self.nest << 1 | u128::from(b == b'{'),
                        b'}' | b']' => self.nest >>= 1,
                        _ => {}
                    }
                }
            }
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]
mod tests {
    use super::*;

    #[test]
    fn decodes_and_maps_back() {
        for (raw, text) in [
            ("plain", "plain"),
            (r"a\nb", "a\nb"),
            (r"\u0041\ud83d\ude00é", "A😀é"),
            (r#"\"q\"\\"#, "\"q\"\\"),
        ] {
            let mut out = String::new();
            unescape_json(raw.as_bytes(), &mut out).unwrap();
            assert_eq!(out, text);
            let borders: Vec<usize> = (0..=out.len()).filter(|i| out.is_char_boundary(*i)).collect();
            let mapped = source_offsets(raw.as_bytes(), &borders);
            assert_eq!(mapped.len(), borders.len());
            for (pair, source) in borders.windows(2).zip(mapped.windows(2)) {
                let mut again = String::new();
                unescape_json(&raw.as_bytes()[source[0]..source[1]], &mut again).unwrap();
                assert_eq!(again, out[pair[0]..pair[1]]);
            }
            assert_eq!(mapped.last(), Some(&raw.len()));
        }
    }

    #[test]
    fn bad_escapes_are_errors_or_plain() {
        for raw in [r"\x", r"\u12", r"\ud800", "\\"] {
            assert_eq!(unescape_json(raw.as_bytes(), &mut String::new()), Err(BadEscape), "{raw}");
            let mut out = String::new();
            unescape_lenient(raw, &mut out);
            assert_eq!(out, raw);
        }
    }

    #[test]
    fn unfinished_escapes_wait() {
        for (text, whole) in [
            ("abc", 3),
            (r"ab\", 2),
            (r"ab\\", 4),
            (r"ab\\\", 4),
            (r"ab\n", 4),
            (r"ab\u00", 2),
            (r"ab\u0041", 8),
            (r"ab\ud83d", 2),
            (r"ab\ud83d\ude", 2),
            (r"ab\ud83d\ude00", 14),
            (r"ab\ud83dx", 9),
            (r"ab\ux", 5),
            ("é\\", 2),
        ] {
            assert_eq!(whole_escapes(text), whole, "{text}");
        }
    }

    #[test]
    fn inside_and_outside_of_strings() {
        for (before, in_string, in_key) in [
            (r#"{"a":"#, false, true),
            (r#"{"a":""#, true, false),
            (r#"{"a":"x\""#, true, false),
            (r#"{"a":"x\\""#, false, false),
            (r#"{ ""#, true, true),
            (r#"{"a":["b", ""#, true, false),
            (r#"{"a":["b", {}], ""#, true, true),
            (r#"{"a":[{"b":":"}, {"x""#, false, true),
            (r#""x"#, true, false),
        ] {
            let place = Place::default().after(before);
            assert_eq!((place.in_string, place.in_key), (in_string, in_key), "{before}");
            for (at, _) in before.char_indices().filter(|(at, _)| !before[..*at].ends_with('\\')) {
                assert_eq!(Place::default().after(&before[..at]).after(&before[at..]), place, "{before}");
            }
        }
    }
}
