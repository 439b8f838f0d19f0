//! What the bytes of a block are, a bit for each.

use wide::u8x16;

use crate::lanes::{AsciiSet, BLOCK, Lanes, both_halves, is};
use crate::rules::RUN;

/// Bits of the bytes of a block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// Letters, digits and what joins them.
    pub(super) word: u64,
    /// Others, with which some literal may start.
    pub(super) other: u64,
    pub(super) operators: u64,
    /// See [`crate::rules::in_run`].
    runs: u64,
}

/// What is looked for in blocks.
#[derive(Debug)]
pub(super) struct Classes {
    /// Bits of [`CLASSES`] that make words.
    words: u8,
    /// First bytes of literals that start with no letter or digit.
    others: AsciiSet,
    /// Bits that those beyond ASCII have, all of them: what goes on with a character
    /// starts no literal, as long as no pattern is of parts of characters.
    beyond: u8,
}

const BEYOND_ASCII: u8 = 0b1000_0000;
const STARTS_CHARACTER: u8 = 0b1100_0000;

/// Bytes by their halves: which low halves are of a class under which high ones.
/// A byte is of a class if both of its halves are.
const CLASSES: [(&[u8], &[u8]); 8] = [
    (&[4, 6], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), // a to o
    (&[5, 7], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),                  // p to z
    (&[3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (&[5], &[15]),                // _
    (&[2], &[5, 11, 13, 14, 15]), // % + - . /
    (&[3], &[13]),                // =
    (&[3], &[10, 12, 13, 14]),    // : < = >
    (&[7], &[12]),                // |
];
const LETTERS_AND_DIGITS: u8 = 0b0000_0111;
const UNDERSCORE: u8 = 0b0000_1000;
const RUNS: u8 = 0b0011_1111;
const OPERATORS: u8 = 0b1100_0000;

const LOW: u8x16 = u8x16::new(halves(false));
const HIGH: u8x16 = u8x16::new(halves(true));

/// For each half of a byte the classes it can be of.
#[allow(clippy::indexing_slicing)] // Evaluated by the compiler, where a fault is an error.
const fn halves(high: bool) -> [u8; 16] {
    let (mut table, mut class) = ([0; 16], 0);
    while class < CLASSES.len() {
        let halves = if high { CLASSES[class].0 } else { CLASSES[class].1 };
        let mut i = 0;
        while i < halves.len() {
            table[halves[i] as usize] |= 1 << class;
            i += 1;
        }
        class += 1;
    }
    table
}

impl Classes {
    /// `underscore`: it is part of a word. `first`: first bytes of literals.
    pub(super) fn new(underscore: bool, first: impl Iterator<Item = u8> + Clone) -> Classes {
        let words = LETTERS_AND_DIGITS | if underscore { UNDERSCORE } else { 0 };
        let goes_on = |byte: u8| byte & STARTS_CHARACTER == BEYOND_ASCII;
        let beyond = if first.clone().any(goes_on) { BEYOND_ASCII } else { STARTS_CHARACTER };
        Classes { words, others: AsciiSet::new(first), beyond }
    }

    /// Part of a word.
    pub(super) const fn is_word(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' && self.words & UNDERSCORE != 0
    }

    /// The marks of a block.
    #[inline(always)]
    pub(super) fn marks(&self, block: &[u8; BLOCK]) -> Marks {
        let lanes = Lanes::new(block);
        let classes = lanes.map(|v| both_halves(v, LOW, HIGH));
        let none = |bits: u8| classes.mask(|v| is(v & u8x16::splat(bits), 0));
        let word = !none(self.words);
        let beyond = u8x16::splat(self.beyond);
        let other = lanes.mask(|v| self.others.of(v) | (v & beyond).cmp_eq(beyond));
        Marks { word, other: other & !word, operators: !none(OPERATORS), runs: !none(RUNS) }
    }
}

impl Marks {
    /// Beyond the end of the text, where more may follow.
    pub(super) const UNKNOWN: Marks = Marks { word: 0, other: 0, operators: u64::MAX, runs: u64::MAX };

    /// The first `len` bytes are of the text, others are not.
    pub(super) fn cut(self, len: usize, beyond: &Marks) -> Marks {
        let text = if len < BLOCK { (1 << len) - 1 } else { u64::MAX };
        Marks {
            word: self.word & text,
            other: self.other & text,
            operators: self.operators & text | beyond.operators & !text,
            runs: self.runs & text | beyond.runs & !text,
        }
    }

    /// A run of [`RUN`] bytes ends in this block, `before` being to the left. No
    /// branch: words of eight letters and more are as good as random.
    #[inline(always)]
    pub(super) fn has_run(&self, before: &Marks) -> bool {
        // Right in its upper bits, which are all that is asked for.
        let (one, left) = joined(self.runs, before.runs, 1);
        let (two, left) = joined(one, left, 2);
        let (four, left) = joined(two, left, 4);
        let (eight, _) = joined(four, left, 8);
        eight != 0
    }

    /// Operators from bit `i` on, over the border of the block.
    #[inline(always)]
    pub(super) const fn operators_from(&self, i: usize, after: &Marks) -> u64 {
        let i = (i % BLOCK) as u32;
        let next = if i == 0 { 0 } else { after.operators << (BLOCK as u32 - i) };
        self.operators >> i | next
    }
}

/// Bits that are set, and so many before them, in a block and in the one to its left.
#[inline(always)]
const fn joined(bits: u64, left: u64, shift: usize) -> (u64, u64) {
    (bits & (bits << shift | left >> (BLOCK - shift)), left & left << shift)
}

const _: () = assert!(RUN == 16);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{in_run, is_operator};

    fn block(bytes: impl Iterator<Item = u8>) -> [u8; BLOCK] {
        let mut block = [b' '; BLOCK];
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        block
    }

    #[test]
    fn every_byte_is_of_its_classes() {
        let first = b"/($\xC3";
        let classes = Classes::new(true, first.iter().copied());
        for from in [0, 64, 128, 192] {
            let block = block(from..=from + 63);
            let marks = classes.marks(&block);
            for (i, byte) in block.iter().enumerate() {
                let bit = |mask: u64| mask >> i & 1 == 1;
                let word = byte.is_ascii_alphanumeric() || *byte == b'_';
                assert_eq!(bit(marks.word), word, "{byte}");
                assert_eq!(bit(marks.operators), is_operator(*byte), "{byte}");
                assert_eq!(bit(marks.runs), in_run(*byte), "{byte}");
                let other = first.contains(byte) || *byte >= 0xC0;
                assert_eq!(bit(marks.other), other, "{byte}");
                let parts = Classes::new(true, [0x80].into_iter()).marks(&block);
                assert_eq!(parts.other >> i & 1 == 1, !byte.is_ascii(), "{byte}");
            }
        }
    }

    #[test]
    fn runs_end_where_they_are_long_enough() {
        let marks = |text: &str| Classes::new(true, [].into_iter()).marks(&block(text.bytes()));
        for len in 0..40 {
            for at in 0..=2 * BLOCK - len {
                let text =
                    format!("{}{}{}", " ".repeat(at), "a".repeat(len), " ".repeat(2 * BLOCK - len - at));
                let (left, right) = text.split_at(BLOCK);
                let (left, right) = (marks(left), marks(right));
                let ends = |from: usize| {
                    len >= RUN && (from..from + BLOCK).any(|end| end >= at + RUN - 1 && end < at + len)
                };
                assert_eq!(left.has_run(&Marks::default()), ends(0), "{at} {len}");
                assert_eq!(right.has_run(&left), ends(BLOCK), "{at} {len}");
            }
        }
    }

    #[test]
    fn operators_are_seen_over_the_border() {
        let marks = |bit: u32| Marks { operators: 1 << bit, ..Marks::default() };
        assert_eq!(marks(5).operators_from(5, &Marks::default()), 1);
        assert_eq!(marks(4).operators_from(5, &Marks::default()), 0);
        assert_eq!(Marks::default().operators_from(5, &marks(4)), 1 << 63);
        assert_eq!(Marks::default().operators_from(0, &marks(0)), 0);
    }
}
