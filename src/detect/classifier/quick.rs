//! The sums of [`grams`](super::grams()) over a block, quicker.
//!
//! Word by word, most of the time goes into branches that nobody can foretell:
//! how long is the next word, has it a stem, does punctuation follow. Here a
//! block is done in passes without such branches: vector code finds where words
//! begin and end, four words are hashed together, features are written to a
//! list, and last the weights of the list are summed.

mod fours;
mod runs;

use wide::{u8x16, u32x4};

pub(super) use self::fours::HAS_PRODUCT;
use self::fours::{FOUR, all, bits, finish4, mix4, step4, turned};
use self::runs::Runs;
use super::grams::{
    BLOB, Family, MARK, MARK_BYTES, MAX_MARKS, MAX_WORD_BYTES, PRIME, SEED, SKIP_TURN, STEM, STEM_BYTES,
    finish, mix, number, step,
};
use super::model::{Classifier, salt, salted};
use super::segments::{MAX_BLOCK, Sum};
use crate::lanes::{BLOCK as WINDOW, Lanes, is, within};

/// Words of a block, and as many runs of punctuation: each takes two bytes. A
/// power of two: places in lists are cut to it, which is cheaper than to ask.
const RUNS: usize = (MAX_BLOCK / 2 + FOUR).next_power_of_two();

/// Words that stand before the first: none, twice.
const BEFORE: usize = 2;

/// Hashes of words, those before the first, and room for the last three of four.
type Hashes = [u32; RUNS + FOUR];

/// Features of a block: up to six a word and two a run of punctuation.
const FEATURES: usize = (8 * MAX_BLOCK / 2).next_power_of_two();

/// Windows of a block.
const WINDOWS: usize = MAX_BLOCK.div_ceil(WINDOW);

/// Bytes of windows, more by those of a word that begins with the last.
type Text = [u8; TEXT + HEAD];
const TEXT: usize = (WINDOWS * WINDOW).next_power_of_two();

/// Lists of one block, kept to be filled again by the next. They are passed over
/// by one short loop after the other, each without a call: a loop that calls, be
/// it once in a thousand rounds, keeps nothing in registers in V8.
#[derive(Clone)]
pub(super) struct Quick {
    /// Zeros behind the block, up to its last window's end.
    text: Text,
    words: Runs,
    marks: Runs,
    /// For each run of punctuation, how many words begin before it.
    word_after: [u16; RUNS],
    /// Of each word the first eight bytes in lower case, zeros behind it, and
    /// what takes these zeros out of its hash.
    lows: Hashes,
    highs: Hashes,
    undo: Hashes,
    /// Words whose hash is not that of eight bytes.
    odd: [u16; RUNS],
    odd_count: usize,
    /// Hashes of words and their stems, and of each word with the one before.
    hashes: Hashes,
    stems: Hashes,
    pairs: Hashes,
    /// Of features, in the table of weights.
    places: [u32; FEATURES + FOUR],
}

/// Holds the last block, which no log may show.
impl std::fmt::Debug for Quick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Quick")
    }
}

impl Default for Quick {
    fn default() -> Self {
        let none = [0; RUNS + FOUR];
        Quick {
            text: [0; TEXT + HEAD],
            words: Runs::default(),
            marks: Runs::default(),
            word_after: [0; RUNS],
            lows: none,
            highs: none,
            undo: none,
            odd: [0; RUNS],
            odd_count: 0,
            hashes: none,
            stems: none,
            pairs: none,
            places: [0; FEATURES + FOUR],
        }
    }
}

impl Quick {
    /// The same as [`grams`](super::grams()) gives for this block of a text.
    /// `None`: it has characters that are words by themselves.
    pub(super) fn sum(&mut self, model: &Classifier<'_>, block: &str) -> Option<Sum> {
        if block.len() > MAX_BLOCK {
            return None;
        }
        let windows = block.len().div_ceil(WINDOW);
        let (text, behind) = self.text.get_mut(..windows * WINDOW)?.split_at_mut_checked(block.len())?;
        text.copy_from_slice(block.as_bytes());
        behind.fill(0);
        self.find(windows)?;
        self.behead();
        self.hash();
        self.set_right();
        let of_words = self.of_words(model.shift());
        let count = self.of_marks(of_words, model.shift());
        let places = self.places.get(..count).unwrap_or_default();
        Some(Sum { sum: model.sum(places), features: count as u32, words: self.words.count as u32 })
    }

