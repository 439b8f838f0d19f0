//! Decodes what text hides in other text: escapes, and runs in an encoding.
//!
//! One pass replaces everything that decodes to text by that text, in place,
//! so that the words around it stay around it. What does not decode to text
//! stays as it is: hashes, keys and images are no concern of this module.

mod base;
mod codes;
mod escapes;
mod inflate;

use std::ops::Range;

use wide::u8x16;

use self::inflate::Inflater;
use super::step::Sink;
use super::{Traits, Transforms};
use crate::lanes::{BLOCK, Lanes, is, within};

/// Receives decoded bytes with the source of each; `false` ends the decoding.
type Bytes<'a> = dyn FnMut(u8, Range<usize>) -> bool + 'a;

/// Decodes at `at` of the input; returns where the encoded run ends, or
/// nothing if there is no such run.
type Decoder = fn(&[u8], usize, &mut Bytes<'_>) -> Option<usize>;

/// Shortest text worth finding in an encoded run, in bytes.
const MIN_TEXT: usize = 6;

/// What decoders are asked about a text, from its traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted(u8);

impl Wanted {
    /// Decoders that the traits of a text call for. Compressed text is read in
    /// `whole` texts only: of one that grows, the mark may have gone.
    pub(super) fn by(traits: Traits, whole: bool) -> Wanted {
        let of = |trait_: Traits, decoders: u8| if traits.has(trait_) { decoders } else { 0 };
        let starts = of(Traits::ESCAPES, ESCAPE)
            | of(Traits::RUNS, LONG_WORD | LONG_TOKEN)
            | of(Traits::DIGITS.union(Traits::MIXED), CODE | LONG_WORD)
            | of(Traits::DOTS, MARK);
        Wanted(starts | if whole && starts != 0 { PACKED } else { 0 })
    }

    /// Whether there is nothing to ask.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The same, but what is compressed is cut where it begins.
    #[must_use]
    pub(super) const fn inflating_nothing(self) -> Wanted {
        Wanted(self.0 | SPENT)
    }
}

/// Writes `input` with everything decoded that decodes to text.
pub(super) fn run(wanted: Wanted, input: &str, sink: &mut dyn Sink) -> Transforms {
    let bytes = input.as_bytes();
    let mut fired = Transforms::NONE;
    let (mut at, mut kept) = (0, 0);
    let mut pass = Pass {
        input,
        wanted: wanted.0,
        tried: [0; DECODERS.len()],
        word_end: 0,
        run_end: 0,
        token_end: 0,
        inflater: if wanted.0 & SPENT == 0 { Inflater::new(input.len()) } else { Inflater::spent() },
    };
    loop {
        at = pass.next_start(at);
        if at >= bytes.len() {
            break;
        }
        let Some(found) = pass.at(at, sink) else {
            at = pass.skip(at);
            continue;
        };
        sink.keep(input.get(kept..at).unwrap_or_default(), kept);
        found.write(input, at, sink);
        fired |= found.transforms;
        at = found.end.max(at + 1);
        kept = at;
    }
    sink.keep(input.get(kept..).unwrap_or_default(), kept);
    fired
}

/// Something that decodes to text.
struct Found {
    end: usize,
    transforms: Transforms,
    content: Content,
}

enum Content {
    /// An escape of one character.
    Char(char),
    /// A run, decoded again by the same decoder when written.
    Run(Decoder, Charset),
    /// What a run was inflated to, and whether that was cut.
    Inflated(String, bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Found {
    fn write(&self, input: &str, at: usize, sink: &mut dyn Sink) {
        match &self.content {
            Content::Char(c) => sink.put_char(*c, at..self.end),
            // Any character may depend on all that stands before it in the run.
            Content::Inflated(text, cut) => {
                text.chars().for_each(|c| sink.put_char(c, at..self.end));
                if *cut {
                    sink.cut();
                }
            }
            Content::Run(decoder, charset) => {
                let mut assembler = Assembler::new(*charset);
                decoder(input.as_bytes(), at, &mut |byte, source| {
                    if let Some((c, source)) = assembler.push(byte, source) {
                        sink.put_char(c, source);
                    }
                    true
                });
            }
        }
    }
}

/// What has to stand at a place for a decoder to be asked.
const ESCAPE: u8 = 1;
const CODE: u8 = 2;
const MARK: u8 = 4;
const LONG_WORD: u8 = 8;
const LONG_TOKEN: u8 = 16;

/// Not a start: what a run decodes to is inflated.
const PACKED: u8 = 32;

/// Nor this: nothing may be inflated any more.
const SPENT: u8 = 64;

/// Every run decoder with its name, the most specific first.
const DECODERS: [(Decoder, Transforms, u8); 12] = [
    (escapes::percent_run, Transforms::PERCENT, ESCAPE),
    (escapes::hex_run, Transforms::UNICODE_ESCAPE, ESCAPE),
    (escapes::quoted_printable, Transforms::QUOTED_PRINTABLE, ESCAPE),
    (codes::binary, Transforms::CHAR_CODES, CODE),
    (codes::hex_tokens, Transforms::HEX, CODE),
    (codes::decimal, Transforms::CHAR_CODES, CODE),
    (codes::octal, Transforms::CHAR_CODES, CODE | ESCAPE),
    (codes::morse, Transforms::MORSE, MARK),
    (base::hex, Transforms::HEX, LONG_WORD),
    (base::base32, Transforms::BASE32, LONG_WORD),
    (base::base64, Transforms::BASE64, LONG_WORD),
    (base::ascii85, Transforms::ASCII85, LONG_TOKEN),
];

/// What is marked as an escape is decoded wherever it is valid; a run that is
/// only suspected to be an encoding has to read like text.
const ESCAPES: Transforms =
    Transforms::PERCENT.union(Transforms::UNICODE_ESCAPE).union(Transforms::QUOTED_PRINTABLE);

struct Pass<'a> {
    input: &'a str,
    wanted: u8,
    /// Per decoder, the end of the run it last refused: what it refused from
    /// its start it is not asked again inside, which keeps the pass linear.
    tried: [usize; DECODERS.len()],
    /// End of the word, of the run of base64 digits, and of the token (up to
    /// white space) that were last measured.
    word_end: usize,
    run_end: usize,
    token_end: usize,
    inflater: Inflater,
}

impl Pass<'_> {
    fn at(&mut self, at: usize, sink: &mut dyn Sink) -> Option<Found> {
        let bytes = self.input.as_bytes();
        let first = *bytes.get(at)?;
        let is_escape = self.wanted & ESCAPE != 0 && matches!(first, b'&' | b'%' | b'\\');
        if let Some(found) = is_escape.then(|| escapes::one(self.input, at)).flatten() {
            return Some(found);
        }
        let starts = self.starts(first, at) & self.wanted;
        if starts == 0 {
            return None;
        }
        for (tried, (decoder, transform, needs)) in self.tried.iter_mut().zip(&DECODERS) {
            if at < *tried || starts & needs == 0 {
                continue;
            }
            let mut text = TextCheck::default();
            let Some(end) = decoder(bytes, at, &mut |byte, _| text.push(byte)) else { continue };
            sink.looked(end - at);
            let is_escape = ESCAPES.contains(*transform);
            if let Some(charset) = if is_escape { text.utf8() } else { text.charset() } {
                let mut transforms = *transform;
                if *transform == Transforms::BASE64 && base::is_url_alphabet(bytes.get(at..end)) {
                    transforms = Transforms::BASE64URL;
                }
                if charset != Charset::Utf8 {
                    transforms |= Transforms::UTF16;
                }
                return Some(Found { end, transforms, content: Content::Run(*decoder, charset) });
            }
            let inflates = self.wanted & PACKED != 0 && !is_escape;
            if inflates && inflate::is_packed(text.head) && !sink.is_full() {
                let mut packed = Vec::new();
                decoder(bytes, at, &mut |byte, _| {
                    packed.push(byte);
                    true
                });
                if let Some(content) = self.inflater.text(&packed) {
                    return Some(Found { end, transforms: *transform | Transforms::DEFLATE, content });
                }
            }
            *tried = end;
        }
        None
    }

    /// The next place from `at` on where a wanted decoder could start: at an
    /// escape, at a mark, or at a word long or short enough.
    fn next_start(&mut self, mut at: usize) -> usize {
        let bytes = self.input.as_bytes();
        if self.wanted & !(PACKED | SPENT) == ESCAPE {
            let is_escape = |b: &u8| matches!(b, b'&' | b'%' | b'\\' | b'=');
            return at
                + bytes.get(at..).and_then(|rest| rest.iter().position(is_escape)).unwrap_or(bytes.len());
        }
        if self.wanted & (ESCAPE | MARK | LONG_TOKEN) == 0 {
            return self.next_word(at);
        }
        let (codes, tokens) = (self.wanted & CODE != 0, self.wanted & LONG_TOKEN != 0);
        let runs = self.wanted & LONG_WORD != 0;
        let mut before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
        while let Some(first) = bytes.get(at).copied() {
            let is_word = first.is_ascii_alphanumeric();
            if is_word && !before.is_ascii_alphanumeric() {
                let rest = bytes.get(at..).unwrap_or_default();
                self.word_end = at + measure(rest, |b| b.is_ascii_alphanumeric());
                let is_code = codes && is_code(bytes.get(at..self.word_end).unwrap_or_default());
                if is_code || self.word_end - at >= base::MIN_RUN || (runs && self.is_run(at)) {
                    return at;
                }
                if !(tokens && before <= b' ') {
                    before = b'a';
                    at = self.word_end;
                    continue;
                }
            }
            let starts = match first {
                b'&' | b'%' | b'\\' | b'=' => self.wanted & ESCAPE != 0,
                b'.' | b'-' | b'_' => self.wanted & MARK != 0 && !before.is_ascii_alphanumeric(),
                b'+' | b'/' => runs && !before.is_ascii_alphanumeric(),
                b'<' => tokens,
                _ => false,
            };
            if starts || (tokens && before <= b' ' && first > b' ') {
                return at;
            }
            before = first;
            at += 1;
        }
        at
    }

    /// The same where only words can start a decoder: lists and tables, which most
    /// results of tools are. A block at a time.
    fn next_word(&mut self, mut at: usize) -> usize {
        let bytes = self.input.as_bytes();
        let (codes, runs) = (self.wanted & CODE != 0, self.wanted & LONG_WORD != 0);
        let mut inside = at.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_alphanumeric);
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let block = rest.first_chunk().copied().unwrap_or_else(|| {
                let mut block = [0; BLOCK];
                block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                block
            });
            let lanes = Lanes::new(&block);
            let word = lanes.mask(|v| within(v, b'0', b'9') | within(v | u8x16::splat(0x20), b'a', b'z'));
            let signs = if runs { lanes.mask(|v| is(v, b'+') | is(v, b'/')) } else { 0 };
            let mut starts = (word | signs) & !(word << 1 | u64::from(inside));
            while starts != 0 {
                let i = starts.trailing_zeros();
                starts &= starts - 1;
                let place = at + i as usize;
                if signs >> i & 1 == 1 {
                    return place;
                }
                let mut len = (!(word >> i)).trailing_zeros() as usize;
                if i as usize + len == BLOCK {
                    len = measure(bytes.get(place..).unwrap_or_default(), |b| b.is_ascii_alphanumeric());
                }
                self.word_end = place + len;
                if codes && is_code(bytes.get(place..place + len).unwrap_or_default())
                    || len >= base::MIN_RUN
                    || runs && self.is_run(place)
                {
                    return place;
                }
            }
            inside = word >> (BLOCK - 1) == 1;
            at += BLOCK;
        }
        bytes.len()
    }

    /// Whether enough digits of base64 follow from `at` on.
    fn is_run(&mut self, at: usize) -> bool {
        if at >= self.run_end {
            self.run_end = at + measure(self.input.as_bytes().get(at..).unwrap_or_default(), base::is_base64);
        }
        self.run_end - at >= base::MIN_RUN
    }

    /// What stands at `at`, as a set of [`ESCAPE`] and its kin.
    fn starts(&mut self, first: u8, at: usize) -> u8 {
        let bytes = self.input.as_bytes();
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
        let rest = bytes.get(at..).unwrap_or_default();
        let mut starts = 0;
        if !before.is_ascii_alphanumeric() && (first.is_ascii_alphanumeric() || matches!(first, b'+' | b'/'))
        {
            self.word_end = at + measure(rest, |b| b.is_ascii_alphanumeric());
            let word = self.word_end - at;
            starts |= if self.is_run(at) { LONG_WORD } else { 0 };
            let is_code = is_code(rest.get(..word).unwrap_or_default());
            let is_long = first.is_ascii_hexdigit() && word >= base::MIN_RUN;
            starts |= if is_code || is_long { CODE } else { 0 };
        }
        if before.is_ascii_whitespace() || (first == b'<' && at >= self.token_end) {
            if at >= self.token_end {
                self.token_end = at + measure(rest, |b| b > b' ');
            }
            starts |= if self.token_end - at >= base::MIN_RUN { LONG_TOKEN } else { 0 };
        }
        match first {
            b'%' | b'\\' | b'=' => starts | ESCAPE,
            b'.' | b'-' | b'_' => starts | MARK,
            _ => starts,
        }
    }

    /// Where to go on after nothing was found at `at`: at the next byte, or,
    /// inside a word, behind it.
    fn skip(&self, at: usize) -> usize {
        self.word_end.max(at + 1)
    }
}

