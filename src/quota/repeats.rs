//! Agents that loop: the same subject sends nearly the same prompt again and
//! again in a window.
//!
//! A quota of unit `repeats` counts each prompt alone. Its slot holds the last
//! four different prompts of the window, each as 48 bits of a similarity hash
//! and a count: a subject takes 64 bytes, however much it sends. A loop over
//! more than four prompts is not seen. Windows start anew at their edges, so a
//! loop is cut after at most twice the limit less one.

use super::cell::Slot;
use super::meter::{Change, Limit, Over, Reading};
use super::window::Window;
use crate::limits::{FINGERPRINT_BYTES, QUOTA_GRACE_MS};

/// Bits of 48 in which two prompts may differ and be the same. Unrelated ones
/// differ in 24 +- 3.5: one pair in a million comes this near by chance.
const NEAR: u32 = 7;

const COUNT_BITS: u32 = 16;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// Similarity hash of a prompt (M. Charikar, "Similarity estimation techniques
/// from rounding algorithms", 2002) over words and pairs of words. Letter case,
/// punctuation and numbers do not count: a changed time or id is no new prompt.
///
/// To be given the newest message, not the whole history: that grows with every
/// turn of a loop. Only the last 16 KiB are read. 0 stands for no words.
pub fn fingerprint(text: &[u8]) -> u64 {
    let tail = text.get(text.len().saturating_sub(FINGERPRINT_BYTES)..).unwrap_or_default();
    let mut votes = Votes::default();
    let mut last = 0_u64;
    for word in tail.split(|b| !is_word(*b)).filter(|w| !w.is_empty()) {
        let hash = hash_word(word);
        votes.add(mix(hash));
        votes.add(mix(hash ^ last.rotate_left(17)));
        last = hash;
    }
    votes.majority() & (u64::MAX >> COUNT_BITS)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// FNV-1a, with all numbers alike.
fn hash_word(word: &[u8]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    if word.iter().any(u8::is_ascii_digit) {
        return 1;
    }
    word.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| step(hash, b.to_ascii_lowercase()))
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Sixty-four counters, one for each bit of the hashes, kept as bit planes:
/// adding a hash is a carry chain over words, not 64 additions.
#[derive(Default)]
struct Votes {
    /// Plane `i` holds bit `i` of each counter; 2^15 exceeds the words of a text.
    planes: [u64; 15],
    total: u32,
}

impl Votes {
    fn add(&mut self, hash: u64) {
        let mut carry = hash;
        for plane in &mut self.planes {
            (*plane, carry) = (*plane ^ carry, *plane & carry);
            if carry == 0 {
                break;
            }
        }
        self.total += 1;
    }

    /// The bits that more than half of the hashes have.
    fn majority(&self) -> u64 {
        (0..64).fold(0, |bits, lane| {
            let count = self.planes.iter().rev().fold(0, |n, plane| n << 1 | (plane >> lane & 1));
            bits | u64::from(count * 2 > u64::from(self.total)) << lane
        })
    }
}

/// Count a prompt. `amount` of a `Reserve` or `Cancel` is its fingerprint.
pub(super) fn change(
    window: Window,
    slot: &mut Slot,
    change: Change,
    limit: Limit,
    now: u64,
) -> Result<Reading, Over> {
    let bounds = window.at(now);
    // A slot one window ahead was written by a worker whose clock is ahead.
    if slot.index < bounds.index {
        (slot.used, slot.held, slot.prev_used, slot.prev_held) = (0, 0, 0, 0);
    }
    let bounds = if slot.index == bounds.index.saturating_add(1) { window.nth(slot.index) } else { bounds };
    slot.index = bounds.index;
    slot.expires = bounds.end.saturating_add(QUOTA_GRACE_MS);
    // Hidden by the keyed id, so that cells of two subjects cannot be compared.
    let mask = slot.id.iter().take(6).fold(0, |m, &b| m << 8 | u64::from(b));
    let ring = [slot.used, slot.held, slot.prev_used, slot.prev_held];
    let (mut remaining, mut over) = (limit.most, false);
    let ring = match change {
        Change::Reserve { amount } => {
            let (ring, count) = record(ring, (amount ^ mask) & (u64::MAX >> COUNT_BITS));
            over = count > limit.most;
            remaining = limit.most.saturating_sub(count);
            if over && limit.enforced {
                return Err(Over { remaining, retry_ms: Some(bounds.end.saturating_sub(now).max(1)) });
            }
            ring
        }
        Change::Cancel { amount, .. } => ring.map(|entry| {
            let same = is_near(entry, (amount ^ mask) & (u64::MAX >> COUNT_BITS));
            if same { entry - 1 } else { entry }
        }),
        Change::Extend { .. } | Change::Settle { .. } => ring,
    };
    [slot.used, slot.held, slot.prev_used, slot.prev_held] = ring;
    Ok(Reading { window: bounds.index, remaining, reset_ms: bounds.end, over })
}

/// Put a prompt in front, with its count; the last one drops out.
fn record(ring: [u64; 4], prompt: u64) -> ([u64; 4], u64) {
    let known = ring.iter().position(|&entry| is_near(entry, prompt));
    let entry = match known.and_then(|at| ring.get(at)) {
        Some(entry) if entry & COUNT == COUNT => *entry,
        Some(entry) => entry + 1,
        None => prompt << COUNT_BITS | 1,
    };
    let others = ring.iter().enumerate().filter(|(at, _)| Some(*at) != known).map(|(_, e)| *e);
    let mut next = [0; 4];
    for (to, from) in next.iter_mut().zip(std::iter::once(entry).chain(others)) {
        *to = from;
    }
    (next, entry & COUNT)
}

fn is_near(entry: u64, prompt: u64) -> bool {
    entry & COUNT != 0 && (entry >> COUNT_BITS ^ prompt).count_ones() <= NEAR
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PROMPT: &str = "Search the ticket system for open incidents of team Falcon, then summarise each one \
        in a sentence and list who is on call today. Ticket 4711, run at 2026-03-02T10:00:00Z.";

    #[test]
    fn near_prompts_are_near_and_others_far() {
        let distance =
            |a: &str, b: &str| (fingerprint(a.as_bytes()) ^ fingerprint(b.as_bytes())).count_ones();
        let near = [
            PROMPT.to_uppercase(),
            PROMPT.replace("4711", "98").replace("10:00", "10:05"),
            PROMPT.replace(", ", "  ,\n"),
            PROMPT.replace("today", "now"),
        ];
        for other in near {
            assert!(distance(PROMPT, &other) <= NEAR, "{} {other}", distance(PROMPT, &other));
        }
        let far = [
            "Write a poem about the sea.",
            "Translate this letter to French: dear Sir, I write to complain about the noise.",
            "Search the web for flights to Lisbon next week and list the three cheapest with times.",
            "List the files of this folder and tell which of them are larger than a megabyte.",
        ];
        for (i, other) in far.iter().enumerate() {
            assert!(distance(PROMPT, other) > NEAR, "{other}");
            assert!(far.iter().skip(i + 1).all(|b| distance(other, b) > NEAR), "{other}");
        }
        assert_eq!(fingerprint(b"... !"), 0);
        assert_eq!(fingerprint(&[b'x'; 100_000]), fingerprint(&[b'x'; 50_000]));
    }

    fn send(slot: &mut Slot, prompt: &str, now: u64) -> Option<u64> {
        let (window, limit) = (Window::Millis(60_000), Limit { most: 3, enforced: true });
        let mut next = *slot;
        let sent = Change::Reserve { amount: fingerprint(prompt.as_bytes()) };
        let reading = change(window, &mut next, sent, limit, now).ok()?;
        *slot = next;
        Some(reading.remaining)
    }

    #[test]
    fn the_fourth_is_denied_until_the_window_ends() {
        let mut slot = Slot { id: [7; 16], ..Slot::default() };
        for remaining in [2, 1, 0] {
            assert_eq!(send(&mut slot, PROMPT, 5), Some(remaining));
        }
        for now in [6, 59_999] {
            assert_eq!(send(&mut slot, &PROMPT.replace("4711", "4712"), now), None);
            assert!(send(&mut slot, "something else entirely", now).is_some());
        }
        assert_eq!(send(&mut slot, PROMPT, 60_000), Some(2));
    }

    #[test]
    fn loops_over_up_to_four_prompts_are_seen() {
        let prompts = [
            "plan the next step",
            "read file readme",
            "run all the tests",
            "fix whatever broke there",
            "fifth one",
        ];
        for (n, seen) in [(1, true), (4, true), (5, false)] {
            let mut slot = Slot { id: [9; 16], ..Slot::default() };
            let denied = (0..40).any(|i| send(&mut slot, prompts.get(i % n).unwrap(), 1).is_none());
            assert_eq!(denied, seen, "{n}");
        }
    }

    #[test]
    fn a_cancelled_prompt_does_not_count() {
        let mut slot = Slot { id: [7; 16], ..Slot::default() };
        let limit = Limit { most: 3, enforced: true };
        for _ in 0..9 {
            assert_eq!(send(&mut slot, PROMPT, 5), Some(2));
            let cancel = Change::Cancel { window: 0, amount: fingerprint(PROMPT.as_bytes()) };
            change(Window::Millis(60_000), &mut slot, cancel, limit, 5).unwrap();
        }
    }
}