    /// Where words and punctuation begin and end.
    fn find(&mut self, windows: usize) -> Option<()> {
        let mut kinds = [(0, 0); WINDOWS];
        let mut is_ascii = true;
        for (nth, (letters, marks)) in kinds.iter_mut().enumerate().take(windows) {
            let window = self.window(nth);
            *letters = window.mask(|v| {
                let lower = v | u8x16::splat(0x20);
                within(lower, b'a', b'z') | within(v, b'0', b'9') | v
            });
            *marks = window.mask(|v| within(v, 0x21, 0x7E)) & !*letters;
            is_ascii &= !window.any(|v| v);
        }
        if !is_ascii {
            let mut symbols = 0;
            for (nth, (letters, _)) in kinds.iter_mut().enumerate().take(windows) {
                *letters &= !find_symbols(&self.window(nth), &mut symbols)?;
            }
        }
        self.lay_out(kinds.get(..windows).unwrap_or_default());
        Some(())
    }

    #[inline(always)]
    fn window(&self, nth: usize) -> Lanes {
        Lanes::new(self.text.as_chunks().0.get(nth).unwrap_or(&[0; WINDOW]))
    }

    fn lay_out(&mut self, kinds: &[(u64, u64)]) {
        let (mut at, mut words, mut marks) = (0, 0_usize, 0);
        for (letters, mark) in kinds {
            let before = words.div_ceil(2);
            let begin = self.words.add(&mut words, at, *letters, |_, _| {});
            let word_after = &mut self.word_after;
            self.marks.add(&mut marks, at, *mark, |mark, bit| {
                if let Some(slot) = word_after.get_mut(mark % RUNS) {
                    *slot = (before + (begin & ((1 << bit) - 1)).count_ones() as usize) as u16;
                }
            });
            at += WINDOW;
        }
        self.words.end(words, at);
        self.marks.end(marks, at);
    }

    /// Takes the first eight bytes of each word.
    #[inline(never)]
    fn behead(&mut self) {
        let (mut nth, mut odd) = (0, 0);
        while nth < self.words.count {
            let [start, end] = self.words.nth(nth);
            let len = end.wrapping_sub(start);
            let (kept, undo) = tail(len.min(HEAD));
            let all = eight(&self.text, start);
            // Letters and digits have this bit in lower case, and bytes beyond ASCII stay.
            let word = (all | (!all & each(0x80)) >> 2) & kept;
            set(&mut self.lows, nth, word as u32);
            set(&mut self.highs, nth, (word >> 32) as u32);
            set(&mut self.undo, nth, undo);
            if let Some(slot) = self.odd.get_mut(odd % RUNS) {
                *slot = nth as u16;
            }
            // Longer words, and numbers.
            odd += usize::from((len > HEAD) | (word & each(0xC0) == 0));
            nth += 1;
        }
        self.odd_count = odd;
    }

    /// Hashes of all words and stems, of words longer than that their eight bytes'.
    #[inline(never)]
    fn hash(&mut self) {
        const { assert!(STEM_BYTES == FOUR + 1) };
        let (mut first, byte) = (0, all(0xFF));
        while first < self.words.count {
            let (low, high) = (four(&self.lows, first), four(&self.highs, first));
            let three = step4(step4(step4(all(SEED), low & byte), low >> 8 & byte), low >> 16 & byte);
            let five = step4(step4(three, low >> 24), high & byte);
            let eight = step4(step4(step4(five, high >> 8 & byte), high >> 16 & byte), high >> 24);
            let hash = eight * four(&self.undo, first);
            let has_no_stem = u32x4::cmp_eq(high >> 8, all(0));
            let stem = has_no_stem.blend(hash, five ^ all(STEM));
            put(&mut self.hashes, first + BEFORE, hash);
            put(&mut self.stems, first + BEFORE, stem);
            first += FOUR;
        }
    }

