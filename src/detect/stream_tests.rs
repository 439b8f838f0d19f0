//! Live redaction rests on this: however a text is cut into chunks, the parts
//! give what the whole gives, and nothing is held that could not be a match.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use proptest::prelude::*;

use super::{Engine, Input, Match, Scratch, View};
use crate::rules::{Direction, RuleSet, Strictness};
use crate::text::SpanKind;

/// Rules of every shape: overlapping, with lead and trail, of every anchor,
/// with context, with checks that refuse the longest match.
const RULES: &str = r##"{ "format": 1, "pack": "t", "category": "pii", "title": "t", "rules": [
  { "id": "t.words", "pattern": "(?i)\\babb?\\s+(?:c+\\s+){0,3}d+", "max_len": 24 },
  { "id": "t.long", "pattern": "abc[a-d ]{0,12}da", "max_len": 20 },
  { "id": "t.group", "pattern": "key\\s*[:=]\\s*[\"']?([^\\s\"',]{3,9})(?:[\"',]|\\s|$)", "max_len": 30 },
  { "id": "t.lazy", "pattern": "tok.{0,6}?([0-9a-c]{4,8})\\b", "max_len": 24 },
  { "id": "t.pair", "pattern": "!\\[[^\\]]{0,8}\\]\\((c[^)]{0,9})\\)", "max_len": 30 },
  { "id": "t.multi", "pattern": "é1[a-z]{0,4}é", "max_len": 12 },
  { "id": "t.mail", "pattern": "[a-d0-9.]{1,20}@[a-d]{1,8}\\.[a-d]{2,4}\\b", "anchor": "at", "max_len": 40 },
  { "id": "t.card", "pattern": "\\b\\d(?:[ -]?\\d){3,11}\\b", "anchor": "digit", "check": ["luhn"], "max_len": 28 },
  { "id": "t.near", "pattern": "\\b\\d{2}-\\d{2}\\b", "anchor": "digit", "max_len": 5,
    "context": { "words": ["abc", "c c"], "exclude": ["dd"], "within": 12 } },
  { "id": "t.plus", "pattern": "\\+\\d{2,4}", "anchor": "digit", "max_len": 6 },
  { "id": "t.plate", "pattern": "\\b[A-D]{1,2}[ -][A-D]{1,2} ?\\d{2,4}\\b", "anchor": "letters", "max_len": 10 },
  { "id": "t.mixed", "pattern": "[a-d]{2}\\d{2,4}[a-d]", "anchor": "mixed", "max_len": 8 },
  { "id": "t.high", "pattern": "[a-zA-Z0-9+/_-]{16,40}", "anchor": "entropy", "max_len": 40 }
] }"##;

fn engine(without: &[&str]) -> Engine {
    let mut pack: serde_json::Value = serde_json::from_str(RULES).unwrap();
    for rule in pack["rules"].as_array_mut().unwrap() {
        let rule = rule.as_object_mut().unwrap();
        for (field, value) in [("title", "t"), ("since", "0.1.0"), ("severity", "low"), ("replace", "x")] {
            rule.insert(field.into(), value.into());
        }
        rule.insert("level".into(), 1.into());
    }
    pack["rules"].as_array_mut().unwrap().retain(|rule| !without.iter().any(|id| rule["id"] == *id));
    let mut rules = RuleSet::default();
    rules.add_pack("t", &pack.to_string(), Strictness::Lenient).unwrap();
    Engine::compile(&rules).unwrap()
}

fn input(text: &str, at_end: bool, skip_before: usize) -> Input<'_> {
    let (view, kind, direction) = (View::Raw, SpanKind::User, Direction::Request);
    Input { text, view, kind, direction, at_end, skip_before }
}

fn whole(engine: &Engine, scratch: &mut Scratch, text: &str) -> Vec<Match> {
    let mut out = Vec::new();
    let outcome = engine.scan(&input(text, true, 0), scratch, &mut out);
    assert_eq!(outcome.settled, text.len());
    assert!(!outcome.budget_exhausted);
    out
}

