//! The prefilter hides nothing: texts made from the rules' own patterns, with
//! gaps as short and as long as these allow, at every offset to a block's border,
//! give with the prefilter what they give without.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use regex_syntax::hir::{Class, Hir, HirKind};

use super::engine::{BLOCK, Engine, Input, Match, View};
use super::scratch::Scratch;
use crate::rules::{Direction, PACK_NAMES, RuleIndex, RuleSet, Strictness, pack_text};
use crate::text::SpanKind;

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// How often a part that may repeat does.
#[derive(Clone, Copy)]
enum Times {
    Least,
    Most,
    Any,
}

/// A text that `pattern` matches, but for look-around. Where it has no end of its
/// own, a part repeats eighty times more at most.
fn sample(pattern: &Hir, times: Times, chance: &mut Chance, out: &mut Vec<u8>) {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            let bytes: Vec<u8> = class.iter().flat_map(|r| r.start()..=r.end()).collect();
            let plain: Vec<u8> = bytes.iter().copied().filter(|b| (b' '..0x7F).contains(b)).collect();
            let from = if plain.is_empty() { bytes } else { plain };
            out.push(from[chance.below(from.len())]);
        }
        HirKind::Class(Class::Unicode(class)) => {
            let range = class.ranges()[chance.below(class.ranges().len())];
            out.extend_from_slice(range.start().encode_utf8(&mut [0; 4]).as_bytes());
        }
        HirKind::Repetition(part) => {
            let (least, most) = (part.min as usize, part.max.unwrap_or(part.min + 80) as usize);
            let count = match times {
                Times::Least => least,
                Times::Most => most,
                Times::Any => least + chance.below(most - least + 1),
            };
            (0..count).for_each(|_| sample(&part.sub, times, chance, out));
        }
        HirKind::Capture(group) => sample(&group.sub, times, chance, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| sample(part, times, chance, out)),
        HirKind::Alternation(parts) => sample(&parts[chance.below(parts.len())], times, chance, out),
    }
}

/// All packs. What comes behind the prefilter is taken out, so that more matches.
fn rules() -> RuleSet {
    let mut rules = RuleSet::default();
    for name in PACK_NAMES {
        let mut pack: serde_json::Value = serde_json::from_str(&pack_text(name).unwrap()).unwrap();
        for rule in pack["rules"].as_array_mut().unwrap() {
            let rule = rule.as_object_mut().unwrap();
            for field in ["check", "context", "scan", "view", "tests"] {
                rule.remove(field);
            }
        }
        rules.add_pack(name, &pack.to_string(), Strictness::Lenient).unwrap();
    }
    rules
}

struct Both {
    engine: Engine,
    scratch: Scratch,
    matches: usize,
}

impl Both {
    fn input(text: &str, at_end: bool) -> Input<'_> {
        let (view, kind, direction) = (View::Raw, SpanKind::User, Direction::Request);
        Input { text, view, kind, direction, at_end, skip_before: 0 }
    }

    fn check(&mut self, rule: RuleIndex, text: &str) {
        let of_rule = |out: Vec<Match>| out.into_iter().filter(|m| m.rule == rule).collect::<Vec<_>>();
        let mut out = Vec::new();
        let input = Both::input(text, true);
        self.engine.scan_everywhere(&input, Some(rule), &mut self.scratch, &mut out);
        let want = of_rule(out);
        let mut out = Vec::new();
        if self.engine.scan(&input, &mut self.scratch, &mut out).budget_exhausted {
            return;
        }
        assert_eq!(of_rule(out), want, "{text:?}");
        self.matches += want.len();
        // What begins in a text that goes on is held until it is known to match.
        for found in &want {
            let cut = text.floor_char_boundary(found.range.start + 1 + text.len() % found.range.len());
            let mut out = Vec::new();
            let settled =
                self.engine.scan(&Both::input(&text[..cut], false), &mut self.scratch, &mut out).settled;
            assert!(settled <= found.range.start || out.iter().any(|m| m.rule == rule), "{cut} {text:?}");
        }
    }
}

