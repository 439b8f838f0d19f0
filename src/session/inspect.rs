//! One text: decode it, scan it, rule on what was found, and say which bytes change.

use std::cell::RefCell;
use std::ops::Range;

use super::decoded::{Decoded, is_key};
use super::known::Known;
use super::names::Clean;
use super::tally::Tally;
use super::vault::{Vault, tagged};
use crate::config::Config;
use crate::detect::classifier::Scores;
use crate::detect::{self, Input, Match, View};
use crate::policy::{Action, Actions, Ruling};
use crate::rules::{LoadedRule, RuleIndex};
use crate::text::{self, Span, SpanKind, Transforms};
use crate::wire::edit::Edit;

pub(super) use crate::rules::Direction;

/// Buffers that scans reuse; one a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) engine: detect::Scratch,
    pub(super) matches: Vec<Match>,
    scores: Scores,
    views: text::Scratch,
    text: String,
    pub(super) clean: Clean,
}

/// How texts of one direction of one exchange are judged.
pub(super) struct Judge<'c> {
    pub(super) config: &'c Config,
    pub(super) actions: Actions,
    pub(super) direction: Direction,
    /// Mode and policy let decisions take effect.
    pub(super) enforced: bool,
    /// Values that placeholders stand for: filled by the request, turned back
    /// in the answer.
    pub(super) vault: &'c RefCell<Vault>,
}

/// What inspection of texts led to.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Changes to the document.
    pub(super) edits: Vec<Edit>,
    /// Rule that refuses the message.
    pub(super) block: Option<String>,
    /// Rule that sends it to quarantine.
    pub(super) quarantine: Option<String>,
    /// Inspection stopped short.
    pub(super) exhausted: bool,
    /// A match in a stream was seen when part of it had gone.
    pub(super) late: bool,
    /// A key has changed: two may have become equal.
    pub(super) keys: bool,
}

/// A match of a rule in a text, and how the text was disguised there.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    pub(super) rule: RuleIndex,
    pub(super) range: Range<usize>,
    transforms: Transforms,
    /// Why the classifier says so; see [`detect::Injection::reasons`].
    reasons: Vec<String>,
}

/// How much of a text is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: only then can the injection classifier score it.
    Whole,
    /// A part, which more will follow.
    Growing,
    /// The last part.
    Last,
}

impl Hit {
    pub(super) fn raw(found: Match) -> Self {
        Hit { rule: found.rule, range: found.range, transforms: Transforms::NONE, reasons: Vec::new() }
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// A change to a text: bytes of it, and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) range: Range<usize>,
    pub(super) with: String,
    /// That is a rule's label, which other values may get as well.
    pub(super) is_label: bool,
}

impl Change {
    /// A label in a key becomes one of its own for each value. False: no room.
    pub(super) fn number(&mut self, vault: &RefCell<Vault>, text: &str) -> bool {
        let value = text.get(self.range.clone()).filter(|_| self.is_label);
        let mask = value.map(|value| vault.borrow_mut().number(&self.with, value));
        match mask {
            Some(Some(mask)) => self.with = mask,
            Some(None) => return false,
            None => {}
        }
        true
    }
}

impl Scratch {
    /// The texts that follow are those of another body.
    pub(super) fn begin_body(&mut self) {
        self.views.begin_body();
    }

    /// Something compressed in this body was read up to a cap only.
    pub(super) const fn was_cut(&self) -> bool {
        self.views.was_cut()
    }
}

impl Judge<'_> {
    /// Texts of this direction may be edited.
    pub(super) fn may_edit(&self) -> bool {
        self.enforced && self.actions.may_edit() || self.restores()
    }

    /// Placeholders of this direction's texts are turned back.
    fn restores(&self) -> bool {
        self.direction == Direction::Response && !self.vault.borrow().is_empty()
    }

