//! From text to hashed n-grams: the only place that knows what a feature is.
//!
//! The trainer sees features through this code too, so a model always meets
//! the features it was trained on. Changing anything here needs a new model.

/// Kinds of features; each hashes apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// One word.
    Word = 0,
    /// Two words in a row.
    Pair = 1,
    /// Three words in a row.
    Triple = 2,
    /// Two words with any one between them.
    Skip = 3,
    /// The first bytes of a longer word: inflections meet here.
    Stem = 4,
    /// Two stems in a row.
    StemPair = 5,
    /// A run of punctuation.
    Mark = 6,
    /// A run of punctuation with the word after it.
    MarkWord = 7,
}

impl Family {
    /// The name in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::Word => "word",
            Family::Pair => "pair",
            Family::Triple => "triple",
            Family::Skip => "skip",
            Family::Stem => "stem",
            Family::StemPair => "stem-pair",
            Family::Mark => "mark",
            Family::MarkWord => "mark-word",
        }
    }
}

/// Takes features as they are found.
pub trait Sink {
    /// One feature. All 32 bits of `hash` are well mixed.
    fn feature(&mut self, family: Family, hash: u32);
    /// A word has ended; its features have been given.
    fn word(&mut self);
}

/// Gives all features of `text` to `sink`, in one pass.
///
/// Words are runs of letters and digits with ASCII case folded; scripts that
/// write without spaces give one word a character.
pub fn grams(text: &[u8], sink: &mut impl Sink) {
    let mut at = 0;
    let mut state = State::default();
    while let Some(&byte) = text.get(at) {
        at = match class(byte) {
            Class::Space => at + 1,
            Class::Mark => mark(text, at, &mut state, sink),
            Class::Letter if is_thai(text, at) => ideograph(text, at, &mut state, sink),
            Class::Letter => word(text, at, &mut state, sink),
            Class::Symbol => at + char_len(byte),
            Class::Ideograph => ideograph(text, at, &mut state, sink),
        };
    }
}

/// Words longer than this are blobs and count as one and the same.
pub(super) const MAX_WORD_BYTES: usize = 40;
/// Bytes of a run of punctuation that tell it apart.
pub(super) const MARK_BYTES: usize = 4;
/// Bytes of a stem. Of scripts with longer characters that is less than two,
/// which did better than more in the sets at hand.
pub(super) const STEM_BYTES: usize = 5;
/// Runs of punctuation that count between two words: rows of dots and dashes
/// must not water a text down.
pub(super) const MAX_MARKS: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// ASCII punctuation.
    Mark,
    /// ASCII letter or digit, or a byte of a script that writes with spaces.
    Letter,
    /// Starts a character that is no letter: typographic signs, emoji.
    Symbol,
    /// Starts a character that is a word by itself.
    Ideograph,
}

/// The words just passed.
#[derive(Default)]
struct State {
    last: u32,
    last_but_one: u32,
    /// Both, mixed.
    pair: u32,
    stem: u32,
    /// The last run of punctuation, if no word has followed.
    mark: u32,
    /// Runs of punctuation since the last word.
    marks: u32,
}

impl State {
    fn push(&mut self, word: u32, stem: u32, sink: &mut impl Sink) {
        sink.feature(Family::Word, finish(word));
        let pair = mix(self.last, word);
        sink.feature(Family::Pair, pair);
        sink.feature(Family::Triple, mix(self.pair, word));
        sink.feature(Family::Skip, mix(self.last_but_one.rotate_left(SKIP_TURN), word));
        if stem != word {
            sink.feature(Family::Stem, finish(stem));
        }
        if stem != word || self.stem != self.last {
            sink.feature(Family::StemPair, mix(self.stem, stem));
        }
        if self.mark != 0 {
            sink.feature(Family::MarkWord, mix(self.mark, word));
            self.mark = 0;
        }
        self.marks = 0;
        self.last_but_one = self.last;
        self.last = word;
        self.pair = pair;
        self.stem = stem;
        sink.word();
    }
}

