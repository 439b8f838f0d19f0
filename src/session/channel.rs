//! The text of one channel of a live stream, from a little before its settled
//! point on: what may still change of it waits, and is scanned again with every
//! event that continues it.

use std::collections::VecDeque;
use std::ops::Range;

use super::decoded::encode;
use super::inspect::{Change, Extent, Hit, Judge, Scratch, Verdict};
use super::tally::Tally;
use crate::detect::Input;
use crate::limits::{DISGUISE_CONTEXT, MAX_DISGUISE_BYTES};
use crate::text::escape::{self, Place};
use crate::text::{Encoding, Span, SpanKind};

/// See the module.
pub(super) struct Text {
    kind: SpanKind,
    encoding: Encoding,
    /// Decoded text.
    pub(super) tail: String,
    /// Bytes of `tail` that are settled.
    settled: usize,
    /// End of the last change in `tail`.
    changed: usize,
    /// Pieces that reach beyond the settled point.
    pieces: VecDeque<Part>,
    /// For JSON inside JSON: where in it `tail` starts.
    place: Place,
}

/// A piece of a channel: where it lies in `tail`, and in which frame.
struct Part {
    frame: u64,
    span: Span,
    at: Range<usize>,
}

/// A part of a change: in which frame, and where in the text of which span.
pub(super) struct Splice {
    pub(super) frame: u64,
    pub(super) span: Span,
    pub(super) text: Range<usize>,
    pub(super) with: Vec<u8>,
}

impl Text {
    pub(super) fn new(span: &Span) -> Self {
        Text {
            kind: span.kind,
            encoding: span.encoding,
            tail: String::new(),
            settled: 0,
            changed: 0,
            pieces: VecDeque::new(),
            place: Place::default(),
        }
    }

    /// Take the text of `span`, `raw` bytes of `frame`; how many bytes of text
    /// that is.
    pub(super) fn append(&mut self, frame: u64, span: Span, raw: &[u8]) -> Result<usize, &'static str> {
        let start = self.tail.len();
        match span.encoding {
            Encoding::Plain | Encoding::JsonNumber => {
                self.tail.push_str(std::str::from_utf8(raw).map_err(|_| "stream.utf8")?);
            }
            Encoding::Json | Encoding::JsonInJson => {
                escape::unescape_json(raw, &mut self.tail).map_err(|_| "stream.escape")?;
            }
        }
        let at = start..self.tail.len();
        let len = at.len();
        if len > 0 {
            self.pieces.push_back(Part { frame, span, at });
        }
        Ok(len)
    }

    /// Scan what is new, and settle what can be settled: what changes in which
    /// frame.
    pub(super) fn settle(
        &mut self,
        end: bool,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> Vec<Splice> {
        let (settled, mut changes) = self.scan(end, judge, scratch, tally, verdict);
        self.settled = settled;
        self.changed = changes.last().map_or(self.changed, |c| c.range.end);
        let mut splices = Vec::new();
        let (mut place, mut read) = (self.place, 0);
        for change in &mut changes {
            if self.encoding == Encoding::JsonInJson {
                place = place.after(self.tail.get(read..change.range.start).unwrap_or_default());
                read = change.range.start;
                if place.in_string && place.in_key {
                    verdict.exhausted |= !change.number(judge.vault, &self.tail);
                }
            }
            splices.extend(self.splices(change, place));
        }
        splices
    }

    /// The frame of the next piece that is settled as a whole.
    pub(super) fn next_settled(&mut self) -> Option<u64> {
        self.pieces.front().filter(|p| p.at.end <= self.settled)?;
        self.pieces.pop_front().map(|p| p.frame)
    }

    /// Where the text is settled up to now, and what changes before that.
    fn scan(
        &self,
        end: bool,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> (usize, Vec<Change>) {
        let nested = self.encoding == Encoding::JsonInJson && self.tail.contains('\\');
        if !nested {
            let growing = Growing {
                text: &self.tail,
                kind: self.kind,
                settled: self.settled,
                changed: self.changed,
                end,
            };
            return growing.scan(judge, scratch, tally, verdict);
        }
        // An escape cut in two waits for its rest.
        let whole = if end { self.tail.len() } else { escape::whole_escapes(&self.tail) };
        let source = self.tail.get(..whole).unwrap_or_default();
        let mut view = String::with_capacity(source.len());
        escape::unescape_lenient(source, &mut view);
        let decoded_to = |at: usize| {
            let mut before = String::new();
            escape::unescape_lenient(self.tail.get(..at).unwrap_or_default(), &mut before);
            before.len()
        };
        let growing = Growing {
            text: &view,
            kind: self.kind,
            settled: decoded_to(self.settled),
            changed: decoded_to(self.changed),
            end,
        };
        let (settled, mut changes) = growing.scan(judge, scratch, tally, verdict);
        let mut offsets: Vec<usize> = changes.iter().flat_map(|c| [c.range.start, c.range.end]).collect();
        offsets.push(settled);
        let mapped = escape::source_offsets_lenient(source, &offsets);
        for (i, change) in changes.iter_mut().enumerate() {
            if let (Some(s), Some(e)) = (mapped.get(2 * i), mapped.get(2 * i + 1)) {
                change.range = *s..*e;
            }
        }
        (mapped.last().copied().unwrap_or(self.settled), changes)
    }

    /// A change of the text, cut up by the pieces it lies in: the replacement
    /// goes where the match starts, the rest is cut out.
    fn splices(&self, change: &Change, place: Place) -> Vec<Splice> {
        let mut splices = Vec::new();
        for part in &self.pieces {
            let start = change.range.start.max(part.at.start);
            let end = change.range.end.min(part.at.end);
            if start >= end {
                continue;
            }
            let with = if splices.is_empty() {
                encode(&change.with, self.encoding, || place.in_string)
            } else {
                Vec::new()
            };
            let text = start - part.at.start..end - part.at.start;
            splices.push(Splice { frame: part.frame, span: part.span.clone(), text, with });
        }
        splices
    }

    /// Drop settled text but for some context.
    pub(super) fn trim(&mut self, context: usize) {
        let keep_from = self.pieces.front().map_or(self.settled, |p| p.at.start.min(self.settled));
        let mut cut = keep_from.min(self.settled).saturating_sub(context);
        while cut > 0 && !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        if self.encoding == Encoding::JsonInJson {
            cut = escape::whole_escapes(self.tail.get(..cut).unwrap_or_default());
        }
        // Trimming moves the rest to the front: wait until it is worth it.
        if cut < context {
            return;
        }
        if self.encoding == Encoding::JsonInJson {
            let dropped = self.tail.get(..cut).unwrap_or_default();
            self.place = self.place.after(dropped);
        }
        self.tail.drain(..cut);
        self.settled -= cut;
        self.changed = self.changed.saturating_sub(cut);
        for part in &mut self.pieces {
            part.at = part.at.start - cut..part.at.end - cut;
        }
    }
}

/// A growing text as the rules see it: all escapes undone.
struct Growing<'t> {
    text: &'t str,
    kind: SpanKind,
    settled: usize,
    changed: usize,
    /// No more follows.
    end: bool,
}

