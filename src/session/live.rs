//! A live stream: events in, events out, with matches replaced on the way.
//!
//! Each event's texts continue *channels* (a choice's content, the arguments of
//! a tool call …). An event is sent on when every one of its texts is settled:
//! no match can still reach into it. Events leave in the order they came, and
//! byte for byte as they came unless a match lies in them; a match that spans
//! events leaves its replacement in the first and is cut from the others.
//!
//! Invariant: the output does not depend on how the input was cut into chunks,
//! because the engine's `settled` does not.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::gate::{Gate, merge};
use super::inspect::{Change, Hit, Judge, Scratch, Verdict, encode};
pub(super) use super::seen::{Cut, Seen};
use super::seen::{blocked, refused};
use super::tally::Tally;
use crate::detect::Input;
use crate::limits::{MAX_HELD_BYTES, MAX_STREAM_CHANNELS};
use crate::text::{Encoding, Span, SpanKind, escape};
use crate::wire::edit::Edit;
use crate::wire::json::Doc;
use crate::wire::{Channel, Dialect, Framing, Operation, Piece, StreamEvent};
use crate::wire::{Frame, Framer};

/// A live stream of one response.
pub(super) struct Live {
    dialect: &'static dyn Dialect,
    op: Operation,
    framer: Framer,
    held: VecDeque<Held>,
    /// Number of the frame at the front of `held`.
    first: u64,
    held_bytes: usize,
    channels: BTreeMap<Channel, Text>,
    /// Take events out that carry nothing but usage nobody asked for.
    drop_usage: bool,
    /// Judges what is called and listed.
    pub(super) gate: Gate,
    /// A match was replaced.
    pub(super) edited: bool,
    /// What the stream told about itself.
    pub(super) seen: Seen,
}

/// An event that waits.
struct Held {
    frame: Frame,
    edits: Vec<Edit>,
    /// Texts in it that are not settled.
    open: usize,
    drop: bool,
    /// A match lies in it.
    redacted: bool,
}

/// A channel's text from a little before its settled point on.
struct Text {
    kind: SpanKind,
    encoding: Encoding,
    /// Decoded text.
    tail: String,
    /// Bytes of `tail` that are settled.
    settled: usize,
    /// Pieces that reach beyond the settled point.
    pieces: VecDeque<Part>,
    /// For JSON inside JSON: `tail` starts inside a string of it.
    in_string: bool,
}

/// A piece of a channel: where it lies in `tail`, and in which frame.
struct Part {
    frame: u64,
    span: Span,
    at: Range<usize>,
}

/// A part of a change: in which frame, and where in the text of which span.
struct Splice {
    frame: u64,
    span: Span,
    text: Range<usize>,
    with: Vec<u8>,
}

impl Held {
    fn splice(&mut self, splice: Splice) -> Result<(), Cut> {
        let fault = Cut::Unreadable("stream.edit");
        let Some(raw) = self.frame.doc_bytes().and_then(|d| d.get(splice.span.range.clone())) else {
            return Err(fault);
        };
        let mut text = [splice.text.start, splice.text.end];
        if matches!(splice.span.encoding, Encoding::Json | Encoding::JsonInJson) {
            let mapped = escape::source_offsets(raw, &text);
            text = mapped.try_into().map_err(|_| fault)?;
        }
        let base = splice.span.range.start;
        let [start, end] = text;
        self.edits.push(Edit { range: base + start..base + end, with: splice.with });
        self.redacted = true;
        Ok(())
    }
}

fn held_mut(held: &mut VecDeque<Held>, first: u64, frame: u64) -> Option<&mut Held> {
    held.get_mut(usize::try_from(frame.checked_sub(first)?).ok()?)
}

impl Live {
    pub(super) fn new(
        dialect: &'static dyn Dialect,
        op: Operation,
        framer: Framer,
        drop_usage: bool,
        gate: Gate,
    ) -> Self {
        Live {
            dialect,
            op,
            framer,
            held: VecDeque::new(),
            first: 0,
            held_bytes: 0,
            channels: BTreeMap::new(),
            drop_usage,
            gate,
            edited: false,
            seen: Seen::default(),
        }
    }