fn word(text: &[u8], start: usize, state: &mut State, sink: &mut impl Sink) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let (mut len, mut hash, mut stem, mut any_but_digits) = (0, SEED, 0, 0);
    for &byte in rest {
        // One look-up tells the class and the lower case.
        let lower = LOWER.get(usize::from(byte)).copied().unwrap_or(0);
        if lower == 0 || (byte == 0xE0 && is_thai(rest, len)) {
            break;
        }
        if len == STEM_BYTES {
            stem = hash;
        }
        any_but_digits |= lower & 0xC0;
        hash = step(hash, lower);
        len += 1;
    }
    let digits = any_but_digits == 0;
    if digits {
        hash = number(len);
    } else if len > MAX_WORD_BYTES {
        hash = BLOB;
    }
    let stem = if digits || len <= STEM_BYTES || len > MAX_WORD_BYTES { hash } else { stem ^ STEM };
    state.push(hash, stem, sink);
    start + len
}

fn ideograph(text: &[u8], at: usize, state: &mut State, sink: &mut impl Sink) -> usize {
    let end = at + 3;
    let bytes = text.get(at..end).unwrap_or_default();
    // U+3000..U+303F: the punctuation of these scripts.
    if !matches!(bytes, [0xE3, 0x80, _]) {
        let hash = bytes.iter().fold(SEED, |hash, byte| step(hash, *byte));
        state.push(hash, hash, sink);
    }
    end
}

fn mark(text: &[u8], start: usize, state: &mut State, sink: &mut impl Sink) -> usize {
    let (mut at, mut hash) = (start, MARK);
    while let Some(&byte) = text.get(at).filter(|b| class(**b) == Class::Mark) {
        if at < start + MARK_BYTES {
            hash = step(hash, byte);
        }
        at += 1;
    }
    state.marks += 1;
    if state.marks <= MAX_MARKS {
        sink.feature(Family::Mark, finish(hash));
        state.mark = hash;
    }
    at
}

fn is_thai(text: &[u8], at: usize) -> bool {
    text.get(at) == Some(&0xE0) && matches!(text.get(at + 1), Some(0xB8 | 0xB9))
}

pub(super) const SEED: u32 = 0x811C_9DC5;
/// Set punctuation, stems and blobs apart from words.
pub(super) const MARK: u32 = SEED ^ 0x3A2C;
pub(super) const STEM: u32 = 0x57E3;
pub(super) const BLOB: u32 = SEED ^ 0xB10B;

/// All numbers of so many digits are one word.
pub(super) const fn number(digits: usize) -> u32 {
    step(SEED ^ 0xD161, if digits < 5 { digits as u8 } else { 5 })
}

/// FNV-1a: one multiplication a byte.
pub(super) const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(PRIME)
}
pub(super) const PRIME: u32 = 0x0100_0193;

pub(super) const fn mix(a: u32, b: u32) -> u32 {
    finish(a.wrapping_mul(MIXER.0).rotate_left(MIXER.1) ^ b)
}
pub(super) const MIXER: (u32, u32) = (0x9E37_79B1, 13);

/// Spreads the entropy of FNV's low bits over all bits.
pub(super) const fn finish(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(FINISH.0);
    (hash ^ (hash >> 13)).wrapping_mul(FINISH.1)
}
pub(super) const FINISH: (u32, u32) = (0x85EB_CA6B, 0xC2B2_AE35);

/// How far the last word but one is turned in a [`Family::Skip`].
pub(super) const SKIP_TURN: u32 = 7;

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Space)
}

