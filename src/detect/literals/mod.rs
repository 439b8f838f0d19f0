//! The prefilter: where any literal of any rule stands, letters' case aside.
//!
//! Contract: no false negatives. Every place where the text, lower-cased,
//! starts with a literal is reported once for each of that literal's units. Not
//! so a literal that only counts at the beginning of a word inside one, one
//! before a byte that cannot follow it in any match, and one that has not near it
//! what its gate wants.
//!
//! Most literals start words, and most places of a text are inside one. Vector
//! code tells which. Inside words stand names of vendors (`myapp_okta`), and a
//! value must be near: where there is none, only the few literals without a gate
//! are looked for. Both kinds are by vector code. At the places that are left a hash of
//! four bytes leads to the literals, compared eight bytes at a time.

mod block;
mod filter;
mod starts;
mod table;
#[cfg(test)]
mod tests;

use block::{Classes, Marks};
use filter::{Filter, MIN_LONG};
use starts::{Block, padded_block};
pub(super) use starts::{First, Starts};
use table::Table;
pub(super) use table::{HEAD, Head, head_of};

use crate::lanes::BLOCK as STRIDE;
use crate::rules::{ByteSet, Gate, OPERATOR_REACH, RUN_REACH};

/// Bytes that are hashed together.
pub(super) const WINDOW: usize = 4;

/// Setting bit 5 folds the case of letters, and some other pairs with it, which
/// a comparison sorts out.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// All literals of an engine.
#[derive(Debug)]
pub(super) struct Literals {
    /// Those that may start inside words: that need no run near, and that do.
    inside: [Starts; 2],
    long: Filter<16, 4096>,
    /// Of those of two bytes.
    short: Filter<13, 512>,
    /// Some of those start with a letter or digit.
    short_words: bool,
    /// By how many of their bytes are hashed.
    pairs: Table<2, 12, 128>,
    fours: Table<4, 15, 1024>,
    eights: Table<8, 16, 2048>,
    classes: Classes,
    /// Some literal has a gate.
    gated: bool,
    /// For beginnings of literals at the end of a text: those found only at the
    /// beginning of a word, then the others.
    in_words: [Sorted; 2],
}

/// A literal to look for.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    /// Lower-case, of at least two bytes.
    pub(super) text: Vec<u8>,
    /// What to report.
    pub(super) unit: u16,
    /// Of no use inside a word.
    pub(super) at_boundary: bool,
    /// Of no use without that near.
    pub(super) gate: Gate,
    /// Bytes, in lower case, without one of which behind it it is of no use. At
    /// the end of a text it is.
    pub(super) next: ByteSet,
}

impl Literal {
    /// Found only at the beginning of a word.
    fn begins_word(&self) -> bool {
        self.at_boundary && self.text.first().is_some_and(|b| is_word(*b))
    }
}

/// Texts in lexical order.
#[derive(Debug, Default)]
struct Sorted {
    texts: Vec<Box<[u8]>>,
    longest: usize,
}

impl Literals {
    pub(super) fn new(literals: Vec<Literal>) -> Literals {
        Literals::of(true, literals)
    }

    /// The same, where an underscore is no part of a word.
    pub(super) fn of_words(literals: Vec<Literal>) -> Literals {
        Literals::of(false, literals)
    }

    fn of(underscore: bool, literals: Vec<Literal>) -> Literals {
        let in_words = [
            Sorted::new(literals.iter().filter(|l| l.begins_word())),
            Sorted::new(literals.iter().filter(|l| !l.begins_word())),
        ];
        let classes = Classes::new(underscore, literals.iter().filter_map(|l| l.text.first().copied()));
        let within = |l: &&Literal| !l.at_boundary && l.text.first().is_some_and(|b| classes.is_word(*b));
        let inside = [false, true].map(|run| {
            let gated = literals.iter().filter(within).filter(|l| run == (l.gate == Gate::Run));
            Starts::new(gated.map(|l| l.text.as_slice()).collect())
        });
        let gated = literals.iter().any(|l| l.gate != Gate::Open);
        let of_len = |least: usize, most: usize| {
            literals.iter().filter(move |literal| (least..=most).contains(&literal.text.len()))
        };
        let starts_word = |literal: &Literal| literal.text.first().is_some_and(|b| is_word(*b));
        Literals {
            inside,
            long: Filter::new(of_len(MIN_LONG, usize::MAX)),
            short: Filter::new(of_len(0, MIN_LONG - 1)),
            short_words: of_len(0, MIN_LONG - 1).any(starts_word),
            pairs: Table::new(of_len(2, 3)),
            fours: Table::new(of_len(4, 7)),
            eights: Table::new(of_len(8, usize::MAX)),
            classes,
            gated,
            in_words,
        }
    }

