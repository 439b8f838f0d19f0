//! Literals by the hash of their first bytes.

use super::{FOLD, Literal, WINDOW};
use crate::rules::{ByteSet, Gate};

/// Literals by the hash of their first bytes, of `BITS` bits.
#[derive(Debug)]
pub(super) struct Table<const BITS: u32, const WORDS: usize> {
    /// Two bits for each hash: a literal may start after a byte that is no word
    /// character, and after one that is. Its length spares a comparison each time.
    filter: Box<[u32; WORDS]>,
    /// A bit for each hash of eight bytes with which a literal starts, and for each
    /// hash of fewer where that is all of it. Ordinary words (`with`, `what`) start
    /// like some literal, and few go on like it.
    deep: Box<[u32; WORDS]>,
    shallow: Box<[u32; WORDS]>,
    /// First entry of each group of hashes, and one more at the end.
    buckets: Vec<u32>,
    /// Of each entry the first eight bytes, case folded, and which of them there
    /// are: next to each other, for most places end here.
    heads: Vec<Head>,
    entries: Vec<Entry>,
}

/// Bytes of a [`Head`].
const HEAD: usize = 8;

/// Hashes of one bucket, as a power of two: most buckets are empty anyway.
const BUCKET_SHIFT: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct Head {
    bytes: u64,
    mask: u64,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    /// Its head tells all that is to know of so many bytes: folding makes letters
    /// of letters only.
    told: usize,
    begins_word: bool,
    uses: Box<[Use]>,
}

/// Who wants a literal, before what byte, and with what near.
#[derive(Debug)]
struct Use {
    unit: u16,
    gate: Gate,
    next: ByteSet,
}

impl<const BITS: u32, const WORDS: usize> Table<BITS, WORDS> {
    pub(super) fn new(literals: &[Literal]) -> Self {
        const { assert!(WORDS == 1 << (BITS - 4)) };
        let mut sorted: Vec<(u32, &Literal)> =
            literals.iter().flat_map(|l| keys(l).into_iter().map(move |k| (hash::<BITS>(k), l))).collect();
        crate::order::sort_by(&mut sorted, |a, b| {
            let key = |(hash, l): &(u32, &Literal)| (hash >> BUCKET_SHIFT, l.begins_word(), l.unit);
            (key(a).0, &a.1.text, key(a)).cmp(&(key(b).0, &b.1.text, key(b)))
        });
        let mut filter = Box::new([0u32; WORDS]);
        let (mut deep, mut shallow) = (Box::new([0u32; WORDS]), Box::new([0u32; WORDS]));
        for (hash, literal) in &sorted {
            if let Some(word) = filter.get_mut(*hash as usize >> 4) {
                let bits = if literal.begins_word() { 0b01 } else { 0b11 };
                *word |= bits << (hash % 16 * 2);
            }
            let whole = literal.text.len() >= HEAD;
            let (bits, hash) = if whole {
                (&mut deep, Self::deep_hash(head_of(&literal.text)))
            } else {
                (&mut shallow, *hash)
            };
            if let Some(word) = bits.get_mut(hash as usize / 32 % WORDS) {
                *word |= 1 << (hash % 32);
            }
        }
        let mut buckets = vec![0u32; (1 << (BITS - BUCKET_SHIFT)) + 1];
        let (mut heads, mut entries) = (Vec::new(), Vec::new());
        let alike = |a: &(u32, &Literal), b: &(u32, &Literal)| {
            (a.0 >> BUCKET_SHIFT, &a.1.text, a.1.begins_word())
                == (b.0 >> BUCKET_SHIFT, &b.1.text, b.1.begins_word())
        };
        for group in sorted.chunk_by(alike) {
            let Some((hash, literal)) = group.first() else { continue };
            let mut uses: Vec<Use> = Vec::new();
            for (_, Literal { unit, gate, next, .. }) in group {
                match uses.last_mut().filter(|last| last.unit == *unit) {
                    Some(last) => last.next.join(next),
                    None => uses.push(Use { unit: *unit, gate: *gate, next: *next }),
                }
            }
            heads.push(Head::of(&literal.text));
            let letters = literal.text.iter().take(HEAD).take_while(|b| b.is_ascii_alphabetic());
            entries.push(Entry {
                text: literal.text.as_slice().into(),
                told: letters.count(),
                begins_word: literal.begins_word(),
                uses: uses.into(),
            });
            if let Some(end) = buckets.get_mut((hash >> BUCKET_SHIFT) as usize + 1) {
                *end = entries.len() as u32;
            }
        }
        let mut last = 0;
        for bucket in &mut buckets {
            last = last.max(*bucket);
            *bucket = last;
        }
        Table { filter, deep, shallow, buckets, heads, entries }
    }

