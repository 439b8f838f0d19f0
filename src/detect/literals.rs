//! The prefilter: where any literal of any rule stands, letters' case aside.
//!
//! Contract: no false negatives. Every place where the text, lower-cased,
//! starts with a literal is reported once for each of that literal's units. Not
//! so a literal that only counts at the beginning of a word inside one, and one
//! before a byte that cannot follow it in any match.
//!
//! Most literals start words, and most places of a text are inside one. Vector
//! code tells which; a hash of four bytes tells at the others whether one of
//! the few literals that may start anywhere could. At the places that are left
//! another hash leads to the literals, compared eight bytes at a time.

/// Bytes that are hashed together; shorter literals have a filter of their own.
const WINDOW: usize = 4;

/// Setting bit 5 folds the case of letters, and some other pairs with it, which
/// a comparison sorts out.
const FOLD: u64 = 0x2020_2020_2020_2020;

use wide::u8x16;

use crate::lanes::{BLOCK as STRIDE, HAS_SHUFFLE, Lanes, both_halves, is, within};
use crate::rules::ByteSet;

/// All literals of an engine.
#[derive(Debug)]
pub(super) struct Literals {
    /// For places inside words, where few literals may start: a bit for each
    /// hash of the first four bytes of those.
    inside: Box<[u32; INSIDE_WORDS]>,
    starts: Starts,
    long: Table<16>,
    /// Of two bytes, which stand under each third, and of three.
    short: Table<13>,
    /// Some literal starts with a space: no place is passed over unseen.
    spaces: bool,
    /// What is of a word, besides letters and digits; or a digit, if nothing is.
    joins: u8,
    /// For beginnings of literals at the end of a text: those found only at the
    /// beginning of a word, then the others.
    in_words: [Sorted; 2],
}

/// Bits of the hashes of `inside`, and the words that hold a bit for each.
const INSIDE_BITS: u32 = 16;
const INSIDE_WORDS: usize = 1 << (INSIDE_BITS - 5);

/// A literal to look for.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    /// Lower-case, of at least two bytes.
    pub(super) text: Vec<u8>,
    /// What to report.
    pub(super) unit: u16,
    /// Of no use inside a word.
    pub(super) at_boundary: bool,
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

/// Literals by the hash of their first bytes, of `BITS` bits.
#[derive(Debug, Default)]
struct Table<const BITS: u32> {
    /// Two bits for each hash: a literal may start after a byte that is no word
    /// character, and after one that is.
    filter: Vec<u32>,
    /// First entry of each group of hashes, and one more at the end.
    buckets: Vec<u32>,
    entries: Vec<Entry>,
}

/// Hashes of one bucket, as a power of two: most buckets are empty anyway.
const BUCKET_SHIFT: u32 = 3;

#[derive(Debug)]
struct Entry {
    /// The first eight bytes, case folded, and which of them there are.
    head: u64,
    mask: u64,
    text: Box<[u8]>,
    begins_word: bool,
    uses: Box<[Use]>,
}

/// Who wants a literal, and before what.
#[derive(Debug)]
struct Use {
    unit: u16,
    next: ByteSet,
}

/// Texts in lexical order.
#[derive(Debug, Default)]
struct Sorted {
    texts: Vec<Box<[u8]>>,
    longest: usize,
}

impl Literals {
    pub(super) fn new(literals: Vec<Literal>) -> Literals {
        Literals::joined_by(b'_', literals)
    }

    /// The same, where an underscore is no part of a word.
    pub(super) fn of_words(literals: Vec<Literal>) -> Literals {
        Literals::joined_by(b'0', literals)
    }

    fn joined_by(joins: u8, literals: Vec<Literal>) -> Literals {
        let in_words = [
            Sorted::new(literals.iter().filter(|l| l.begins_word())),
            Sorted::new(literals.iter().filter(|l| !l.begins_word())),
        ];
        let mut inside = Box::new([0u32; INSIDE_WORDS]);
        let within = |l: &&Literal| !l.at_boundary && l.text.first().is_some_and(|b| is_word(*b));
        for literal in literals.iter().filter(within) {
            for key in four_byte_keys(&literal.text) {
                let hash = hash::<INSIDE_BITS>(key);
                if let Some(word) = inside.get_mut(hash as usize >> 5) {
                    *word |= 1 << (hash % 32);
                }
            }
        }
        let starts = Starts::new(literals.iter().filter(within).map(|l| l.text.as_slice()).collect());
        let spaces = literals.iter().any(|l| l.text.first() == Some(&b' '));
        let (long, short): (Vec<_>, Vec<_>) = literals.into_iter().partition(|l| l.text.len() >= WINDOW);
        Literals {
            inside,
            starts,
            long: Table::new(&long),
            short: Table::new(&short),
            spaces,
            joins,
            in_words,
        }
    }

