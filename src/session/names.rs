//! Ids, names and numbers that are no text: read as they stand, without views.
//!
//! What two of them share must stay shared, and what tells them apart must stay
//! different: a call and its result are paired by id. So each value gets a mask
//! of its own, and where the other side keeps the id too, the message is refused.

use super::decoded::Decoded;
use super::inspect::{Direction, Extent, Judge, Scratch, Verdict};
use super::tally::Tally;
use crate::audit::Record;
use crate::limits::{MAX_CLEAN_NAMES, MAX_RECORDED_NAME};
use crate::rules::{LoadedRule, RuleIndex};
use crate::text::{Encoding, Span, SpanKind};
use crate::wire::{is_plain_name, is_token};

/// Names in which no rule found anything. Models and ids come again in every
/// event of a stream and in every turn of a conversation.
#[derive(Debug, Default)]
pub(super) struct Clean {
    /// Digest of the configuration that they were read under.
    config: String,
    slots: Vec<String>,
}

impl Clean {
    /// The place of a name, which holds it if it was clean.
    fn slot(&mut self, config: &str, direction: Direction, name: &str) -> Option<&mut String> {
        if self.config != config {
            config.clone_into(&mut self.config);
            self.slots.clear();
            self.slots.resize_with(2 * MAX_CLEAN_NAMES, String::new);
        }
        let hash = name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        // The last bits of this hash are its weakest.
        let at = (hash ^ hash >> 15) as usize % MAX_CLEAN_NAMES;
        // Rules may look at one direction only.
        self.slots.get_mut(at + if direction == Direction::Request { 0 } else { MAX_CLEAN_NAMES })
    }
}

impl Judge<'_> {
    /// Inspect the names of a message. True if one has changed that nothing
    /// will turn back.
    pub(super) fn names(
        &self,
        body: &[u8],
        names: &[Span],
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> bool {
        let mut lost = false;
        for span in names {
            let raw = body.get(span.range.clone()).unwrap_or_default();
            let Ok(name) = std::str::from_utf8(raw) else { continue };
            // An address, a string of digits, a placeholder: rare, and may be disguised.
            let is_text = span.encoding == Encoding::Json && !is_token(raw);
            // `call` of `call_55117580` says nothing of a telephone.
            let wordless = |rule: &LoadedRule| rule.context.as_ref().is_none_or(|c| c.words.is_empty());
            if !is_text && self.rule_in(name, wordless, scratch, verdict).is_none() {
                continue;
            }
            let mut changes = self.text(name, span.kind, scratch, tally, verdict);
            for change in changes.iter_mut().filter(|c| c.is_label) {
                verdict.exhausted |= !change.number(self.vault, name);
                change.with = as_id(&change.with);
            }
            lost |= changes.iter().any(|c| self.vault.borrow().find(&c.with).is_empty());
            Decoded::of(raw, span.encoding, &mut String::new()).edits(
                span,
                changes,
                None,
                &mut verdict.edits,
            );
        }
        lost
    }

    /// Inspect a line of an event stream beside its data, `is_field`: an id, a
    /// name or a number. Many events have the same.
    pub(super) fn beside(
        &self,
        frame: &[u8],
        span: &Span,
        is_field: bool,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) {
        let raw = frame.get(span.range.clone()).unwrap_or_default();
        let value = raw.strip_prefix(b" ").unwrap_or(raw);
        if is_field && is_token(value) {
            let start = span.range.end - value.len();
            let name = Span { range: start..span.range.end, ..span.clone() };
            self.names(frame, &[name], scratch, tally, verdict);
        } else {
            self.span(frame, span, scratch, tally, verdict);
        }
    }

    /// A rule that matches in a name as it stands, and `counts`.
    fn rule_in(
        &self,
        name: &str,
        counts: fn(&LoadedRule) -> bool,
        scratch: &mut Scratch,
        verdict: &mut Verdict,
    ) -> Option<RuleIndex> {
        let key = &self.config.digest;
        if scratch.clean.slot(key, self.direction, name).is_some_and(|known| *known == name) {
            return None;
        }
        let Scratch { engine, matches, .. } = scratch;
        verdict.exhausted |= self.scan(self.input(name, SpanKind::Other), engine, matches);
        let clean = matches.is_empty() && !verdict.exhausted;
        let found =
            matches.iter().map(|m| m.rule).find(|rule| self.config.rules.get(*rule).is_some_and(counts));
        // Longer ones are no names, and would fill the memory.
        if clean
            && name.len() <= MAX_RECORDED_NAME
            && let Some(slot) = scratch.clean.slot(key, self.direction, name)
        {
            name.clone_into(slot);
        }
        found
    }

    /// What others have named, in the record: a name that holds a value is
    /// replaced by the rule's label.
    pub(super) fn record(&self, record: &mut Record, scratch: &mut Scratch) {
        let mut hide = |name: &mut String| self.hide(name, scratch);
        hide(&mut record.request_id);
        record.model_requested.iter_mut().for_each(&mut hide);
        record.model_served.iter_mut().for_each(&mut hide);
        record.response.finish.iter_mut().for_each(&mut hide);
        record.tools_offered.iter_mut().for_each(&mut hide);
        record.tools_called.iter_mut().for_each(|call| hide(&mut call.name));
        record.anomalies.iter_mut().for_each(|line| hide(&mut line.name));
        record.approval.iter_mut().for_each(|line| line.reason.iter_mut().for_each(&mut hide));
        if let Some(mcp) = &mut record.mcp {
            mcp.server.iter_mut().for_each(&mut hide);
            hide(&mut mcp.method);
            mcp.tool.iter_mut().for_each(&mut hide);
            mcp.tools_listed.iter_mut().for_each(|tool| hide(&mut tool.name));
        }
    }

    #[inline(never)]
    pub(super) fn hide(&self, name: &mut String, scratch: &mut Scratch) {
        if is_plain_name(name.as_bytes()) {
            return;
        }
        let mut verdict = Verdict::default();
        let mut rule = self.rule_in(name, |_| true, scratch, &mut verdict);
        if rule.is_none() && !name.bytes().all(|b| b.is_ascii_graphic() && b != b'%') {
            let mut hits = Vec::new();
            self.views(name, SpanKind::Other, Extent::Whole, scratch, &mut verdict, 0, &mut hits);
            rule = hits.first().map(|hit| hit.rule);
        }
        match rule.and_then(|rule| self.config.rules.get(rule)) {
            Some(rule) => rule.replace.clone_into(name),
            None if verdict.exhausted => "[UNREAD]".clone_into(name),
            None => {
                let end = (0..=MAX_RECORDED_NAME).rev().find(|at| name.is_char_boundary(*at));
                name.truncate(end.unwrap_or_default());
            }
        }
    }
}

/// A label of what providers want of an id: letters, digits, `_` and `-`.
fn as_id(label: &str) -> String {
    let mut id = String::with_capacity(label.len());
    for c in label.chars() {
        match c {
            '[' | ']' => {}
            c if c.is_ascii_alphanumeric() || c == '-' => id.push(c),
            _ => id.push('_'),
        }
    }
    id
}