    /// Calls `found(place, unit)` for the literals that start in `from..to`, in
    /// order of place. They may end after `to`. `at_end`: no more text follows.
    #[inline(always)]
    pub(super) fn scan(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        at_end: bool,
        mut found: impl FnMut(usize, u16),
    ) {
        if self.in_words.iter().all(|sorted| sorted.texts.is_empty()) {
            return;
        }
        let to = to.min(text.len());
        let mut inside =
            from.checked_sub(1).and_then(|i| text.get(i)).is_some_and(|b| self.classes.is_word(*b));
        let mut near = Near::new(self, text, from, at_end);
        let mut at = from;
        while at < to {
            let rest = text.get(at..).unwrap_or_default();
            let padded: Block;
            let block = match rest.first_chunk() {
                Some(block) => block,
                None => {
                    padded = padded_block(rest);
                    &padded
                }
            };
            let word = near.here.word;
            let after_word = word << 1 | u64::from(inside);
            inside = word >> (STRIDE - 1) == 1;
            let limit = if to - at < STRIDE { (1 << (to - at)) - 1 } else { u64::MAX };
            let within = word & after_word & limit;
            let [always, by_run] = &self.inside;
            let by_run = if near.has_run() { by_run.find(block) } else { 0 };
            let maybe = within & (always.find(block) | by_run);
            let starts = word & !after_word & limit;
            // A word's first byte, what is in no word, and what may start within. The end
            // of a text is taken for a blank.
            let (words, others) = (starts | maybe, near.here.other & limit);
            let places = if self.short_words {
                self.others(block, words | others, after_word)
            } else {
                self.words(block, words, after_word) | self.others(block, others, after_word)
            };
            let [pairs, fours, eights] = self.likely(block, places);
            let mut places = pairs | fours | eights;
            while places != 0 {
                let i = places.trailing_zeros() as usize;
                places &= places - 1;
                let tail = rest.get(i..).unwrap_or_default();
                let (inside, open) = (after_word >> i & 1 == 1, |gate| near.is_open(gate, i));
                let found = &mut |unit| found(at + i, unit);
                if pairs >> i & 1 == 1 {
                    self.pairs.verify(tail, inside, open, found);
                }
                if fours >> i & 1 == 1 {
                    self.fours.verify(tail, inside, open, found);
                }
                if eights >> i & 1 == 1 {
                    self.eights.verify(tail, inside, open, found);
                }
            }
            at += STRIDE;
            near.go_on(self, text, at, at_end);
        }
    }

    /// Those of `places`, in words, at which some literal could start. Not in line: in
    /// a loop that calls anything V8 keeps nothing in registers, and here it can.
    #[inline(never)]
    fn words(&self, block: &Block, places: u64, after_word: u64) -> u64 {
        // Most stand before a word, and need not be asked which they are.
        filtered(places & !after_word, |i| self.long.bits(key_at(block, i)))
            | filtered(places & after_word, |i| self.long.bits(key_at(block, i)) >> 1)
    }

    /// The same for any `places`.
    #[inline(never)]
    fn others(&self, block: &Block, places: u64, after_word: u64) -> u64 {
        filtered(places, |i| {
            let key = key_at(block, i);
            let bits = self.long.bits(key) | self.short.bits(key & 0x00ff_ffff);
            bits >> (after_word >> i & 1)
        })
    }

    /// Those of `places` that go on like some literal of each table, too.
    #[inline(never)]
    fn likely(&self, block: &Block, mut places: u64) -> [u64; 3] {
        let (mut pairs, mut fours, mut eights) = (0, 0, 0);
        while places != 0 {
            let i = places.trailing_zeros() % STRIDE as u32;
            places &= places - 1;
            let head = head_at(block, i as usize);
            pairs |= u64::from(self.pairs.may_have(head)) << i;
            fours |= u64::from(self.fours.may_have(head)) << i;
            eights |= u64::from(self.eights.may_have(head)) << i;
        }
        [pairs, fours, eights]
    }