/// Feeds the text as a stream would: settled text is dropped, but for what the
/// engine wants to look back at.
fn in_chunks(engine: &Engine, scratch: &mut Scratch, text: &str, cuts: &[usize]) -> Vec<Match> {
    let (mut all, mut settled) = (Vec::new(), 0usize);
    for &cut in cuts.iter().chain([&text.len()]) {
        let base =
            (0..=settled.saturating_sub(engine.look_behind())).rev().find(|&i| text.is_char_boundary(i));
        let base = base.unwrap();
        let mut out = Vec::new();
        let input = input(&text[base..cut], cut == text.len(), settled - base);
        let outcome = engine.scan(&input, scratch, &mut out);
        assert!(base + outcome.settled >= settled, "settled text was taken back");
        settled = base + outcome.settled;
        assert!(text.is_char_boundary(settled));
        for mut found in out {
            found.range = base + found.range.start..base + found.range.end;
            assert!(found.range.end <= settled);
            all.push(found);
        }
    }
    all.sort_by_key(|m| (m.range.start, m.range.end, m.rule));
    all
}

/// Texts made of what the rules look for, cut short and glued together.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[abcd]{1,4}",
        "[ \n]{1,2}",
        "[0-9]{1,6}",
        "[-+@.!é]",
        "[0-9]{2}-[0-9]{2}",
        "(ab|abc|abc abd|ABB c d|é1ab|é1|abcda)",
        "(key|key=|key: |\"|'|,|key='abc)",
        "(tok|tok |tok12ab|!\\[|\\]\\(|!\\[a\\]\\(c\\)|\\))",
        "(a@b\\.cd|ab\\.c@|@abc|\\.ab)",
        "(4111 1111|1111-1111|18|0000|\\+49)",
        "[a-d0-9]{10,30}",
        "[a-d]{70}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// What comes before a plate may look like the beginning of one.
#[test]
fn a_plate_behind_short_words_is_held() {
    let (engine, mut scratch) = (engine(&[]), Scratch::new());
    let text = "it is a A-B 1234, at B on AB CD 345 and so on";
    let wanted = whole(&engine, &mut scratch, text);
    assert_eq!(wanted.len(), 2, "{wanted:?}");
    let all: Vec<usize> = (1..text.len()).collect();
    assert_eq!(in_chunks(&engine, &mut scratch, text, &all), wanted);
    for cut in 1..text.len() {
        assert_eq!(in_chunks(&engine, &mut scratch, text, &[cut]), wanted, "{cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn chunks_give_what_the_whole_gives(text in text(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        // One engine for all cases: building it takes longer than a case.
        thread_local!(static ENGINE: Engine = engine(&[]));
        ENGINE.with(|engine| {
            let mut scratch = Scratch::new();
            let wanted = whole(engine, &mut scratch, &text);
            let borders: Vec<usize> = text.char_indices().map(|(i, _)| i).skip(1).collect();
            let mut some: Vec<usize> = if borders.is_empty() { vec![] } else { cuts.iter().map(|c| *c.get(&borders)).collect() };
            some.sort_unstable();
            prop_assert_eq!(&in_chunks(engine, &mut scratch, &text, &some), &wanted, "cut at {:?}", some);
            prop_assert_eq!(&in_chunks(engine, &mut scratch, &text, &borders), &wanted, "single characters");
            let mut bypassed = Vec::new();
            engine.scan_everywhere(&input(&text, true, 0), None, &mut scratch, &mut bypassed);
            prop_assert_eq!(&bypassed, &wanted, "without prefilter");
            Ok(())
        })?;
    }
}

/// Text and how many bytes at its end are held.
#[test]
fn holds_no_more_than_could_match() {
    // High entropy is in the last token of any text, until it ends.
    let engine = engine(&["t.high"]);
    let mut scratch = Scratch::new();
    for (text, held) in [
        ("", 0),
        ("The quick brown fox. ", 0),
        ("The quick brown fox", 0),
        ("it costs 12", 2),
        ("it costs 12 ", 3),
        ("it costs 12 euros", 0),
        ("an ab", 2),
        ("an ab ", 3),
        ("an ab c c", 6),
        ("an ab e", 0),
        // No word boundary, so no beginning of a match.
        ("xabb", 0),
        ("x abb", 3),
        ("see ab c d", 6),
        ("see ab c d ", 0),
        ("key", 3),
        ("key = 'abc", 10),
        ("key = 'abc'", 11),
        ("key = 'abc',", 0),
        ("mail b.c", 3),
        ("mail b.c@", 4),
        ("mail b.c@e", 0),
        ("call +", 1),
        ("token zz", 8),
        ("token zzz zz", 0),
        ("é", 2),
        ("éz", 0),
    ] {
        let outcome = engine.scan(&input(text, false, 0), &mut scratch, &mut Vec::new());
        assert_eq!(text.len() - outcome.settled, held, "{text:?}");
    }
}
