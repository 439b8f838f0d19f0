//! The arithmetic on one counter: reserve, extend, settle, cancel.
//!
//! # Which window is charged
//! A charge up to the reservation goes to the window that admitted it, even if
//! that window is over; what was spent above the reservation goes to the
//! current one. So no window ever admits more than its limit, and a call that
//! outlives its window cannot hide what it overspent.
//!
//! # Error of the sliding window
//! Two buckets: the load is the current window plus the last one, weighted by
//! the part of it that is still less than a window ago. That assumes even use
//! in the last window. With even use it is exact; a burst at the end of one
//! window and steady use in the next can reach twice the limit in one window's
//! length, and a burst at its start denies up to one limit too much.
//!
//! # Crash of a worker
//! What a dead worker held in a window stays charged until the window ends: the
//! calls were on their way, so their tokens were probably spent. Concurrency
//! is counted in two generations of a lease and forgotten after one to two
//! leases; a long call renews its lease by [`Change::Extend`].

use super::cell::Slot;
use super::repeats;
use super::window::{Bounds, Window};
use crate::limits::QUOTA_GRACE_MS;

/// How a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Starts at zero with each window.
    Fixed(Window),
    /// Two weighted buckets.
    Sliding(Window),
    /// Calls in flight, each forgotten after one to two leases.
    Lease {
        /// Length of a generation.
        ms: u64,
    },
    /// Token bucket as a generic cell rate algorithm (ITU-T I.371): the slot
    /// holds the theoretical arrival time in nanoseconds. `limit` is the rate.
    Bucket {
        /// The time that `limit` arrivals refill in.
        per_ms: u64,
        /// Arrivals that may come at once.
        burst: u64,
    },
    /// Nearly equal prompts, see [`super::repeats`].
    Repeats(Window),
}

/// One change of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Hold an amount if it fits.
    Reserve {
        /// Amount to hold; 0 asks whether anything is left at all.
        amount: u64,
    },
    /// Hold more for a call that runs. In a later window the amount held so far
    /// counts as spent in its own, and `more` is held in the current one.
    Extend {
        /// Window that the call's hold is in.
        window: u64,
        /// Amount held in it.
        held: u64,
        /// Amount to add.
        more: u64,
    },
    /// Give back what is held and charge what was spent. Always possible.
    Settle {
        /// Window that the call's hold is in.
        window: u64,
        /// Amount held in it.
        held: u64,
        /// Amount spent.
        charge: u64,
    },
    /// Undo a `Reserve` or the `more` of an `Extend` of the same request.
    Cancel {
        /// Window that the hold is in.
        window: u64,
        /// Amount to give back.
        amount: u64,
    },
}

/// A counter after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Window that a hold of this change is in.
    pub window: u64,
    /// What is left of the limit.
    pub remaining: u64,
    /// Millisecond at which the counter starts again or is full again.
    pub reset_ms: u64,
    /// The change did not fit. It was made all the same if it is not enforced.
    pub over: bool,
}

/// A change that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// What is left of the limit.
    pub remaining: u64,
    /// Milliseconds until it fits if nobody else spends; `None`: never.
    pub retry_ms: Option<u64>,
}

/// A limit that is tried, and whether passing it denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most that may be used and held.
    pub most: u64,
    /// `false`: monitor only.
    pub enforced: bool,
}

impl Meter {
    /// Make a change. On `Err` the slot must be thrown away.
    pub fn change(self, slot: &mut Slot, change: Change, limit: Limit, now: u64) -> Result<Reading, Over> {
        match self {
            Meter::Bucket { per_ms, burst } => {
                Bucket::new(per_ms, burst, limit.most).change(slot, change, limit, now)
            }
            Meter::Fixed(window) | Meter::Sliding(window) => self.windowed(window, slot, change, limit, now),
            Meter::Repeats(window) => repeats::change(window, slot, change, limit, now),
            Meter::Lease { ms } => self.windowed(Window::Millis(ms), slot, change, limit, now),
        }
    }

