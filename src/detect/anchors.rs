//! Where a match without a literal prefix can start: shapes of text.
//!
//! Contract, for streams: whether a place is an anchor depends on the 64 bytes
//! before and after it, and on nothing else. A place that further text could
//! still make an anchor is named by [`open_at_end`].
//!
//! All kinds are found together, a block of 64 bytes at a time: a bit for each byte
//! says where numbers and tokens start, and the places of a block are given kind by kind. What a
//! mark further on makes an anchor (`@`, a colon, a digit behind letters) lies in its
//! block or in the one before, so that a block is given out when the next is done.

use wide::u8x16;

use crate::lanes::{BLOCK as STRIDE, Lanes, is, within};
use crate::limits::MAX_TOKEN_LOOKBACK;
use crate::rules::Anchor;

/// Shortest token that [`Anchor::Entropy`] looks at: 16 characters of base64
/// carry 96 bits.
const MIN_ENTROPY_TOKEN: u32 = 16;

/// Most bytes from the first letter to the first digit: `ABC-DE-1`.
const PLATE_HEAD: usize = 8;

/// The kinds, in the order in which those of a block are given: first what starts before
/// its digit. Words of context are looked for from the first place on.
pub(super) const KINDS: [Anchor; 6] =
    [Anchor::Letters, Anchor::Entropy, Anchor::Mixed, Anchor::At, Anchor::Colon, Anchor::Digit];

/// Every anchor has a digit, or one of these, within the look-back behind it.
#[inline(always)]
fn is_trigger(v: u8x16) -> u8x16 {
    within(v, b'0', b':') | is(v, b'@') | is(v, b'+') | is(v, b'(')
}

/// No anchor reaches further than a block, nor starts further before its mark.
const _: () = assert!(STRIDE == MAX_TOKEN_LOOKBACK && STRIDE >= PLATE_HEAD);

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

/// Calls `found` for the places in `from..to`, with the number of their kind in
/// [`KINDS`]: those of each kind in order, and of all kinds block by block. Looks at
/// text around them, too.
pub(super) fn scan(text: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize, usize)) {
    let to = to.min(text.len());
    let before = from.checked_sub(1).and_then(|i| text.get(i)).copied().unwrap_or(b' ');
    let mut before = Bits {
        words: u64::from(before.is_ascii_alphanumeric()) << (STRIDE - 1),
        tokens: u64::from(is_token(before)) << (STRIDE - 1),
        digits: u64::from(before.is_ascii_digit()) << (STRIDE - 1),
        ..Bits::default()
    };
    let mut here = Bits::at(text, from);
    let (mut last, mut at) = (Places::default(), from);
    // One block further than `to`: its marks reach back.
    while at < to.saturating_add(STRIDE) {
        let next = Bits::at(text, at.saturating_add(STRIDE));
        let mut places = Places::default();
        if here.digits | here.openers | here.colons | here.ats != 0 {
            places.numbers(&before, &here, &next);
            let marks = Marks { text, at, last: &mut last, here: &mut places };
            marks.find([&before, &here, &next]);
        }
        if let Some(start) = at.checked_sub(STRIDE).filter(|&start| start >= from) {
            last.give(start, to, found);
        }
        (before, here, last) = (here, next, places);
        at = at.saturating_add(STRIDE);
    }
}

/// What the bytes of a block are, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    digits: u64,
    letters: u64,
    words: u64,
    /// Bytes of tokens of high entropy.
    tokens: u64,
    /// `+` and `(` before a number.
    openers: u64,
    colons: u64,
    ats: u64,
    /// Between letters and digits of plates.
    separators: u64,
}