impl Growing<'_> {
    /// Where the text is settled up to now, and what changes before that.
    fn scan(
        &self,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
    ) -> (usize, Vec<Change>) {
        scratch.matches.clear();
        let input =
            Input { at_end: self.end, skip_before: self.settled, ..judge.input(self.text, self.kind) };
        let outcome = judge.config.engine.scan(&input, &mut scratch.engine, &mut scratch.matches);
        verdict.exhausted |= outcome.budget_exhausted;
        let mut hits: Vec<_> = scratch.matches.drain(..).map(Hit::raw).collect();
        let mut now = outcome.settled.min(self.disguised(judge, scratch, verdict, &mut hits));
        if !self.end {
            now = judge.before_placeholder(self.text, self.settled, now, hits.iter().map(|h| &h.range));
        }
        let now = now.max(self.settled);
        hits.retain(|h| h.range.start >= self.settled && h.range.end <= now);
        let changes = judge.changes(self.text, self.settled..now, hits, self.kind, tally, verdict);
        (now, changes)
    }

    /// Hits in views of the text near its end are added to `hits`. Returns up
    /// to where the views are settled. What comes to light when part of it has
    /// gone is cut to the rest, and shows in `coverage`.
    fn disguised(
        &self,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        verdict: &mut Verdict,
        hits: &mut Vec<Hit>,
    ) -> usize {
        let from = (0..=self.settled.saturating_sub(DISGUISE_CONTEXT)).rev();
        let from = from.into_iter().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let window = self.text.get(from..).unwrap_or_default();
        let known = hits.len();
        let extent = if self.end { Extent::Last } else { Extent::Growing };
        let settled = from + judge.views(window, self.kind, extent, scratch, verdict, from, hits);
        let found: Vec<Hit> = hits.drain(known..).collect();
        for mut hit in found.into_iter().filter(|h| h.range.end > self.settled.max(self.changed)) {
            if hit.range.start < self.settled {
                hit.range.start = self.settled;
                verdict.late = true;
            }
            hits.push(hit);
        }
        if self.text.len() - settled.min(self.text.len()) > MAX_DISGUISE_BYTES {
            verdict.late = true;
            return self.text.len();
        }
        settled
    }
}
