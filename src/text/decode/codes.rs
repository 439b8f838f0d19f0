//! Character codes written out one by one, and Morse code.

use std::ops::Range;

use super::Bytes;

/// Codes in a row that are tried.
const MIN_CODES: usize = 6;

/// Longest separator between two codes.
const MAX_SEPARATOR: usize = 3;

/// `01001001 01100111`, or without separators.
pub(super) fn binary(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let run = input.get(at..)?.iter().take_while(|b| matches!(b, b'0' | b'1')).count();
    if run >= 8 * MIN_CODES && run % 8 == 0 {
        let (mut from, mut goes_on) = (at, true);
        for byte in input.get(at..at + run)?.chunks(8) {
            goes_on = goes_on && f(value(byte, 2)?, from..from + 8);
            from += 8;
        }
        return Some(at + run);
    }
    tokens(input, at, f, |token| (matches!(token.len(), 7 | 8)).then(|| value(token, 2)).flatten())
}

/// `49 67 6e`, `0x49, 0x67`, `49:67`.
pub(super) fn hex_tokens(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    tokens(input, at, f, |token| {
        let token = token.strip_prefix(b"0x").or_else(|| token.strip_prefix(b"0X")).unwrap_or(token);
        (token.len() == 2).then(|| value(token, 16)).flatten()
    })
}

/// `73 103 110` or `73,103,110`.
pub(super) fn decimal(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    tokens(input, at, f, |token| (token.len() <= 3).then(|| value(token, 10)).flatten())
}

/// `111 147 156` or `\111\147\156`.
pub(super) fn octal(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let mark = usize::from(input.get(at) == Some(&b'\\'));
    tokens(input, at + mark, f, |token| {
        let token = token.strip_prefix(b"0o").unwrap_or(token);
        (matches!(token.len(), 2..=4)).then(|| value(token, 8)).flatten()
    })
}

fn value(token: &[u8], radix: u32) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let number =
        token.iter().try_fold(0u32, |number, byte| number.checked_mul(radix)?.checked_add(digit(byte)?));
    number.filter(|_| !token.is_empty()).and_then(|number| u8::try_from(number).ok())
}

/// Codes with separators between them, read by `code`. A code below the
/// first printable character ends the run: it is no text.
fn tokens(
    input: &[u8],
    start: usize,
    f: &mut Bytes<'_>,
    code: impl Fn(&[u8]) -> Option<u8>,
) -> Option<usize> {
    let (mut at, mut end, mut count, mut goes_on) = (start, start, 0, true);
    // Inside a word or a number there is no first code.
    if start > 0 && input.get(start - 1).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    loop {
        let rest = input.get(at..)?;
        let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let Some(byte) = rest.get(..len).and_then(&code) else { break };
        goes_on = goes_on && f(byte, Range { start: at, end: at + len });
        count += 1;
        end = at + len;
        let rest = input.get(end..)?;
        let gap = rest.iter().take_while(|b| is_separator(**b)).count();
        if gap == 0 || gap > MAX_SEPARATOR {
            break;
        }
        at = end + gap;
    }
    (count >= MIN_CODES).then_some(end)
}

const fn is_separator(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\n' | b'\r' | b'\t' | b',' | b';' | b':' | b'-' | b'.' | b'\\' | b'_' | b'|' | b'/' | b'x'
    )
}

/// International Morse code (ITU-R M.1677-1), letters by spaces and words by
/// `/`, `|` or wider spaces.
pub(super) fn morse(input: &[u8], start: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let is_mark = |b: &u8| matches!(b, b'.' | b'-' | b'_');
    let (mut at, mut end, mut count, mut goes_on) = (start, start, 0, true);
    if start > 0
        && !input.get(start - 1).is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b':' | b'"' | b'\''))
    {
        return None;
    }
    loop {
        let rest = input.get(at..)?;
        let len = rest.iter().take_while(|b| is_mark(b)).count();
        let Some(byte) = rest.get(..len).and_then(morse_letter) else { break };
        goes_on = goes_on && f(byte, Range { start: at, end: at + len });
        count += 1;
        end = at + len;
        let rest = input.get(end..)?;
        let gap = rest.iter().take_while(|b| matches!(b, b' ' | b'/' | b'|' | b'\n')).count();
        if gap == 0 || gap > MAX_SEPARATOR + 2 {
            break;
        }
        at = end + gap;
        if gap > 1 && rest.get(gap).is_some_and(is_mark) {
            goes_on = goes_on && f(b' ', Range { start: end, end: at });
        }
    }
    (count >= MIN_CODES).then_some(end)
}

const MORSE: &[(&str, u8)] = &[
    (".-", b'a'),
    ("-...", b'b'),
    ("-.-.", b'c'),
    ("-..", b'd'),
    (".", b'e'),
    ("..-.", b'f'),
    ("--.", b'g'),
    ("....", b'h'),
    ("..", b'i'),
    (".---", b'j'),
    ("-.-", b'k'),
    (".-..", b'l'),
    ("--", b'm'),
    ("-.", b'n'),
    ("---", b'o'),
    (".--.", b'p'),
    ("--.-", b'q'),
    (".-.", b'r'),
    ("...", b's'),
    ("-", b't'),
    ("..-", b'u'),
    ("...-", b'v'),
    (".--", b'w'),
    ("-..-", b'x'),
    ("-.--", b'y'),
    ("--..", b'z'),
    ("-----", b'0'),
    (".----", b'1'),
    ("..---", b'2'),
    ("...--", b'3'),
    ("....-", b'4'),
    (".....", b'5'),
    ("-....", b'6'),
    ("--...", b'7'),
    ("---..", b'8'),
    ("----.", b'9'),
    (".-.-.-", b'.'),
    ("--..--", b','),
    ("..--..", b'?'),
    (".----.", b'\''),
    ("-.-.--", b'!'),
    ("-..-.", b'/'),
    ("-.--.", b'('),
    ("-.--.-", b')'),
    (".-...", b'&'),
    ("---...", b':'),
    ("-.-.-.", b';'),
    ("-...-", b'='),
    (".-.-.", b'+'),
    ("-....-", b'-'),
    ("..--.-", b'_'),
    (".-..-.", b'"'),
    (".--.-.", b'@'),
    ("...-..-", b'$'),
];

fn morse_letter(token: &[u8]) -> Option<u8> {
    let same = |known: &str| {
        known.len() == token.len()
            && known.bytes().zip(token).all(|(k, t)| k == if *t == b'_' { b'-' } else { *t })
    };
    MORSE.iter().find(|(known, _)| same(known)).map(|(_, letter)| *letter)
}