#[test]
fn nothing_is_hidden() {
    let rules = rules();
    let engine = Engine::compile(&rules).unwrap();
    let (mut both, mut chance) = (Both { engine, scratch: Scratch::new(), matches: 0 }, Chance(7));
    BLOCK.set(16 * 1024);
    for (index, rule) in rules.iter() {
        let full = rule.shape.full();
        for (nth, times) in [Times::Least, Times::Most, Times::Any, Times::Any].into_iter().enumerate() {
            let mut text = Vec::new();
            sample(&full, times, &mut chance, &mut text);
            let Ok(text) = String::from_utf8(text) else { continue };
            let before = ["", " ", "_", ".", "9", "x", "é"][chance.below(7)];
            let behind = ["", " ", ".", "\n", "\"", "= 1234567890abcdef"][chance.below(6)];
            let pad = [" ", "-", "ab "][nth % 3].repeat(chance.below(if nth % 3 == 2 { 45 } else { 130 }));
            both.check(index, &format!("{pad}{before}{text}{behind}"));
            both.check(
                index,
                &format!("{pad}{before}{}{behind}{}", text.to_ascii_uppercase(), " ".repeat(200)),
            );
        }
    }
    BLOCK.set(16);
    assert!(both.matches > 2 * rules.rules().len(), "{}", both.matches);
}

/// Ends beyond a rule's own reach are no tries: sixteen shorter ones are still tried.
#[test]
fn sixteen_ends_are_tried() {
    let engine = engine_of(&[("[0-9]{1,60}", "digit", 24, r#""fr_siren""#), ("[0-9]{40}", "digit", 60, "")]);
    for digits in [24, 25, 26, 40] {
        let text = format!("x 732829320{} y", "7".repeat(digits - 9));
        let (found, _) = scan(&engine, &text, true, 0);
        assert_eq!(found.first(), Some(&(2..11)), "{text}");
    }
}

/// A match that counts only once more of its token has come is held until then.
#[test]
fn what_may_come_to_count_is_held() {
    let engine = engine_of(&[("[a-zA-Z0-9]{16}", "entropy", 16, "")]);
    for text in ["12345678901234567890a ", "x abcdefghijklmnopqrst7 ", "abcdefghijklmnopqrst "] {
        let (whole, _) = scan(&engine, text, true, 0);
        for cut in 1..text.len() {
            let (mut found, settled) = scan(&engine, &text[..cut], false, 0);
            found.extend(scan(&engine, text, true, settled).0);
            assert_eq!(found, whole, "{text} {cut} {settled}");
        }
    }
}

/// Rules by pattern, anchor, longest match and checks.
fn engine_of(rules: &[(&str, &str, usize, &str)]) -> Engine {
    let rule = |(i, (pattern, anchor, max_len, check)): (usize, &(&str, &str, usize, &str))| {
        format!(
            r#"{{"id":"t.r{i}","title":"t","level":1,"severity":"low","max_len":{max_len},"anchor":"{anchor}",
            "pattern":"{pattern}","replace":"[X]","check":[{check}]}}"#
        )
    };
    let written = rules.iter().enumerate().map(rule).collect::<Vec<_>>().join(",");
    let json = format!(r#"{{"format":1,"pack":"t","title":"t","category":"pii","rules":[{written}]}}"#);
    let mut set = RuleSet::default();
    set.add_pack("t", &json, Strictness::Lenient).unwrap();
    Engine::compile(&set).unwrap()
}

fn scan(
    engine: &Engine,
    text: &str,
    at_end: bool,
    skip_before: usize,
) -> (Vec<std::ops::Range<usize>>, usize) {
    let (view, kind, direction) = (View::Raw, SpanKind::User, Direction::Request);
    let mut found = Vec::new();
    let input = Input { text, view, kind, direction, at_end, skip_before };
    let outcome = engine.scan(&input, &mut Scratch::new(), &mut found);
    (found.into_iter().map(|m| m.range).collect(), outcome.settled)
}