impl Bits {
    #[inline(always)]
    fn at(text: &[u8], at: usize) -> Bits {
        let rest = text.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(block) => Bits::of(block),
            None => Bits::of_end(rest),
        }
    }

    #[inline(never)]
    fn of_end(rest: &[u8]) -> Bits {
        let mut block = [0; STRIDE];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Bits::of(&block)
    }

    #[inline(never)]
    fn of(block: &[u8; STRIDE]) -> Bits {
        let lanes = Lanes::new(block);
        let digits = lanes.mask(|v| within(v, b'0', b'9'));
        let letters = lanes.mask(|v| within(v | u8x16::splat(0x20), b'a', b'z'));
        let joints = lanes.mask(|v| is(v, b'/') | is(v, b'_'));
        let (plus, hyphens) = (lanes.mask(|v| is(v, b'+')), lanes.mask(|v| is(v, b'-')));
        let words = digits | letters;
        Bits {
            digits,
            letters,
            words,
            tokens: words | joints | plus | hyphens,
            openers: plus | lanes.mask(|v| is(v, b'(')),
            colons: lanes.mask(|v| is(v, b':')),
            ats: lanes.mask(|v| is(v, b'@')),
            separators: hyphens | lanes.mask(|v| is(v, b' ')),
        }
    }
}

/// The byte before each, where that of the first is in another block.
#[inline(always)]
const fn after(bits: u64, before: u64) -> u64 {
    bits << 1 | before >> (STRIDE - 1)
}

/// The 64 bits from bit `i` on.
#[inline(always)]
const fn from_bit(i: u32, bits: u64, next: u64) -> u64 {
    bits >> i | (next << 1) << (STRIDE as u32 - 1 - i)
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-')
}

/// Places of a block, a bit for each, by kind as in [`KINDS`].
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    digit: u64,
    at: u64,
    colon: u64,
    letters: u64,
    mixed: u64,
    entropy: u64,
}

impl Places {
    /// Numbers start here.
    #[inline(always)]
    fn numbers(&mut self, before: &Bits, here: &Bits, next: &Bits) {
        let number = here.digits | here.openers;
        let before_number = number >> 1 | (next.digits | next.openers) << (STRIDE - 1);
        self.digit = (here.digits | here.openers & before_number) & !after(here.words, before.words);
    }

