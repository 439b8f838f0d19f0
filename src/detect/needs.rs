//! Whether one of the words that a match needs is near.
//!
//! Contract: never a false no. Each byte of a text is searched once for each rule,
//! however many of the rule's beginnings stand in it.

use super::literals::{Head, Starts, head_of};
use crate::lanes::BLOCK;
use crate::rules;

/// Words of one rule.
#[derive(Debug)]
pub(super) struct Needs {
    starts: Starts,
    heads: Box<[Head]>,
    within: usize,
}

/// What is known of the words of one rule in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Searched {
    /// The last word found starts right before here; 0 if none was.
    word: usize,
    /// No word starts from there up to here.
    to: usize,
}

impl Needs {
    pub(super) fn new(needs: &rules::Needs) -> Needs {
        Needs {
            starts: Starts::new(needs.words.iter().map(Vec::as_slice).collect()),
            heads: needs.words.iter().map(|word| Head::of(word)).collect(),
            within: needs.within,
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
        let from = searched.to.max(at);
        if from < to.min(text.len()) {
            // Where beginnings stand close to each other, whole blocks: the next one finds
            // its part done.
            let len = if from > at { (to - from).next_multiple_of(BLOCK) } else { to - from };
            let end = from.saturating_add(len).min(text.len());
            let found = self.find(text, from, end);
            *bytes += found.map_or(end, |word| word + 1) - from;
            if let Some(word) = found {
                *searched = Searched { word: word + 1, to: word + 1 };
                return word < to;
            }
            searched.to = end;
        }
        // The word may still come.
        !at_end && to > text.len()
    }

    /// The first word that starts in `from..to`.
    fn find(&self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        let holds = |rest: &[u8]| {
            let head = head_of(rest);
            self.heads.iter().any(|known| known.fits(head))
        };
        self.starts.first(text.get(from..)?, to - from, holds).map(|at| from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(words: &[&str], within: usize) -> Needs {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        Needs::new(&rules::Needs { words, within })
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
        ] {
            let found = needs.may_hold(text.as_bytes(), 0, at_end, &mut Searched::default(), &mut 0);
            assert_eq!(found, want, "{text} {at_end}");
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
