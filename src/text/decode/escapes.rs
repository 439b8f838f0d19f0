//! Escapes of single characters: HTML entities, percent, backslash, `=XX`.

use std::ops::Range;

use super::{Bytes, Content, Found};
use crate::text::Transforms;

/// Longest entity or escape, with its marks: `&#x0010FFFF;`.
const MAX_ESCAPE: usize = 16;

/// Runs of two-digit escapes shorter than this are left to [`one`].
const MIN_RUN: usize = 2;

/// The common named entities: those of HTML 2 to 4 that stand for ASCII or
/// for spaces, and the marks that split words.
const NAMED: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("hyphen", '-'),
    ("dash", '-'),
    ("ndash", '-'),
    ("mdash", '-'),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("vert", '|'),
    ("verbar", '|'),
    ("lsquo", '\''),
    ("rsquo", '\''),
    ("ldquo", '"'),
    ("rdquo", '"'),
    ("hellip", '…'),
    ("shy", '\u{AD}'),
    ("zwj", '\u{200D}'),
    ("zwnj", '\u{200C}'),
    ("zwsp", '\u{200B}'),
    ("lrm", '\u{200E}'),
    ("rlm", '\u{200F}'),
];

/// The escape at `at`, if it stands for one character.
pub(super) fn one(input: &str, at: usize) -> Option<Found> {
    let rest = input.as_bytes().get(at..)?;
    let rest = rest.get(..MAX_ESCAPE.min(rest.len()))?;
    let (c, len, transforms) = match rest {
        [b'&', b'#', b'x' | b'X', digits @ ..] => numeric(digits, 16, 3)?,
        [b'&', b'#', digits @ ..] => numeric(digits, 10, 2)?,
        [b'&', name @ ..] => named(name)?,
        [b'%', b'u' | b'U', digits @ ..] => fixed(digits, 4, 2, Transforms::PERCENT)?,
        [b'\\', b'u', b'{', digits @ ..] => braced(digits)?,
        [b'\\', b'u', digits @ ..] => {
            surrogates(digits).or_else(|| fixed(digits, 4, 2, Transforms::UNICODE_ESCAPE))?
        }
        [b'\\', b'U', digits @ ..] => fixed(digits, 8, 2, Transforms::UNICODE_ESCAPE)?,
        [b'\\', simple, ..] => (simple_escape(*simple)?, 2, Transforms::JSON_ESCAPE),
        _ => return None,
    };
    Some(Found { end: at + len, transforms, content: Content::Char(c) })
}

type Escape = (char, usize, Transforms);

/// Digits to the semicolon, which browsers do without.
fn numeric(digits: &[u8], radix: u32, prefix: usize) -> Option<Escape> {
    let len = digits.iter().take_while(|b| char::from(**b).is_digit(radix)).count();
    let c = number(digits.get(..len)?, radix)?;
    let semicolon = usize::from(digits.get(len) == Some(&b';'));
    Some((c, prefix + len + semicolon, Transforms::HTML_ENTITY))
}

fn named(name: &[u8]) -> Option<Escape> {
    let len = name.iter().position(|b| *b == b';')?;
    let name = name.get(..len)?;
    let (_, c) = NAMED.iter().find(|(known, _)| known.as_bytes() == name)?;
    Some((*c, len + 2, Transforms::HTML_ENTITY))
}

/// `\u{1F600}`.
fn braced(digits: &[u8]) -> Option<Escape> {
    let len = digits.iter().position(|b| *b == b'}')?;
    Some((number(digits.get(..len)?, 16)?, len + 4, Transforms::UNICODE_ESCAPE))
}

fn fixed(digits: &[u8], len: usize, prefix: usize, transforms: Transforms) -> Option<Escape> {
    Some((number(digits.get(..len)?, 16)?, prefix + len, transforms))
}

/// `D83D\uDE00`, a pair written after `\u`.
fn surrogates(digits: &[u8]) -> Option<Escape> {
    let (high, rest) = digits.split_at_checked(4)?;
    let low = rest.strip_prefix(b"\\u")?.get(..4)?;
    let pair = [value(high, 16)? as u16, value(low, 16)? as u16];
    let c = char::decode_utf16(pair).next()?.ok().filter(|c| *c as u32 > 0xFFFF)?;
    Some((c, 12, Transforms::UNICODE_ESCAPE))
}

const fn simple_escape(byte: u8) -> Option<char> {
    match byte {
        b'n' => Some('\n'),
        b't' => Some('\t'),
        b'r' => Some('\r'),
        b'"' => Some('"'),
        b'\'' => Some('\''),
        b'\\' => Some('\\'),
        b'/' => Some('/'),
        _ => None,
    }
}

fn value(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    u32::from_str_radix(digits, radix).ok()
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    value(digits, radix).and_then(char::from_u32).filter(|c| *c != '\0')
}

/// `%XX` in a row, bytes of UTF-8.
pub(super) fn percent_run(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    pairs(input, at, b"%", 1, f)
}

/// `\xXX` in a row.
pub(super) fn hex_run(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    pairs(input, at, b"\\x", 1, f)
}

/// `=XX` in a row; a query such as `a=20` is none.
pub(super) fn quoted_printable(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    pairs(input, at, b"=", MIN_RUN, f)
}

fn pairs(input: &[u8], start: usize, prefix: &[u8], min: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let (mut at, mut count, mut goes_on) = (start, 0, true);
    while let Some((byte, end)) = pair(input, at, prefix) {
        goes_on = goes_on && f(byte, Range { start: at, end });
        count += 1;
        at = end;
    }
    (count >= min).then_some(at)
}

fn pair(input: &[u8], at: usize, prefix: &[u8]) -> Option<(u8, usize)> {
    let digits = input.get(at..)?.strip_prefix(prefix)?.get(..2)?;
    Some((u8::try_from(value(digits, 16)?).ok()?, at + prefix.len() + 2))
}
