//! The parts of a text that a step changes, with what stands around them. One
//! word that is changed in a long document must not double what is scanned.

use super::step::Sink;

/// Bytes kept on both sides of a change, as context for rules.
pub(super) const CONTEXT: usize = 256;

/// Passes the parts of `input` that lie near changes on to a sink.
pub(super) struct Excerpt<'a> {
    input: &'a str,
    pub(super) sink: &'a mut dyn Sink,
    /// Up to where changes are written.
    done: Option<usize>,
}

impl<'a> Excerpt<'a> {
    pub(super) fn new(input: &'a str, sink: &'a mut dyn Sink) -> Self {
        Excerpt { input, sink, done: None }
    }

    /// Writes what stands before a change at `start`, which goes to the sink
    /// next, and ends at `end`.
    pub(super) fn change(&mut self, start: usize, end: usize) {
        let mut from = self.boundary(start.saturating_sub(CONTEXT));
        if let Some(done) = self.done {
            let behind = self.boundary(done + CONTEXT);
            if behind < from {
                self.keep(done, behind);
                self.sink.put("\n", behind..from);
            } else {
                from = done;
            }
        }
        self.keep(from, start);
        self.done = Some(end);
    }

    /// Writes what stands behind the last change.
    pub(super) fn finish(mut self) {
        if let Some(done) = self.done {
            self.keep(done, self.boundary(done + CONTEXT));
        }
    }

    fn keep(&mut self, start: usize, end: usize) {
        self.sink.keep(self.input.get(start..end).unwrap_or_default(), start);
    }

    /// The last character boundary at or before `at`.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.input.len())).rev().find(|at| self.input.is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::super::step::{Locator, Writer};
    use super::*;

    fn run(input: &str, sink: &mut dyn Sink) {
        let mut excerpt = Excerpt::new(input, sink);
        for (at, _) in input.match_indices("NO") {
            excerpt.change(at, at + 2);
            excerpt.sink.put("yes", at..at + 2);
        }
        excerpt.finish();
    }

    #[test]
    fn changes_bring_some_of_the_text_around_them() {
        let (gap, half) = ("é".repeat(CONTEXT), "é".repeat(CONTEXT / 2));
        let table = [
            ("nothing".to_owned(), String::new()),
            ("is it NO or NO?".to_owned(), "is it yes or yes?".to_owned()),
            (format!("{gap}NO{gap}"), format!("{half}yes{half}")),
            (format!("{gap}.NO{gap}"), format!("{half}.yes{half}")),
            (format!("NO{gap}NO"), format!("yes{gap}yes")),
            (format!("NO{gap}{gap}NO"), format!("yes{half}\n{half}yes")),
        ];
        for (input, excerpt) in table {
            let mut out = String::new();
            run(&input, &mut Writer::new(&mut out, usize::MAX));
            assert_eq!(out, excerpt, "{input}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_source_of_a_line_end() {
        let input = format!("NO{}NO", "x".repeat(3 * CONTEXT));
        let mut found = Vec::new();
        run(&input, &mut Locator::new(&[0..3, 3 + CONTEXT..4 + CONTEXT], &mut found));
        assert_eq!(found, [0..2, 2 + CONTEXT..2 + 2 * CONTEXT]);
    }
}
