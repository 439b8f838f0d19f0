//! From candidates to matches: walk, take the group, check, look at the context.

use super::budget::Budget;
use super::engine::{Edge, Engine, Input, Match, Outcome, Plan};
use super::scratch::{Candidate, Scratch};
use super::unit::{Accept, Automaton, Broken, Walk};
use crate::rules::RuleIndex;

/// Ends of one pattern that are tried, longest first, until its checks hold.
const MAX_ENDS: usize = 16;

/// Steps that a walk costs beside its bytes, a pattern that accepts, and a check.
const CANDIDATE_STEPS: usize = 24;

/// Steps that a search for words costs beside a quarter for each byte.
const NEEDS_STEPS: usize = 8;

/// Steps of a check for each byte of the match: some look words up.
const CHECK_STEPS: usize = 4;

/// The confirming part of one scan.
pub(super) struct Confirm<'s> {
    engine: &'s Engine,
    input: &'s Input<'s>,
    scratch: &'s mut Scratch,
    out: &'s mut Vec<Match>,
    /// Matches of this scan, with the place their walk began.
    found: Vec<Found>,
    budget: Budget,
    exhausted: bool,
    settled: usize,
    /// The text without white space around it, once it was asked for.
    trimmed: Option<std::ops::Range<usize>>,
    /// Without them the same is found, later.
    shortcuts: bool,
}

struct Found {
    begun: usize,
    matched: Match,
}

impl<'s> Confirm<'s> {
    pub(super) fn new(
        engine: &'s Engine,
        input: &'s Input<'s>,
        scratch: &'s mut Scratch,
        out: &'s mut Vec<Match>,
        budget: Budget,
    ) -> Self {
        scratch.next_start.clear();
        scratch.searched.clear();
        scratch.context.clear();
        let settled = input.text.len();
        Confirm {
            engine,
            input,
            scratch,
            out,
            found: Vec::new(),
            budget,
            exhausted: false,
            settled,
            trimmed: None,
            shortcuts: false,
        }
    }

    /// Candidates that have not near them what their matches need are passed over.
    pub(super) fn take_shortcuts(&mut self, take: bool) {
        self.shortcuts = take;
    }

    pub(super) fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// What other texts may still have.
    pub(super) fn free_state_bytes(&self) -> usize {
        self.budget.free_state_bytes
    }

    /// Text from `place` on is not settled.
    pub(super) fn hold(&mut self, place: usize) {
        self.settled = self.settled.min(place);
    }

    /// Hold from a place that may yet become a candidate, if its walk lives.
    pub(super) fn hold_if_alive(&mut self, candidate: Candidate) {
        let mut accepts = std::mem::take(&mut self.scratch.accepts);
        accepts.clear();
        self.walk(candidate, &mut accepts);
        self.scratch.accepts = accepts;
    }

    pub(super) fn candidate(&mut self, candidate: Candidate) {
        if self.exhausted || self.idle(candidate) || !self.has_needs(candidate) {
            return;
        }
        let mut accepts = std::mem::take(&mut self.scratch.accepts);
        accepts.clear();
        self.walk(candidate, &mut accepts);
        if self.shortcuts {
            self.drop_without_words(candidate, &mut accepts);
        }
        // By pattern, longest first. Few walks end in more than one accept.
        if accepts.len() > 1 {
            accepts.sort_unstable_by_key(|accept| (accept.pattern, std::cmp::Reverse(accept.at)));
        }
        for ends in accepts.chunk_by(|a, b| a.pattern == b.pattern) {
            self.pattern(candidate, ends);
        }
        self.scratch.accepts = accepts;
    }

    /// No rule of the unit can match here.
    fn idle(&self, candidate: Candidate) -> bool {
        let Some(unit) = self.engine.units.get(usize::from(candidate.unit)) else { return true };
        !unit.sight.has(self.input)
            || matches!(unit.rules.as_slice(), [only] if candidate.at < self.next_start(*only))
    }

    /// Words without which no match starts here are near.
    fn has_needs(&mut self, candidate: Candidate) -> bool {
        let unit = self.engine.units.get(usize::from(candidate.unit));
        let Some(needs) = unit.and_then(|unit| unit.needs.as_ref()).filter(|_| self.shortcuts) else {
            return true;
        };
        let mut searched = self.scratch.searched.get(candidate.unit);
        let (text, mut bytes) = (self.input.text.as_bytes(), 0);
        let has = needs.may_hold(text, candidate.at, self.input.at_end, &mut searched, &mut bytes);
        self.scratch.searched.set(candidate.unit, searched);
        self.spend(NEEDS_STEPS + bytes / 4);
        has
    }

