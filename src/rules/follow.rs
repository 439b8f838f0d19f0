//! Which bytes can stand behind a literal prefix of a pattern.
//!
//! The prefilter finds prefixes; most stand in ordinary text, and the byte that
//! follows already tells. Answers are never too narrow: where the search gives
//! up, every byte may follow.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// All bytes.
    pub const ALL: ByteSet = ByteSet([u64::MAX; 4]);

    /// Whether `byte` is in the set.
    pub fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    /// Adds `byte`.
    pub fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Adds all of `other`.
    pub fn join(&mut self, other: &ByteSet) {
        self.0.iter_mut().zip(other.0).for_each(|(to, from)| *to |= from);
    }
}

/// Steps of the search for one literal. Rules of the built-in packs take 40 in
/// the median.
const MAX_STEPS: usize = 4096;

/// Bytes that can follow `literal` in texts that `pattern` matches. Classes of
/// the pattern and the literal must be folded alike.
pub(super) fn follow(pattern: &Hir, literal: &[u8]) -> ByteSet {
    let mut search = Search { next: ByteSet::default(), steps: MAX_STEPS };
    search.walk(pattern, literal, &Rest::End);
    search.next
}

/// What is left of the pattern.
enum Rest<'a> {
    End,
    Then(&'a [Hir], &'a Rest<'a>),
    Again(&'a Repetition, u32, &'a Rest<'a>),
}

struct Search {
    next: ByteSet,
    steps: usize,
}

impl Search {
    /// Match `text` with the beginning of `hir` and then `rest`.
    fn walk(&mut self, hir: &Hir, text: &[u8], rest: &Rest<'_>) {
        if self.steps == 0 {
            self.next = ByteSet::ALL;
            return;
        }
        self.steps -= 1;
        match hir.kind() {
            // Look-around only narrows.
            HirKind::Empty | HirKind::Look(_) => self.go_on(text, rest),
            HirKind::Literal(literal) => {
                if let Some(after) = text.strip_prefix(&*literal.0) {
                    self.go_on(after, rest);
                } else if let Some(next) = literal.0.strip_prefix(text).and_then(<[u8]>::first) {
                    self.next.add(*next);
                }
            }
            HirKind::Class(Class::Bytes(class)) => match text.split_first() {
                Some((byte, after)) => {
                    if class.iter().any(|r| (r.start()..=r.end()).contains(byte)) {
                        self.go_on(after, rest);
                    }
                }
                None => class.iter().for_each(|r| (r.start()..=r.end()).for_each(|b| self.next.add(b))),
            },
            HirKind::Class(Class::Unicode(_)) => self.next = ByteSet::ALL,
            HirKind::Repetition(repetition) => self.repeat(repetition, 0, text, rest),
            HirKind::Capture(group) => self.walk(&group.sub, text, rest),
            HirKind::Concat(subs) => self.go_on(text, &Rest::Then(subs, rest)),
            HirKind::Alternation(subs) => subs.iter().for_each(|sub| self.walk(sub, text, rest)),
        }
    }

    fn go_on(&mut self, text: &[u8], rest: &Rest<'_>) {
        match rest {
            Rest::End => self.next = ByteSet::ALL,
            Rest::Then(subs, rest) => match subs.split_first() {
                Some((first, subs)) => self.walk(first, text, &Rest::Then(subs, rest)),
                None => self.go_on(text, rest),
            },
            Rest::Again(repetition, done, rest) => self.repeat(repetition, *done, text, rest),
        }
    }

    fn repeat(&mut self, repetition: &Repetition, done: u32, text: &[u8], rest: &Rest<'_>) {
        if done >= repetition.min {
            self.go_on(text, rest);
        }
        if repetition.max.is_none_or(|max| done < max) {
            self.walk(&repetition.sub, text, &Rest::Again(repetition, done + 1, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_that_follow() {
        for (pattern, literal, want) in [
            ("foobar", "foo", "b"),
            ("foo(?:bar|baz|qux)", "foo", "bq"),
            ("foo[x-z]?a", "foo", "axyz"),
            ("fo+b", "foo", "ob"),
            (r"foo\bx*-", "foo", "x-"),
            ("(?:foo|fool)[ab]{2}", "foo", "abl"),
            ("(?:foo|bar)a", "bar", "a"),
            ("f(?:oo|o)x", "fo", "ox"),
        ] {
            let hir =
                regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
            let got: Vec<u8> = (0..=255).filter(|b| follow(&hir, literal.as_bytes()).has(*b)).collect();
            let mut want = want.as_bytes().to_vec();
            want.sort_unstable();
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&want), "{pattern}");
        }
    }

    #[test]
    fn gives_up_wide() {
        for (pattern, literal) in [("foo", "foo"), ("(?:a?){60}b", "a"), ("(?:(?:a*)*)*b", "aaaa")] {
            let hir =
                regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
            assert!(follow(&hir, literal.as_bytes()).has(b'b'), "{pattern}");
        }
    }
}