    /// Calls `found(place, unit)` for the literals that start in `from..to`, in
    /// order of place. They may end after `to`.
    pub(super) fn scan(&self, text: &[u8], from: usize, to: usize, mut found: impl FnMut(usize, u16)) {
        if self.in_words.iter().all(|sorted| sorted.texts.is_empty()) {
            return;
        }
        let to = to.min(text.len());
        let mut inside = from
            .checked_sub(1)
            .and_then(|i| text.get(i))
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == self.joins);
        let mut at = from;
        while at < to {
            let rest = text.get(at..).unwrap_or_default();
            let padded: Block;
            let (block, mut places) = match rest.first_chunk() {
                Some(block) => (block, self.places(block, &mut inside)),
                // Bytes beyond the end are no bytes of the text: look at every place.
                None => {
                    padded = padded_block(rest);
                    (
                        &padded,
                        Places {
                            all: u64::MAX,
                            inside: word_mask(&lanes_of(&padded, 0), self.joins) << 1 | u64::from(inside),
                        },
                    )
                }
            };
            if to - at < STRIDE {
                places.all &= (1 << (to - at)) - 1;
            }
            while places.all != 0 {
                let i = places.all.trailing_zeros() as usize;
                places.all &= places.all - 1;
                let key = block.get(i..).and_then(<[u8]>::first_chunk).map_or(0, |k| u32::from_le_bytes(*k));
                let key = key | FOLD as u32;
                let (long, short) = (hash::<16>(key), hash::<13>(key & 0x00ff_ffff));
                let after_word = (places.inside >> i & 1) as u32;
                let at_end = rest.len() < i + WINDOW;
                if at_end || self.long.bits(long) >> after_word & 1 == 1 {
                    let tail = rest.get(i..).unwrap_or_default();
                    self.long.verify(tail, long, after_word == 1, &mut |unit| found(at + i, unit));
                }
                if at_end || self.short.bits(short) >> after_word & 1 == 1 {
                    let tail = rest.get(i..).unwrap_or_default();
                    self.short.verify(tail, short, after_word == 1, &mut |unit| found(at + i, unit));
                }
            }
            at += STRIDE;
        }
    }

    /// Places of a block at which to look closer. `inside`: a word goes on.
    #[inline(always)]
    fn places(&self, block: &Block, inside: &mut bool) -> Places {
        let lanes = lanes_of(block, 0);
        let word = word_mask(&lanes, self.joins);
        let after_word = word << 1 | u64::from(*inside);
        *inside = word >> (STRIDE - 1) == 1;
        let (mut maybe, mut left) = (0, self.starts.find(&lanes, block));
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            let key = block.get(i..).and_then(<[u8]>::first_chunk).map_or(0, |k| u32::from_le_bytes(*k));
            let hash = hash::<INSIDE_BITS>(key | FOLD as u32);
            let bits = self.inside.get(hash as usize >> 5).copied().unwrap_or(0);
            maybe |= u64::from(bits >> (hash % 32) & 1) << i;
            left &= left - 1;
        }
        let spaces = if self.spaces { 0 } else { lanes.mask(|v| is(v, b' ')) };
        // A word's first byte, what is in no word, and what may start within.
        Places { all: !(word & after_word) & !spaces | maybe, inside: after_word }
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

impl<const BITS: u32> Table<BITS> {
    fn new(literals: &[Literal]) -> Self {
        let mut sorted: Vec<(u32, &Literal)> = literals
            .iter()
            .flat_map(|l| keys(&l.text).into_iter().map(move |k| (hash::<BITS>(k), l)))
            .collect();
        crate::order::sort_by(&mut sorted, |a, b| {
            let key = |(hash, l): &(u32, &Literal)| (hash >> BUCKET_SHIFT, l.begins_word(), l.unit);
            (key(a).0, &a.1.text, key(a)).cmp(&(key(b).0, &b.1.text, key(b)))
        });
        let mut filter = vec![0u32; 1 << (BITS - 4)];
        for (hash, literal) in &sorted {
            if let Some(word) = filter.get_mut(*hash as usize >> 4) {
                let bits = if literal.begins_word() { 0b01 } else { 0b11 };
                *word |= bits << (hash % 16 * 2);
            }
        }
        let mut buckets = vec![0u32; (1 << (BITS - BUCKET_SHIFT)) + 1];
        let mut entries: Vec<Entry> = Vec::new();
        let alike = |a: &(u32, &Literal), b: &(u32, &Literal)| {
            (a.0 >> BUCKET_SHIFT, &a.1.text, a.1.begins_word())
                == (b.0 >> BUCKET_SHIFT, &b.1.text, b.1.begins_word())
        };
        for group in sorted.chunk_by(alike) {
            let Some((hash, literal)) = group.first() else { continue };
            let mut uses: Vec<Use> = Vec::new();
            for (_, Literal { unit, next, .. }) in group {
                match uses.last_mut().filter(|last| last.unit == *unit) {
                    Some(last) => last.next.join(next),
                    None => uses.push(Use { unit: *unit, next: *next }),
                }
            }
            entries.push(Entry::new(literal, uses));
            if let Some(end) = buckets.get_mut((hash >> BUCKET_SHIFT) as usize + 1) {
                *end = entries.len() as u32;
            }
        }
        let mut last = 0;
        for bucket in &mut buckets {
            last = last.max(*bucket);
            *bucket = last;
        }
        Table { filter, buckets, entries }
    }

