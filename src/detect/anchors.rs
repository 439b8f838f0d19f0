//! Where a match without a literal prefix can start: shapes of text.
//!
//! Contract, for streams: whether a place is an anchor depends on the 64 bytes
//! before and after it, and on nothing else. A place that further text could
//! still make an anchor is named by [`open_at_end`].

use wide::u8x16;

use crate::lanes::{BLOCK as STRIDE, Lanes, is, within};
use crate::limits::MAX_TOKEN_LOOKBACK;
use crate::rules::Anchor;

/// Shortest token that [`Anchor::Entropy`] looks at: 16 characters of base64
/// carry 96 bits.
const MIN_ENTROPY_TOKEN: usize = 16;

/// Every anchor has a digit, or one of these, within the look-back behind it.
#[inline(always)]
fn is_trigger(v: u8x16) -> u8x16 {
    within(v, b'0', b':') | is(v, b'@') | is(v, b'+') | is(v, b'(')
}

const LANES: usize = 16;

/// No anchor reaches further than a block.
const _: () = assert!(STRIDE >= MAX_TOKEN_LOOKBACK);

/// Calls `each` for the parts of `from..to` that can hold an anchor, in order:
/// where ordinary prose has none of the bytes that make one, which is most of
/// it, nothing else looks at it.
pub(super) fn parts(text: &[u8], from: usize, to: usize, each: &mut impl FnMut(usize, usize)) {
    let triggers = |at: usize| {
        let rest = text.get(at.min(text.len())..).unwrap_or_default();
        let Some(block) = rest.first_chunk::<STRIDE>() else {
            return rest.iter().any(|b| (b'0'..=b':').contains(b) || matches!(b, b'@' | b'+' | b'('));
        };
        Lanes::new(block).any(is_trigger)
    };
    let mut begun = None;
    let mut at = from;
    let mut here = triggers(at);
    while at < to {
        let next = triggers(at + STRIDE);
        if here || next {
            begun.get_or_insert(at);
        } else if let Some(begin) = begun.take() {
            each(begin, at);
        }
        here = next;
        at += STRIDE;
    }
    if let Some(begin) = begun {
        each(begin, to);
    }
}

/// Calls `found` for the places of this anchor in `from..to`, in order. Looks
/// at text around it, too.
pub(super) fn scan(anchor: Anchor, text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    match anchor {
        Anchor::Digit => scan_digits(text, from, to, found),
        Anchor::At => scan_at(text, from, to, found),
        Anchor::Colon => scan_colons(text, from, to, found),
        Anchor::Letters => scan_letters(text, from, to, found),
        Anchor::Mixed => scan_tokens(Token::MIXED, text, from, to, found),
        Anchor::Entropy => scan_tokens(Token::ENTROPY, text, from, to, found),
    }
}

/// The place from `from` on that is no anchor yet and would be with more text.
pub(super) fn open_at_end(anchor: Anchor, text: &[u8], from: usize) -> Option<usize> {
    let place = match anchor {
        Anchor::Digit => {
            let last = text.len().checked_sub(1)?;
            (matches!(text.get(last), Some(b'+' | b'(')) && !follows_alphanumeric(text, last)).then_some(last)
        }
        Anchor::At => {
            token_start(text, text.len(), is_local).and_then(|s| skip_punctuation(text, s, text.len()))
        }
        Anchor::Colon => token_start(text, text.len(), |b| b.is_ascii_hexdigit()),
        Anchor::Letters => (text.len().saturating_sub(PLATE_HEAD)..text.len())
            .find(|&at| text.get(at).is_some_and(u8::is_ascii_alphabetic) && !follows_alphanumeric(text, at)),
        Anchor::Mixed => token_start(text, text.len(), Token::MIXED.class),
        Anchor::Entropy => token_start(text, text.len(), Token::ENTROPY.class),
    };
    place.filter(|&p| p >= from && p < text.len())
}

fn scan_digits(text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    let mut at = from;
    while let Some(place) = find(text, at, to, NUMBER) {
        let opens = matches!(text.get(place), Some(b'+' | b'('));
        let fits = !opens || text.get(place + 1).is_some_and(|&b| (NUMBER.byte)(b));
        if fits && !follows_alphanumeric(text, place) {
            found(place);
        }
        at = place + 1;
        if !opens {
            // The other digits of this run follow a digit.
            at = run_end(text, at, to, |b| b.is_ascii_digit());
        }
    }
}

fn scan_at(text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    let end = to.saturating_add(MAX_TOKEN_LOOKBACK).min(text.len());
    for at in memchr::memchr_iter(b'@', text.get(from..end).unwrap_or_default()) {
        let at = from + at;
        let start = token_start(text, at, is_local).and_then(|s| skip_punctuation(text, s, at));
        if let Some(start) = start.filter(|&s| s >= from && s < to) {
            found(start);
        }
    }
}

