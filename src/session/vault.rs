//! Placeholders of one exchange: values that policy keeps from the model, and
//! the way back for the client who sent them.
//!
//! A placeholder is the rule's label and 48 bits of an HMAC-SHA-256 over
//! subject, label and value, as letters: `[EMAIL_hcmnkaepfbdl]`. Equal values
//! of one subject get equal placeholders in every request, worker and restart,
//! so a conversation stays consistent and a provider's cache keeps hitting;
//! those of two subjects have nothing in common. Letters only: no rule takes
//! them for a number or a credential, and no JSON escaping changes them.
//!
//! The table lives as long as the exchange. A placeholder that is not in it was
//! made elsewhere or made up, and passes as it is: nobody can have the filter
//! turn back what he did not send in the same request.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use crate::audit::Hasher;
use crate::limits::{MAX_PLACEHOLDER_BYTES, MAX_PLACEHOLDERS};

/// Letters of the hash in a placeholder, four bits each.
const LETTERS: usize = 12;

/// Longest label; a custom rule may have any text in its place.
const MAX_LABEL: usize = 24;

/// Keeps these hashes apart from all others under the same key.
const DOMAIN: &[u8] = b"portcullis placeholder 1";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Vault {
    subject: String,
    /// Placeholder → value.
    values: BTreeMap<String, String>,
    bytes: usize,
    /// A value found no room and was redacted.
    overflowed: bool,
    restored: u64,
    /// Value → number, of those whose masks may not be equal.
    numbers: BTreeMap<String, String>,
}

