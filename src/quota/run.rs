//! The machine behind reservations, extensions and settlements: cell by cell,
//! forward, and backward after a denial.

use super::cell::CounterId;
use super::meter::{Change, Limit, Meter, Reading};
use super::op::{Fault, Item, Op, Outcome};
use super::reserve::{Cause, Denied, Standing, Step};
use super::spec::{Quota, Unit};

/// One counter of the request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) quota: usize,
    pub(super) key: String,
    id: CounterId,
    meter: Meter,
    limit: Limit,
    pub(super) unit: Unit,
    pub(super) cached_percent: u8,
    /// Amount of the change under way.
    pub(super) ask: u64,
    /// Window that `held` is in.
    window: u64,
    held: u64,
    /// Held in earlier windows, and spent there as far as they know.
    pub(super) earlier: u64,
    pub(super) charged: u64,
    over: bool,
    pub(super) metered: bool,
    remaining: u64,
    reset_ms: u64,
}

impl Part {
    pub(super) fn new(index: usize, quota: &Quota, key: String, id: CounterId, ask: u64) -> Self {
        Part {
            quota: index,
            key,
            id,
            meter: quota.meter,
            limit: quota.limit,
            unit: quota.unit,
            cached_percent: quota.cached_percent,
            ask,
            window: 0,
            held: 0,
            earlier: 0,
            charged: 0,
            over: false,
            metered: false,
            remaining: 0,
            reset_ms: 0,
        }
    }

    pub(super) fn is_lease(&self) -> bool {
        matches!(self.meter, Meter::Lease { .. })
    }

    /// Buckets and prompts were counted on arrival; nothing is left to settle.
    pub(super) fn settles(&self) -> bool {
        self.metered && !matches!(self.meter, Meter::Bucket { .. } | Meter::Repeats(_))
    }

    fn change(&self, mode: Mode, back: bool) -> Change {
        let &Part { window, held, ask, .. } = self;
        match (mode, back) {
            (Mode::Reserve, false) => Change::Reserve { amount: ask },
            (Mode::Extend, false) => Change::Extend { window, held, more: ask },
            (Mode::Settle, _) => Change::Settle { window, held, charge: ask },
            (Mode::Reserve | Mode::Extend, true) => Change::Cancel { window, amount: ask },
        }
    }