    /// Calls `found` for those before `to`.
    #[inline(always)]
    fn give(&self, start: usize, to: usize, found: &mut impl FnMut(usize, usize)) {
        let Places { digit, at, colon, letters, mixed, entropy } = *self;
        if digit | at | colon | letters | mixed | entropy == 0 {
            return;
        }
        let kinds = [letters, entropy, mixed, at, colon, digit];
        let left = to.saturating_sub(start);
        let limit = if left < STRIDE { (1 << left) - 1 } else { u64::MAX };
        for (kind, bits) in kinds.into_iter().enumerate() {
            let mut bits = bits & limit;
            while bits != 0 {
                found(kind, start + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// Tokens of a `class`, in the block before and in this one, whose first 64 bytes are
/// `least` or more and hold a letter and one of `digits` of this block.
#[inline(always)]
fn tokens(mut digits: u64, class: impl Fn(&Bits) -> u64, least: u32, blocks: [&Bits; 3]) -> [u64; 2] {
    let [before, here, next] = blocks;
    let (mut in_last, mut in_this) = (0, 0);
    while digits != 0 {
        let digit = digits.trailing_zeros();
        digits &= digits - 1;
        // Behind the last byte before it that is of no token.
        let others = !class(here) & !(u64::MAX << digit);
        let (start, first, second) = if others != 0 {
            (STRIDE as u32 - others.leading_zeros(), here, next)
        } else {
            let start = STRIDE as u32 - (!class(before)).leading_zeros();
            if start < STRIDE as u32 { (start, before, here) } else { (0, here, next) }
        };
        if start == 0 && others == 0 && class(before) == u64::MAX {
            // Longer than what is looked at.
            continue;
        }
        let len = (!from_bit(start, class(first), class(second))).trailing_zeros();
        let head = if len < STRIDE as u32 { (1 << len) - 1 } else { u64::MAX };
        let of_head = |bits: fn(&Bits) -> u64| from_bit(start, bits(first), bits(second)) & head;
        let both = of_head(|bits| bits.digits) != 0 && of_head(|bits| bits.letters) != 0;
        let place = u64::from(both && len >= least) << start;
        if std::ptr::eq(first, here) {
            in_this |= place;
            // Other digits of the same token tell nothing new.
            let rest = start + len;
            digits &= if rest < STRIDE as u32 { u64::MAX << rest } else { 0 };
        } else {
            in_last |= place;
        }
    }
    [in_last, in_this]
}

/// Some token of the second block may be as long as those of high entropy.
#[inline(always)]
fn any_long(blocks: [&Bits; 3]) -> bool {
    const { assert!(MIN_ENTROPY_TOKEN >= 16) };
    let [before, here, next] = blocks;
    // Both halves of a block, with what stands beside them: a run of sixteen holds
    // eight in a row of one half.
    let eight = |bits: u64| {
        let two = bits & bits >> 1;
        let four = two & two >> 2;
        four & four >> 4 != 0
    };
    eight(before.tokens >> 56 | here.tokens << 8) || eight(here.tokens >> 8 | next.tokens << 56)
}

/// Marks that make what stands before them an anchor.
struct Marks<'m> {
    text: &'m [u8],
    /// Where the block starts.
    at: usize,
    last: &'m mut Places,
    here: &'m mut Places,
}

impl Marks<'_> {
    #[inline(always)]
    fn find(mut self, blocks: [&Bits; 3]) {
        let [before, here, _] = blocks;
        if here.colons | here.ats != 0 {
            self.addresses(here);
        }
        let first = here.digits & !after(here.digits, before.digits);
        if first == 0 {
            return;
        }
        let [in_last, in_this] = tokens(first, |bits| bits.words, 2, blocks);
        self.last.mixed |= in_last;
        self.here.mixed |= in_this;
        if any_long(blocks) {
            let [in_last, in_this] = tokens(first, |bits| bits.tokens, MIN_ENTROPY_TOKEN, blocks);
            self.last.entropy |= in_last;
            self.here.entropy |= in_this;
        }
        // A digit behind a letter, or behind a letter and a separator.
        let after_letter = after(here.letters, before.letters);
        let separated = here.separators & after_letter;
        let before_separated = before.separators & before.letters << 1;
        let digits = first & (after_letter | after(separated, before_separated));
        if digits != 0 {
            self.plates(digits);
        }
    }

    #[inline(never)]
    fn addresses(&mut self, here: &Bits) {
        let (mut ats, mut colons) = (here.ats, here.colons);
        while ats != 0 {
            let at = self.at + ats.trailing_zeros() as usize;
            ats &= ats - 1;
            let start = token_start(self.text, at, is_local).and_then(|s| skip_punctuation(self.text, s, at));
            self.set(start, |places| &mut places.at);
        }
        while colons != 0 {
            let colon = self.at + colons.trailing_zeros() as usize;
            colons &= colons - 1;
            let digits = self.text.get(..colon).unwrap_or_default().iter().rev().take(5);
            let start = colon - digits.take_while(|b| b.is_ascii_hexdigit()).count();
            let before = start.checked_sub(1).and_then(|i| self.text.get(i));
            let first = !before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b':');
            self.set((first && colon - start <= 4).then_some(start), |places| &mut places.colon);
        }
    }

    #[inline(never)]
    fn plates(&mut self, mut digits: u64) {
        while digits != 0 {
            let digit = self.at + digits.trailing_zeros() as usize;
            digits &= digits - 1;
            let near = skip_separator(self.text, digit);
            let one = letters_start(self.text, near, 3);
            let two = one.and_then(|one| {
                let far = skip_separator(self.text, one);
                (far < one).then(|| letters_start(self.text, far, 3)).flatten()
            });
            for start in [one, two] {
                let start = start.filter(|&start| !follows_alphanumeric(self.text, start));
                self.set(start, |places| &mut places.letters);
            }
        }
    }

    /// Sets the bit of a place, which is in this block or in the last.
    fn set(&mut self, place: Option<usize>, bits: impl Fn(&mut Places) -> &mut u64) {
        let Some(place) = place else { return };
        if let Some(i) = place.checked_sub(self.at) {
            *bits(self.here) |= 1_u64.checked_shl(i as u32).unwrap_or(0);
        } else if let Some(i) = (place + STRIDE).checked_sub(self.at) {
            *bits(self.last) |= 1_u64.checked_shl(i as u32).unwrap_or(0);
        }
    }
}

/// Calls `each` for the places from `from` on that are no anchor yet and would be with
/// more text.
pub(super) fn open_at_end(anchor: Anchor, text: &[u8], from: usize, mut each: impl FnMut(usize)) {
    let end = text.len();
    let place = match anchor {
        Anchor::Digit => {
            let last = end.checked_sub(1);
            last.filter(|&at| matches!(text.get(at), Some(b'+' | b'(')) && !follows_alphanumeric(text, at))
        }
        Anchor::At => token_start(text, end, is_local).and_then(|s| skip_punctuation(text, s, end)),
        Anchor::Colon => token_start(text, end, |b| b.is_ascii_hexdigit()),
        Anchor::Letters => {
            // `is AB` may go on to be a plate at either word, and a rule may know of the
            // first that it will not.
            let is_start = |&at: &usize| {
                text.get(at).is_some_and(u8::is_ascii_alphabetic) && !follows_alphanumeric(text, at)
            };
            return (end.saturating_sub(PLATE_HEAD).max(from)..end).filter(is_start).for_each(each);
        }
        Anchor::Mixed => token_start(text, end, |b| b.is_ascii_alphanumeric()),
        Anchor::Entropy => token_start(text, end, is_token),
    };
    place.filter(|&p| p >= from && p < end).into_iter().for_each(&mut each);
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

    /// The places of one kind, by what its description says of each place.
    fn naive(kind: Anchor, text: &[u8]) -> Vec<usize> {
        let byte = |at: usize| text.get(at).copied().unwrap_or(0);
        let run = |from: usize, class: fn(u8) -> bool| {
            text[from..].iter().take(MAX_TOKEN_LOOKBACK).take_while(|b| class(**b)).count()
        };
        let back =
            |to: usize, class: fn(u8) -> bool| text[..to].iter().rev().take_while(|b| class(**b)).count();
        let begins = |at: usize, class: fn(u8) -> bool| class(byte(at)) && (at == 0 || !class(byte(at - 1)));
        let token = |at: usize, class: fn(u8) -> bool, least: usize| {
            let head = &text[at..at + run(at, class)];
            begins(at, class)
                && head.len() >= least
                && head.iter().any(u8::is_ascii_digit)
                && head.iter().any(u8::is_ascii_alphabetic)
        };
        let alone = |at: usize| at == 0 || !byte(at - 1).is_ascii_alphanumeric();
        let is_number = |b: u8| b.is_ascii_digit() || b == b'+' || b == b'(';
        let plate = |at: usize| {
            let letters = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
            let gap = |from: usize| usize::from(matches!(byte(from), b' ' | b'-'));
            let one = letters(at);
            let near = at + one + gap(at + one);
            let two = letters(near);
            let far = near + two + gap(near + two);
            (1..=3).contains(&one)
                && (byte(near).is_ascii_digit()
                    || near > at + one && (1..=3).contains(&two) && byte(far).is_ascii_digit())
        };
        let at_sign = |sign: usize| {
            let local = back(sign, is_local);
            let skipped = text[sign - local..sign].iter().position(u8::is_ascii_alphanumeric);
            skipped.filter(|_| byte(sign) == b'@' && local <= MAX_TOKEN_LOOKBACK).map(|s| sign - local + s)
        };
        let is = |at: usize| match kind {
            Anchor::Digit => {
                alone(at) && (byte(at).is_ascii_digit() || is_number(byte(at)) && is_number(byte(at + 1)))
            }
            Anchor::At => (at..text.len()).any(|sign| at_sign(sign) == Some(at)),
            Anchor::Colon => {
                let digits = run(at, |b| b.is_ascii_hexdigit());
                alone(at) && (at == 0 || byte(at - 1) != b':') && digits <= 4 && byte(at + digits) == b':'
            }
            Anchor::Letters => alone(at) && plate(at),
            Anchor::Mixed => token(at, |b| b.is_ascii_alphanumeric(), 2),
            Anchor::Entropy => token(at, is_token, MIN_ENTROPY_TOKEN as usize),
        };
        (0..text.len()).filter(|at| is(*at)).collect()
    }

    fn found(text: &[u8], from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut got = Vec::new();
        scan(text, from, to, &mut |kind, place| got.push((place, kind)));
        got
    }

    fn of(kind: Anchor, places: &[(usize, usize)]) -> Vec<usize> {
        places.iter().filter(|(_, k)| KINDS[*k] == kind).map(|(place, _)| *place).collect()
    }

    #[test]
    fn places() {
        for (anchor, text, marks) in CASES {
            let want: Vec<usize> =
                marks.bytes().enumerate().filter(|(_, b)| *b == b'^').map(|(i, _)| i).collect();
            assert_eq!(of(*anchor, &found(text.as_bytes(), 0, text.len())), want, "{anchor:?} {text:?}");
            assert_eq!(naive(*anchor, text.as_bytes()), want, "{anchor:?} {text:?}");
        }
    }

    #[test]
    fn long_tokens_are_no_anchor() {
        for (letters, want) in [(63, true), (64, false), (200, false)] {
            let text = format!("{}1{}", "a".repeat(letters), "b".repeat(80));
            let places = found(text.as_bytes(), 0, text.len());
            assert_eq!(!of(Anchor::Mixed, &places).is_empty(), want, "{letters}");
        }
    }

    /// All of a text gives what its parts do, those of each kind in order, wherever it
    /// is cut.
    fn check(text: &str) {
        let bytes = text.as_bytes();
        let whole = found(bytes, 0, bytes.len());
        let each = |places: &[(usize, usize)]| KINDS.map(|kind| of(kind, places));
        assert_eq!(each(&whole), KINDS.map(|kind| naive(kind, bytes)), "{text:?}");
        assert!(whole.is_sorted_by_key(|(place, _)| place / STRIDE), "{text:?}");
        let mut parted = Vec::new();
        parts(bytes, 0, bytes.len(), &mut |from, to| parted.extend(found(bytes, from, to)));
        assert_eq!(each(&parted), each(&whole), "{text:?}");
        for cut in [1, 7, 63, 64, 65, 100] {
            let cut = cut.min(bytes.len());
            let cut = [found(bytes, 0, cut), found(bytes, cut, bytes.len())].concat();
            assert_eq!(each(&cut), each(&whole), "{text:?}");
        }
    }

    #[test]
    fn parts_hold_every_place() {
        for (_, text, _) in CASES {
            for pad in 0..150 {
                check(&format!("{}{text}{}", "word ".repeat(pad), " and".repeat(40)));
                check(&format!("{}{text}", "-".repeat(pad)));
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1024))]
        #[test]
        fn places_are_those_of_the_descriptions(
            pieces in proptest::collection::vec(
                "(?:[a-f0-9]{1,9}|[A-Za-z0-9_+/-]{1,80}|[ :,@.(+-]{1,4}|[0-9 -]{1,9}| {20,90}|é)",
                0..16,
            ),
        ) {
            check(&pieces.concat());
        }
    }

    /// Every place is found from a beginning of the text that ends before it is
    /// an anchor: it is then open, or not begun.
    #[test]
    fn blocks_and_open_ends() {
        for (anchor, text, _) in CASES {
            let bytes = text.as_bytes();
            let whole = of(*anchor, &found(bytes, 0, bytes.len()));
            for cut in 0..=bytes.len() {
                let early = of(*anchor, &found(&bytes[..cut], 0, cut));
                let mut open = Vec::new();
                open_at_end(*anchor, &bytes[..cut], 0, |place| open.push(place));
                for place in whole.iter().filter(|&&p| p < cut && !early.contains(&p)) {
                    assert!(open.contains(place), "{anchor:?} {cut} {place}");
                }
            }
        }
    }
}
