//! Words that every match of a pattern holds behind its beginning.
//!
//! `show … your … system prompt`: half of all sentences hold the first word, few
//! the last. Where none of the last is near, the pattern need not be walked.
//! Answers are never too narrow: no answer where there is no short list of words.

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::follow::ByteSet;

/// One of these stands in every match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// In lower case, of three bytes at least.
    pub words: Vec<Vec<u8>>,
    /// The match's first byte and the last of the word's first [`HEAD_BYTES`]
    /// are in a part of the text of so many bytes.
    pub within: usize,
    /// What stands before the word in a match is of these, in lower case: sentences end
    /// sooner than gaps.
    pub before: ByteSet,
}

/// Shorter words stand everywhere.
const MIN_BYTES: usize = 3;
/// Further bytes of a word tell little more.
pub const HEAD_BYTES: usize = 8;
/// Each is compared where three bytes look like one of them.
const MAX_WORDS: usize = 96;
/// The words of a pattern of lower-case text, whose matches have `max_len` bytes
/// at most.
pub(super) fn needs(pattern: &Hir, max_len: usize) -> Option<Needs> {
    behind(pattern, max_len, true)
}

/// The best words of a part. `first`: what it begins with is known to be there.
fn behind(hir: &Hir, max_len: usize, first: bool) -> Option<Needs> {
    let inner = match hir.kind() {
        HirKind::Capture(group) => behind(&group.sub, max_len, first),
        HirKind::Repetition(repetition) if repetition.min > 0 => behind(&repetition.sub, max_len, first),
        HirKind::Concat(subs) => {
            let (mut best, mut reach, mut first) = (None, 0, first);
            let mut seen: Vec<Vec<u8>> = Vec::new();
            let mut before = ByteSet::default();
            for sub in subs {
                // What stands farther ahead as well is found there.
                let found = behind(sub, max_len, first)
                    .filter(|found| !found.words.iter().any(|word| seen.contains(word)));
                if let Some(mut found) = found {
                    seen.extend_from_slice(&found.words);
                    found.within = found.within.saturating_add(reach).min(max_len);
                    found.before.join(&before);
                    best = better(best, Some(found));
                }
                let max = sub.properties().maximum_len().unwrap_or(max_len);
                reach = reach.saturating_add(max).min(max_len);
                first &= max == 0;
                add_bytes(sub, &mut before);
            }
            best
        }
        HirKind::Alternation(subs) => {
            subs.iter().map(|sub| behind(sub, max_len, first)).reduce(either).flatten()
        }
        _ => None,
    };
    if first { inner } else { better(here(hir), inner) }
}

/// The words that a part begins with.
fn here(hir: &Hir) -> Option<Needs> {
    // No need to ask for the words of most parts: VMs wait for this when they start.
    if hir.properties().minimum_len().unwrap_or(0) < MIN_BYTES {
        return None;
    }
    let mut extractor = Extractor::new();
    extractor
        .kind(ExtractKind::Prefix)
        .limit_class(8)
        .limit_repeat(4)
        .limit_literal_len(HEAD_BYTES)
        .limit_total(MAX_WORDS);
    let seq = extractor.extract(hir);
    let mut words: Vec<Vec<u8>> = seq.literals()?.iter().map(|l| l.as_bytes().to_vec()).collect();
    crate::order::sort_by(&mut words, Ord::cmp);
    words.dedup_by(|longer, shorter| longer.starts_with(shorter));
    let fits = !words.is_empty() && words.iter().all(|word| word.len() >= MIN_BYTES);
    fits.then_some(Needs { words, within: HEAD_BYTES, before: ByteSet::default() })
}

/// Adds the bytes that can stand in a match of a part.
fn add_bytes(hir: &Hir, bytes: &mut ByteSet) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| bytes.add(*byte)),
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().flat_map(|range| range.start()..=range.end()).for_each(|byte| bytes.add(byte));
        }
        HirKind::Class(Class::Unicode(_)) => *bytes = ByteSet::ALL,
        HirKind::Repetition(repetition) => add_bytes(&repetition.sub, bytes),
        HirKind::Capture(group) => add_bytes(&group.sub, bytes),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => {
            subs.iter().for_each(|sub| add_bytes(sub, bytes));
        }
    }
}

/// One of both parts stands there.
fn either(a: Option<Needs>, b: Option<Needs>) -> Option<Needs> {
    let (mut a, b) = (a?, b?);
    a.words.extend(b.words);
    crate::order::sort_by(&mut a.words, Ord::cmp);
    a.words.dedup_by(|longer, shorter| longer.starts_with(shorter));
    a.within = a.within.max(b.within);
    a.before.join(&b.before);
    (a.words.len() <= MAX_WORDS).then_some(a)
}

/// The one that stands in fewer texts; of two alike the one farther behind, for a
/// walk comes to the other soon by itself.
fn better(a: Option<Needs>, b: Option<Needs>) -> Option<Needs> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if frequency(&b) <= frequency(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// In what part of texts, about: a letter more makes a word four times rarer.
fn frequency(needs: &Needs) -> f32 {
    needs.words.iter().map(|word| 0.25_f32.powi(word.len().min(HEAD_BYTES) as i32)).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_behind_the_beginning() {
        for (pattern, want) in [
            ("show me", None),
            ("show .{0,9}(?:prompt|rule)s?", Some((&["prompt", "rule"][..], 22))),
            ("show .{0,9}(?:prompt|id)", None),
            ("show .{0,9}(?:the )?(?:secret|key)", Some((&["key", "secret"], 26))),
            ("show .{0,9}your .{0,20}instructions", Some((&["instruct"], 47))),
            ("show .{0,9}(?:prompt|your .{0,9}rules)", Some((&["prompt", "rules"], 36))),
            ("(?:show .{0,9}rules|tell .{0,20}prompt)", Some((&["prompt", "rules"], 33))),
            ("(?:show .{0,9}rules|tell)", None),
            ("show .{0,900}rules", Some((&["rules"], 913))),
            ("start (?:my )?keywords.{9}--to-end (?:my )?keywords", Some((&["--to-end"], 34))),
            ("show .*rules", Some((&["rules"], 100))),
            ("(?:show |tell )me .{0,9}(?:prompt){1,2}", Some((&["prompt"], 25))),
        ] {
            let mut parser = regex_syntax::ParserBuilder::new();
            let hir = parser.unicode(false).utf8(false).build().parse(pattern).unwrap();
            let max_len = if pattern.contains('*') { 100 } else { 1000 };
            let got = needs(&hir, max_len);
            let want = want.map(|(words, within)| {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                (words, within)
            });
            assert_eq!(got.map(|got| (got.words, got.within)), want, "{pattern}");
        }
    }

    #[test]
    fn what_stands_before_the_word() {
        for (pattern, yes, no) in [
            ("show [a-z ]{0,9}prompt", "show az", ".,\nS0"),
            ("show [^.]{0,9}prompt", "show\n,", "."),
            ("show (?:[a-z] |[0-9]-)prompt", "show a0-", ".,"),
            ("(?:show [^,]prompt|tell[.]{1,2}prompt)", "showtell.\n", ","),
            ("(?:show )?prompt", "show ", "prm."),
        ] {
            let mut parser = regex_syntax::ParserBuilder::new();
            let hir = parser.unicode(false).utf8(false).build().parse(pattern).unwrap();
            let before = needs(&hir, 1000).unwrap().before;
            assert!(yes.bytes().all(|byte| before.has(byte)), "{pattern}");
            assert!(!no.bytes().filter(|b| !yes.as_bytes().contains(b)).any(|b| before.has(b)), "{pattern}");
        }
    }
}