    /// The two bits of a hash, and others above them.
    #[inline(always)]
    pub(super) fn bits(&self, hash: u32) -> u32 {
        self.filter.get(hash as usize >> 4).map_or(0, |word| word >> (hash % 16 * 2))
    }

    /// Of eight bytes; of as many bits as there is room for.
    #[inline(always)]
    fn deep_hash(head: u64) -> u32 {
        (head.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - WORDS.trailing_zeros() - 5)) as u32
    }

    /// Some literal may go on like `head`, whose first bytes have this hash.
    #[inline(always)]
    fn goes_on(&self, head: u64, hash: u32) -> bool {
        let bit = |bits: &[u32; WORDS], hash: u32| {
            bits.get(hash as usize / 32 % WORDS).map_or(0, |word| word >> (hash % 32))
        };
        (bit(&self.deep, Self::deep_hash(head)) | bit(&self.shallow, hash)) & 1 == 1
    }

    /// `text` starts where a literal may.
    #[inline(always)]
    pub(super) fn verify(
        &self,
        text: &[u8],
        hash: u32,
        inside: bool,
        open: impl Fn(Gate) -> bool,
        found: &mut impl FnMut(u16),
    ) {
        let head = head_of(text);
        if !self.goes_on(head, hash) {
            return;
        }
        let at = (hash >> BUCKET_SHIFT) as usize;
        let (Some(&first), Some(&end)) = (self.buckets.get(at), self.buckets.get(at + 1)) else { return };
        let first = first as usize;
        for (i, known) in self.heads.get(first..end as usize).unwrap_or_default().iter().enumerate() {
            if known.fits(head)
                && let Some(entry) = self.entries.get(first + i)
            {
                entry.verify(text, inside, &open, found);
            }
        }
    }
}

impl Entry {
    #[inline(never)]
    fn verify(&self, text: &[u8], inside: bool, open: impl Fn(Gate) -> bool, found: &mut impl FnMut(u16)) {
        if !(inside && self.begins_word)
            && self.text.get(self.told..).is_some_and(|rest| {
                rest.is_empty() && text.len() >= self.told
                    || text.get(self.told..self.text.len()).is_some_and(|t| t.eq_ignore_ascii_case(rest))
            })
        {
            let next = text.get(self.text.len()).map(u8::to_ascii_lowercase);
            let fits = |used: &&Use| next.is_none_or(|next| used.next.has(next)) && open(used.gate);
            self.uses.iter().filter(fits).for_each(|used| found(used.unit));
        }
    }
}

impl Head {
    pub(in crate::detect) fn of(text: &[u8]) -> Head {
        let mask = match text.len() {
            len @ 0..8 => (1 << (8 * len)) - 1,
            _ => u64::MAX,
        };
        Head { bytes: head_of(text) & mask, mask }
    }

    /// What starts with `head` may start with this.
    #[inline(always)]
    pub(in crate::detect) const fn fits(&self, head: u64) -> bool {
        head & self.mask == self.bytes
    }
}

/// The first eight bytes, case folded; beyond the end, anything.
#[inline(always)]
pub(in crate::detect) fn head_of(text: &[u8]) -> u64 {
    let bytes = text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        bytes
    });
    u64::from_le_bytes(bytes) | FOLD
}

#[inline(always)]
pub(super) fn hash<const BITS: u32>(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> (32 - BITS)
}

/// What a literal is found under: one of three bytes, under each byte that may
/// follow, a pair, under each third byte.
fn keys(literal: &Literal) -> Vec<u32> {
    let text = &literal.text;
    if text.len() == MIN_LONG {
        let last = |byte: &u8| literal.next.has(*byte) || *byte == b' ';
        // A blank is what the end of a text is taken for.
        return (0..=u8::MAX)
            .filter(last)
            .flat_map(|byte| expanded(&[text, &[byte][..]].concat(), WINDOW))
            .collect();
    }
    expanded(text, if text.len() > MIN_LONG { WINDOW } else { WINDOW - 1 })
}

/// Shorter literals have a table of their own.
pub(super) const MIN_LONG: usize = WINDOW - 1;

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