    /// Inspect the text of a span of `body`.
    pub(super) fn span(
        &self,
        body: &[u8],
        span: &Span,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) {
        let Some(raw) = body.get(span.range.clone()) else { return };
        let mut buffer = std::mem::take(&mut scratch.text);
        let decoded = Decoded::of(raw, span.encoding, &mut buffer);
        if let Some(text) = decoded.text() {
            let changes = self.text(text, span.kind, scratch, tally, verdict);
            let is_key = !changes.is_empty() && is_key(body, span);
            verdict.keys |= is_key;
            let full = decoded.edits(span, changes, Some((self.vault, is_key)), &mut verdict.edits);
            verdict.exhausted |= full;
        } else {
            verdict.exhausted = true;
        }
        scratch.text = buffer;
    }

    /// Inspect a whole text, as it is and in every view of it: what is to
    /// change in it.
    pub(super) fn text(
        &self,
        text: &str,
        kind: SpanKind,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> Vec<Change> {
        let mut hits = Vec::new();
        verdict.exhausted |= self.scan(self.input(text, kind), &mut scratch.engine, &mut scratch.matches);
        self.weigh(text, kind, &mut scratch.matches, &mut scratch.scores);
        let scores = &scratch.scores;
        let hit = |m: Match| Hit { reasons: self.reasons(text, &m, scores), ..Hit::raw(m) };
        hits.extend(scratch.matches.drain(..).map(hit));
        self.views(text, kind, Extent::Whole, scratch, verdict, 0, &mut hits);
        self.changes(text, 0..text.len(), hits, kind, tally, verdict)
    }

    /// Look at every view of `text`. Hits are added with `base` added to their
    /// ranges. Returns up to where `text` is settled, if it grows: a disguise that turns text round is not waited for.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn views(
        &self,
        text: &str,
        kind: SpanKind,
        extent: Extent,
        scratch: &mut Scratch,
        verdict: &mut Verdict,
        base: usize,
        hits: &mut Vec<Hit>,
    ) -> usize {
        let Scratch { engine, matches, scores, views, .. } = scratch;
        let mut settled = text.len();
        let mut known = Known::of(hits.iter().map(|h| (h.rule, h.range.clone())));
        let make = if extent == Extent::Whole { text::views } else { text::views_of_part };
        let made = make(text, views, &mut |view| {
            let open = extent == Extent::Growing
                && !view.transforms.intersects(Transforms::REVERSED)
                && view.ends_at(text.len());
            let input = Input { view: View::Clean, at_end: !open, ..self.input(view.text, kind) };
            let mut outcome = self.scan_again(input, engine, matches);
            if view.transforms.intersects(Transforms::DECODED) {
                // Credentials are matched as written: a decoded text counts as such.
                let mut again = std::mem::take(matches);
                let raw = self.scan_again(Input { view: View::Raw, ..input }, engine, matches);
                matches.append(&mut again);
                outcome.settled = outcome.settled.min(raw.settled);
                outcome.budget_exhausted |= raw.budget_exhausted;
            }
            verdict.exhausted |= outcome.budget_exhausted;
            if outcome.settled < view.text.len() {
                settled = settled.min(view.source_range(outcome.settled..view.text.len()).start);
                matches.retain(|m| m.range.end <= outcome.settled);
            }
            if extent == Extent::Whole {
                self.weigh(view.text, kind, matches, scores);
            }
            self.map_back(view, matches, scores, base, &mut known, hits);
        });
        verdict.exhausted |= made.exhausted | known.full;
        settled
    }

    pub(super) fn scan(
        &self,
        input: Input<'_>,
        engine: &mut detect::Scratch,
        matches: &mut Vec<Match>,
    ) -> bool {
        self.scan_again(input, engine, matches).budget_exhausted
    }

    fn scan_again(
        &self,
        input: Input<'_>,
        engine: &mut detect::Scratch,
        matches: &mut Vec<Match>,
    ) -> detect::Outcome {
        matches.clear();
        self.config.engine.scan(&input, engine, matches)
    }

