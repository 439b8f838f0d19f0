//! Literals by a hash of their first bytes.

use super::{FOLD, Literal};
use crate::rules::{ByteSet, Gate};

/// Literals of `KEY` bytes or more, by a hash of so many, of `BITS` bits.
#[derive(Debug)]
pub(super) struct Table<const KEY: u32, const BITS: u32, const WORDS: usize> {
    /// A bit for each hash that some literal has. Ordinary words (`with`, `what`)
    /// start like some literal, and few go on like it.
    known: Box<[u32; WORDS]>,
    /// First entry of each group of hashes, and one more at the end.
    buckets: Vec<u32>,
    /// Of each entry the first eight bytes, case folded, and which of them there
    /// are: next to each other, for most places end here.
    heads: Vec<Head>,
    entries: Vec<Entry>,
}

/// Bytes of a [`Head`].
pub(in crate::detect) const HEAD: usize = 8;

/// Hashes of one bucket, as a power of two: most buckets are empty anyway.
const BUCKET_SHIFT: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct Head {
    bytes: u64,
    mask: u64,
}

#[derive(Debug)]
struct Entry {
    len: usize,
    /// Its text, eight bytes at a time.
    parts: Box<[Part]>,
    begins_word: bool,
    uses: Box<[Use]>,
}

/// Eight bytes of a literal, or what is left of it.
#[derive(Debug)]
struct Part {
    bytes: u64,
    /// What makes small letters of letters, and changes nothing else.
    fold: u64,
    /// Which bytes there are.
    mask: u64,
}

/// Who wants a literal, before what byte, and with what near.
#[derive(Debug)]
struct Use {
    unit: u16,
    gate: Gate,
    next: ByteSet,
}

impl<const KEY: u32, const BITS: u32, const WORDS: usize> Table<KEY, BITS, WORDS> {
    pub(super) fn new<'l>(literals: impl Iterator<Item = &'l Literal>) -> Self {
        const { assert!(WORDS == 1 << (BITS - 5)) };
        let mut sorted: Vec<(u32, &Literal)> =
            literals.map(|literal| (Self::hash(head_of(&literal.text)), literal)).collect();
        crate::order::sort_by(&mut sorted, |a, b| {
            let key = |(hash, l): &(u32, &Literal)| (hash >> BUCKET_SHIFT, l.begins_word(), l.unit);
            (key(a).0, &a.1.text, key(a)).cmp(&(key(b).0, &b.1.text, key(b)))
        });
        let mut known = Box::new([0u32; WORDS]);
        for (hash, _) in &sorted {
            if let Some(word) = known.get_mut(*hash as usize / 32) {
                *word |= 1 << (hash % 32);
            }
        }
        let mut buckets = vec![0u32; (1 << (BITS - BUCKET_SHIFT)) + 1];
        let (mut heads, mut entries) = (Vec::new(), Vec::new());
        let alike = |a: &(u32, &Literal), b: &(u32, &Literal)| {
            (&a.1.text, a.1.begins_word()) == (&b.1.text, b.1.begins_word())
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
            entries.push(Entry {
                len: literal.text.len(),
                parts: literal.text.chunks(HEAD).map(Part::of).collect(),
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
        Table { known, buckets, heads, entries }
    }

    #[inline(always)]
    fn hash(head: u64) -> u32 {
        let key = head << (64 - 8 * KEY);
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS)) as u32
    }

    /// 1 if some literal may start like `head`.
    #[inline(always)]
    pub(super) fn may_have(&self, head: u64) -> u32 {
        let hash = Self::hash(head);
        self.known.get(hash as usize / 32).map_or(0, |word| word >> (hash % 32)) & 1
    }

    /// Calls `found` for the literals with which `text` starts.
    #[inline(always)]
    pub(super) fn verify(
        &self,
        text: &[u8],
        inside: bool,
        open: impl Fn(Gate) -> bool,
        found: &mut impl FnMut(u16),
    ) {
        let head = head_of(text);
        let at = (Self::hash(head) >> BUCKET_SHIFT) as usize;
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
            && text.len() >= self.len
            && self
                .parts
                .iter()
                .zip(0..)
                .all(|(part, i)| part.is_at(text.get(HEAD * i..).unwrap_or_default()))
        {
            let next = text.get(self.len).map(u8::to_ascii_lowercase);
            let fits = |used: &&Use| next.is_none_or(|next| used.next.has(next)) && open(used.gate);
            self.uses.iter().filter(fits).for_each(|used| found(used.unit));
        }
    }
}

impl Part {
    fn of(text: &[u8]) -> Part {
        let fold = |byte: &u8| if byte.is_ascii_alphabetic() { FOLD as u8 } else { 0 };
        let fold: Vec<u8> = text.iter().map(fold).collect();
        Part { bytes: eight(text), fold: eight(&fold), mask: Head::of(text).mask }
    }

    /// A text starts with these, letters' case aside.
    #[inline(always)]
    fn is_at(&self, text: &[u8]) -> bool {
        (eight(text) | self.fold) & self.mask == self.bytes
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
    eight(text) | FOLD
}

/// The first eight bytes; beyond the end, zero.
#[inline(always)]
fn eight(text: &[u8]) -> u64 {
    let bytes = text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; HEAD];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        bytes
    });
    u64::from_le_bytes(bytes)
}
