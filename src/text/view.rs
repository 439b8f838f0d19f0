//! Views of a text: what is in it once disguises are taken off.
//!
//! [`views`] calls back with every view worth scanning besides the raw text.
//! Ordinary ASCII prose has none and costs one pass ([`classify`]). A view is
//! made by a chain of steps, each a deterministic rewriting of the text before
//! it. No offset map is kept: [`View::source_range`] runs the chain again.
//!
//! Only the parts of a text that have something to clean are rewritten, in
//! blocks of [`BLOCK`] bytes with a margin around them, so one odd character
//! in a long document does not double the cost of scanning it.

use std::ops::Range;

use super::cipher::{self, Cipher};
use super::step::{Locator, Sink, Writer};
use super::traits::{Before, classify_bytes};
use super::{Traits, Transforms, classify, decode, fold, join, leet, shuffle, unspaced};
use crate::limits::{
    INFLATED_VIEW_BYTES, LONG_TEXT, MAX_DECODE_DEPTH, MAX_INFLATED_VIEW_BYTES, VIEW_BYTES_BASE,
    VIEW_BYTES_PER_BYTE, VIEW_BYTES_PER_FIRST_BYTE,
};

/// Unit in which a text is found to need cleaning or not.
const BLOCK: usize = if cfg!(test) { 256 } else { 1024 };

/// Text taken along on both sides of such blocks, as context for rules.
const MARGIN: usize = if cfg!(test) { 64 } else { 256 };

/// One rewriting in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fold,
    Join,
    Leet,
    Unshuffle,
    Space,
    Decode(decode::Wanted),
    Cipher(Cipher),
}

impl Step {
    fn run(self, input: &str, sink: &mut dyn Sink) -> Transforms {
        match self {
            Step::Fold => fold::run(input, sink),
            Step::Join => join::run(input, sink),
            Step::Leet => leet::run(input, sink),
            Step::Unshuffle => shuffle::run(input, sink),
            Step::Space => unspaced::run(input, sink),
            Step::Decode(wanted) => decode::run(wanted, input, sink),
            Step::Cipher(cipher) => cipher::run(cipher, input, sink),
        }
    }
}

/// A text made from another, to be scanned like it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The text of the view. ASCII letters have the case of the source.
    pub text: &'a str,
    /// What was done to get here, all steps together.
    pub transforms: Transforms,
    origin: Origin<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    /// The raw text from this byte on.
    Raw(usize),
    /// A step over the text of another view.
    Made(Step, &'a View<'a>),
}

impl View<'_> {
    /// The smallest range of the raw text that holds everything `range` of
    /// this view was made from: on character boundaries, empty only for an
    /// empty range or one outside the view.
    pub fn source_range(&self, range: Range<usize>) -> Range<usize> {
        let mut found = self.source_ranges(&[range]);
        found.pop().unwrap_or_default()
    }

    /// Whether the view's end was made from the raw text's end, at `len`.
    pub fn ends_at(&self, len: usize) -> bool {
        match self.origin {
            Origin::Raw(base) => base + self.text.len() == len,
            Origin::Made(_, parent) => parent.ends_at(len),
        }
    }

    /// [`source_range`](Self::source_range) of many ranges, sorted by start,
    /// for the price of one.
    pub fn source_ranges(&self, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        match self.origin {
            Origin::Raw(base) => {
                let end = base + self.text.len();
                ranges.iter().map(|r| (base + r.start).min(end)..(base + r.end).min(end)).collect()
            }
            Origin::Made(step, parent) => {
                let mut found = Vec::new();
                step.run(parent.text, &mut Locator::new(ranges, &mut found));
                for range in &mut found {
                    if range.start > range.end {
                        *range = 0..0;
                    }
                }
                parent.sorted_source_ranges(found)
            }
        }
    }

    /// A step that turns text round leaves ranges unsorted.
    fn sorted_source_ranges(&self, ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        crate::order::sort_by_key(&mut order, |i| ranges.get(*i).map_or(0, |r| r.start));
        let sorted: Vec<_> = order.iter().filter_map(|i| ranges.get(*i).cloned()).collect();
        let mut back = ranges;
        for (i, range) in order.into_iter().zip(self.source_ranges(&sorted)) {
            if let Some(slot) = back.get_mut(i) {
                *slot = range;
            }
        }
        back
    }

    fn has_step(&self, wanted: impl Fn(Step) -> bool + Copy) -> bool {
        match self.origin {
            Origin::Raw(_) => false,
            Origin::Made(step, parent) => wanted(step) || parent.has_step(wanted),
        }
    }

    fn decodings(&self) -> usize {
        match self.origin {
            Origin::Raw(_) => 0,
            Origin::Made(step, parent) => usize::from(matches!(step, Step::Decode(_))) + parent.decodings(),
        }
    }
}