fn scan_colons(text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    // The colon may stand behind the four digits that start at `to - 1`.
    let end = to.saturating_add(4).min(text.len());
    let mut at = from;
    while let Some(colon) = find(text, at, end, COLON) {
        let digits = text.get(..colon).unwrap_or_default().iter().rev().take(5);
        let start = colon - digits.take_while(|b| b.is_ascii_hexdigit()).count();
        let before = start.checked_sub(1).and_then(|i| text.get(i));
        let first = !before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b':');
        if first && colon - start <= 4 && (from..to).contains(&start) {
            found(start);
        }
        at = run_end(text, colon, end, |b| b == b':' || b.is_ascii_hexdigit());
    }
}

/// Most bytes from the first letter to the first digit: `ABC-DE-1`.
const PLATE_HEAD: usize = 8;

fn scan_letters(text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    let end = to.saturating_add(PLATE_HEAD).min(text.len());
    let mut at = from;
    while let Some(digit) = find(text, at, end, DIGIT) {
        at = run_end(text, digit, end, |b| b.is_ascii_digit());
        let near = skip_separator(text, digit);
        let one = letters_start(text, near, 3);
        let two = one.and_then(|one| {
            let far = skip_separator(text, one);
            (far < one).then(|| letters_start(text, far, 3)).flatten()
        });
        for start in two.into_iter().chain(one) {
            if (from..to).contains(&start) && !follows_alphanumeric(text, start) {
                found(start);
            }
        }
    }
}

fn skip_separator(text: &[u8], at: usize) -> usize {
    let before = at.checked_sub(1).filter(|&i| matches!(text.get(i), Some(b' ' | b'-')));
    before.unwrap_or(at)
}

/// Start of the one to `most` letters that end before `end`.
fn letters_start(text: &[u8], end: usize, most: usize) -> Option<usize> {
    let before = text.get(..end)?.iter().rev().take(most + 1);
    let letters = before.take_while(|b| b.is_ascii_alphabetic()).count();
    (1..=most).contains(&letters).then_some(end - letters)
}

/// A token: a longest run of bytes of a class.
#[derive(Clone, Copy)]
struct Token {
    class: fn(u8) -> bool,
    min_len: usize,
}

impl Token {
    const MIXED: Token = Token { class: |b| b.is_ascii_alphanumeric(), min_len: 2 };
    const ENTROPY: Token = Token {
        class: |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-'),
        min_len: MIN_ENTROPY_TOKEN,
    };
}

/// Tokens whose first 64 bytes hold a letter and a digit.
fn scan_tokens(token: Token, text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize)) {
    let end = to.saturating_add(MAX_TOKEN_LOOKBACK).min(text.len());
    let mut at = from;
    while let Some(digit) = find(text, at, end, DIGIT) {
        at = run_end(text, digit, end, token.class);
        let Some(start) = token_start(text, digit, token.class).filter(|&s| s >= from && s < to) else {
            continue;
        };
        let head_end = run_end(text, start, start + MAX_TOKEN_LOOKBACK, token.class);
        let head = text.get(start..head_end).unwrap_or_default();
        if digit < head_end && head.len() >= token.min_len && head.iter().any(u8::is_ascii_alphabetic) {
            found(start);
        }
    }
}

/// Start of the run of `class` that ends before `end`; none if it is longer
/// than the look-back.
fn token_start(text: &[u8], end: usize, class: impl Fn(u8) -> bool) -> Option<usize> {
    let window = text.get(end.saturating_sub(MAX_TOKEN_LOOKBACK + 1)..end)?;
    let run = window.iter().rev().take_while(|&&b| class(b)).count();
    (run <= MAX_TOKEN_LOOKBACK).then_some(end - run)
}

fn skip_punctuation(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let skipped = text.get(start..end)?.iter().position(u8::is_ascii_alphanumeric)?;
    Some(start + skipped)
}

/// Local parts of email addresses as people have them; RFC 5321 allows 64
/// bytes and more punctuation.
fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-')
}

fn follows_alphanumeric(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(u8::is_ascii_alphanumeric)
}

fn run_end(text: &[u8], from: usize, to: usize, class: impl Fn(u8) -> bool) -> usize {
    let to = to.min(text.len());
    let run = text.get(from..to).unwrap_or_default().iter().take_while(|&&b| class(b)).count();
    from + run
}

/// A class of bytes that vector code tells, too.
#[derive(Clone, Copy)]
struct Class {
    byte: fn(u8) -> bool,
    lanes: fn(u8x16) -> u8x16,
}

