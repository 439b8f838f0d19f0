//! Runs the tests that rules carry: every hit, clean, known miss and known hit.

use std::fmt;
use std::ops::Range;

use super::engine::{Engine, Input, Match, View};
use super::scratch::Scratch;
use crate::rules::{Direction, LoadedRule, RuleIndex, RuleSet, Scope, TextView};
use crate::text::SpanKind;

/// Places at which a hit is cut in two.
const MAX_CUTS: usize = 48;

/// A rule that does not do what its tests say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Id of the rule.
    pub rule: String,
    /// The text as written in the test.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}\n  in {:?}", self.rule, self.what, self.text)
    }
}

/// Tests every rule of a set. Empty: all is well.
pub fn self_test(rules: &RuleSet) -> Vec<Failure> {
    let engine = match Engine::compile(rules) {
        Ok(engine) => engine,
        Err(errors) => {
            let failure = |e: crate::rules::RuleError| Failure {
                rule: e.rule.clone(),
                text: String::new(),
                what: e.to_string(),
            };
            return errors.into_iter().map(failure).collect();
        }
    };
    let mut tester = Tester { rules, engine, scratch: Scratch::new(), failures: Vec::new() };
    if let Err((rule, reason)) = tester.engine.build_all() {
        tester.fail(rule, "", format!("pattern: {reason}"));
    }
    for (index, rule) in rules.iter() {
        tester.rule(index, rule);
    }
    tester.failures
}

struct Tester<'a> {
    rules: &'a RuleSet,
    engine: Engine,
    scratch: Scratch,
    failures: Vec<Failure>,
}

impl Tester<'_> {
    fn fail(&mut self, rule: RuleIndex, text: &str, what: String) {
        let rule = self.rules.get(rule).map_or_else(String::new, |r| r.id.clone());
        self.failures.push(Failure { rule, text: text.to_owned(), what });
    }

    fn rule(&mut self, index: RuleIndex, rule: &LoadedRule) {
        let tests = &rule.tests;
        for written in &tests.hit {
            match unmark(written) {
                Some((text, wanted)) if !wanted.is_empty() => self.hit(index, rule, written, &text, &wanted),
                _ => self.fail(index, written, "a hit must mark its matches with « and »".into()),
            }
        }
        for text in &tests.clean {
            if let Some(range) = self.own(index, rule, text).first() {
                self.fail(index, text, format!("must not match, and does at {range:?}"));
            }
        }
        for surprise in &tests.known_miss {
            let Some((text, wanted)) = unmark(&surprise.text) else { continue };
            let found = self.own(index, rule, &text);
            if !found.is_empty() && (wanted.is_empty() || found == wanted) {
                self.fail(index, &surprise.text, "a known miss is found now: make it a hit".into());
            }
        }
        for surprise in &tests.known_hit {
            if self.own(index, rule, &surprise.text).is_empty() {
                self.fail(index, &surprise.text, "a known hit is not found any more: make it clean".into());
            }
        }
    }

    fn hit(
        &mut self,
        index: RuleIndex,
        rule: &LoadedRule,
        written: &str,
        text: &str,
        wanted: &[Range<usize>],
    ) {
        let found = self.own(index, rule, text);
        if found != wanted {
            let why = if found.is_empty() { missed(rule, text) } else { String::new() };
            self.fail(index, written, format!("matches {found:?}, not the marked {wanted:?}{why}"));
        }
        let place = Place::of(rule);
        let all = self.whole(text, place);
        for other in self.strangers(rule, &all) {
            self.fail(
                index,
                written,
                format!("rule {other} of the same pack matches too: name it in `also`"),
            );
        }
        if self.bypassed(index, text, place) != found {
            self.fail(index, written, "the prefilter changes what is found: a fault of the engine".into());
        }
        // Every place in short texts; evenly spread ones in long texts, whose
        // parts are scanned again and again.
        let places: Vec<usize> = text.char_indices().map(|(i, _)| i).skip(1).collect();
        for cut in places.iter().step_by(places.len() / MAX_CUTS + 1) {
            if self.in_parts(text, place, &[*cut]) != all {
                self.fail(
                    index,
                    written,
                    format!("cut at {cut}, other matches are found: a fault of the engine"),
                );
            }
        }
        let small: Vec<usize> = places.iter().copied().step_by(places.len() / (4 * MAX_CUTS) + 1).collect();
        if self.in_parts(text, place, &small) != all {
            self.fail(
                index,
                written,
                "in small parts, other matches are found: a fault of the engine".into(),
            );
        }
    }

    /// Ids of other rules of the pack that match, and are not expected to.
    fn strangers(&self, rule: &LoadedRule, all: &[Match]) -> Vec<String> {
        let others = all.iter().filter_map(|m| self.rules.get(m.rule));
        let mut ids: Vec<String> = others
            .filter(|other| other.pack == rule.pack && other.id != rule.id && !rule.also.contains(&other.id))
            .map(|other| other.id.clone())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn own(&mut self, index: RuleIndex, rule: &LoadedRule, text: &str) -> Vec<Range<usize>> {
        let all = self.whole(text, Place::of(rule));
        all.into_iter().filter(|m| m.rule == index).map(|m| m.range).collect()
    }

    fn whole(&mut self, text: &str, place: Place) -> Vec<Match> {
        let mut out = Vec::new();
        self.engine.scan(&place.input(text, true, 0), &mut self.scratch, &mut out);
        out
    }

    /// The rule's own matches, found without the prefilter.
    fn bypassed(&mut self, index: RuleIndex, text: &str, place: Place) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        self.engine.scan_everywhere(&place.input(text, true, 0), Some(index), &mut self.scratch, &mut out);
        out.into_iter().filter(|m| m.rule == index).map(|m| m.range).collect()
    }

    fn in_parts(&mut self, text: &str, place: Place, cuts: &[usize]) -> Vec<Match> {
        let (mut out, mut settled) = (Vec::new(), 0);
        for &cut in cuts.iter().chain([&text.len()]) {
            let so_far = text.get(..cut).unwrap_or_default();
            let input = place.input(so_far, cut == text.len(), settled);
            settled = self.engine.scan(&input, &mut self.scratch, &mut out).settled;
        }
        out
    }
}

