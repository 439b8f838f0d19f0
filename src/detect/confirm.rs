//! From candidates to matches: walk, take the group, check, look at the context.

use std::sync::Arc;

use super::budget::Budget;
use super::ends::{End, Lists};
use super::engine::{Edge, Engine, Input, Match, Outcome, Plan};
use super::scratch::{Candidate, Scratch};
use super::unit::{Automaton, Broken, Walk};
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

/// Of a group.
#[derive(Clone, Copy)]
enum Side {
    Start,
    End,
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
        scratch.walked_back = None;
        scratch.checked.clear();
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

    /// Hold from a place that may yet become a candidate, if its walk lives, or found an
    /// end that would then count.
    pub(super) fn hold_if_alive(&mut self, candidate: Candidate) {
        let mut ends = std::mem::take(&mut self.scratch.ends);
        ends.clear();
        self.walk(candidate, &mut ends);
        if !ends.is_empty() {
            self.hold(candidate.at);
        }
        self.scratch.ends = ends;
    }

    pub(super) fn candidate(&mut self, candidate: Candidate) {
        if self.exhausted
            || self.idle(candidate)
            || candidate.word_within > 0 && !self.has_word(candidate)
            || !self.has_needs(candidate)
        {
            return;
        }
        let mut ends = std::mem::take(&mut self.scratch.ends);
        ends.clear();
        self.walk(candidate, &mut ends);
        if !ends.is_empty()
            && let Some(unit) = self.engine.units.get(usize::from(candidate.unit))
        {
            self.scratch.tries.begin(unit.rules.len());
            match unit.rules.as_slice() {
                &[only] => {
                    self.spend(ends.len());
                    ends.iter().rev().for_each(|end| self.end(0, only, candidate.at, end.at));
                }
                rules => {
                    let id = unit.automaton.id();
                    if let Some(lists) = self.scratch.caches.take_lists(id) {
                        self.lists(candidate.at, &ends, &lists, rules);
                        self.scratch.caches.put_lists(id, lists);
                    }
                }
            }
        }
        self.scratch.ends = ends;
    }

    /// The ends of many patterns. Most numbers are what some rule looks for behind a
    /// word, and few stand behind any: where there is none, all those rules are done
    /// with at once.
    fn lists(&mut self, at: usize, ends: &[End], lists: &Lists, rules: &[RuleIndex]) {
        let mut words = true;
        let farthest = ends.iter().map(|end| lists.reach(end.list)).max().unwrap_or(0);
        if farthest > 0 && self.shortcuts {
            let to = ends.last().map_or(at, |end| end.at);
            words = self.any_word((at.saturating_sub(farthest), to));
        }
        for end in ends.iter().rev() {
            let patterns = lists.patterns(end.list, words);
            self.spend(patterns.len());
            for &pattern in patterns {
                if let Some(&rule) = rules.get(usize::from(pattern)) {
                    self.end(pattern, rule, at, end.at);
                }
            }
        }
    }

    /// No rule of the unit can match here.
    fn idle(&self, candidate: Candidate) -> bool {
        let Some(unit) = self.engine.units.get(usize::from(candidate.unit)) else { return true };
        !unit.sight.has(self.input)
            || matches!(unit.rules.as_slice(), [only] if candidate.at < self.next_start(*only))
    }

    /// A candidate that can only be a match with a word before it has one.
    fn has_word(&mut self, candidate: Candidate) -> bool {
        let unit = self.engine.units.get(usize::from(candidate.unit));
        match unit.and_then(|unit| Some((unit, unit.glance.as_ref()?))) {
            // Where more text may follow, the walk says from where on it is held.
            Some((unit, glance))
                if self.input.at_end || candidate.at + unit.max_len < self.input.text.len() =>
            {
                self.any_word(glance.near(candidate.at, candidate.word_within))
            }
            _ => true,
        }
    }

