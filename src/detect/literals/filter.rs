//! Whether some literal could start at a place, by a hash of a few bytes.

use super::{FOLD, Literal, WINDOW};

/// Two bits for each hash of `BITS` bits: a literal may start after a byte that is no
/// word character, and after one that is. Its length spares a comparison each time.
#[derive(Debug)]
pub(super) struct Filter<const BITS: u32, const WORDS: usize>(Box<[u32; WORDS]>);

impl<const BITS: u32, const WORDS: usize> Filter<BITS, WORDS> {
    pub(super) fn new<'l>(literals: impl Iterator<Item = &'l Literal>) -> Self {
        const { assert!(WORDS == 1 << (BITS - 4)) };
        let mut filter = Box::new([0u32; WORDS]);
        for literal in literals {
            let bits = if literal.begins_word() { 0b01 } else { 0b11 };
            for key in keys(literal) {
                let hash = hash::<BITS>(key);
                if let Some(word) = filter.get_mut(hash as usize >> 4) {
                    *word |= bits << (hash % 16 * 2);
                }
            }
        }
        Filter(filter)
    }

    /// The two bits of a key, and others above them.
    #[inline(always)]
    pub(super) fn bits(&self, key: u32) -> u32 {
        let hash = hash::<BITS>(key);
        self.0.get(hash as usize >> 4).map_or(0, |word| word >> (hash % 16 * 2))
    }
}

#[inline(always)]
fn hash<const BITS: u32>(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> (32 - BITS)
}

/// Shorter literals have a filter of their own.
pub(super) const MIN_LONG: usize = WINDOW - 1;

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
