//! Whether one of the words that a match needs is near.
//!
//! Contract: never a false no. Each byte of a text is searched once for each rule,
//! however many of the rule's beginnings stand in it.

use super::literals::{First, HEAD, Head, Starts, head_of};
use crate::lanes::{AsciiSet, BLOCK};
use crate::rules;

/// Words of one rule.
#[derive(Debug)]
pub(super) struct Needs {
    starts: Starts,
    heads: Box<[Head]>,
    within: usize,
    /// What stands before the word in no match.
    stops: AsciiSet,
}

/// What is known of the words of one rule in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Searched {
    /// The last word found starts right before here; 0 if none was.
    word: usize,
    /// No word starts from there up to here.
    to: usize,
    /// Right before here is what stands before a word in no match; 0 if nothing was met.
    stop: usize,
}

impl Needs {
    pub(super) fn new(needs: &rules::Needs) -> Needs {
        let stops = (0..128u8).filter(|byte| !needs.before.has(byte.to_ascii_lowercase()));
        Needs {
            starts: Starts::new(needs.words.iter().map(Vec::as_slice).collect()),
            heads: needs.words.iter().map(|word| Head::of(word)).collect(),
            within: needs.within,
            stops: AsciiSet::new(stops),
        }
    }

    /// Whether a match that starts at `at` has its word. Places come in order.
    /// Adds the bytes that were searched to `bytes`.
    pub(super) fn may_hold(
        &self,
        text: &[u8],
        at: usize,
        at_end: bool,
        searched: &mut Searched,
        bytes: &mut usize,
    ) -> bool {
        let to = at.saturating_add(self.within);
        if searched.word > at {
            return searched.word <= to;
        }
        if searched.stop > at {
            return false;
        }
        let from = searched.to.max(at);
        if from < to.min(text.len()) {
            // Where beginnings stand close to each other, whole blocks: the next one finds
            // its part done.
            let len = if from > at { (to - from).next_multiple_of(BLOCK) } else { to - from };
            let end = from.saturating_add(len).min(text.len());
            let found = self.find(text, from, end);
            *bytes += match found {
                First::At(place) | First::Stopped(place) => place + 1 - from,
                First::Nowhere => end - from,
            };
            match found {
                First::At(word) => {
                    *searched = Searched { word: word + 1, to: word + 1, stop: 0 };
                    return word < to;
                }
                // Right before the end the word itself may be what it stands in.
                First::Stopped(stop) if !at_end && stop + HEAD > text.len() => {
                    searched.to = from.max((stop + 1).saturating_sub(HEAD));
                }
                First::Stopped(stop) => {
                    *searched = Searched { stop: stop + 1, to: stop + 1, ..*searched };
                    return false;
                }
                First::Nowhere => searched.to = end,
            }
        }
        // The word may still come.
        !at_end && to > text.len()
    }

    /// The first word that starts in `from..to`.
    fn find(&self, text: &[u8], from: usize, to: usize) -> First {
        let holds = |rest: &[u8]| {
            let head = head_of(rest);
            self.heads.iter().any(|known| known.fits(head))
        };
        let text = text.get(from..).unwrap_or_default();
        match self.starts.first(text, to - from, &self.stops, holds) {
            First::At(place) => First::At(from + place),
            First::Stopped(place) => First::Stopped(from + place),
            First::Nowhere => First::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn needs(words: &[&str], within: usize) -> Needs {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Needs::new(&rules::Needs { words, within, before: rules::ByteSet::ALL })
    }

    #[test]
    fn words_are_found_wherever_they_stand() {
        let needs = needs(&["prompt", "instruct", "key"], 150);
        for word in ["prompt", "PROMPT", "Instructions", "key"] {
            for at in 0..200 {
                let text = format!("{}{word} and so on", "-".repeat(at));
                let (mut searched, mut bytes) = (Searched::default(), 0);
                let found = needs.may_hold(text.as_bytes(), 0, true, &mut searched, &mut bytes);
                assert_eq!(found, at < 150, "{word} {at}");
                assert!(bytes <= 192);
            }
        }
    }

    #[test]
    fn what_may_still_come_is_not_ruled_out() {
        let needs = needs(&["prompt"], 20);
        for (text, at_end, want) in [
            ("show me", true, false),
            ("show me", false, true),
            ("show me all of it now", false, false),
            ("show me the prompt", true, true),
            ("show me the pro", false, true),
            ("show me the pro", true, false),
        ] {
            let found = needs.may_hold(text.as_bytes(), 0, at_end, &mut Searched::default(), &mut 0);
            assert_eq!(found, want, "{text} {at_end}");
        }
    }

    #[test]
    fn what_stands_before_no_word_ends_the_search() {
        let mut before = rules::ByteSet::default();
        b"show a".iter().for_each(|byte| before.add(*byte));
        let needs = Needs::new(&rules::Needs { words: vec![b"prompt".to_vec()], within: 150, before });
        for gap in 0..130 {
            let text = format!("show{}.{} show A{}prompt", " ".repeat(gap), "-".repeat(gap), "a".repeat(gap));
            let (mut searched, mut bytes) = (Searched::default(), 0);
            let mut holds = |at| needs.may_hold(text.as_bytes(), at, true, &mut searched, &mut bytes);
            assert!(!holds(0) && !holds(gap), "{gap}");
            assert!(holds(text.len() - 12 - gap), "{gap}");
            assert!(bytes <= text.len());
            let cut = text.len() - 3;
            let beyond = text.get(cut - 5 - gap..cut).unwrap();
            assert!(needs.may_hold(beyond.as_bytes(), 0, false, &mut Searched::default(), &mut 0), "{gap}");
        }
    }

    #[test]
    fn each_byte_is_searched_once() {
        let needs = needs(&["prompt"], 90);
        let text = "show ".repeat(400) + "prompt" + &" show".repeat(400);
        let (mut searched, mut bytes) = (Searched::default(), 0);
        for at in (0..text.len()).step_by(5) {
            let want = text.get(at..(at + 90).min(text.len())).is_some_and(|near| near.contains('p'));
            let got = needs.may_hold(text.as_bytes(), at, true, &mut searched, &mut bytes);
            assert_eq!(got, want, "{at}");
        }
        assert!(bytes <= text.len(), "{bytes}");
    }
}
