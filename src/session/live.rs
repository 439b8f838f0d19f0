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

use super::channel::{Splice, Text};
use super::gate::{Gate, merge};
use super::inspect::{Judge, Scratch, Verdict};
pub(super) use super::seen::{Cut, Seen};
use super::seen::{blocked, refused};
use super::tally::Tally;
use crate::limits::{MAX_HELD_BYTES, MAX_LISTED_TOOLS, MAX_STREAM_CHANNELS};
use crate::text::{Encoding, Span, SpanKind, escape};
use crate::wire::edit::Edit;
use crate::wire::json::Doc;
use crate::wire::{self, Frame, Framer};
use crate::wire::{Channel, Dialect, Framing, Operation, Piece, Refusal, StreamEvent};

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
    /// First and last byte sent that is no white space.
    sent: Option<(u8, u8)>,
    /// Number of the frame from which on all waits for consent, and the same of
    /// calls that begin while it is asked for.
    barrier: Option<u64>,
    after: Option<u64>,
    asked: bool,
    /// The upstream has no more.
    pub(super) ended: bool,
    /// What leaves before the rest, once the rest may.
    pub(super) late: Vec<u8>,
    /// Consent was denied: the next chunk is the last.
    pub(super) verdict: Option<Cut>,
    /// A match was replaced.
    pub(super) edited: bool,
    /// What the stream told about itself.
    pub(super) seen: Seen,
}

/// An event that waits.
struct Held {
    frame: Frame,
    edits: Vec<Edit>,
    /// Edits beside its document, as ranges of the frame.
    beside: Vec<Edit>,
    /// Texts in it that are not settled.
    open: usize,
    drop: bool,
    /// A match lies in it.
    redacted: bool,
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
            sent: None,
            barrier: None,
            after: None,
            asked: false,
            ended: false,
            late: Vec::new(),
            verdict: None,
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
        self.note_sent(out);
        if fault.is_some() {
            return Err(Cut::Unreadable("stream.framing"));
        }
        if end {
            self.settle_all(judge, scratch, tally)?;
            self.release(out)?;
        }
        Ok(())
    }

    /// The bytes that end the stream with a refusal, after what was sent. An
    /// element of a JSON array needs what goes before it; behind its end, or
    /// where one object stands for it, nothing can be said.
    pub(super) fn refusal_event(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        let event = self.dialect.refusal_event(self.framer.framing(), refusal);
        if self.framer.framing() == Framing::JsonArray && !event.is_empty() {
            self.note_sent(out);
            match self.sent {
                None => out.push(b'['),
                Some((b'[', b'[' | b',')) => {}
                Some((b'[', last)) if last != b']' => out.push(b','),
                Some(_) => return,
            }
        }
        out.extend_from_slice(&event);
    }

    fn note_sent(&mut self, out: &[u8]) {
        let mut bytes = out.iter().copied().filter(|b| !b.is_ascii_whitespace());
        let Some(first) = bytes.next() else { return };
        let last = bytes.next_back().unwrap_or(first);
        self.sent = Some((self.sent.map_or(first, |(first, _)| first), last));
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
        let mut held =
            Held { frame, edits: Vec::new(), beside: Vec::new(), open: 0, drop: false, redacted: false };
        let mut touched = Vec::new();
        let mut closes = Vec::new();
        let mut done = false;
        if self.framer.framing() == Framing::Sse {
            let mut verdict = Verdict::default();
            for line in wire::lines_beside(held.frame.raw(), number == 0) {
                let kind = SpanKind::Other;
                let span = Span { kind, encoding: Encoding::Plain, range: line.range };
                judge.beside(held.frame.raw(), &span, line.is_field, scratch, tally, &mut verdict);
            }
            blocked(verdict.block, verdict.exhausted)?;
            held.redacted = !verdict.edits.is_empty();
            held.beside = verdict.edits;
        }
        if let Some(data) = held.frame.doc_bytes() {
            if self.dialect.is_end_mark(data) {
                done = true;
            } else {
                let event = self.read(held.frame.name(), data)?;
                let mut verdict = Verdict::default();
                for span in &event.spans {
                    judge.span(data, span, scratch, tally, &mut verdict);
                }
                judge.names(data, &event.names, scratch, tally, &mut verdict);
                let cuts =
                    self.gate.event(&event, data, |c| self.channels.contains_key(c)).map_err(refused)?;
                if self.gate.began() {
                    let barrier = if self.asked { &mut self.after } else { &mut self.barrier };
                    barrier.get_or_insert(number);
                }
                self.note(&event);
                for piece in &event.pieces {
                    self.append(number, piece.clone(), data, &mut held.open, &mut touched)?;
                }
                held.drop = event.usage_only && self.drop_usage;
                held.redacted |= !verdict.edits.is_empty();
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
        let room = MAX_LISTED_TOOLS.saturating_sub(seen.tool_calls.len());
        seen.tool_calls.extend(event.tool_calls.iter().take(room).map(|(_, call)| call.clone()));
        seen.skipped.merge(event.skipped);
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
        let len = text.append(frame, piece.span, raw).map_err(Cut::Unreadable)?;
        self.seen.text_bytes = self.seen.text_bytes.saturating_add(len as u64);
        if len == 0 {
            return Ok(());
        }
        self.gate.hear(&piece.channel, text.tail.get(text.tail.len() - len..).unwrap_or_default());
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
        for splice in text.settle(end, judge, scratch, tally, &mut verdict) {
            if let Some(held) = held_mut(&mut self.held, self.first, splice.frame) {
                held.splice(splice)?;
            }
        }
        while let Some(frame) = text.next_settled() {
            if let Some(held) = held_mut(&mut self.held, self.first, frame) {
                held.open = held.open.saturating_sub(1);
            }
        }
        self.seen.late |= verdict.late;
        text.trim(judge.config.engine.look_behind());
        blocked(verdict.block, verdict.exhausted)
    }

    /// Calls that consent is to be asked for, once all of them are told.
    pub(super) fn take_calls(&mut self) -> Option<Vec<(String, Vec<u8>)>> {
        if self.asked || self.barrier.is_none() || !(self.ended || self.seen.done) {
            return None;
        }
        let calls = self.gate.take_calls()?;
        self.asked = true;
        Some(calls)
    }

    /// What was asked for may go.
    pub(super) fn allow(&mut self) {
        self.asked = false;
        self.barrier = self.after.take();
    }

    /// Send on what is settled, and allowed.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) -> Result<(), Cut> {
        while self.barrier != Some(self.first) && self.held.front().is_some_and(|h| h.open == 0) {
            let Some(mut held) = self.held.pop_front() else { break };
            self.first += 1;
            self.held_bytes = self.held_bytes.saturating_sub(held.frame.raw().len());
            if held.drop {
                continue;
            }
            self.edited |= held.redacted;
            if held.edits.is_empty() && held.beside.is_empty() {
                out.extend_from_slice(held.frame.raw());
            } else {
                let bytes = held.frame.apply_all(&mut held.edits, held.beside);
                let bytes = bytes.map_err(|_| Cut::Unreadable("stream.edit"))?;
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }
}