/// Buffers reused from one text to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    free: Vec<String>,
    /// Bytes of views of what was inflated, in one body.
    inflated: usize,
    /// Something compressed was not read to its end, in one body.
    cut: bool,
}

impl Scratch {
    /// The texts that follow are those of another body.
    pub fn begin_body(&mut self) {
        self.inflated = 0;
        self.cut = false;
    }

    /// Something compressed in this body was read up to a cap only.
    pub const fn was_cut(&self) -> bool {
        self.cut
    }

    fn take(&mut self) -> String {
        self.free.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: String) {
        buffer.clear();
        self.free.push(buffer);
    }
}

/// What [`views`] did, for the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Traits of the raw text.
    pub traits: Traits,
    /// Bytes of all views together.
    pub bytes: usize,
    /// Whether the budget ended the work before all views were made in full.
    pub exhausted: bool,
}

/// Calls `f` with every view of `text` that differs from it in something a
/// rule could see. The raw text itself is not among them.
///
/// Work and the bytes of all views are linear in the input: decoding nests
/// [`MAX_DECODE_DEPTH`] deep, and views stop at [`VIEW_BYTES_PER_FIRST_BYTE`] times
/// the input, which [`Outcome::exhausted`] reports.
pub fn views(text: &str, scratch: &mut Scratch, f: &mut dyn FnMut(&View<'_>)) -> Outcome {
    make_views(text, true, scratch, f)
}

/// The same for a part of a text that grows: without the views that depend on
/// more of the text than what they show, as these differ with where it is cut.
pub fn views_of_part(text: &str, scratch: &mut Scratch, f: &mut dyn FnMut(&View<'_>)) -> Outcome {
    make_views(text, false, scratch, f)
}

fn make_views(text: &str, whole: bool, scratch: &mut Scratch, f: &mut dyn FnMut(&View<'_>)) -> Outcome {
    let mut outcome = Outcome::default();
    let first = text.len().min(LONG_TEXT);
    let later = (text.len() - first).saturating_mul(VIEW_BYTES_PER_BYTE);
    let budget = later.saturating_add(first * VIEW_BYTES_PER_FIRST_BYTE + VIEW_BYTES_BASE);
    let mut maker =
        Maker { scratch, f, whole, left: budget, left_inflated: INFLATED_VIEW_BYTES, exhausted: false };
    each_region(text, &mut outcome.traits, |base, region| {
        maker.from(&View { text: region, transforms: Transforms::NONE, origin: Origin::Raw(base) });
    });
    outcome.bytes = budget - maker.left + (INFLATED_VIEW_BYTES - maker.left_inflated);
    outcome.exhausted = maker.exhausted;
    outcome
}

/// Calls `f` with the offset and the text of each part that needs cleaning.
fn each_region<'a>(text: &'a str, all: &mut Traits, mut f: impl FnMut(usize, &'a str)) {
    let (mut region, mut before): (Option<Range<usize>>, _) = (None, Before::default());
    for (i, block) in text.as_bytes().chunks(BLOCK).enumerate() {
        let traits = classify_bytes(block, &mut before);
        *all = all.union(traits);
        if traits.is_plain() {
            continue;
        }
        let (start, end) = ((i * BLOCK).saturating_sub(MARGIN), i * BLOCK + block.len() + MARGIN);
        match &mut region {
            Some(open) if start <= open.end => open.end = end,
            _ => {
                if let Some(done) = region.replace(start..end) {
                    emit_region(text, done, &mut f);
                }
            }
        }
    }
    if let Some(done) = region {
        emit_region(text, done, &mut f);
    }
}

/// The last character boundary at or before `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn emit_region<'a>(text: &'a str, range: Range<usize>, f: &mut impl FnMut(usize, &'a str)) {
    let (start, end) = (boundary_before(text, range.start), boundary_before(text, range.end));
    if let Some(region) = text.get(start..end) {
        f(start, region);
    }
}

struct Maker<'s, 'f> {
    scratch: &'s mut Scratch,
    f: &'f mut dyn FnMut(&View<'_>),
    /// The text is whole, not a part of one.
    whole: bool,
    /// Bytes that views may still take.
    left: usize,
    /// Bytes that those of inflated text may take before: it is longer than what
    /// it was made from.
    left_inflated: usize,
    exhausted: bool,
}

impl Maker<'_, '_> {
    /// Makes the views that follow from `parent`.
    fn from(&mut self, parent: &View<'_>) {
        // What comes of these is the language that rules read.
        if matches!(parent.origin, Origin::Made(Step::Unshuffle | Step::Space, _)) {
            return;
        }
        let traits = classify(parent.text);
        if traits.is_plain() {
            return;
        }
        if traits.has(Traits::SPECIAL)
            && !parent.has_step(|step| matches!(step, Step::Cipher(_)))
            && cipher::is_turned(parent.text)
        {
            self.make(parent, Step::Cipher(Cipher::Turned), |_| true);
        }
        // Folding changes single characters only, and nothing that a later
        // step needs: the others go on from the folded text.
        if traits.has(Traits::SPECIAL)
            && !matches!(parent.origin, Origin::Made(Step::Fold, _))
            && self.make(parent, Step::Fold, |fired| !fired.is_empty())
        {
            return;
        }
        let mut wanted = decode::Wanted::by(traits, self.whole);
        if !wanted.is_empty() && self.scratch.inflated >= MAX_INFLATED_VIEW_BYTES {
            wanted = wanted.inflating_nothing();
        }
        if wanted.is_empty() {
            // Nothing in the text looks encoded.
        } else if parent.decodings() < MAX_DECODE_DEPTH {
            self.make(parent, Step::Decode(wanted), |fired| !fired.is_empty());
        } else if decode::run(wanted, parent.text, &mut Nothing) != Transforms::NONE {
            self.exhausted = true;
        }
        let is_joinable = (traits.has(JOINABLE) || traits.has(Traits::SPECIAL) && has_symbols(parent.text))
            && !parent.has_step(|step| step == Step::Join);
        let gaps_count = traits.has(Traits::GAPS);
        let worth = |fired: Transforms| {
            gaps_count && !fired.is_empty() || !fired.without(Transforms::WHITESPACE).is_empty()
        };
        if is_joinable && self.make(parent, Step::Join, worth) {
            return;
        }
        if traits.has(Traits::MIXED) && !parent.has_step(|step| step == Step::Leet) {
            self.make(parent, Step::Leet, |fired| !fired.is_empty());
        }
        for (sign, step) in [(Traits::SHUFFLED, Step::Unshuffle), (Traits::UNSPACED, Step::Space)] {
            if self.whole && traits.has(sign) {
                self.make(parent, step, |fired| !fired.is_empty());
            }
        }
        if !parent.has_step(|step| matches!(step, Step::Cipher(_))) {
            let (letters, symbols) = (traits.has(Traits::VOWEL_POOR), traits.has(Traits::MIXED));
            for cipher in cipher::find(parent.text, letters, symbols, traits.has(Traits::BACKWARD)) {
                self.make(parent, Step::Cipher(cipher), |_| true);
            }
        }
    }

    /// Runs `step` over `parent` and goes on from the result, if it is
    /// `worth` it.
    fn make(&mut self, parent: &View<'_>, step: Step, worth: impl Fn(Transforms) -> bool) -> bool {
        let mut buffer = self.scratch.take();
        let may_be_inflated =
            parent.transforms.contains(Transforms::DEFLATE) || matches!(step, Step::Decode(_));
        let extra = if may_be_inflated { self.left_inflated } else { 0 };
        let mut writer = Writer::new(&mut buffer, self.left.saturating_add(extra));
        let fired = step.run(parent.text, &mut writer);
        let (full, cut) = (writer.full, writer.cut);
        let is_worth = worth(fired);
        if is_worth {
            self.exhausted |= full;
            self.scratch.cut |= cut;
            let mut size = buffer.len();
            if (parent.transforms | fired).contains(Transforms::DEFLATE) {
                self.scratch.inflated = self.scratch.inflated.saturating_add(size);
                let of_extra = size.min(self.left_inflated);
                self.left_inflated -= of_extra;
                size -= of_extra;
            }
            self.exhausted |= size > self.left;
            self.left = self.left.saturating_sub(size);
            let view = View {
                text: &buffer,
                transforms: parent.transforms | fired,
                origin: Origin::Made(step, parent),
            };
            (self.f)(&view);
            self.from(&view);
        }
        self.scratch.give(buffer);
        is_worth
    }
}

/// Traits that joining looks for.
const JOINABLE: Traits = Traits::ISOLATED.union(Traits::JOINED).union(Traits::MARKUP).union(Traits::GAPS);

/// Symbols beyond ASCII that make it worth to look for words between them.
const MIN_SYMBOLS: usize = 3;

/// Whether `text` holds emoji or the like: counts lead bytes of U+2180..2BFF
/// and U+1F000..1FFFF.
fn has_symbols(text: &str) -> bool {
    let pairs = text.as_bytes().windows(2);
    pairs.filter(|pair| matches!(pair, [0xE2, 0x86..=0xAF] | [0xF0, 0x9F])).count() >= MIN_SYMBOLS
}

/// A sink that only lets a step tell its transforms.
struct Nothing;

impl Sink for Nothing {
    fn keep(&mut self, _: &str, _: usize) {}
    fn put(&mut self, _: &str, _: Range<usize>) {}
}

#[cfg(test)]
mod tests;