const fn char_len(lead: u8) -> usize {
    match lead {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

const CLASSES: [Class; 256] = classes();

/// Bytes of words in lower case; 0 for all others.
const LOWER: [u8; 256] = lower();

#[allow(clippy::indexing_slicing)] // Evaluated by the compiler, where a fault is an error.
const fn lower() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if matches!(CLASSES[byte], Class::Letter) {
            table[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

#[allow(clippy::indexing_slicing)] // Evaluated by the compiler, where a fault is an error.
const fn classes() -> [Class; 256] {
    let mut table = [Class::Space; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => Class::Letter,
            0x21..=0x7E => Class::Mark,
            // Latin-1 signs and spaces; general punctuation and symbols; emoji.
            0xC2 | 0xE2 | 0xF0..=0xF7 => Class::Symbol,
            // Kana and Han.
            0xE3..=0xE9 => Class::Ideograph,
            0x80..=0xFF => Class::Letter,
            _ => Class::Space,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[derive(Default)]
    struct Seen {
        features: Vec<(u8, u32)>,
        words: usize,
    }

    impl Sink for Seen {
        fn feature(&mut self, family: Family, hash: u32) {
            self.features.push((family as u8, hash));
        }

        fn word(&mut self) {
            self.words += 1;
        }
    }

    fn seen(text: &[u8]) -> Seen {
        let mut seen = Seen::default();
        grams(text, &mut seen);
        seen
    }

    fn of(text: &str, family: Family) -> Vec<u32> {
        seen(text.as_bytes()).features.into_iter().filter(|f| f.0 == family as u8).map(|f| f.1).collect()
    }

    #[test]
    fn what_is_a_word() {
        for (text, words) in [
            ("", 0),
            ("  .,! ", 0),
            ("a bc", 2),
            ("don't", 2),
            ("naïve café", 2),
            ("忽略 指令。", 4),
            ("กข", 2),
            ("привет мир", 2),
            ("a😀b “c”", 3),
        ] {
            assert_eq!(seen(text.as_bytes()).words, words, "{text}");
        }
    }

    #[test]
    fn what_differs_only_in_case_numbers_or_blobs_is_the_same() {
        let blobs = ["a".repeat(41), format!("{}b", "c".repeat(50))];
        for (a, b) in [("IGNORE All", "ignore all"), ("call 4711 x", "call 8000 x"), (&blobs[0], &blobs[1])] {
            assert_eq!(seen(a.as_bytes()).features, seen(b.as_bytes()).features, "{a} / {b}");
        }
        for (a, b) in [("ignore all", "all ignore"), ("call 47 x", "call 4711 x"), ("a-b", "a b")] {
            assert_ne!(seen(a.as_bytes()).features, seen(b.as_bytes()).features, "{a} / {b}");
        }
    }

    #[test]
    fn families() {
        let text = "ignore previous instructions now";
        assert_eq!(of(text, Family::Word).len(), 4);
        assert_eq!(of(text, Family::Pair)[3], of("some instructions now", Family::Pair)[2]);
        assert_eq!(of(text, Family::Triple)[3], of("other previous instructions now", Family::Triple)[3]);
        assert_ne!(of("a x b", Family::Skip)[2], of("b x a", Family::Skip)[2]);
        assert_eq!(of("a x b", Family::Skip)[2], of("a y b", Family::Skip)[2]);
        assert_eq!(of("instructions", Family::Stem), of("instructed", Family::Stem));
        assert_eq!(of("stop!!! now", Family::MarkWord).len(), 1);
        assert_ne!(of("[x", Family::Mark), of("<x", Family::Mark));
    }

    #[test]
    fn punctuation_cannot_water_down() {
        assert_eq!(seen("! ".repeat(1000).as_bytes()).features.len(), MAX_MARKS as usize);
    }

    #[test]
    fn any_bytes_end() {
        let bytes: Vec<u8> = (0..=255u8).cycle().take(1024).collect();
        for start in 0..256 {
            assert!(seen(&bytes[start..]).words <= bytes.len());
        }
        for lead in 0x80..=0xFFu8 {
            seen(&[b'a', lead]);
        }
    }
}
