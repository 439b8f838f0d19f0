//! Words that every match of a pattern holds behind its beginning.
//!
//! `show … your … system prompt`: half of all sentences hold the first word, few
//! the last. Where none of the last is near, the pattern need not be walked.
//! Answers are never too narrow: no answer where there is no short list of words.

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};

/// One of these stands in every match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// In lower case, of three bytes at least.
    pub words: Vec<Vec<u8>>,
    /// The match's first byte and the last of the word's first [`HEAD_BYTES`]
    /// are in a part of the text of so many bytes.
    pub within: usize,
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
            for sub in subs {
                // What stands farther ahead as well is found there.
                let found = behind(sub, max_len, first)
                    .filter(|found| !found.words.iter().any(|word| seen.contains(word)));
                if let Some(mut found) = found {
                    seen.extend_from_slice(&found.words);
                    found.within = found.within.saturating_add(reach).min(max_len);
                    best = better(best, Some(found));
                }
                let max = sub.properties().maximum_len().unwrap_or(max_len);
                reach = reach.saturating_add(max).min(max_len);
                first &= max == 0;
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
    fits.then_some(Needs { words, within: HEAD_BYTES })
}

/// One of both parts stands there.
fn either(a: Option<Needs>, b: Option<Needs>) -> Option<Needs> {
    let (mut a, b) = (a?, b?);
    a.words.extend(b.words);
    crate::order::sort_by(&mut a.words, Ord::cmp);
    a.words.dedup_by(|longer, shorter| longer.starts_with(shorter));
    a.within = a.within.max(b.within);
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
                let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                Needs { words, within }
            });
            assert_eq!(got, want, "{pattern}");
        }
    }
}
