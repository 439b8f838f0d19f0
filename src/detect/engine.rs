//! The compiled rules, and a scan of one text with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::anchors;
use super::budget::Budget;
use super::checks::Check;
use super::confirm::Confirm;
use super::context::{ContextWords, Wanted};
use super::glance::{Glance, Glanced, Seen};
use super::literals::{Literal, Literals};
use super::needs::Needs;
use super::scratch::{Candidate, Candidates, Scratch};
use super::sight::Sight;
use super::unit::Automaton;
use crate::limits::MAX_TOKEN_LOOKBACK;
use crate::rules::{Direction, LoadedRule, RuleError, RuleIndex, RuleSet, Start};
use crate::text::SpanKind;

/// Candidates of a block are collected, then confirmed: bounds them.
#[cfg(not(test))]
const BLOCK_BYTES: usize = 16 * 1024;

#[cfg(test)]
thread_local! {
    /// The same for tests, whose texts are short.
    pub(super) static BLOCK: std::cell::Cell<usize> = const { std::cell::Cell::new(16) };
}

fn block_bytes() -> usize {
    #[cfg(test)]
    return BLOCK.get();
    #[cfg(not(test))]
    BLOCK_BYTES
}

/// Which view of a text this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As written.
    Raw,
    /// Cleaned and lower-cased.
    Clean,
}

/// One text to scan, or the part of a growing text that is not settled.
#[derive(Clone, Copy, Debug)]
pub struct Input<'t> {
    /// The text, with [`Engine::look_behind`] bytes before `skip_before` if
    /// there are so many.
    pub text: &'t str,
    /// Which view it is.
    pub view: View,
    /// What the text is.
    pub kind: SpanKind,
    /// Which way it goes.
    pub direction: Direction,
    /// No more text follows.
    pub at_end: bool,
    /// No match starts before here: that text is settled.
    pub skip_before: usize,
}

/// A rule, and where it matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// The rule.
    pub rule: RuleIndex,
    /// Bytes of the text, at character boundaries.
    pub range: std::ops::Range<usize>,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Text before here is decided whatever follows: all its matches were
    /// given, none reaches over it. The text's length if it is at its end.
    pub settled: usize,
    /// The work allowed for a text of this length was done before its end, or
    /// an automaton failed: matches may be missing.
    pub budget_exhausted: bool,
}

/// How the places are found where literal rules can match.
#[derive(Clone, Copy)]
enum Prefilter {
    On,
    /// Every place, for all rules or for one.
    Off(Option<RuleIndex>),
}

/// A rule set, compiled. Shared by all streams.
#[derive(Debug)]
pub struct Engine {
    id: u64,
    literals: Literals,
    /// The unit that starts at each kind of anchor.
    anchors: [Option<u16>; anchors::KINDS.len()],
    pub(super) units: Vec<Unit>,
    pub(super) plans: Vec<Plan>,
    pub(super) context: ContextWords,
    look_behind: usize,
}

/// Rules whose matches start at the same places: one walk for all of them.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) automaton: Automaton,
    /// Rule of each pattern of the automaton.
    pub(super) rules: Vec<RuleIndex>,
    pub(super) max_len: usize,
    /// Where some rule here looks.
    pub(super) sight: Sight,
    /// Of several rules: which of them may match, by a look at the first bytes.
    pub(super) glance: Option<Glance>,
    /// Words without which nothing here matches.
    pub(super) needs: Option<Needs>,
}

/// What it takes to make a match of a rule out of a match of its automaton.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) sight: Sight,
    pub(super) max_len: usize,
    pub(super) checks: Vec<Check>,
    pub(super) context: Option<Wanted>,
    pub(super) split: Split,
}

/// How to find the group in a match.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) start: Edge,
    pub(super) end: Edge,
}

/// One end of the group.
#[derive(Debug)]
pub(super) enum Edge {
    /// So many bytes from that end of the match.
    Fixed(usize),
    /// Where what lies outside can meet what lies inside: the first walks forward,
    /// the second backward.
    Walk([Arc<Automaton>; 2]),
}

impl Engine {
    /// Compiles a rule set. The automata are built when a text first needs
    /// them; [`Engine::build_all`] finds their faults early.
    pub fn compile(rules: &RuleSet) -> Result<Engine, Vec<RuleError>> {
        Compiler::default().compile(rules)
    }

    /// Builds every automaton, to find patterns too large to build.
    pub fn build_all(&self) -> Result<(), (RuleIndex, String)> {
        for unit in &self.units {
            let rule = unit.rules.first().copied().unwrap_or(RuleIndex(0));
            unit.automaton.build().map_err(|e| (rule, e))?;
        }
        Ok(())
    }

    /// Bytes of settled text that a scan wants to see before `skip_before`.
    pub const fn look_behind(&self) -> usize {
        self.look_behind
    }

    /// Scans one text. Matches are added to `out` by their start. For streams:
    /// matches and `settled` of the parts add up to those of the whole text.
    pub fn scan(&self, input: &Input<'_>, scratch: &mut Scratch, out: &mut Vec<Match>) -> Outcome {
        self.run(input, scratch, out, Prefilter::On)
    }