    /// Hashes of longer words and numbers.
    #[inline(never)]
    fn set_right(&mut self) {
        for nth in self.odd.iter().take(self.odd_count) {
            let nth = usize::from(*nth);
            let [start, end] = self.words.nth(nth);
            let word = self.text.get(start..end).unwrap_or_default();
            let place = BEFORE + nth;
            if let (Some(hash), Some(stem)) = (self.hashes.get_mut(place), self.stems.get_mut(place)) {
                if word.iter().all(u8::is_ascii_digit) {
                    (*hash, *stem) = (number(word.len()), number(word.len()));
                } else if word.len() > MAX_WORD_BYTES {
                    (*hash, *stem) = (BLOB, BLOB);
                } else {
                    let rest = word.iter().skip(HEAD);
                    *hash = rest.fold(*hash, |hash, byte| step(hash, byte.to_ascii_lowercase()));
                }
            }
        }
    }

    /// Features of words and stems. Returns how many.
    #[inline(never)]
    fn of_words(&mut self, shift: u32) -> usize {
        let mut places = Places { list: &mut self.places, len: 0 };
        let count = self.words.count;
        let mut first = 0;
        while first < count {
            let (word, last) = (four(&self.hashes, first + BEFORE), four(&self.hashes, first + BEFORE - 1));
            put(&mut self.pairs, first + BEFORE, mix4(last, word));
            first += FOUR;
        }
        first = 0;
        while first < count {
            let at = first + BEFORE;
            let (word, last, one_before) =
                (four(&self.hashes, at), four(&self.hashes, at - 1), four(&self.hashes, at - 2));
            let (stem, last_stem) = (four(&self.stems, at), four(&self.stems, at - 1));
            let (pair, last_pair) = (four(&self.pairs, at), four(&self.pairs, at - 1));
            let few = (count - first).min(FOUR);
            let place = |family: Family, hash: u32x4| (hash ^ all(salt(family))) >> shift;
            places.add_first(few, place(Family::Word, finish4(word)));
            places.add_first(few, place(Family::Pair, pair));
            places.add_first(few, place(Family::Triple, mix4(last_pair, word)));
            places.add_first(few, place(Family::Skip, mix4(turned(one_before, SKIP_TURN), word)));
            let (no_stem, no_last) = (stem.cmp_eq(word), last_stem.cmp_eq(last));
            let valid = (1 << few) - 1;
            places.add_some(!bits(no_stem) & valid, place(Family::Stem, finish4(stem)));
            let pairs = !bits(no_stem & no_last) & valid;
            places.add_some(pairs, place(Family::StemPair, mix4(last_stem, stem)));
            first += FOUR;
        }
        places.len
    }

    /// Features of punctuation, behind `len` others. Returns how many that makes.
    #[inline(never)]
    fn of_marks(&mut self, len: usize, shift: u32) -> usize {
        let mut places = Places { list: &mut self.places, len };
        let count = self.marks.count;
        let (mut word, mut since) = (u16::MAX, 0);
        for at in 0..count {
            let after = self.word_after.get(at % RUNS).copied().unwrap_or(0);
            since = if after == word { since + 1 } else { 1 };
            word = after;
            if since > MAX_MARKS {
                continue;
            }
            let hash = hash_of_mark(&self.text, self.marks.nth(at));
            places.add_if(true, salted(Family::Mark, finish(hash)) >> shift);
            let next = self.word_after.get((at + 1) % RUNS).copied().filter(|_| at + 1 < count);
            let is_last = since == MAX_MARKS || next != Some(word);
            let is_before_word = usize::from(word) < self.words.count;
            let following = self.hashes.get(BEFORE + usize::from(word) % RUNS).copied().unwrap_or(0);
            let place = salted(Family::MarkWord, mix(hash, following)) >> shift;
            places.add_if(is_last && is_before_word && hash != 0, place);
        }
        places.len.min(FEATURES)
    }
}

/// Places of features in the table of weights.
struct Places<'l> {
    list: &'l mut [u32; FEATURES + FOUR],
    len: usize,
}