impl Vault {
    /// For the requests of one subject; empty if nobody was identified.
    pub(super) fn of(subject: &str) -> Self {
        Vault { subject: subject.to_owned(), ..Vault::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// How many placeholders were turned back.
    pub(super) fn restored(&self) -> u64 {
        self.restored
    }

    /// The placeholder of `value`, which can be turned back from now on.
    /// `None`: no room, or another value's placeholder is the same.
    pub(super) fn keep(&mut self, hasher: &Hasher, label: &str, value: &str) -> Option<String> {
        let placeholder = self.placeholder(hasher, label, value)?;
        if let Some(known) = self.values.get(&placeholder) {
            let same = known == value;
            self.overflowed |= !same;
            return same.then_some(placeholder);
        }
        let bytes = self.bytes.saturating_add(value.len()).saturating_add(placeholder.len());
        if self.values.len() >= MAX_PLACEHOLDERS || bytes > MAX_PLACEHOLDER_BYTES {
            self.overflowed = true;
            return None;
        }
        self.bytes = bytes;
        self.values.insert(placeholder.clone(), value.to_owned());
        Some(placeholder)
    }

    /// `label` for the first value, then with the number of each further one:
    /// `[EMAIL]`, `[EMAIL:2]`. Equal values keep theirs. `None`: no room.
    pub(super) fn number(&mut self, label: &str, value: &str) -> Option<String> {
        if !self.numbers.contains_key(value) {
            let number = self.numbers.len() + 1;
            self.bytes = self.bytes.saturating_add(value.len());
            if number > MAX_PLACEHOLDERS || self.bytes > MAX_PLACEHOLDER_BYTES {
                return None;
            }
            self.numbers.insert(value.to_owned(), number.to_string());
        }
        match self.numbers.get(value)?.as_str() {
            "1" => Some(label.to_owned()),
            number => Some(tagged(label, number)),
        }
    }

    fn placeholder(&self, hasher: &Hasher, label: &str, value: &str) -> Option<String> {
        let mut out = String::with_capacity(MAX_LABEL + LETTERS + 3);
        out.push('[');
        let plain = label.chars().filter(|c| c.is_ascii_alphabetic() || *c == '-');
        out.extend(plain.take(MAX_LABEL).map(|c| c.to_ascii_uppercase()));
        if out.len() == 1 {
            out.push_str("VALUE");
        }
        let mac = hasher.mac(&[DOMAIN, self.subject.as_bytes(), out.as_bytes(), value.as_bytes()])?;
        out.push('_');
        let nibbles = mac.iter().flat_map(|b| [b >> 4, b & 15]).take(LETTERS);
        out.extend(nibbles.map(|n| char::from(b'a' + n)));
        out.push(']');
        Some(out)
    }

    /// The placeholders in `text`, in order, with their values.
    pub(super) fn find(&self, text: &str) -> Vec<(Range<usize>, &str)> {
        let mut found = Vec::new();
        if self.values.is_empty() {
            return found;
        }
        for start in memchr::memchr_iter(b'[', text.as_bytes()) {
            let window = text.as_bytes().get(start..).unwrap_or_default();
            let longest = window.get(..MAX_LABEL + LETTERS + 3).unwrap_or(window);
            let Some(len) = memchr::memchr(b']', longest) else { continue };
            let range = start..start + len + 1;
            let value = text.get(range.clone()).and_then(|placeholder| self.values.get(placeholder));
            if let Some(value) = value {
                found.push((range, value.as_str()));
            }
        }
        found
    }

    /// Where at the end of `text` a placeholder may have begun.
    pub(super) fn open_at_end(&self, text: &str) -> Option<usize> {
        if self.values.is_empty() {
            return None;
        }
        // A placeholder has one opening bracket: only the last can be open.
        let start = memchr::memrchr(b'[', text.as_bytes())?;
        let begun = text.get(start..)?;
        let (next, _) = self.values.range::<str, _>((Bound::Included(begun), Bound::Unbounded)).next()?;
        (next.len() > begun.len() && next.starts_with(begun)).then_some(start)
    }

    pub(super) fn note_restored(&mut self, count: usize) {
        self.restored = self.restored.saturating_add(count as u64);
    }
}

/// A label with more in it: `[EMAIL:2]`.
pub(super) fn tagged(label: &str, tag: &str) -> String {
    match label.strip_suffix(']') {
        Some(open) => format!("{open}:{tag}]"),
        None => format!("{label}:{tag}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hasher(key: &str) -> Hasher {
        Hasher::new(Some(key))
    }

    #[test]
    fn a_placeholder_is_stable_typed_and_keyed() {
        let key = hasher("k");
        let of = |subject: &str, label: &str, value: &str, key: &Hasher| {
            Vault::of(subject).keep(key, label, value).unwrap()
        };
        let one = of("ann", "[EMAIL]", "a@b.example", &key);
        assert!(one.starts_with("[EMAIL_") && one.len() == 20, "{one}");
        assert!(one.bytes().all(|b| b.is_ascii_alphabetic() || b"[_]".contains(&b)));
        assert_eq!(one, of("ann", "[EMAIL]", "a@b.example", &key));
        for other in [
            of("bob", "[EMAIL]", "a@b.example", &key),
            of("ann", "[MAIL]", "a@b.example", &key),
            of("ann", "[EMAIL]", "a@b.exampl", &key),
            of("ann", "[EMAIL]", "a@b.example", &hasher("l")),
        ] {
            assert_ne!(one.split('_').next_back(), other.split('_').next_back());
        }
        assert!(of("", "***", "x", &key).starts_with("[VALUE_"));
        assert!(of("", &"é\"\\]L".repeat(40), "x", &key).starts_with("[LLLL"));
        assert_eq!(Vault::of("ann").keep(&Hasher::default(), "[EMAIL]", "x"), None, "never without a key");
    }

    #[test]
    fn only_what_was_kept_here_is_found() {
        let key = hasher("k");
        let mut vault = Vault::of("ann");
        let (a, b) = (vault.keep(&key, "[A]", "one").unwrap(), vault.keep(&key, "[B-B]", "two").unwrap());
        let foreign = Vault::of("bob").keep(&key, "[A]", "one").unwrap();
        let text = format!("[{a}[[A_ {foreign}{b}] [A_]é{a}");
        let found: Vec<_> = vault.find(&text).into_iter().map(|(r, v)| (text.get(r).unwrap(), v)).collect();
        assert_eq!(found, [(a.as_str(), "one"), (b.as_str(), "two"), (a.as_str(), "one")]);
        for cut in 1..a.len() {
            let text = format!("é[x {}", a.get(..cut).unwrap());
            assert_eq!(vault.open_at_end(&text), Some(5), "{cut}");
        }
        for text in [a.as_str(), "[A ", "[A_z", "[C", "", "[A]", foreign.trim_end_matches(']')] {
            assert_eq!(vault.open_at_end(text), None, "{text}");
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let key = hasher("k");
        let mut vault = Vault::of("ann");
        let kept = (0..MAX_PLACEHOLDERS + 10).filter(|n| vault.keep(&key, "[A]", &n.to_string()).is_some());
        assert_eq!(kept.count(), MAX_PLACEHOLDERS);
        assert!(vault.overflowed() && vault.keep(&key, "[A]", "0").is_some(), "known values still pass");
        let mut vault = Vault::of("ann");
        assert!(vault.keep(&key, "[A]", &"x".repeat(MAX_PLACEHOLDER_BYTES)).is_none() && vault.overflowed());
    }
}