    fn windowed(
        self,
        window: Window,
        slot: &mut Slot,
        change: Change,
        limit: Limit,
        now: u64,
    ) -> Result<Reading, Over> {
        let bounds = roll(slot, window, now);
        // An edge of the bounds, not of the clock: other workers may be behind.
        let lives =
            if matches!(self, Meter::Fixed(_)) { bounds.index } else { bounds.index.saturating_add(1) };
        slot.expires = window.nth(lives).end.saturating_add(QUOTA_GRACE_MS);
        let mut over = false;
        match change {
            Change::Reserve { amount } => {
                over = self.admit(slot, &bounds, amount.max(1), limit, now)?;
                slot.held = slot.held.saturating_add(amount);
            }
            Change::Extend { window, held, more } => {
                if let Meter::Lease { .. } = self {
                    give_back(slot, window, held, 0);
                    slot.held = slot.held.saturating_add(held);
                } else {
                    if window < slot.index {
                        give_back(slot, window, held, held);
                    }
                    over = self.admit(slot, &bounds, more.max(1), limit, now)?;
                    slot.held = slot.held.saturating_add(more);
                }
            }
            Change::Settle { window, held, charge } => {
                let charge = if let Meter::Lease { .. } = self { 0 } else { charge };
                give_back(slot, window, held, charge);
                slot.used = slot.used.saturating_add(if window < slot.index {
                    charge.saturating_sub(held)
                } else {
                    0
                });
            }
            Change::Cancel { window, amount } => give_back(slot, window, amount, 0),
        }
        let remaining = limit.most.saturating_sub(self.load(slot, &bounds, now));
        Ok(Reading { window: slot.index, remaining, reset_ms: bounds.end, over })
    }

    /// Whether the amount is over the limit; an error if that is enforced.
    fn admit(self, slot: &Slot, bounds: &Bounds, amount: u64, limit: Limit, now: u64) -> Result<bool, Over> {
        let load = self.load(slot, bounds, now);
        let remaining = limit.most.saturating_sub(load);
        let over = amount > remaining;
        if over && limit.enforced {
            return Err(Over { remaining, retry_ms: self.retry(slot, bounds, amount, limit.most, now) });
        }
        Ok(over)
    }

    fn load(self, slot: &Slot, bounds: &Bounds, now: u64) -> u64 {
        let current = slot.used.saturating_add(slot.held);
        let before = slot.prev_used.saturating_add(slot.prev_held);
        match self {
            Meter::Sliding(_) => current.saturating_add(share(before, bounds, now)),
            Meter::Lease { .. } => current.saturating_add(before),
            Meter::Fixed(_) | Meter::Repeats(_) | Meter::Bucket { .. } => current,
        }
    }

    fn retry(self, slot: &Slot, bounds: &Bounds, amount: u64, most: u64, now: u64) -> Option<u64> {
        let room = most.checked_sub(amount)?;
        let to_end = bounds.end.saturating_sub(now).max(1);
        let current = slot.used.saturating_add(slot.held);
        match self {
            // A call may end at any moment; polling faster helps nobody.
            Meter::Lease { .. } => Some(1000),
            Meter::Sliding(_) => {
                let before = slot.prev_used.saturating_add(slot.prev_held);
                match room.checked_sub(current) {
                    Some(room) => Some(
                        decay(before, room, bounds).saturating_sub(now.saturating_sub(bounds.start)).max(1),
                    ),
                    None => Some(to_end.saturating_add(decay(current, room, bounds))),
                }
            }
            Meter::Fixed(_) | Meter::Repeats(_) | Meter::Bucket { .. } => Some(to_end),
        }
    }
}