impl Places<'_> {
    /// Adds the first `few` of four.
    #[inline(always)]
    fn add_first(&mut self, few: usize, places: u32x4) {
        if let Some(slot) = self.list.get_mut(self.len % FEATURES..).and_then(<[u32]>::first_chunk_mut) {
            *slot = places.to_array();
        }
        self.len += few;
    }

    /// Adds those with a bit.
    #[inline(always)]
    fn add_some(&mut self, bits: u32, places: u32x4) {
        let [a, b, c, d] = places.to_array();
        self.add_if(bits & 1 != 0, a);
        self.add_if(bits & 2 != 0, b);
        self.add_if(bits & 4 != 0, c);
        self.add_if(bits & 8 != 0, d);
    }

    /// Written in any case: what is not added is written over by the next.
    #[inline(always)]
    fn add_if(&mut self, is_one: bool, place: u32) {
        if let Some(slot) = self.list.get_mut(self.len % FEATURES) {
            *slot = place;
        }
        self.len += usize::from(is_one);
    }
}

/// Bytes of a word that are hashed without asking how many it has.
const HEAD: usize = 8;

/// For a word of so many bytes, which of eight are its own; and FNV-1a over a
/// zero being a multiplication by [`PRIME`], the number that divides by that as
/// often as zeros were hashed to make eight bytes.
const TAILS: [(u64, u32); HEAD + 1] = tails();

#[allow(clippy::indexing_slicing)] // Evaluated by the compiler, where a fault is an error.
const fn tails() -> [(u64, u32); HEAD + 1] {
    // The inverse, by Newton: each step doubles the bits that are right.
    let (mut inverse, mut bits) = (PRIME, 3);
    while bits < u32::BITS {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(PRIME.wrapping_mul(inverse)));
        bits *= 2;
    }
    let (mut table, mut len) = ([(u64::MAX, 1_u32); HEAD + 1], HEAD);
    while len > 0 {
        len -= 1;
        table[len] = (table[len + 1].0 >> 8, table[len + 1].1.wrapping_mul(inverse));
    }
    table
}

#[inline(always)]
fn tail(len: usize) -> (u64, u32) {
    TAILS.get(len).copied().unwrap_or_default()
}

#[inline(always)]
fn hash_of_mark(text: &Text, [start, end]: [usize; 2]) -> u32 {
    const { assert!(MARK_BYTES == FOUR) };
    let len = end.wrapping_sub(start).min(MARK_BYTES);
    let (kept, _) = tail(len);
    let (_, undo) = tail(HEAD - MARK_BYTES + len);
    let [a, b, c, d, ..] = (eight(text, start) & kept).to_le_bytes();
    step(step(step(step(MARK, a), b), c), d).wrapping_mul(undo)
}

/// Eight bytes of a block.
#[inline(always)]
fn eight(text: &Text, at: usize) -> u64 {
    let eight = text.get(at % TEXT..).and_then(<[u8]>::first_chunk);
    eight.map_or(0, |eight| u64::from_le_bytes(*eight))
}

const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Bytes of characters that are neither of words nor words, `carried` from one
/// window to the next. `None`: there are characters that are words by themselves.
fn find_symbols(window: &Lanes, carried: &mut u64) -> Option<u64> {
    // Kana and Han, and what begins like Thai.
    if window.any(|v| within(v, 0xE3, 0xE9) | is(v, 0xE0)) {
        return None;
    }
    let four = window.mask(|v| within(v, 0xF0, 0xF7));
    let three = four | window.mask(|v| is(v, 0xE2));
    let two = three | window.mask(|v| is(v, 0xC2));
    let found = two | two << 1 | three << 2 | four << 3 | *carried;
    *carried = two >> 63 | three >> 62 | four >> 61;
    Some(found)
}

#[inline(always)]
fn set(list: &mut Hashes, at: usize, one: u32) {
    if let Some(slot) = list.get_mut(at % RUNS) {
        *slot = one;
    }
}

#[inline(always)]
fn four(list: &Hashes, at: usize) -> u32x4 {
    u32x4::new(list.get(at % RUNS..).and_then(<[u32]>::first_chunk).copied().unwrap_or_default())
}

#[inline(always)]
fn put(list: &mut Hashes, at: usize, four: u32x4) {
    if let Some(slot) = list.get_mut(at % RUNS..).and_then(<[u32]>::first_chunk_mut) {
        *slot = four.to_array();
    }
}

#[cfg(test)]
mod tests;