    /// The two bits of a hash, and others above them.
    #[inline(always)]
    fn bits(&self, hash: u32) -> u32 {
        self.filter.get(hash as usize >> 4).map_or(0, |word| word >> (hash % 16 * 2))
    }

    /// `text` starts where a literal may.
    #[inline(never)]
    fn verify(&self, text: &[u8], hash: u32, inside: bool, found: &mut impl FnMut(u16)) {
        let at = (hash >> BUCKET_SHIFT) as usize;
        let (Some(&first), Some(&end)) = (self.buckets.get(at), self.buckets.get(at + 1)) else { return };
        let head = head_of(text);
        for entry in self.entries.get(first as usize..end as usize).unwrap_or_default() {
            if head & entry.mask == entry.head
                && !(inside && entry.begins_word)
                && text.get(..entry.text.len()).is_some_and(|t| t.eq_ignore_ascii_case(&entry.text))
            {
                let next = text.get(entry.text.len()).map(u8::to_ascii_lowercase);
                let fits = |used: &&Use| next.is_none_or(|next| used.next.has(next));
                entry.uses.iter().filter(fits).for_each(|used| found(used.unit));
            }
        }
    }
}

impl Entry {
    fn new(literal: &Literal, uses: Vec<Use>) -> Entry {
        let mask = match literal.text.len() {
            len @ 0..8 => (1 << (8 * len)) - 1,
            _ => u64::MAX,
        };
        Entry {
            head: head_of(&literal.text) & mask,
            mask,
            text: literal.text.as_slice().into(),
            begins_word: literal.begins_word(),
            uses: uses.into(),
        }
    }
}

/// A stride, and the bytes behind it that its last window holds.
type Block = [u8; STRIDE + WINDOW];

/// Bits of the places of a block.
struct Places {
    all: u64,
    /// Those after a word character.
    inside: u64,
}

fn padded_block(text: &[u8]) -> Block {
    let mut block = [0; STRIDE + WINDOW];
    block.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    block
}

/// The stride of a block that starts at `at`, up to [`WINDOW`].
#[inline(always)]
fn lanes_of(block: &Block, at: usize) -> Lanes {
    Lanes::new(block.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; STRIDE]))
}

/// Letters, digits and `joins`.
#[inline(always)]
fn word_mask(lanes: &Lanes, joins: u8) -> u64 {
    lanes.mask(|v| {
        let lower = v | u8x16::splat(0x20);
        within(lower, b'a', b'z') | within(v, b'0', b'9') | is(v, joins)
    })
}

/// Places where the first three bytes of a literal could stand, by the halves
/// of each byte: literals are dealt to eight groups, a bit each, and a place is
/// one of a group if its bytes have all six halves of some literal in it. (The
/// way of Hyperscan's Teddy.)
#[derive(Debug)]
struct Starts([[u8x16; 2]; STARTS]);

const STARTS: usize = 3;

impl Starts {
    fn new(mut literals: Vec<&[u8]>) -> Starts {
        // Neighbours share bytes, and then a group has fewer.
        crate::order::sort_by(&mut literals, Ord::cmp);
        let each = literals.len().div_ceil(8).max(1);
        let mut halves = [[[0u8; 16]; 2]; STARTS];
        for (group, literals) in literals.chunks(each).enumerate() {
            for literal in literals {
                for (i, [low, high]) in halves.iter_mut().enumerate() {
                    // A byte it does not have may be any.
                    let byte = literal.get(i).map(|b| usize::from(b | FOLD as u8));
                    let set = |table: &mut [u8; 16], half: Option<usize>| {
                        for (at, bits) in table.iter_mut().enumerate() {
                            *bits |= u8::from(half.is_none_or(|half| half == at)) << group;
                        }
                    };
                    set(low, byte.map(|b| b & 0x0f));
                    set(high, byte.map(|b| b >> 4));
                }
            }
        }
        Starts(halves.map(|tables| tables.map(u8x16::new)))
    }