    #[inline(always)]
    fn marks_at(&self, text: &[u8], at: usize, at_end: bool) -> Marks {
        let rest = text.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(block) => self.classes.marks(block),
            None => self.last_marks(rest, at_end),
        }
    }

    #[inline(never)]
    fn last_marks(&self, rest: &[u8], at_end: bool) -> Marks {
        let beyond = if at_end { Marks::default() } else { Marks::UNKNOWN };
        if rest.is_empty() {
            return beyond;
        }
        let mut block = [0; STRIDE];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.classes.marks(&block).cut(rest.len(), &beyond)
    }

    /// First place from `from` on where the rest of the text is the beginning,
    /// and not the whole, of a literal.
    pub(super) fn open_at_end(&self, text: &[u8], from: usize) -> Option<usize> {
        let [at_boundary, anywhere] = &self.in_words;
        let begins_word =
            |at: usize| at.checked_sub(1).and_then(|i| text.get(i)).is_none_or(|b| !is_word(*b));
        let longest = at_boundary.longest.max(anywhere.longest);
        let first = from.max(text.len().saturating_sub(longest.saturating_sub(1)));
        (first..text.len()).find(|&at| {
            let tail = text.get(at..).unwrap_or_default().to_ascii_lowercase();
            anywhere.has_longer(&tail) || (begins_word(at) && at_boundary.has_longer(&tail))
        })
    }
}

/// The block that is looked at, and as far as gates reach behind it.
struct Near {
    here: Marks,
    next: Marks,
    last: Marks,
    /// Each of them has the end of a run.
    runs: [bool; 3],
}

const _: () = assert!(RUN_REACH <= 2 * STRIDE && OPERATOR_REACH <= STRIDE);

impl Near {
    fn new(literals: &Literals, text: &[u8], from: usize, at_end: bool) -> Near {
        let marks = |at: usize| literals.marks_at(text, from + at, at_end);
        let here = marks(0);
        if !literals.gated {
            return Near { here, next: Marks::default(), last: Marks::default(), runs: [false; 3] };
        }
        let (next, last) = (marks(STRIDE), marks(2 * STRIDE));
        // A run that starts before a literal is none of its value.
        let runs = [here.has_run(&Marks::default()), next.has_run(&here), last.has_run(&next)];
        Near { here, next, last, runs }
    }

    /// `at` is the block to look at now.
    #[inline(never)]
    fn go_on(&mut self, literals: &Literals, text: &[u8], at: usize, at_end: bool) {
        if !literals.gated {
            self.here = literals.marks_at(text, at, at_end);
            return;
        }
        let last = literals.marks_at(text, at + 2 * STRIDE, at_end);
        let [_, here, next] = self.runs;
        *self = Near { runs: [here, next, last.has_run(&self.last)], here: self.next, next: self.last, last };
    }

    #[inline(always)]
    const fn has_run(&self) -> bool {
        let [here, next, last] = self.runs;
        here || next || last
    }

    #[inline(always)]
    fn is_open(&self, gate: Gate, i: usize) -> bool {
        match gate {
            Gate::Open => true,
            Gate::Operator => self.here.operators_from(i, &self.next) != 0,
            Gate::Run => self.has_run(),
        }
    }
}

/// Those of `places` for which `bit` has its lowest bit set. Nothing here depends
/// on the text but how often it is done.
#[inline(always)]
fn filtered(mut places: u64, bit: impl Fn(usize) -> u32) -> u64 {
    let mut kept = 0;
    while places != 0 {
        // Less than the block has bytes: nothing needs to be checked again.
        let i = places.trailing_zeros() % STRIDE as u32;
        places &= places - 1;
        kept |= u64::from(bit(i as usize) & 1) << i;
    }
    kept
}

/// Four bytes of a block, case folded.
#[inline(always)]
fn key_at(block: &Block, i: usize) -> u32 {
    // One comparison, and not one for each byte.
    let key = block.get(i..i + WINDOW).and_then(|key| key.first_chunk());
    key.map_or(0, |key| u32::from_le_bytes(*key)) | FOLD as u32
}

/// Eight bytes of a block, case folded.
#[inline(always)]
fn head_at(block: &Block, i: usize) -> u64 {
    let head = block.get(i..i + HEAD).and_then(|head| head.first_chunk());
    head.map_or(0, |head| u64::from_le_bytes(*head)) | FOLD
}

impl Sorted {
    fn new<'l>(literals: impl Iterator<Item = &'l Literal>) -> Sorted {
        let mut texts: Vec<Box<[u8]>> = literals.map(|l| l.text.as_slice().into()).collect();
        crate::order::sort_by(&mut texts, Ord::cmp);
        texts.dedup();
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0);
        Sorted { texts, longest }
    }

    /// Some text starts with `tail` and goes on.
    fn has_longer(&self, tail: &[u8]) -> bool {
        let next = self.texts.partition_point(|text| **text <= *tail);
        self.texts.get(next).is_some_and(|text| text.starts_with(tail))
    }
}

/// `\w` of patterns: ASCII.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
