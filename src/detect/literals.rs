//! The prefilter: where any literal of any rule stands, letters' case aside.
//!
//! Contract: no false negatives. Every place where the text, lower-cased,
//! starts with a literal is reported once for each of that literal's units.

/// Bytes that are hashed together.
const WINDOW: usize = 3;

/// Bits of the hash that picks a bit of the filter.
const HASH_BITS: u32 = 15;

/// All literals of an engine.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// One bit for each hash of the first three bytes of a literal.
    filter: Vec<u64>,
    /// First entry of each hash's chain in `entries`, by hash; one more at the end.
    buckets: Vec<u32>,
    /// Literals sorted by hash.
    entries: Vec<Entry>,
    /// Literals of two bytes: few, of punctuation.
    pairs: Vec<Entry>,
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
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    unit: u16,
}

/// Texts in lexical order.
#[derive(Debug, Default)]
struct Sorted {
    texts: Vec<Box<[u8]>>,
    longest: usize,
}

impl Literals {
    pub(super) fn new(literals: Vec<Literal>) -> Literals {
        let word = |l: &&Literal| l.at_boundary && l.text.first().is_some_and(|b| is_word(*b));
        let in_words = [
            Sorted::new(literals.iter().filter(|l| word(l))),
            Sorted::new(literals.iter().filter(|l| !word(l))),
        ];
        let entries = literals.into_iter().map(|l| Entry { text: l.text.into(), unit: l.unit });
        let (mut entries, pairs): (Vec<Entry>, Vec<Entry>) = entries.partition(|e| e.text.len() >= WINDOW);
        entries.sort_by(|a, b| (hash_of(&a.text), &a.text, a.unit).cmp(&(hash_of(&b.text), &b.text, b.unit)));
        let mut filter = vec![0u64; (1 << HASH_BITS) / 64];
        let mut buckets = vec![0u32; (1 << HASH_BITS) + 1];
        let mut pass = |hash: u32| {
            if let Some(word) = filter.get_mut(hash as usize / 64) {
                *word |= 1 << (hash % 64);
            }
        };
        for pair in &pairs {
            let &[a, b] = &*pair.text else { continue };
            (0..=u8::MAX).for_each(|c| pass(hash([a, b, c])));
        }
        for entry in &entries {
            let hash = hash_of(&entry.text);
            pass(hash);
            let hash = hash as usize;
            if let Some(count) = buckets.get_mut(hash + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for bucket in &mut buckets {
            sum += *bucket;
            *bucket = sum;
        }
        Literals { filter, buckets, entries, pairs, in_words }
    }

    /// Calls `found(place, unit)` for the literals that start in `from..to`, in
    /// order of place. They may end after `to`.
    pub(super) fn scan(&self, text: &[u8], from: usize, to: usize, mut found: impl FnMut(usize, u16)) {
        if self.in_words.iter().all(|sorted| sorted.texts.is_empty()) {
            return;
        }
        let tail = text.get(from..).unwrap_or_default();
        for (i, window) in tail.windows(WINDOW).take(to.saturating_sub(from)).enumerate() {
            let &[a, b, c] = window else { continue };
            let hash = hash([a, b, c]) as usize;
            if self.filter.get(hash / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1) {
                self.verify(text, from + i, hash, &mut found);
            }
        }
        // The last two bytes fill no window.
        let last = text.len().saturating_sub(2);
        if (from..to).contains(&last) {
            self.verify_pairs(text, last, &mut found);
        }
    }

    fn verify_pairs(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize, u16)) {
        let Some(two) = text.get(at..at + 2) else { return };
        for pair in self.pairs.iter().filter(|pair| two.eq_ignore_ascii_case(&pair.text)) {
            found(at, pair.unit);
        }
    }

    #[inline(never)]
    fn verify(&self, text: &[u8], at: usize, hash: usize, found: &mut impl FnMut(usize, u16)) {
        let (Some(&first), Some(&end)) = (self.buckets.get(hash), self.buckets.get(hash + 1)) else { return };
        self.verify_pairs(text, at, found);
        let tail = text.get(at..).unwrap_or_default();
        for entry in self.entries.get(first as usize..end as usize).unwrap_or_default() {
            if tail.get(..entry.text.len()).is_some_and(|t| t.eq_ignore_ascii_case(&entry.text)) {
                found(at, entry.unit);
            }
        }
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

impl Sorted {
    fn new<'l>(literals: impl Iterator<Item = &'l Literal>) -> Sorted {
        let mut texts: Vec<Box<[u8]>> = literals.map(|l| l.text.as_slice().into()).collect();
        texts.sort();
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
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn hash_of(literal: &[u8]) -> u32 {
    match literal {
        [a, b, c, ..] => hash([*a, *b, *c]),
        _ => 0,
    }
}

/// Setting bit 5 folds the case of letters, and some other pairs with it, which
/// a comparison sorts out.
#[inline(always)]
fn hash([a, b, c]: [u8; 3]) -> u32 {
    let key = u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020;
    key.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn open_ends() {
        let literal = |text: &str| Literal { text: text.into(), unit: 0, at_boundary: text != "pass" };
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
            text in "[a-cA-C@`é]{0,60}",
        ) {
            let lower: Vec<Vec<u8>> = literals.iter().map(|l| l.to_ascii_lowercase().into_bytes()).collect();
            let literal = |(text, unit): (&Vec<u8>, u16)| Literal { text: text.clone(), unit, at_boundary: false };
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
            for cut in [0, 1, 7, 16, 33, 60] {
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