/// Longest code of one character: eight binary digits.
const MAX_CODE: usize = 8;

/// Digits of some radix, with or without a mark of it, and no more than a code has.
fn is_code(word: &[u8]) -> bool {
    let digits = match word {
        [b'0', b'x' | b'X' | b'o', digits @ ..] => digits,
        digits => digits,
    };
    !digits.is_empty() && word.len() <= MAX_CODE && digits.iter().all(u8::is_ascii_hexdigit)
}

fn measure(bytes: &[u8], f: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|b| !f(*b)).unwrap_or(bytes.len())
}

/// Decides, byte by byte, whether decoded bytes are text.
#[derive(Default)]
struct TextCheck {
    bytes: usize,
    /// The first of them, by which compressed data is known.
    head: [u8; 3],
    /// Letters, digits and spaces of ASCII, and all of UTF-8 beyond.
    words: usize,
    letters: usize,
    /// Zero bytes at even and at odd places.
    zeros: [usize; 2],
    /// Continuation bytes still due.
    due: u8,
    is_binary: bool,
}

impl TextCheck {
    /// Takes a byte; `false` once the bytes cannot be text any more and the
    /// first are known.
    fn push(&mut self, byte: u8) -> bool {
        let place = self.bytes % 2;
        if let Some(slot) = self.head.get_mut(self.bytes) {
            *slot = byte;
        }
        self.bytes += 1;
        match byte {
            _ if self.due > 0 => {
                self.is_binary |= byte & 0xC0 != 0x80;
                self.due -= 1;
                self.words += 1;
                self.letters += 1;
            }
            0 => {
                self.zeros =
                    std::array::from_fn(|i| self.zeros.get(i).map_or(0, |n| n + usize::from(i == place)))
            }
            b'\t' | b'\n' | b'\r' => {}
            b' ' | b'0'..=b'9' => self.words += 1,
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.words += 1;
                self.letters += 1;
            }
            0x20..=0x7E => {}
            0xC2..=0xF4 => {
                self.due = if byte < 0xE0 { 1 } else { 2 + u8::from(byte >= 0xF0) };
                self.words += 1;
                self.letters += 1;
            }
            _ => self.is_binary = true,
        }
        !self.is_binary || self.bytes < self.head.len()
    }

    /// Whether the bytes were valid.
    fn utf8(&self) -> Option<Charset> {
        (!self.is_binary && self.due == 0 && self.zeros == [0, 0]).then_some(Charset::Utf8)
    }

    /// The charset of the bytes if they were text.
    fn charset(&self) -> Option<Charset> {
        let [even, odd] = self.zeros;
        let text = self.bytes - even - odd;
        let is_text =
            !self.is_binary && text >= MIN_TEXT && self.words * 10 >= text * 7 && self.letters * 4 >= text;
        match (even, odd) {
            _ if !is_text => None,
            (0, 0) => (self.due == 0).then_some(Charset::Utf8),
            (0, odd) if odd * 8 >= self.bytes * 3 => Some(Charset::Utf16Le),
            (even, 0) if even * 8 >= self.bytes * 3 => Some(Charset::Utf16Be),
            _ => None,
        }
    }
}