    /// Take a chunk; what may be sent on is appended to `out`.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        end: bool,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<(), Cut> {
        let mut frames = Vec::new();
        let mut fault = self.framer.push(chunk, &mut frames).err();
        if end && fault.is_none() {
            fault = self.framer.finish(&mut frames).err();
        }
        for frame in frames {
            self.frame(frame, judge, scratch, tally)?;
            self.release(out)?;
        }
        if fault.is_some() {
            return Err(Cut::Unreadable("stream.framing"));
        }
        if end {
            self.settle_all(judge, scratch, tally)?;
            self.release(out)?;
        }
        Ok(())
    }

    /// What the stream is cut by.
    pub(super) fn framing(&self) -> Framing {
        self.framer.framing()
    }

    fn frame(
        &mut self,
        frame: Frame,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
    ) -> Result<(), Cut> {
        let number = self.first + self.held.len() as u64;
        self.held_bytes += frame.raw().len();
        let mut held = Held { frame, edits: Vec::new(), open: 0, drop: false, redacted: false };
        let mut touched = Vec::new();
        let mut closes = Vec::new();
        let mut done = false;
        if let Some(data) = held.frame.doc_bytes() {
            if self.dialect.is_end_mark(data) {
                done = true;
            } else {
                let event = self.read(held.frame.name(), data)?;
                let mut verdict = Verdict::default();
                for span in &event.spans {
                    judge.span(data, span, scratch, tally, &mut verdict);
                }
                let cuts =
                    self.gate.event(&event, data, |c| self.channels.contains_key(c)).map_err(refused)?;
                self.note(&event);
                for piece in &event.pieces {
                    self.append(number, piece.clone(), data, &mut held.open, &mut touched)?;
                }
                held.drop = event.usage_only && self.drop_usage;
                held.redacted = !verdict.edits.is_empty();
                held.edits = verdict.edits;
                if judge.may_edit() {
                    // A later event may complete a match that this one repeats.
                    held.edits.extend(
                        event.echoes.iter().map(|r| Edit { range: r.clone(), with: b"null".to_vec() }),
                    );
                }
                held.edits = merge(std::mem::take(&mut held.edits), cuts);
                blocked(verdict.block, verdict.exhausted)?;
                closes = event.closes;
                let over = |c: &&Channel| event.closes_index.contains(&c.index);
                closes.extend(self.channels.keys().filter(over).copied());
                done = event.done;
            }
        }
        self.held.push_back(held);
        self.seen.done |= done;
        if done {
            return self.settle_all(judge, scratch, tally);
        }
        for channel in touched {
            let end = closes.contains(&channel);
            self.settle(channel, end, judge, scratch, tally)?;
        }
        for channel in closes {
            self.settle(channel, true, judge, scratch, tally)?;
            self.channels.remove(&channel);
        }
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(Cut::Unreadable("stream.held"));
        }
        Ok(())
    }

    fn read(&self, name: &str, data: &[u8]) -> Result<StreamEvent, Cut> {
        let doc = Doc::parse(data).map_err(|_| Cut::Unreadable("stream.json"))?;
        self.dialect.event(self.op, name, &doc).map_err(|e| Cut::Unreadable(e.what))
    }

    fn note(&mut self, event: &StreamEvent) {
        let seen = &mut self.seen;
        if let Some(model) = &event.model {
            seen.model = Some(model.clone());
        }
        if let Some(usage) = event.usage {
            seen.usage.get_or_insert_default().merge(usage);
        }
        if let Some(finish) = &event.finish {
            seen.finish = Some(finish.clone());
        }
        if seen.tool_calls.len() < MAX_STREAM_CHANNELS {
            seen.tool_calls.extend(event.tool_calls.iter().map(|(_, call)| call.clone()));
        }
        seen.skipped.tokens = seen.skipped.tokens.saturating_add(event.skipped.tokens);
        seen.skipped.media = seen.skipped.media.saturating_add(event.skipped.media);
        seen.skipped.opaque = seen.skipped.opaque.saturating_add(event.skipped.opaque);
    }

    fn append(
        &mut self,
        frame: u64,
        piece: Piece,
        data: &[u8],
        open: &mut usize,
        touched: &mut Vec<Channel>,
    ) -> Result<(), Cut> {
        if self.channels.len() >= MAX_STREAM_CHANNELS && !self.channels.contains_key(&piece.channel) {
            return Err(Cut::Unreadable("stream.channels"));
        }
        let raw = data.get(piece.span.range.clone()).unwrap_or_default();
        let text = self.channels.entry(piece.channel).or_insert_with(|| Text::new(&piece.span));
        let start = text.tail.len();
        match piece.span.encoding {
            Encoding::Plain | Encoding::JsonNumber => {
                text.tail.push_str(std::str::from_utf8(raw).map_err(|_| Cut::Unreadable("stream.utf8"))?);
            }
            Encoding::Json | Encoding::JsonInJson => {
                escape::unescape_json(raw, &mut text.tail).map_err(|_| Cut::Unreadable("stream.escape"))?;
            }
        }
        let at = start..text.tail.len();
        self.seen.text_bytes = self.seen.text_bytes.saturating_add(at.len() as u64);
        if at.is_empty() {
            return Ok(());
        }
        text.pieces.push_back(Part { frame, span: piece.span, at });
        *open += 1;
        if !touched.contains(&piece.channel) {
            touched.push(piece.channel);
        }
        Ok(())
    }

    fn settle_all(&mut self, judge: &Judge<'_>, scratch: &mut Scratch, tally: &mut Tally) -> Result<(), Cut> {
        let channels: Vec<Channel> = self.channels.keys().copied().collect();
        for channel in channels {
            self.settle(channel, true, judge, scratch, tally)?;
        }
        self.channels.clear();
        self.gate.close_all().map_err(refused)
    }

    /// Scan what is new of a channel, and settle what can be settled.
    fn settle(
        &mut self,
        channel: Channel,
        end: bool,
        judge: &Judge<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
    ) -> Result<(), Cut> {
        let Some(text) = self.channels.get_mut(&channel) else { return Ok(()) };
        if end {
            self.gate.close(&channel, &text.tail).map_err(refused)?;
        } else if self.gate.holds(&channel) {
            return Ok(());
        }
        let mut verdict = Verdict::default();
        let (settled, changes) = text.scan(end, judge, scratch, tally, &mut verdict);
        for splice in changes.iter().flat_map(|change| text.splices(change)) {
            if let Some(held) = held_mut(&mut self.held, self.first, splice.frame) {
                held.splice(splice)?;
            }
        }
        text.settled = settled;
        while let Some(part) = text.pieces.front().filter(|p| p.at.end <= settled) {
            if let Some(held) = held_mut(&mut self.held, self.first, part.frame) {
                held.open = held.open.saturating_sub(1);
            }
            text.pieces.pop_front();
        }
        text.trim(judge.config.engine.look_behind());
        blocked(verdict.block, verdict.exhausted)
    }

    fn release(&mut self, out: &mut Vec<u8>) -> Result<(), Cut> {
        while self.held.front().is_some_and(|h| h.open == 0) {
            let Some(mut held) = self.held.pop_front() else { break };
            self.first += 1;
            self.held_bytes = self.held_bytes.saturating_sub(held.frame.raw().len());
            if held.drop {
                continue;
            }
            self.edited |= held.redacted;
            if held.edits.is_empty() {
                out.extend_from_slice(held.frame.raw());
            } else {
                let bytes = held.frame.apply(&mut held.edits).map_err(|_| Cut::Unreadable("stream.edit"))?;
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }
}

impl Text {
    fn new(span: &Span) -> Self {
        Text {
            kind: span.kind,
            encoding: span.encoding,
            tail: String::new(),
            settled: 0,
            pieces: VecDeque::new(),
            in_string: false,
        }
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
            return scan_view(&self.tail, self.settled, self.kind, end, judge, scratch, tally, verdict);
        }
        // An escape cut in two waits for its rest.
        let whole = if end { self.tail.len() } else { escape::whole_escapes(&self.tail) };
        let source = self.tail.get(..whole).unwrap_or_default();
        let mut view = String::with_capacity(source.len());
        escape::unescape_lenient(source, &mut view);
        let mut before = String::new();
        escape::unescape_lenient(self.tail.get(..self.settled).unwrap_or_default(), &mut before);
        let (settled, mut changes) =
            scan_view(&view, before.len(), self.kind, end, judge, scratch, tally, verdict);
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
    fn splices(&self, change: &Change) -> Vec<Splice> {
        let mut splices = Vec::new();
        for part in &self.pieces {
            let start = change.range.start.max(part.at.start);
            let end = change.range.end.min(part.at.end);
            if start >= end {
                continue;
            }
            let with = if splices.is_empty() {
                encode(&change.with, self.encoding, || {
                    let before = self.tail.get(..change.range.start).unwrap_or_default();
                    escape::in_json_string(before, self.in_string)
                })
            } else {
                Vec::new()
            };
            let text = start - part.at.start..end - part.at.start;
            splices.push(Splice { frame: part.frame, span: part.span.clone(), text, with });
        }
        splices
    }

    /// Drop settled text but for some context.
    fn trim(&mut self, context: usize) {
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
            self.in_string = escape::in_json_string(dropped, self.in_string);
        }
        self.tail.drain(..cut);
        self.settled -= cut;
        for part in &mut self.pieces {
            part.at = part.at.start - cut..part.at.end - cut;
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn scan_view(
    view: &str,
    settled: usize,
    kind: SpanKind,
    end: bool,
    judge: &Judge<'_>,
    scratch: &mut Scratch,
    tally: &mut Tally,
    verdict: &mut Verdict,
) -> (usize, Vec<Change>) {
    scratch.matches.clear();
    let input = Input { at_end: end, skip_before: settled, ..judge.input(view, kind) };
    let outcome = judge.config.engine.scan(&input, &mut scratch.engine, &mut scratch.matches);
    verdict.exhausted |= outcome.budget_exhausted;
    let mut now = outcome.settled;
    if !end {
        now = judge.before_placeholder(view, settled, now, &scratch.matches);
    }
    let now = now.max(settled);
    scratch.matches.retain(|m| m.range.start >= settled && m.range.end <= now);
    let hits = scratch.matches.drain(..).map(Hit::raw).collect();
    let changes = judge.changes(view, settled..now, hits, kind, tally, verdict);
    (now, changes)
}