    /// What the injection classifier adds to the matches in a text, and takes
    /// from them.
    fn weigh(&self, text: &str, kind: SpanKind, matches: &mut Vec<Match>, scores: &mut Scores) {
        if let Some(injection) = &self.config.injection {
            injection.judge(text, kind, matches, scores);
        }
    }

    fn reasons(&self, text: &str, found: &Match, scores: &Scores) -> Vec<String> {
        let injection = self.config.injection.as_ref().filter(|i| i.rule() == found.rule);
        injection.map(|i| i.reasons(text, &found.range, scores)).unwrap_or_default()
    }

    /// Matches in a view become hits in the text it was made from, unless the
    /// rule has a hit there already.
    fn map_back(
        &self,
        view: &text::View<'_>,
        matches: &mut Vec<Match>,
        scores: &Scores,
        base: usize,
        known: &mut Known,
        hits: &mut Vec<Hit>,
    ) {
        crate::order::sort_by_key(matches, |m| (m.range.start, m.range.end));
        matches.dedup();
        let ranges: Vec<_> = matches.iter().map(|m| m.range.clone()).collect();
        if ranges.is_empty() {
            return;
        }
        for (found, range) in matches.drain(..).zip(view.source_ranges(&ranges)) {
            let range = base + range.start..base + range.end;
            if !range.is_empty() && known.admit(found.rule, &range) {
                let reasons = self.reasons(view.text, &found, scores);
                hits.push(Hit { rule: found.rule, range, transforms: view.transforms, reasons });
            }
        }
    }

