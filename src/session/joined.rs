//! Texts that follow one another in a document and are one text to who reads
//! them: the parts of a message. Each was inspected alone; here it is looked
//! for what begins in one and ends in another.
//!
//! Only the raw text is read: a value that is cut and disguised as well passes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::decoded::Decoded;
use super::inspect::{Change, Hit, Judge, Scratch, Verdict};
use super::tally::Tally;
use crate::limits::JOINED_BYTES;
use crate::text::{Encoding, Span, SpanKind};
use crate::wire::edit::Edit;

/// Texts around borders, put together.
#[derive(Default)]
struct Window<'s> {
    text: String,
    pieces: Vec<Piece<'s>>,
}

/// A part of a span's text: where it lies in the window, and from where on in
/// the span.
struct Piece<'s> {
    span: &'s Span,
    at: Range<usize>,
    from: usize,
}

/// Edits of the document by their start, so that none reaches into another.
type Taken = BTreeMap<usize, usize>;

/// Inspect the texts of `spans` that lie in one of `runs` over their borders.
pub(super) fn inspect(
    judge: &Judge<'_>,
    body: &[u8],
    spans: &[Span],
    runs: &[Range<usize>],
    scratch: &mut Scratch,
    tally: &mut Tally,
    verdict: &mut Verdict,
) {
    let mut taken: Taken = verdict.edits.iter().map(|e| (e.range.start, e.range.end)).collect();
    // Those inside another are read with it: nesting must not multiply the work.
    let mut outermost: Vec<&Range<usize>> = Vec::new();
    let mut sorted: Vec<_> = runs.iter().collect();
    crate::order::sort_by_key(&mut sorted, |r| (r.start, std::cmp::Reverse(r.end)));
    for run in sorted {
        if outermost.last().is_none_or(|last| last.end <= run.start) {
            outermost.push(run);
        }
    }
    for run in outermost {
        let first = spans.partition_point(|s| s.range.start < run.start);
        let inside = spans.get(first..).unwrap_or_default();
        let inside = inside.iter().take_while(|s| s.range.end <= run.end);
        let mut groups: Vec<(SpanKind, Vec<&Span>)> = Vec::new();
        for span in inside.filter(|s| s.encoding == Encoding::Json) {
            match groups.iter_mut().find(|(kind, _)| *kind == span.kind) {
                Some((_, group)) => group.push(span),
                None => groups.push((span.kind, vec![span])),
            }
        }
        for (_, group) in groups.iter().filter(|(_, group)| group.len() > 1) {
            let mut window = Window::default();
            for span in group {
                let Some(text) = decoded(body, span) else { continue };
                let (head, tail) = ends(&text);
                window.push(span, text.get(..head).unwrap_or_default(), 0);
                if head < tail {
                    window.inspect(judge, body, scratch, tally, verdict, &mut taken);
                    window = Window::default();
                    window.push(span, text.get(tail..).unwrap_or_default(), tail);
                }
            }
            window.inspect(judge, body, scratch, tally, verdict, &mut taken);
        }
    }
}

fn decoded(body: &[u8], span: &Span) -> Option<String> {
    let mut buffer = String::new();
    let text = Decoded::of(body.get(span.range.clone())?, span.encoding, &mut buffer).text()?.to_owned();
    (!text.is_empty()).then_some(text)
}

/// Up to where the start of a text is looked at, and from where its end: both
/// at its end if it is short.
fn ends(text: &str) -> (usize, usize) {
    if text.len() <= 2 * JOINED_BYTES {
        return (text.len(), text.len());
    }
    let (mut head, mut tail) = (JOINED_BYTES, text.len() - JOINED_BYTES);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    (head, tail)
}

impl<'s> Window<'s> {
    fn push(&mut self, span: &'s Span, text: &str, from: usize) {
        let start = self.text.len();
        self.text.push_str(text);
        self.pieces.push(Piece { span, at: start..self.text.len(), from });
    }

    fn inspect(
        &self,
        judge: &Judge<'_>,
        body: &[u8],
        scratch: &mut Scratch,
        tally: &mut Tally,
        verdict: &mut Verdict,
        taken: &mut Taken,
    ) {
        let [first, _, ..] = self.pieces.as_slice() else { return };
        let kind = first.span.kind;
        scratch.matches.clear();
        let outcome = judge.config.engine.scan(
            &judge.input(&self.text, kind),
            &mut scratch.engine,
            &mut scratch.matches,
        );
        verdict.exhausted |= outcome.budget_exhausted;
        let mut hits: Vec<Hit> =
            scratch.matches.drain(..).filter(|m| self.crosses(&m.range)).map(Hit::raw).collect();
        // What is replaced already, from end to end, needs nothing more.
        hits.retain(|hit| {
            self.edits(body, &Change { range: hit.range(), with: String::new(), is_label: false }, taken)
                .is_some()
        });
        let mut restored = judge.restored(&self.text, 0..self.text.len());
        restored.retain(|change| self.crosses(&change.range));
        for change in judge.ruled(&self.text, restored, hits, kind, tally, verdict) {
            let Some(edits) = self.edits(body, &change, taken) else { continue };
            taken.extend(edits.iter().map(|e| (e.range.start, e.range.end)));
            verdict.edits.extend(edits);
        }
    }

    /// A match lies in more than one text.
    fn crosses(&self, range: &Range<usize>) -> bool {
        let border = self.pieces.partition_point(|p| p.at.end <= range.start);
        self.pieces.get(border).is_some_and(|p| p.at.end < range.end)
    }

    /// A change as edits of the texts it lies in: the replacement goes into the
    /// first, the rest is cut. What is taken by other edits ends it: the tail of a
    /// value may look like another, and the head must go all the same. `None` if
    /// the head is taken.
    fn edits(&self, body: &[u8], change: &Change, taken: &Taken) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        let first = self.pieces.partition_point(|p| p.at.end <= change.range.start);
        for piece in self.pieces.get(first..)?.iter().take_while(|p| p.at.start < change.range.end) {
            let start = change.range.start.max(piece.at.start) - piece.at.start + piece.from;
            let end = change.range.end.min(piece.at.end) - piece.at.start + piece.from;
            let with = if edits.is_empty() { change.with.clone() } else { String::new() };
            let mut buffer = String::new();
            let text = Decoded::of(body.get(piece.span.range.clone())?, piece.span.encoding, &mut buffer);
            text.edits(
                piece.span,
                vec![Change { range: start..end, with, is_label: false }],
                None,
                &mut edits,
            );
        }
        // Up to what is taken: behind it stands the next part's own text.
        let mut left = Vec::new();
        for mut edit in edits {
            let reached = first_taken(&edit.range, taken);
            edit.range.end = reached.unwrap_or(edit.range.end);
            if !edit.range.is_empty() {
                left.push(edit);
            }
            if reached.is_some() {
                break;
            }
        }
        (!left.is_empty()).then_some(left)
    }
}

/// Where the first edit that reaches into `range` begins in it.
fn first_taken(range: &Range<usize>, taken: &Taken) -> Option<usize> {
    let within = taken.range(..range.end).rev().take_while(|(_, end)| **end > range.start);
    within.last().map(|(start, _)| *start.max(&range.start))
}
