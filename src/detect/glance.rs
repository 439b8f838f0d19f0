//! A look at the first bytes of a candidate: most numbers and tokens of a text can be
//! no match of any rule, and many only of rules that want a word before.
//!
//! Contract: never a false no. The rules are dealt to eight groups, a bit each; a byte
//! has, for each of the first eight places, the groups of which some rule can have it
//! there.

use crate::rules::{ByteSet, HEAD_PLACES};

/// Groups of rules that want a word, and as many of others.
const HALF: usize = 4;

/// The rules of one unit.
#[derive(Debug)]
pub(super) struct Glance {
    /// Of each byte, eight bits for each place, the first lowest.
    groups: Box<[u64; 256]>,
    /// How far before a match a word may start for any rule, by which of the groups
    /// that want one are left.
    reaches: [u16; 1 << HALF],
    /// How far behind a candidate a match may start.
    lead: usize,
}

/// What there is to know of one rule.
pub(super) struct Glanced {
    pub(super) heads: [ByteSet; HEAD_PLACES],
    pub(super) min_len: usize,
    /// 0 for a rule that wants no word.
    pub(super) reach: usize,
    pub(super) lead: usize,
}

/// What a candidate may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No match of any rule.
    Nothing,
    /// None of a rule that wants no word; how far before the match the word may start.
    OnlyWithWord(u16),
    Something,
}

impl Glance {
    pub(super) fn new(mut rules: Vec<Glanced>) -> Glance {
        // Rules of about the same length tell most together, and short ones look less far.
        crate::order::sort_by_key(&mut rules, |rule| (rule.reach > 0, rule.min_len, rule.reach));
        let free = rules.iter().filter(|rule| rule.reach == 0).count();
        let mut groups = Box::new([0u64; 256]);
        let mut reaches = [0; 1 << HALF];
        for (i, rule) in rules.iter().enumerate() {
            let group = match i.checked_sub(free) {
                None => i * HALF / free,
                Some(i) => HALF + i * HALF / (rules.len() - free),
            };
            for (byte, groups) in (0..=u8::MAX).zip(groups.iter_mut()) {
                for (place, head) in rule.heads.iter().enumerate() {
                    *groups |= u64::from(head.has(byte)) << (8 * place + group);
                }
            }
            let wanting = 1usize << group >> HALF;
            let reach = u16::try_from(rule.reach).unwrap_or(u16::MAX);
            let left_with_it = reaches.iter_mut().enumerate().filter(|(left, _)| left & wanting != 0);
            left_with_it.for_each(|(_, known)| *known = reach.max(*known));
        }
        Glance { groups, reaches, lead: rules.iter().map(|rule| rule.lead).max().unwrap_or(0) }
    }

    /// Where a word would have to start that may be so far before a match: from where
    /// on, and before where.
    pub(super) const fn near(&self, at: usize, reach: u16) -> (usize, usize) {
        (at.saturating_sub(reach as usize), at.saturating_add(self.lead))
    }

    /// What a match that starts at `at` may be. Beyond the end of the text anything
    /// may stand.
    #[inline(always)]
    pub(super) fn see(&self, text: &[u8], at: usize) -> Seen {
        let rest = text.get(at..).unwrap_or_default();
        let left = match rest.first_chunk::<HEAD_PLACES>() {
            Some(head) => self.left(u64::from_le_bytes(*head), HEAD_PLACES),
            None => self.left_at_end(rest),
        };
        match left {
            0 => Seen::Nothing,
            left if left & ((1 << HALF) - 1) == 0 => {
                let reach = self.reaches.get(left as usize >> HALF);
                Seen::OnlyWithWord(reach.copied().unwrap_or(u16::MAX))
            }
            _ => Seen::Something,
        }
    }

    /// The groups that are left after so many bytes of `head`.
    #[inline(always)]
    fn left(&self, head: u64, places: usize) -> u64 {
        let mut left = u64::from(u8::MAX);
        for place in 0..places as u32 {
            let byte = (head >> (8 * place)) as u8;
            left &= self.groups.get(usize::from(byte)).map_or(0, |groups| groups >> (8 * place));
            if left == 0 {
                break;
            }
        }
        left
    }

    #[inline(never)]
    fn left_at_end(&self, rest: &[u8]) -> u64 {
        let mut head = [0; HEAD_PLACES];
        head.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.left(u64::from_le_bytes(head), rest.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::Shape;

    fn glance(rules: &[(&str, usize)]) -> Glance {
        let glanced = |(pattern, reach): &(&str, usize)| {
            let shape = Shape::parse(pattern).unwrap();
            let min_len = shape.full().properties().minimum_len().unwrap();
            Glanced { heads: shape.heads(), min_len, reach: *reach, lead: 0 }
        };
        Glance::new(rules.iter().map(glanced).collect())
    }

    #[test]
    fn what_cannot_match_is_seen() {
        let rules = glance(&[("[0-9]{4}-[0-9]{2}", 0), ("[0-9]{3}[a-z]", 20), ("[0-9]{2}x", 30)]);
        for (text, want) in [
            ("1234-56", Seen::Something),
            ("1234", Seen::Something),
            ("123", Seen::Something),
            ("123a", Seen::OnlyWithWord(20)),
            ("12x?????", Seen::OnlyWithWord(30)),
            ("12", Seen::Something),
            ("12-", Seen::Nothing),
            ("1234+5", Seen::Nothing),
        ] {
            assert_eq!(rules.see(text.as_bytes(), 0), want, "{text}");
        }
        assert_eq!(rules.near(50, 20), (30, 50));
    }
}
