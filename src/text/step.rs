//! One rewriting of a text, run either to write the result or to find where
//! in the source given parts of the result came from.
//!
//! No offset map is kept. A step is a deterministic function of its input, so
//! when a finding has to be mapped back the same step runs again into a
//! [`Locator`], which writes nothing and only counts offsets.

use std::ops::Range;

/// Receives the output of a step, piece by piece, with where each came from.
pub(super) trait Sink {
    /// `text` stands in the source at byte `start`, unchanged.
    fn keep(&mut self, text: &str, start: usize);

    /// `text` was made from the source bytes `source`, as one unit.
    fn put(&mut self, text: &str, source: Range<usize>);

    /// A part of the source was read up to a cap of its own only.
    fn cut(&mut self) {}

    /// Whether anything that is written is dropped.
    fn is_full(&self) -> bool {
        false
    }

    /// `n` bytes of the source were looked at. Tests sum these to show that
    /// every step is linear; release builds drop the call.
    fn looked(&mut self, n: usize) {
        let _ = n;
    }

    /// One character made from `source`.
    fn put_char(&mut self, c: char, source: Range<usize>) {
        self.put(c.encode_utf8(&mut [0; 4]), source);
    }
}

/// Writes the output of a step, up to a cap.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut String,
    cap: usize,
    /// Whether output was dropped because of the cap.
    pub(super) full: bool,
    /// Some part was cut.
    pub(super) cut: bool,
    /// Sum of [`Sink::looked`].
    #[cfg(test)]
    pub(super) steps: usize,
}

impl<'a> Writer<'a> {
    /// Appends at most `cap` bytes to `out`.
    pub(super) fn new(out: &'a mut String, cap: usize) -> Self {
        let cap = out.len().saturating_add(cap);
        Writer {
            out,
            cap,
            full: false,
            cut: false,
            #[cfg(test)]
            steps: 0,
        }
    }

    fn append(&mut self, text: &str) {
        // Once full, always full: a shorter later piece must not close a gap.
        if self.full || self.out.len().saturating_add(text.len()) > self.cap {
            self.full = true;
        } else {
            self.out.push_str(text);
        }
    }
}

impl Sink for Writer<'_> {
    fn keep(&mut self, text: &str, _start: usize) {
        self.append(text);
    }

    fn put(&mut self, text: &str, _source: Range<usize>) {
        self.append(text);
    }

    fn put_char(&mut self, c: char, _source: Range<usize>) {
        if self.full || self.out.len().saturating_add(c.len_utf8()) > self.cap {
            self.full = true;
        } else {
            self.out.push(c);
        }
    }

    fn cut(&mut self) {
        self.cut = true;
    }

    fn is_full(&self) -> bool {
        self.full
    }

    #[cfg(test)]
    fn looked(&mut self, n: usize) {
        self.steps += n;
    }
}

/// Finds the source bytes that given ranges of the output came from.
#[derive(Debug)]
pub(super) struct Locator<'a> {
    /// Ranges of the output, sorted by start.
    wanted: &'a [Range<usize>],
    /// Per wanted range, the smallest source range that holds it.
    found: &'a mut Vec<Range<usize>>,
    /// Offset in the output.
    at: usize,
    /// The first of those that start at or after `at`.
    next: usize,
    /// Those before it that do not end before `at`. One range over the whole
    /// text must not bring all that ended under it back at each piece.
    open: Vec<usize>,
}

impl<'a> Locator<'a> {
    /// Fills `found` with one source range for each of `wanted`, which must be
    /// sorted by start.
    pub(super) fn new(wanted: &'a [Range<usize>], found: &'a mut Vec<Range<usize>>) -> Self {
        found.clear();
        // Not a range yet: any piece lowers the start and raises the end.
        found.resize(wanted.len(), Range { start: usize::MAX, end: 0 });
        Locator { wanted, found, at: 0, next: 0, open: Vec::new() }
    }

    /// Passes a piece of `len` bytes; `source` tells where bytes `a..b` of the
    /// piece came from.
    fn pass(&mut self, len: usize, source: impl Fn(usize, usize) -> Range<usize>) {
        let (from, to) = (self.at, self.at.saturating_add(len));
        self.at = to;
        while self.wanted.get(self.next).is_some_and(|want| want.start < to) {
            self.open.push(self.next);
            self.next += 1;
        }
        self.open.retain(|&i| {
            let (Some(want), Some(found)) = (self.wanted.get(i), self.found.get_mut(i)) else { return false };
            let (a, b) = (want.start.max(from), want.end.min(to));
            if a < b {
                let part = source(a - from, b - from);
                *found = found.start.min(part.start)..found.end.max(part.end);
            }
            want.end > to
        });
    }
}

impl Sink for Locator<'_> {
    fn keep(&mut self, text: &str, start: usize) {
        self.pass(text.len(), |a, b| start.saturating_add(a)..start.saturating_add(b));
    }

    fn put(&mut self, text: &str, source: Range<usize>) {
        self.pass(text.len(), |_, _| source.clone());
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, clippy::type_complexity)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_stops_for_good_at_its_cap() {
        let mut out = String::from("ab");
        let mut writer = Writer::new(&mut out, 3);
        writer.keep("cd", 0);
        writer.put("xx", 0..1);
        writer.put("e", 2..3);
        assert!(writer.full);
        assert_eq!(out, "abcd");
    }

    #[test]
    fn a_locator_joins_the_sources_of_all_pieces_a_range_touches() {
        // Output "abcXYef", made of a kept "abc" at 10, a unit "XY" from
        // 13..20 and a kept "ef" at 30.
        let table: &[(&[Range<usize>], &[Range<usize>])] = &[
            (&[0..3], &[10..13]),
            (&[1..2], &[11..12]),
            (&[3..4], &[13..20]),
            (&[2..6], &[12..31]),
            (&[0..1, 0..7, 6..7], &[10..11, 10..32, 31..32]),
        ];
        for (wanted, expected) in table {
            let mut found = Vec::new();
            let mut locator = Locator::new(wanted, &mut found);
            locator.keep("abc", 10);
            locator.put("XY", 13..20);
            locator.keep("ef", 30);
            assert_eq!(found, *expected, "{wanted:?}");
        }
    }
}