    /// Rule on `hits`, and turn placeholders back, in the part `within` of
    /// `text`: what is to change in it. Hits lie in that part.
    pub(super) fn changes(
        &self,
        text: &str,
        within: Range<usize>,
        hits: Vec<Hit>,
        kind: SpanKind,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> Vec<Change> {
        let restored = self.restored(text, within);
        self.ruled(text, restored, hits, kind, tally, verdict)
    }

    /// The same with the placeholders found already.
    pub(super) fn ruled(
        &self,
        text: &str,
        restored: Vec<Change>,
        mut hits: Vec<Hit>,
        kind: SpanKind,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> Vec<Change> {
        // A placeholder is no finding: what it stands for goes to its owner.
        hits.retain(|h| {
            let after = restored.partition_point(|r| r.range.end <= h.range.start);
            restored.get(after).is_none_or(|r| h.range.start < r.range.start || r.range.end < h.range.end)
        });
        crate::order::sort_by_key(&mut hits, |h: &Hit| {
            (h.range.start, std::cmp::Reverse(h.range.end), h.rule)
        });
        let mut drafts: Vec<Draft<'_>> = Vec::new();
        for found in &hits {
            let Some(rule) = self.config.rules.get(found.rule) else { continue };
            let ruling = self.ruling(found.rule, rule);
            if ruling.action == Action::Allow {
                continue;
            }
            tally.add(rule, self.direction, kind, ruling, found.transforms, &found.reasons);
            if !ruling.enforced {
                continue;
            }
            match ruling.action {
                Action::Block => verdict.block = verdict.block.take().or_else(|| Some(rule.id.clone())),
                Action::Quarantine => {
                    verdict.quarantine = verdict.quarantine.take().or_else(|| Some(rule.id.clone()))
                }
                Action::Redact | Action::Hash | Action::Tokenize => {
                    let (range, action) = (found.range.clone(), ruling.action);
                    // One label for matches that overlap: that of the graver rule, else of the first.
                    match drafts.last_mut().filter(|last| range.start < last.range.end) {
                        Some(last) => {
                            last.range.end = last.range.end.max(range.end);
                            if rule.severity > last.rule.severity {
                                (last.rule, last.action) = (rule, action);
                            }
                        }
                        None => drafts.push(Draft { range, rule, action }),
                    }
                }
                Action::Allow | Action::Flag => {}
            }
        }
        let changes = drafts.into_iter().map(|draft| {
            let value = text.get(draft.range.clone()).unwrap_or_default();
            let with = self.replacement(draft.rule, draft.action, value);
            Change { is_label: with == draft.rule.replace, with, range: draft.range }
        });
        self.with_restored(changes.collect(), restored)
    }

    /// Changes that turn placeholders in the part `within` of `text` back.
    pub(super) fn restored(&self, text: &str, within: Range<usize>) -> Vec<Change> {
        if !self.restores() {
            return Vec::new();
        }
        let vault = self.vault.borrow();
        let found = vault.find(text.get(within.clone()).unwrap_or_default()).into_iter();
        found
            .map(|(r, value)| Change {
                range: within.start + r.start..within.start + r.end,
                with: value.to_owned(),
                is_label: false,
            })
            .collect()
    }

    /// The last place up to `now` that lies in no placeholder, whole or begun
    /// at the end of `text`, and in no match: text before it is settled.
    pub(super) fn before_placeholder<'r>(
        &self,
        text: &str,
        from: usize,
        now: usize,
        found: impl Iterator<Item = &'r Range<usize>>,
    ) -> usize {
        let vault = self.vault.borrow();
        let fresh = text.get(from..).unwrap_or_default();
        let mut whole: Vec<_> =
            vault.find(fresh).into_iter().map(|(r, _)| from + r.start..from + r.end).collect();
        whole.extend(found.cloned());
        // Latest first: giving way to one may lead into another before it.
        crate::order::sort_by_key(&mut whole, |r| std::cmp::Reverse(r.start));
        let begun = vault.open_at_end(fresh).map_or(now, |at| now.min(from + at));
        whole.iter().fold(begun, |now, r| if r.start < now && now < r.end { r.start } else { now })
    }

    /// Both lists in order. What a rule replaces goes before what it reaches
    /// into: a placeholder in an address that leaks data stays one.
    fn with_restored(&self, mut changes: Vec<Change>, mut restored: Vec<Change>) -> Vec<Change> {
        if restored.is_empty() {
            return changes;
        }
        restored.retain(|r| {
            let after = changes.partition_point(|c| c.range.end <= r.range.start);
            changes.get(after).is_none_or(|c| r.range.end <= c.range.start)
        });
        self.vault.borrow_mut().note_restored(restored.len());
        changes.append(&mut restored);
        crate::order::sort_by_key(&mut changes, |c| c.range.start);
        changes
    }

    /// A whole text as the engine takes it.
    pub(super) fn input<'t>(&self, text: &'t str, kind: SpanKind) -> Input<'t> {
        Input { text, view: View::Raw, kind, direction: self.direction, at_end: true, skip_before: 0 }
    }

    /// What stands in the place of `value`. Only what goes to the model can
    /// come back: in an answer `tokenize` is `redact`.
    fn replacement(&self, rule: &LoadedRule, action: Action, value: &str) -> String {
        let kept = match (action, self.direction) {
            (Action::Hash, _) => return tagged(&rule.replace, &self.config.hasher.short(value)),
            (Action::Tokenize, Direction::Request) => {
                self.vault.borrow_mut().keep(&self.config.hasher, &rule.replace, value)
            }
            _ => None,
        };
        kept.unwrap_or_else(|| rule.replace.clone())
    }

    fn ruling(&self, index: RuleIndex, rule: &LoadedRule) -> Ruling {
        let ruling = self.actions.get(rule.category);
        Ruling {
            action: ruling.action,
            enforced: ruling.enforced && self.enforced && !self.config.monitored.contains(&index),
        }
    }
}

/// A change before its replacement is known: matches may still join it.
struct Draft<'r> {
    range: Range<usize>,
    rule: &'r LoadedRule,
    action: Action,
}