    /// The same without the prefilter: every place is a candidate of every
    /// literal rule, or of `rule` only. For tests of rules; slow.
    pub(super) fn scan_everywhere(
        &self,
        input: &Input<'_>,
        rule: Option<RuleIndex>,
        scratch: &mut Scratch,
        out: &mut Vec<Match>,
    ) -> Outcome {
        self.run(input, scratch, out, Prefilter::Off(rule))
    }

    fn run(
        &self,
        input: &Input<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Match>,
        prefilter: Prefilter,
    ) -> Outcome {
        self.adopt(scratch);
        let bytes = input.text.as_bytes();
        let mut candidates = std::mem::take(&mut scratch.candidates);
        let fresh = bytes.len() - input.skip_before.min(bytes.len());
        let budget = Budget::for_text(fresh, scratch.free_state_bytes);
        let mut confirm = Confirm::new(self, input, scratch, out, budget);
        confirm.take_shortcuts(matches!(prefilter, Prefilter::On));
        let mut from = input.skip_before;
        while from < bytes.len() && !confirm.exhausted() {
            let to = from.saturating_add(block_bytes()).min(bytes.len());
            candidates.clear();
            self.collect(input, from, to, prefilter, &mut candidates);
            candidates.in_order(|candidate| confirm.candidate(candidate));
            from = to;
        }
        if !input.at_end {
            self.hold_open_ends(bytes, input.skip_before, &mut confirm);
        }
        let free = confirm.free_state_bytes();
        let outcome = confirm.finish();
        scratch.free_state_bytes = scratch.free_state_bytes.and(Some(free));
        scratch.candidates = candidates;
        outcome
    }

    /// A scratch that another engine used holds states of other automata.
    fn adopt(&self, scratch: &mut Scratch) {
        if scratch.engine != self.id {
            scratch.engine = self.id;
            scratch.caches.clear();
        }
    }

    fn collect(
        &self,
        input: &Input<'_>,
        from: usize,
        to: usize,
        prefilter: Prefilter,
        candidates: &mut Candidates,
    ) {
        let text = input.text.as_bytes();
        if let Prefilter::Off(rule) = prefilter {
            let holds = |unit: &u16| {
                let unit = self.units.get(usize::from(*unit));
                rule.is_none_or(|rule| unit.is_some_and(|u| u.rules.contains(&rule)))
            };
            let anchored = |unit: &u16| self.anchors.contains(&Some(*unit));
            let units: Vec<u16> =
                (0u16..).take(self.units.len()).filter(|u| holds(u) && !anchored(u)).collect();
            for at in from..to {
                candidates.literals.extend(units.iter().map(|&unit| Candidate::new(at, unit)));
            }
        } else {
            let mut push = |at, unit| candidates.literals.push(Candidate::new(at, unit));
            self.literals.scan(text, from, to, input.at_end, &mut push);
        }
        let on = matches!(prefilter, Prefilter::On);
        anchors::parts(text, from, to, &mut |from, to| {
            anchors::scan(text, from, to, &mut |kind, at| {
                let Some(&Some(unit)) = self.anchors.get(kind) else { return };
                let seen = if on { self.see(unit, text, at) } else { Seen::Something };
                let word_within = match seen {
                    Seen::Nothing => return,
                    Seen::OnlyWithWord(reach) => reach,
                    Seen::Something => 0,
                };
                candidates.anchors.push(Candidate { at, unit, word_within });
            });
        });
    }

    /// What a match of the unit may be, by a look at the first bytes.
    #[inline(always)]
    fn see(&self, unit: u16, text: &[u8], at: usize) -> Seen {
        let unit = self.units.get(usize::from(unit));
        let glance = unit.and_then(|unit| unit.glance.as_ref());
        glance.map_or(Seen::Something, |glance| glance.see(text, at))
    }

    /// Text at the end that could become a candidate.
    fn hold_open_ends(&self, text: &[u8], from: usize, confirm: &mut Confirm<'_>) {
        if let Some(place) = self.literals.open_at_end(text, from) {
            confirm.hold(place);
        }
        for (kind, unit) in anchors::KINDS.into_iter().zip(self.anchors) {
            if let Some(unit) = unit {
                anchors::open_at_end(kind, text, from, |at| confirm.hold_if_alive(Candidate::new(at, unit)));
            }
        }
    }
}

/// Builds an engine rule by rule.
#[derive(Default)]
struct Compiler {
    automata: usize,
    /// Those that walk backward over a trail: most rules of numbers have the same.
    trails: Vec<(regex_syntax::hir::Hir, Arc<Automaton>)>,
    errors: Vec<RuleError>,
}