const DIGIT: Class = Class { byte: |b| b.is_ascii_digit(), lanes: |v| within(v, b'0', b'9') };
const COLON: Class = Class { byte: |b| b == b':', lanes: |v| is(v, b':') };
/// How numbers start.
const NUMBER: Class = Class {
    byte: |b| b.is_ascii_digit() || b == b'+' || b == b'(',
    lanes: |v| within(v, b'0', b'9') | is(v, b'+') | is(v, b'('),
};

/// First byte of the class in `from..to`.
#[inline(always)]
fn find(text: &[u8], from: usize, to: usize, class: Class) -> Option<usize> {
    let part = text.get(from..to.min(text.len()))?;
    let (blocks, rest) = part.as_chunks::<LANES>();
    for (i, block) in blocks.iter().enumerate() {
        let mask = (class.lanes)(u8x16::new(*block)).move_mask();
        if mask != 0 {
            return Some(from + i * LANES + mask.trailing_zeros() as usize);
        }
    }
    rest.iter().position(|&b| (class.byte)(b)).map(|i| from + blocks.len() * LANES + i)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// `^` under each expected place.
    const CASES: &[(Anchor, &str, &str)] = &[
        (Anchor::Digit, "a 12-34 x5 +49 (0)5", "  ^  ^     ^^  ^^ ^"),
        (Anchor::Digit, "é12 _3", "  ^   ^"),
        (Anchor::At, "mail <bob.x@host>, ..al@b @c", "      ^              ^"),
        (Anchor::Colon, "at fe80::1 ::1 x12:3 9:30 12345:1", "   ^       ^         ^"),
        (Anchor::Letters, "PR 12 B-AB 123 abcd 9 the a1b2", "^     ^ ^             ^   ^"),
        (Anchor::Mixed, "abc 12 ab12 1a, x_9y", "       ^    ^     ^"),
        (Anchor::Entropy, "key=abcdefgh12345678 short1", "    ^"),
    ];

    #[test]
    fn places() {
        for (anchor, text, marks) in CASES {
            let want: Vec<usize> =
                marks.bytes().enumerate().filter(|(_, b)| *b == b'^').map(|(i, _)| i).collect();
            let mut got = Vec::new();
            scan(*anchor, text.as_bytes(), 0, text.len(), &mut |p| got.push(p));
            assert_eq!(got, want, "{anchor:?} {text:?}");
        }
    }

    #[test]
    fn long_tokens_are_no_anchor() {
        for (letters, want) in [(63, true), (64, false), (200, false)] {
            let text = format!("{}1{}", "a".repeat(letters), "b".repeat(80));
            let mut got = Vec::new();
            scan(Anchor::Mixed, text.as_bytes(), 0, text.len(), &mut |p| got.push(p));
            assert_eq!(!got.is_empty(), want, "{letters}");
        }
    }

    #[test]
    fn parts_hold_every_place() {
        for (anchor, text, _) in CASES {
            for pad in 0..150 {
                let text = format!("{}{text}{}", "word ".repeat(pad), " and".repeat(40));
                let (mut whole, mut got) = (Vec::new(), Vec::new());
                scan(*anchor, text.as_bytes(), 0, text.len(), &mut |p| whole.push(p));
                parts(text.as_bytes(), 0, text.len(), &mut |from, to| {
                    scan(*anchor, text.as_bytes(), from, to, &mut |p| got.push(p));
                });
                assert_eq!(got, whole, "{anchor:?} {text:?}");
            }
        }
    }

    /// Every place is found from a beginning of the text that ends before it is
    /// an anchor: it is then open, or not begun.
    #[test]
    fn blocks_and_open_ends() {
        for (anchor, text, _) in CASES {
            let bytes = text.as_bytes();
            let mut whole = Vec::new();
            scan(*anchor, bytes, 0, bytes.len(), &mut |p| whole.push(p));
            for cut in 0..=bytes.len() {
                let mut parts = Vec::new();
                scan(*anchor, bytes, 0, cut, &mut |p| parts.push(p));
                scan(*anchor, bytes, cut, bytes.len(), &mut |p| parts.push(p));
                assert_eq!(parts, whole, "{anchor:?} {text:?} {cut}");
                let mut early = Vec::new();
                scan(*anchor, &bytes[..cut], 0, cut, &mut |p| early.push(p));
                for place in whole.iter().filter(|&&p| p < cut && !early.contains(&p)) {
                    assert!(
                        open_at_end(*anchor, &bytes[..cut], 0).is_some_and(|o| o <= *place),
                        "{anchor:?} {cut}"
                    );
                }
            }
        }
    }
}