/// Bring a slot to the window that `now` lies in.
///
/// The clocks of workers differ by their place in the event loop: a slot one
/// window ahead stays there. One further ahead was written under a clock that
/// was wrong; its use is kept and brought to now, else it would deny until then.
fn roll(slot: &mut Slot, window: Window, now: u64) -> Bounds {
    let bounds = window.at(now);
    if slot.index == bounds.index.saturating_add(1) {
        return window.nth(slot.index);
    }
    if slot.index < bounds.index {
        let next = slot.index.saturating_add(1) == bounds.index;
        slot.prev_used = if next { slot.used } else { 0 };
        slot.prev_held = if next { slot.held } else { 0 };
        slot.used = 0;
        slot.held = 0;
    }
    slot.index = bounds.index;
    bounds
}

/// Give back a hold in the window it is in, and charge there: all of the charge
/// in the current one, up to the hold in the last, nothing in earlier ones.
fn give_back(slot: &mut Slot, window: u64, held: u64, charge: u64) {
    if window >= slot.index {
        slot.held = slot.held.saturating_sub(held);
        slot.used = slot.used.saturating_add(charge);
    } else if window.saturating_add(1) == slot.index {
        slot.prev_held = slot.prev_held.saturating_sub(held);
        slot.prev_used = slot.prev_used.saturating_add(charge.min(held));
    }
}

/// The part of the last window's load that is less than a window ago, rounded up.
fn share(before: u64, bounds: &Bounds, now: u64) -> u64 {
    let len = u128::from(bounds.end.saturating_sub(bounds.start).max(1));
    let left = u128::from(bounds.end.saturating_sub(now)).min(len);
    u64::try_from((u128::from(before) * left).div_ceil(len)).unwrap_or(u64::MAX)
}

/// Milliseconds into a window after which `before` weighs at most `room`.
fn decay(before: u64, room: u64, bounds: &Bounds) -> u64 {
    let len = bounds.end.saturating_sub(bounds.start);
    if before <= room {
        return 0;
    }
    let left = u128::from(len) * u128::from(room) / u128::from(before);
    len.saturating_sub(u64::try_from(left).unwrap_or(len))
}

/// The token bucket. Times in nanoseconds since the epoch: good until 2554.
struct Bucket {
    /// Time that one arrival takes to refill.
    each: u64,
    /// Time that a full bucket takes.
    full: u64,
}

const NS: u64 = 1_000_000;

impl Bucket {
    fn new(per_ms: u64, burst: u64, rate: u64) -> Self {
        let each = per_ms.saturating_mul(NS).checked_div(rate).unwrap_or(u64::MAX).max(1);
        Bucket { each, full: each.saturating_mul(burst) }
    }

    fn change(&self, slot: &mut Slot, change: Change, limit: Limit, now_ms: u64) -> Result<Reading, Over> {
        let now = now_ms.saturating_mul(NS);
        let mut over = false;
        match change {
            Change::Reserve { amount } => {
                let cost = self.each.saturating_mul(amount.max(1));
                let arrival = slot.used.max(now).saturating_add(cost);
                let horizon = now.saturating_add(self.full);
                over = arrival > horizon || limit.most == 0;
                if over && limit.enforced {
                    let possible = cost <= self.full && limit.most > 0;
                    let wait = arrival.saturating_sub(horizon).div_ceil(NS);
                    return Err(Over {
                        remaining: self.remaining(slot.used, now),
                        retry_ms: possible.then_some(wait),
                    });
                }
                // In monitor mode the debt stays within a bucket, as it would
                // have had the call been denied.
                slot.used = if over { slot.used } else { arrival };
            }
            Change::Cancel { amount, .. } => {
                slot.used = slot.used.saturating_sub(self.each.saturating_mul(amount.max(1)));
            }
            // An arrival is an arrival, however the call ends.
            Change::Extend { .. } | Change::Settle { .. } => {}
        }
        slot.expires = (slot.used.div_ceil(NS)).max(now_ms).saturating_add(QUOTA_GRACE_MS);
        let reset_ms = slot.used.max(now).div_ceil(NS);
        Ok(Reading { window: 0, remaining: self.remaining(slot.used, now), reset_ms, over })
    }

    fn remaining(&self, arrival: u64, now: u64) -> u64 {
        now.saturating_add(self.full).saturating_sub(arrival.max(now)) / self.each
    }
}