/// Why nothing of a text is a match: what keeps the bare pattern's matches out.
fn missed(rule: &LoadedRule, text: &str) -> String {
    let matches = |checks: &[String], context: bool| {
        let context = rule.context.clone().filter(|_| context);
        let rules = RuleSet::of(LoadedRule { checks: checks.to_vec(), context, ..rule.clone() });
        let (mut out, mut scratch) = (Vec::new(), Scratch::new());
        if let Ok(engine) = Engine::compile(&rules) {
            engine.scan(&Place::of(rule).input(text, true, 0), &mut scratch, &mut out);
        }
        out.into_iter().map(|m| m.range).collect::<Vec<_>>()
    };
    let bare = matches(&[], false);
    if bare.is_empty() {
        return ": the pattern does not match, or is longer than `max_len`".into();
    }
    let fails = |check: &&String| matches(std::slice::from_ref(*check), false).is_empty();
    if let Some(check) = rule.checks.iter().find(fails) {
        return format!(": the pattern matches {bare:?}, and the check `{check}` does not hold there");
    }
    match &rule.context {
        Some(context) if matches(&rule.checks, true).is_empty() => {
            let within = context.within;
            format!(
                ": pattern and checks hold at {bare:?}, and what `context` wants does not stand within {within} bytes before"
            )
        }
        _ => String::new(),
    }
}

/// A span the rule looks at.
#[derive(Clone, Copy)]
struct Place {
    view: View,
    kind: SpanKind,
    direction: Direction,
}

impl Place {
    fn of(rule: &LoadedRule) -> Place {
        let (direction, kind) = Scope::places()
            .find(|(d, k)| rule.scope.contains(*d, *k))
            .unwrap_or((Direction::Request, SpanKind::User));
        let view = if rule.view == TextView::Clean { View::Clean } else { View::Raw };
        Place { view, kind, direction }
    }

    fn input(self, text: &str, at_end: bool, skip_before: usize) -> Input<'_> {
        Input { text, view: self.view, kind: self.kind, direction: self.direction, at_end, skip_before }
    }
}

/// Text without its marks, and the ranges they mark. None: marks do not pair.
fn unmark(written: &str) -> Option<(String, Vec<Range<usize>>)> {
    let (mut text, mut ranges, mut open) = (String::new(), Vec::new(), None);
    for c in written.chars() {
        match c {
            '«' if open.is_none() => open = Some(text.len()),
            '»' => ranges.push(open.take()?..text.len()),
            '«' => return None,
            _ => text.push(c),
        }
    }
    open.is_none().then_some((text, ranges))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use crate::rules::{PACK_NAMES, Strictness, pack_text};

    #[test]
    fn marks() {
        assert_eq!(unmark("a«b»c«dé»"), Some(("abcdé".into(), vec![1..2, 3..6])));
        assert_eq!(unmark("a«b"), None);
        assert_eq!(unmark("ab»"), None);
        assert_eq!(unmark("«a«b»"), None);
    }

    #[test]
    fn a_missed_hit_says_why() {
        let failures = |fields: &str, hit: &str| {
            let json = format!(
                r#"{{"format":1,"pack":"mine","title":"t","category":"pii","rules":[{{"id":"mine.a","title":"t",
                "level":1,"severity":"low","max_len":40,"pattern":"cust-([0-9]{{4,12}})","replace":"[X]",{fields}
                "why":"w","since":"0.1.0","references":["https://example.com/a"],
                "tests":{{"hit":["{hit}"],"clean":["no"]}}}}]}}"#
            );
            let mut rules = RuleSet::default();
            rules.add_pack("mine", &json, Strictness::Lenient).unwrap_or_else(|e| panic!("{e:#?}"));
            self_test(&rules).iter().map(Failure::to_string).collect::<Vec<_>>().join("\n")
        };
        let said = failures("", "cust «12»");
        assert!(said.contains("the pattern does not match"), "{said}");
        let said = failures(r#""check":["digits>=3","luhn"],"#, "cust-«1234567»");
        assert!(said.contains("the pattern matches [5..12], and the check `luhn` does not hold"), "{said}");
        let said = failures(r#""context":{"words":["order"],"within":20},"#, "cust-«1234567»");
        assert!(said.contains("hold at [5..12], and what `context` wants"), "{said}");
        assert_eq!(failures("", "cust-«1234567»"), "");
    }

    #[test]
    fn built_in_packs() {
        let mut rules = RuleSet::default();
        for name in PACK_NAMES {
            let json = &pack_text(name).unwrap_or_default();
            rules.add_pack(name, json, Strictness::Authored).unwrap_or_else(|e| panic!("{e:#?}"));
        }
        let failures = self_test(&rules);
        let told: Vec<String> = failures.iter().map(Failure::to_string).collect();
        assert!(failures.is_empty(), "{}", told.join("\n"));
    }
}