/// Puts decoded bytes together to characters.
struct Assembler {
    charset: Charset,
    bytes: [u8; 4],
    len: usize,
    source: Range<usize>,
}

impl Assembler {
    fn new(charset: Charset) -> Self {
        Assembler { charset, bytes: [0; 4], len: 0, source: 0..0 }
    }

    /// Takes a byte; gives the character it completes.
    fn push(&mut self, byte: u8, source: Range<usize>) -> Option<(char, Range<usize>)> {
        if self.len == 0 && byte.is_ascii() && self.charset == Charset::Utf8 {
            return Some((char::from(byte), source));
        }
        if self.len == 0 {
            self.source = source.clone();
        }
        self.source.end = self.source.end.max(source.end);
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
        let [a, b, ..] = self.bytes;
        let c = match self.charset {
            Charset::Utf8 => {
                let text = self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok());
                // What is no character (overlong, a surrogate) must take
                // nothing along of what stands behind it.
                let due = [0xC0, 0xE0, 0xF0].iter().filter(|lead| a >= **lead).count();
                match text.and_then(|text| text.chars().next()) {
                    None if self.len <= due => return None,
                    found => found,
                }
            }
            _ if self.len < 2 => return None,
            // Characters beyond the first plane do not matter to any rule.
            Charset::Utf16Le => char::from_u32(u32::from(u16::from_le_bytes([a, b]))),
            Charset::Utf16Be => char::from_u32(u32::from(u16::from_be_bytes([a, b]))),
        };
        self.len = 0;
        Some((c.unwrap_or(char::REPLACEMENT_CHARACTER), self.source.clone()))
    }
}

#[cfg(test)]
mod tests;