    /// A word of any rule starts in `from..to`.
    fn any_word(&mut self, near: (usize, usize)) -> bool {
        let (text, context) = (self.input.text.as_bytes(), &self.engine.context);
        let any = context.any_near(text, near, &mut self.scratch.context, &mut self.budget);
        self.exhausted |= any.is_none();
        any.unwrap_or(false)
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

    fn walk(&mut self, candidate: Candidate, ends: &mut Vec<End>) {
        let Some(unit) = self.engine.units.get(usize::from(candidate.unit)) else { return };
        let text = self.input.text.as_bytes();
        let walk = unit.automaton.forward(
            &mut self.scratch.caches,
            text,
            candidate.at,
            unit.max_len,
            self.input.at_end,
            ends,
        );
        match walk {
            Ok(walk) => {
                if walk.alive {
                    self.hold(candidate.at);
                }
                self.pay(&walk);
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

    /// A pattern of a unit that can end at `to`. The longest come first.
    #[inline(always)]
    fn end(&mut self, pattern: u16, rule: RuleIndex, at: usize, to: usize) {
        // One more than there were tries, once it was asked whether they are worth it.
        if let Some(&mut tries) = self.scratch.tries.count(pattern)
            && tries <= MAX_ENDS
            && let Some(plan) = self.plan(rule)
            && !self.exhausted
        {
            let go_on = (tries > 0 || self.worth(rule, plan, at, to)) && self.try_end(rule, plan, at, to);
            if let Some(tries) = self.scratch.tries.count(pattern) {
                // What is beyond the rule's reach is no try.
                let beyond = to - at > plan.max_len;
                *tries = if go_on { (*tries).max(1) + usize::from(!beyond) } else { MAX_ENDS + 1 };
            }
        }
    }

    /// Whether a match of the rule that ends at `to` or before is worth looking for.
    fn worth(&mut self, rule: RuleIndex, plan: &Plan, at: usize, to: usize) -> bool {
        if !plan.sight.has(self.input) || at < self.next_start(rule) {
            return false;
        }
        self.spend(CANDIDATE_STEPS);
        // Most numbers have no word of a rule near them: that is the cheapest
        // to know, and spares the search for the group.
        !self.shortcuts || self.may_have_context(rule, plan, at, to)
    }

    /// False: the rule is done with here.
    fn try_end(&mut self, rule: RuleIndex, plan: &Plan, at: usize, to: usize) -> bool {
        if to - at > plan.max_len {
            return true;
        }
        let range = match self.group(plan, at, to) {
            Ok(Some(range)) => range,
            Ok(None) => return true,
            Err(Broken) => {
                self.exhausted = true;
                return false;
            }
        };
        if !self.holds(plan, &range) {
            return true;
        }
        self.scratch.next_start.set(rule.0, range.end);
        self.found.push(Found { begun: at, matched: Match { rule, range } });
        false
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
            Edge::Walk(automata) => self.meet(automata, from, to, Side::Start)?,
        };
        let Some(start) = start else { return Ok(None) };
        let end = match &plan.split.end {
            Edge::Fixed(trail) => to.checked_sub(*trail),
            Edge::Walk(automata) => self.meet(automata, start, to, Side::End)?,
        };
        let text = self.input.text;
        let range = end.map(|end| start..end).filter(|r| r.start < r.end);
        Ok(range.map(|r| floor(text, r.start)..ceil(text, r.end)))
    }

    /// One of the places where the first automaton, forward from `from`, and the
    /// second, backward from `to`, both can end. What lies outside the group is walked
    /// first: both together match, and where it leaves one place, that is the one.
    fn meet(
        &mut self,
        automata: &[Arc<Automaton>; 2],
        from: usize,
        to: usize,
        side: Side,
    ) -> Result<Option<usize>, Broken> {
        self.spend(CANDIDATE_STEPS);
        let [forward, backward] = automata;
        let mut splits = std::mem::take(&mut self.scratch.splits);
        let [there, back] = &mut splits;
        let place = match side {
            Side::Start => {
                self.walk_there(forward, from, to, there)?;
                if let [only] = there.as_slice() {
                    Some(only.at)
                } else {
                    self.walk_back(backward, from, to, back)?;
                    common(there, back).min()
                }
            }
            Side::End => {
                self.walk_back(backward, from, to, back)?;
                if let [only] = back.as_slice() {
                    Some(only.at)
                } else {
                    self.walk_there(forward, from, to, there)?;
                    common(there, back).max()
                }
            }
        };
        self.scratch.splits = splits;
        Ok(place)
    }

    fn walk_there(
        &mut self,
        automaton: &Automaton,
        from: usize,
        to: usize,
        ends: &mut Vec<End>,
    ) -> Result<(), Broken> {
        // The bytes beyond `to` are there for `\b` and `$`.
        let text = self.input.text.as_bytes();
        ends.clear();
        let caches = &mut self.scratch.caches;
        let walk = automaton.forward(caches, text, from, to.saturating_sub(from), true, ends)?;
        self.pay(&walk);
        Ok(())
    }

    fn walk_back(
        &mut self,
        automaton: &Automaton,
        from: usize,
        to: usize,
        ends: &mut Vec<End>,
    ) -> Result<(), Broken> {
        // Most rules of a number end alike, and many of them end here.
        let walked = Some((automaton.id(), from, to));
        if self.scratch.walked_back == walked {
            return Ok(());
        }
        self.scratch.walked_back = None;
        ends.clear();
        let text = self.input.text.as_bytes();
        let walk = automaton.backward(&mut self.scratch.caches, text, to, from, ends)?;
        self.scratch.walked_back = walked;
        self.pay(&walk);
        Ok(())
    }

    fn holds(&mut self, plan: &Plan, range: &std::ops::Range<usize>) -> bool {
        let Some(matched) = self.input.text.get(range.clone()) else { return false };
        self.spend(CANDIDATE_STEPS + CHECK_STEPS * matched.len() * plan.checks.len());
        let checked = &mut self.scratch.checked;
        if !plan.checks.iter().all(|check| checked.holds(check, matched, range)) {
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
        } else {
            self.settle_found();
        }
        self.settled = floor(text, self.settled.max(self.input.skip_before.min(text.len())));
        let first = self.out.len();
        let settled = self.settled;
        self.out.extend(self.found.drain(..).map(|f| f.matched).filter(|m| m.range.end <= settled));
        if let Some(new) = self.out.get_mut(first..) {
            crate::order::sort_nearly_sorted(new, |m| (m.range.start, m.range.end, m.rule));
        }
        Outcome { settled, budget_exhausted: self.exhausted }
    }

    /// A match must not straddle the end of settled text: what is settled is sent, and
    /// edited before. From the last end down, each match that straddles moves it before
    /// the place its walk began.
    fn settle_found(&mut self) {
        crate::order::sort_by_key(&mut self.found, |f| std::cmp::Reverse(f.matched.range.end));
        for found in &self.found {
            if found.matched.range.end > self.settled {
                self.settled = self.settled.min(found.begun);
            }
        }
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
fn common(one: &[End], other: &[End]) -> impl Iterator<Item = usize> {
    // Backward walks give their places in falling order, forward ones in rising.
    let mut falling = other.iter().rev().map(|a| a.at).peekable();
    one.iter().map(|a| a.at).filter(move |&at| {
        while falling.next_if(|&o| o < at).is_some() {}
        falling.peek() == Some(&at)
    })
}