impl Compiler {
    fn compile(mut self, rules: &RuleSet) -> Result<Engine, Vec<RuleError>> {
        // Ids tell engines apart in a scratch; 0 is none's.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (context, wanted) = ContextWords::new(rules.rules().iter().map(|r| r.context.as_ref()))
            .map_err(|reason| vec![RuleError::new("", "", "context", reason)])?;
        let plans: Vec<Plan> =
            rules.rules().iter().zip(wanted).map(|(rule, wanted)| self.plan(rule, wanted)).collect();
        let (mut units, mut literals, mut anchors) = (Vec::new(), Vec::new(), [None; anchors::KINDS.len()]);
        for (index, rule) in rules.iter() {
            if let Start::Literals(texts) = &rule.start {
                let unit = units.len() as u16;
                let at_boundary = rule.shape.starts_at_boundary();
                let near = rule.shape.surroundings(texts, rule.max_len);
                let found = texts.iter().zip(near.next);
                literals.extend(found.map(|(text, next)| Literal {
                    text: text.clone(),
                    unit,
                    at_boundary,
                    gate: near.gate,
                    next,
                }));
                let needs = near.needs.as_ref().map(Needs::new);
                units.push(Unit { needs, ..self.unit(&[(index, rule)], &plans) });
            }
        }
        for (kind, slot) in anchors::KINDS.into_iter().zip(&mut anchors) {
            let together: Vec<_> = rules.iter().filter(|(_, r)| r.start == Start::Anchor(kind)).collect();
            if !together.is_empty() {
                *slot = Some(units.len() as u16);
                units.push(self.unit(&together, &plans));
            }
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // A word or a token is whole if one more byte before it says so.
        let within = rules.rules().iter().filter_map(|r| r.context.as_ref()).map(|c| c.within);
        let look_behind = within.max().unwrap_or(0).max(MAX_TOKEN_LOOKBACK + 1) + 1;
        Ok(Engine { id, literals: Literals::new(literals), anchors, units, plans, context, look_behind })
    }

    fn unit(&mut self, rules: &[(RuleIndex, &LoadedRule)], plans: &[Plan]) -> Unit {
        let reach = |(index, _): &(RuleIndex, &LoadedRule)| {
            plans.get(usize::from(index.0))?.context.as_ref().and_then(Wanted::reach)
        };
        let patterns = rules.iter().map(|(_, r)| r.shape.full()).collect();
        let reaches: Vec<usize> = rules.iter().map(|rule| reach(rule).unwrap_or(0)).collect();
        let glanced = |((_, rule), &reach): (&(RuleIndex, &LoadedRule), &usize)| Glanced {
            heads: rule.shape.heads(),
            min_len: rule.shape.full().properties().minimum_len().unwrap_or(0),
            reach,
            lead: rule.shape.lead.properties().maximum_len().unwrap_or(rule.max_len),
        };
        let glance =
            (rules.len() > 1).then(|| Glance::new(rules.iter().zip(&reaches).map(glanced).collect()));
        Unit {
            glance,
            automaton: self.automaton(patterns, false).wanting(reaches),
            rules: rules.iter().map(|(index, _)| *index).collect(),
            max_len: rules.iter().map(|(_, r)| r.max_len).max().unwrap_or(0),
            sight: Sight::of_all(rules.iter().map(|(_, rule)| *rule)),
            needs: None,
        }
    }

    fn plan(&mut self, rule: &LoadedRule, context: Option<Wanted>) -> Plan {
        let mut checks = Vec::with_capacity(rule.checks.len());
        for written in &rule.checks {
            match Check::parse(written) {
                Ok(check) => checks.push(check),
                Err(reason) => self.errors.push(RuleError::new(&rule.pack, &rule.id, "check", reason)),
            }
        }
        let split = self.split(rule);
        Plan { sight: Sight::of(rule), max_len: rule.max_len, checks, context, split }
    }

    fn split(&mut self, rule: &LoadedRule) -> Split {
        let shape = &rule.shape;
        let fixed = |hir: &regex_syntax::hir::Hir| {
            let properties = hir.properties();
            properties.minimum_len().filter(|&min| properties.maximum_len() == Some(min))
        };
        let start = fixed(&shape.lead).map_or_else(
            || {
                let rest = regex_syntax::hir::Hir::concat(vec![shape.body.clone(), shape.trail.clone()]);
                let lead = self.automaton(vec![shape.lead.clone()], false);
                Edge::Walk([Arc::new(lead), Arc::new(self.automaton(vec![rest], true))])
            },
            Edge::Fixed,
        );
        let end = fixed(&shape.trail).map_or_else(
            || {
                let body = self.automaton(vec![shape.body.clone()], false);
                Edge::Walk([Arc::new(body), self.trail(&shape.trail)])
            },
            Edge::Fixed,
        );
        Split { start, end }
    }

    fn trail(&mut self, trail: &regex_syntax::hir::Hir) -> Arc<Automaton> {
        if let Some((_, known)) = self.trails.iter().find(|(hir, _)| hir == trail) {
            return known.clone();
        }
        let new = Arc::new(self.automaton(vec![trail.clone()], true));
        self.trails.push((trail.clone(), new.clone()));
        new
    }

    fn automaton(&mut self, patterns: Vec<regex_syntax::hir::Hir>, reverse: bool) -> Automaton {
        let id = self.automata;
        self.automata += 1;
        Automaton::new(id, patterns, reverse)
    }
}