    /// One bit for each place of the block.
    #[inline(always)]
    fn find(&self, first: &Lanes, block: &Block) -> u64 {
        if !HAS_SHUFFLE {
            return u64::MAX;
        }
        let Starts([one, two, three]) = self;
        let fold = u8x16::splat(FOLD as u8);
        let groups =
            |lanes: &Lanes, [low, high]: &[u8x16; 2]| lanes.map(|v| both_halves(v | fold, *low, *high));
        let and = |a: &Lanes, b: &Lanes| a.zip(b, |a, b| a & b);
        let two = groups(&lanes_of(block, 1), two);
        let three = groups(&lanes_of(block, 2), three);
        !and(&groups(first, one), &and(&two, &three)).mask(|v| is(v, 0))
    }
}

/// The first eight bytes, case folded; beyond the end, anything.
#[inline(always)]
fn head_of(text: &[u8]) -> u64 {
    let bytes = text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        bytes
    });
    u64::from_le_bytes(bytes) | FOLD
}

/// What a literal is found under: a pair, under each third byte.
fn keys(literal: &[u8]) -> Vec<u32> {
    if literal.len() >= WINDOW { expanded(literal, WINDOW) } else { expanded(literal, WINDOW - 1) }
}

/// The four bytes at a place where a literal starts.
fn four_byte_keys(literal: &[u8]) -> Vec<u32> {
    expanded(literal, WINDOW)
}

/// The first `len` bytes of a literal as a number, case folded, with all that
/// can stand for those it does not have.
fn expanded(literal: &[u8], len: usize) -> Vec<u32> {
    let mut keys = vec![0];
    for i in 0..len {
        let shift = 8 * i;
        keys = match literal.get(i) {
            Some(&byte) => keys.iter().map(|k| k | u32::from(byte | FOLD as u8) << shift).collect(),
            None => keys
                .iter()
                .flat_map(|k| {
                    (0..=u8::MAX).filter(|b| b & FOLD as u8 != 0).map(move |b| k | u32::from(b) << shift)
                })
                .collect(),
        };
    }
    keys
}

#[inline(always)]
fn hash<const BITS: u32>(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> (32 - BITS)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn open_ends() {
        let literal = |text: &str| Literal {
            text: text.into(),
            unit: 0,
            at_boundary: text != "pass",
            next: ByteSet::ALL,
        };
        let literals = Literals::new(["ignore", "ignorance", "pass"].map(literal).into());
        for (text, want) in [
            ("please ig", Some(7)),
            ("please IGNO", Some(7)),
            ("please ignor", Some(7)),
            ("please ignore", None),
            ("please ignora", Some(7)),
            ("i", Some(0)),
            ("", None),
            ("pass", None),
            ("papa", Some(2)),
            ("ignip", Some(4)),
            ("xig", None),
            (".ig", Some(1)),
        ] {
            assert_eq!(literals.open_at_end(text.as_bytes(), 0), want, "{text}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        /// Against a search without any filter.
        #[test]
        fn finds_what_a_naive_search_finds(
            literals in proptest::collection::vec("[a-c@`é]{2,6}", 1..20),
            text in "[a-cA-C@`é ]{0,200}",
        ) {
            let lower: Vec<Vec<u8>> = literals.iter().map(|l| l.to_ascii_lowercase().into_bytes()).collect();
            let literal = |(text, unit): (&Vec<u8>, u16)| Literal { text: text.clone(), unit, at_boundary: false, next: ByteSet::ALL };
            let filter = Literals::new(lower.iter().zip(0..).map(literal).collect());
            let text = text.as_bytes();
            let mut want = Vec::new();
            for at in 0..text.len() {
                for (unit, literal) in (0..).zip(&lower) {
                    if text[at..].to_ascii_lowercase().starts_with(literal) {
                        want.push((at, unit));
                    }
                }
            }
            for cut in [0, 1, 7, 63, 64, 65, 130, 200] {
                let cut = cut.min(text.len());
                let mut got = Vec::new();
                filter.scan(text, 0, cut, |at, unit| got.push((at, unit)));
                filter.scan(text, cut, text.len(), |at, unit| got.push((at, unit)));
                got.sort_unstable();
                want.sort_unstable();
                proptest::prop_assert_eq!(&got, &want);
            }
        }
    }
}
