//! Runs in base64, base32, hexadecimal and ascii85 (RFC 4648; Adobe, btoa).

use std::ops::Range;

use super::Bytes;

/// Shortest run that is tried, in characters, padding included.
pub(super) const MIN_RUN: usize = 16;

/// Characters of white space that may break a run: a line end and an indent.
const MAX_BREAK: usize = 6;

/// Base64 in either alphabet, padded or not, over several lines or not.
pub(super) fn base64(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    // Words written in one case and no digits are words. Padding ends a run, and what is
    // behind it is looked at when its turn comes: of that only enough is measured to
    // know that there is more, or each run would be measured once for each before it.
    let rest = input.get(at..)?;
    let digits = rest.iter().take_while(|b| base64_digit(**b).is_some()).count();
    let padding = rest.get(digits..)?.iter().take_while(|b| **b == b'=').count();
    let own = (digits + padding).max(MIN_RUN);
    let run = rest.iter().take(own).take_while(|b| is_base64(**b)).count();
    let run = rest.get(..run)?;
    let mixed = run.iter().any(u8::is_ascii_lowercase) && run.iter().any(u8::is_ascii_uppercase);
    if run.len() < MIN_RUN || !mixed {
        return (run.len() >= MIN_RUN).then_some(at + run.len());
    }
    Some(groups(input, at, 6, base64_digit, f))
}

/// A digit of base64 in either alphabet, or padding.
pub(super) fn is_base64(byte: u8) -> bool {
    byte == b'=' || base64_digit(byte).is_some()
}

/// Whether a run uses the URL alphabet.
pub(super) fn is_url_alphabet(run: Option<&[u8]>) -> bool {
    run.is_some_and(|run| run.iter().any(|b| matches!(b, b'-' | b'_')))
}

/// Base32 in upper case, as everybody writes it.
pub(super) fn base32(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let run = input.get(at..)?.iter().take_while(|b| base32_digit(**b).is_some()).count();
    (run >= MIN_RUN).then(|| groups(input, at, 5, base32_digit, f))
}

/// Hexadecimal bytes without separators.
pub(super) fn hex(input: &[u8], at: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let run = input.get(at..)?.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    (run >= MIN_RUN && run % 2 == 0).then(|| groups(input, at, 4, hex_digit, f))
}

/// Joins digits of `bits` bits to bytes. Each byte comes from the digits that
/// hold its bits. Returns the end of the run, padding included.
fn groups(input: &[u8], start: usize, bits: u32, digit: fn(u8) -> Option<u8>, f: &mut Bytes<'_>) -> usize {
    let (mut at, mut goes_on) = (start, true);
    let (mut value, mut held) = (0u32, 0);
    let (mut before, mut from) = (start, start);
    while let Some(byte) = input.get(at) {
        let Some(digit) = digit(*byte) else {
            match after_break(input, at, digit) {
                Some(next) if bits != 4 => at = next,
                _ => break,
            }
            continue;
        };
        if held == 0 {
            from = at;
        }
        value = value << bits | u32::from(digit);
        held += bits;
        if held >= 8 {
            held -= 8;
            let byte = (value >> held) as u8;
            value &= (1 << held) - 1;
            goes_on = goes_on && f(byte, Range { start: from.min(before), end: at + 1 });
            from = at;
        }
        before = at;
        at += 1;
        // The last digit may hold bits of two bytes.
        before = if held == 0 { at } else { before };
    }
    at + input.get(at..).unwrap_or_default().iter().take_while(|b| **b == b'=').count()
}

/// Where a run goes on behind a line break: with at least four digits.
fn after_break(input: &[u8], at: usize, digit: fn(u8) -> Option<u8>) -> Option<usize> {
    let rest = input.get(at..)?;
    let space = rest.iter().take(MAX_BREAK).take_while(|b| b.is_ascii_whitespace()).count();
    let breaks = rest.get(..space)?.contains(&b'\n');
    let goes_on = rest.get(space..space + 4)?.iter().all(|b| digit(*b).is_some());
    (breaks && goes_on).then_some(at + space)
}

/// What no digit has.
const NO_DIGIT: u8 = 0xFF;

/// Looked up for every byte of long runs: branches would be taken at random.
#[allow(clippy::indexing_slicing)] // Evaluated by the compiler.
static BASE64: [u8; 256] = {
    let (mut table, mut byte) = ([NO_DIGIT; 256], 0);
    while byte < 256 {
        table[byte] = match byte as u8 {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'a'..=b'z' => letter - b'a' + 26,
            digit @ b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => NO_DIGIT,
        };
        byte += 1;
    }
    table
};

fn base64_digit(byte: u8) -> Option<u8> {
    BASE64.get(usize::from(byte)).copied().filter(|digit| *digit != NO_DIGIT)
}

const fn base32_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Ascii85: five characters for four bytes, `z` for four zero bytes, with or
/// without `<~` and `~>`.
pub(super) fn ascii85(input: &[u8], start: usize, f: &mut Bytes<'_>) -> Option<usize> {
    let rest = input.get(start..)?;
    let open = if rest.starts_with(b"<~") { 2 } else { 0 };
    let is_start = start == 0 || input.get(start - 1).is_some_and(u8::is_ascii_whitespace);
    let len = rest.iter().skip(open).take_while(|b| (b'!'..=b'u').contains(b) || **b == b'z').count();
    let run = rest.get(open..open + len)?;
    let symbols = run.iter().filter(|b| !b.is_ascii_alphanumeric()).count();
    if len < MIN_RUN || (open == 0 && !is_start) {
        return None;
    }
    // Encoded text has a symbol in every three or four characters; paths,
    // links and words have fewer.
    let end =
        start + open + len + if rest.get(open + len..).is_some_and(|r| r.starts_with(b"~>")) { 2 } else { 0 };
    if symbols * 8 >= len {
        let mut at = start + open;
        for group in run.chunks(5) {
            if !group_of_85(group, at, f) {
                break;
            }
            at += group.len();
        }
    }
    Some(end)
}

/// Decodes up to five characters at `at`; a short group is padded with `u`.
fn group_of_85(group: &[u8], at: usize, f: &mut Bytes<'_>) -> bool {
    let digits = (0..5).map(|i| group.get(i).map_or(84, |b| u64::from(b.saturating_sub(b'!'))));
    let value = digits.fold(0, |value, digit| value * 85 + digit);
    let Ok(value) = u32::try_from(value) else { return f(0xFF, at..at + 1) };
    let bytes = value.to_be_bytes();
    bytes.into_iter().take(group.len().saturating_sub(1)).all(|byte| f(byte, at..at + group.len()))
}