    fn plan(&self, rule: RuleIndex) -> Option<&'s Plan> {
        self.engine.plans.get(usize::from(rule.0))
    }

    fn next_start(&self, rule: RuleIndex) -> usize {
        self.scratch.next_start.get(rule.0)
    }

    fn walk(&mut self, candidate: Candidate, accepts: &mut Vec<Accept>) {
        let Some(unit) = self.engine.units.get(usize::from(candidate.unit)) else { return };
        let text = self.input.text.as_bytes();
        let walk = unit.automaton.forward(
            &mut self.scratch.caches,
            text,
            candidate.at,
            unit.max_len,
            self.input.at_end,
            accepts,
        );
        match walk {
            Ok(walk) => {
                if walk.alive {
                    self.hold(candidate.at);
                }
                self.pay(&walk);
                self.spend(accepts.len());
            }
            Err(Broken) => self.exhausted = true,
        }
    }

    fn pay(&mut self, walk: &Walk) {
        self.spend(walk.steps + CANDIDATE_STEPS);
        self.exhausted |= !self.budget.take_states(walk.built);
    }

    fn spend(&mut self, steps: usize) {
        if !self.budget.take(steps) {
            self.exhausted = true;
        }
    }

    /// One pattern of a unit that can end at `ends`, longest first.
    fn pattern(&mut self, candidate: Candidate, ends: &[Accept]) {
        let unit = self.engine.units.get(usize::from(candidate.unit));
        let pattern = ends.first().map_or(0, |end| end.pattern as usize);
        let Some(&rule) = unit.and_then(|unit| unit.rules.get(pattern)) else { return };
        let Some(plan) = self.plan(rule) else { return };
        if !plan.sight.has(self.input) || candidate.at < self.next_start(rule) {
            return;
        }
        self.spend(CANDIDATE_STEPS);
        // Most numbers have no word of a rule near them: that is the cheapest
        // to know, and spares the search for the group.
        if self.shortcuts
            && !self.may_have_context(
                rule,
                plan,
                candidate.at,
                ends.first().map_or(candidate.at, |end| end.at),
            )
        {
            return;
        }
        let in_reach = ends.iter().filter(|end| end.at - candidate.at <= plan.max_len);
        for end in in_reach.take(MAX_ENDS) {
            let range = match self.group(plan, candidate.at, end.at) {
                Ok(Some(range)) => range,
                Ok(None) => continue,
                Err(Broken) => {
                    self.exhausted = true;
                    return;
                }
            };
            if self.holds(plan, &range) {
                self.scratch.next_start.set(rule.0, range.end);
                self.found.push(Found { begun: candidate.at, matched: Match { rule, range } });
                return;
            }
        }
    }

    /// Most numbers are what some rule looks for behind a word, and few stand behind
    /// any: where there is none, all those rules are done with at once.
    fn drop_without_words(&mut self, candidate: Candidate, accepts: &mut Vec<Accept>) {
        let Some(unit) = self.engine.units.get(usize::from(candidate.unit)) else { return };
        let reach = |accept: &Accept| {
            let rule = unit.rules.get(accept.pattern as usize)?;
            self.engine.plans.get(usize::from(rule.0))?.context.as_ref()?.reach()
        };
        let Some(farthest) = accepts.iter().filter_map(reach).max() else { return };
        let from = candidate.at.saturating_sub(farthest);
        let to = accepts.iter().map(|accept| accept.at).max().unwrap_or(candidate.at);
        let (text, context) = (self.input.text.as_bytes(), &self.engine.context);
        match context.any_near(text, (from, to), &mut self.scratch.context, &mut self.budget) {
            Some(true) => {}
            Some(false) => accepts.retain(|accept| reach(accept).is_none()),
            None => self.exhausted = true,
        }
    }

    /// False: no match of this rule within `from..to` has the words it wants.
    fn may_have_context(&mut self, rule: RuleIndex, plan: &Plan, from: usize, to: usize) -> bool {
        let Some(wanted) = plan.context.as_ref() else { return true };
        if wanted.alone() && self.is_all(from, to) {
            return true;
        }
        let text = self.input.text.as_bytes();
        let (context, hits) = (&self.engine.context, &mut self.scratch.context);
        let may = context.may_hold((rule.0, wanted), text, (from, to), hits, &mut self.budget);
        self.exhausted |= may.is_none();
        may.unwrap_or(false)
    }

    /// The group in a match of the whole pattern over `from..to`: the first start at
    /// which the lead can end and the rest begin, then the last end at which the
    /// body can end and the trail begin.
    fn group(
        &mut self,
        plan: &Plan,
        from: usize,
        to: usize,
    ) -> Result<Option<std::ops::Range<usize>>, Broken> {
        let start = match &plan.split.start {
            Edge::Fixed(lead) => Some(from + lead),
            Edge::Walk(automata) => self.meet(automata, from, to, |places| places.min())?,
        };
        let Some(start) = start else { return Ok(None) };
        let end = match &plan.split.end {
            Edge::Fixed(trail) => to.checked_sub(*trail),
            Edge::Walk(automata) => self.meet(automata, start, to, |places| places.max())?,
        };
        let text = self.input.text;
        let range = end.map(|end| start..end).filter(|r| r.start < r.end);
        Ok(range.map(|r| floor(text, r.start)..ceil(text, r.end)))
    }

    /// One of the places where the first automaton, forward from `from`, and the
    /// second, backward from `to`, both can end.
    fn meet(
        &mut self,
        automata: &[Automaton; 2],
        from: usize,
        to: usize,
        choose: impl Fn(&mut dyn Iterator<Item = usize>) -> Option<usize>,
    ) -> Result<Option<usize>, Broken> {
        // The bytes beyond `to` are there for `\b` and `$`.
        let (text, caches) = (self.input.text.as_bytes(), &mut self.scratch.caches);
        let [mut one, mut other] = std::mem::take(&mut self.scratch.splits);
        one.clear();
        other.clear();
        let [forward, backward] = automata;
        let there = forward.forward(caches, text, from, to.saturating_sub(from), true, &mut one)?;
        let back = backward.backward(caches, text, to, from, &mut other)?;
        let place = choose(&mut common(&one, &other));
        self.scratch.splits = [one, other];
        self.pay(&there.and(back));
        self.spend(CANDIDATE_STEPS);
        Ok(place)
    }

    fn holds(&mut self, plan: &Plan, range: &std::ops::Range<usize>) -> bool {
        let Some(matched) = self.input.text.get(range.clone()) else { return false };
        self.spend(CANDIDATE_STEPS + CHECK_STEPS * matched.len() * plan.checks.len());
        if !plan.checks.iter().all(|check| check.holds(matched)) {
            return false;
        }
        let Some(wanted) = &plan.context else { return true };
        if wanted.alone() && self.is_all(range.start, range.end) {
            return true;
        }
        let text = self.input.text.as_bytes();
        let holds =
            self.engine.context.holds(wanted, text, range.start, &mut self.scratch.context, &mut self.budget);
        self.exhausted |= holds.is_none();
        holds.unwrap_or(false)
    }

    /// The match is the whole text but for white space. A text of which a part
    /// was settled before, or more may follow, is not known to be.
    fn is_all(&mut self, from: usize, to: usize) -> bool {
        if !self.input.at_end || self.input.skip_before > 0 {
            return false;
        }
        // Looked for once, not for each match: there may be megabytes of space.
        let text = self.input.text;
        let trimmed = self.trimmed.get_or_insert_with(|| {
            let end = text.trim_end().len();
            text.len() - text.trim_start().len()..end
        });
        from <= trimmed.start && trimmed.end <= to
    }

    /// Gives out the matches that are settled.
    pub(super) fn finish(mut self) -> Outcome {
        let text = self.input.text;
        if self.exhausted || self.input.at_end {
            self.settled = text.len();
        }
        // A match must not straddle the end of settled text: what is settled is
        // sent, and edited before. From the last end down, each match that
        // straddles moves it before the place its walk began.
        crate::order::sort_by_key(&mut self.found, |f| std::cmp::Reverse(f.matched.range.end));
        for found in &self.found {
            if found.matched.range.end > self.settled {
                self.settled = self.settled.min(found.begun);
            }
        }
        self.settled = floor(text, self.settled.max(self.input.skip_before.min(text.len())));
        let first = self.out.len();
        let settled = self.settled;
        self.out.extend(self.found.drain(..).map(|f| f.matched).filter(|m| m.range.end <= settled));
        if let Some(new) = self.out.get_mut(first..) {
            crate::order::sort_by_key(new, |m| (m.range.start, m.range.end, m.rule));
        }
        Outcome { settled, budget_exhausted: self.exhausted }
    }
}

/// Last character boundary at or before `at`. Patterns match bytes.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// First character boundary at or after `at`.
fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}

/// Places that are in both lists.
fn common(one: &[Accept], other: &[Accept]) -> impl Iterator<Item = usize> {
    // Backward walks give their places in falling order, forward ones in rising.
    let mut falling = other.iter().rev().map(|a| a.at).peekable();
    one.iter().map(|a| a.at).filter(move |&at| {
        while falling.next_if(|&o| o < at).is_some() {}
        falling.peek() == Some(&at)
    })
}