    fn read(&mut self, mode: Mode, back: bool, reading: Option<Reading>) {
        let Some(reading) = reading else {
            self.metered = false;
            return;
        };
        (self.remaining, self.reset_ms) = (reading.remaining, reading.reset_ms);
        match (mode, back) {
            (Mode::Settle, _) => self.held = 0,
            // The ask is a fingerprint, not an amount.
            _ if self.unit == Unit::Repeats => {
                (self.over, self.metered) = (reading.over, true);
            }
            (_, true) => self.held = self.held.saturating_sub(self.ask),
            _ => {
                if reading.window > self.window && !self.is_lease() {
                    self.earlier = self.earlier.saturating_add(std::mem::take(&mut self.held));
                }
                self.held = self.held.saturating_add(self.ask);
                self.window = reading.window;
                self.over |= reading.over;
                // An arrival that a monitored bucket had no room for is not in it.
                self.metered = !(reading.over && matches!(self.meter, Meter::Bucket { .. }));
            }
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            quota: self.quota,
            unit: self.unit,
            limit: self.limit.most,
            remaining: self.remaining,
            reset_ms: self.reset_ms,
            reserved: self.held.saturating_add(self.earlier),
            charged: self.charged,
            over: self.over,
            metered: self.metered,
            enforced: self.limit.enforced,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Reserve,
    Extend,
    Settle,
}

/// A sequence under way.
#[derive(Debug)]
pub(super) struct Run {
    mode: Mode,
    pub(super) parts: Vec<Part>,
    /// Indices of the parts that share a cell, cell by cell.
    batches: Vec<Vec<usize>>,
    /// Forward: batches done. Backward: batches still to undo.
    at: usize,
    back: bool,
    pub(super) denied: Option<Denied>,
    /// The update under way, and the parts it is about.
    op: Option<(Op, Vec<usize>)>,
}

impl Run {
    pub(super) fn new(mode: Mode, parts: Vec<Part>, takes_part: impl Fn(&Part) -> bool) -> Self {
        let mut run = Run { mode, parts, batches: Vec::new(), at: 0, back: false, denied: None, op: None };
        run.regroup(takes_part);
        run
    }

    /// Choose the parts that take part, before the first update.
    pub(super) fn regroup(&mut self, takes_part: impl Fn(&Part) -> bool) {
        let parts = &self.parts;
        let taking: Vec<usize> =
            parts.iter().enumerate().filter(|(_, p)| takes_part(p)).map(|(i, _)| i).collect();
        let key = |i: &usize| parts.get(*i).map(|p| &p.key);
        self.batches = taking.chunk_by(|a, b| key(a) == key(b)).map(<[usize]>::to_vec).collect();
    }

    pub(super) fn step(&mut self) -> Option<Step<'_>> {
        if self.op.is_none() {
            self.op = self.next_op();
        }
        let (op, indices) = self.op.as_ref()?;
        let key = &indices.first().and_then(|&i| self.parts.get(i))?.key;
        Some(Step { key, op })
    }

    /// Deny before the first update.
    pub(super) fn deny(&mut self, denied: Denied) {
        self.back = true;
        self.denied = Some(denied);
    }

    fn next_op(&mut self) -> Option<(Op, Vec<usize>)> {
        loop {
            let at = if self.back { self.at.checked_sub(1)? } else { self.at };
            let mut indices = self.batches.get(at)?.clone();
            if self.back {
                // What a monitored quota had no place for cannot be given back.
                indices.retain(|&i| self.parts.get(i).is_some_and(|p| p.metered && p.ask > 0));
            }
            if !indices.is_empty() {
                let parts = indices.iter().filter_map(|&i| self.parts.get(i));
                let items = parts.map(|part| Item {
                    id: part.id,
                    meter: part.meter,
                    limit: part.limit,
                    change: part.change(self.mode, self.back),
                });
                return Some((Op { items: items.collect() }, indices));
            }
            self.at = at;
        }
    }

    pub(super) fn feed(&mut self, outcome: Outcome) {
        let Some((_, indices)) = self.op.take() else { return };
        match outcome {
            Outcome::Done(readings) => {
                for (&index, reading) in indices.iter().zip(readings) {
                    if let Some(part) = self.parts.get_mut(index) {
                        part.read(self.mode, self.back, reading);
                    }
                }
            }
            failed => {
                if self.mode == Mode::Settle || self.back {
                    self.unmetered(&indices);
                } else {
                    self.denied = self.denial(&indices, &failed);
                    self.back = true;
                    return;
                }
            }
        }
        self.at = if self.back { self.at.saturating_sub(1) } else { self.at.saturating_add(1) };
    }

    fn unmetered(&mut self, indices: &[usize]) {
        for &index in indices {
            if let Some(part) = self.parts.get_mut(index) {
                part.metered = false;
            }
        }
    }

    fn denial(&self, indices: &[usize], outcome: &Outcome) -> Option<Denied> {
        let item = if let Outcome::Denied { item, .. } = outcome { *item } else { 0 };
        let part = indices.get(item).or(indices.first()).and_then(|&i| self.parts.get(i))?;
        let denied = |cause, remaining, retry_after_s| {
            Some(Denied { quota: part.quota, cause, limit: part.limit.most, remaining, retry_after_s })
        };
        match outcome {
            Outcome::Denied { over, .. } => match over.retry_ms {
                Some(ms) => denied(Cause::Limit, over.remaining, Some(ms.div_ceil(1000).max(1))),
                None => denied(Cause::TooLarge, over.remaining, None),
            },
            Outcome::Fault(fault) => denied(Cause::Fault(*fault), 0, None),
            Outcome::Done(_) => None,
        }
    }

    /// A sequence that was not run to its end has not been granted.
    pub(super) fn stopped_early(mut self) -> Self {
        let fault = Outcome::Fault(Fault::Host);
        if self.denied.is_none() && self.step().is_some() {
            self.feed(fault);
        }
        self
    }
}
