//! All quotas of one request: reserve in all or none, extend, settle once.
//!
//! Three sequences of updates, each run by the host in the same way:
//!
//! ```text
//! while let Some(step) = sequence.step() { let outcome = swap(step.key, step.op); sequence.feed(outcome); }
//! sequence.finish()
//! ```

use super::cell::CounterId;
use super::key::{Hasher, shard_key};
use super::op::{Fault, Op, Outcome};
use super::run::{Mode, Part, Run};
use super::spec::{Amounts, Dimensions, Quota, Scope, Unit};
use crate::limits::MAX_QUOTAS;

/// Updates to run one after the other.
pub trait Sequence {
    /// The next update; the same one until it is fed. `None`: finish.
    fn step(&mut self) -> Option<Step<'_>>;
    /// What the update came to.
    fn feed(&mut self, outcome: Outcome);
}

/// One update of one cell.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Key of the cell in the shared map.
    pub key: &'a str,
    /// What to apply to it.
    pub op: &'a Op,
}

/// Reserves for one request.
#[derive(Debug)]
pub struct Reservation(Run);

/// Reserves more for a call that runs.
#[derive(Debug)]
pub struct Extension(Run);

/// Charges what a call has spent and gives back the rest.
#[derive(Debug)]
pub struct Settlement(Run);

/// What a request holds. It is settled or released by value, so never twice;
/// one that is dropped stays charged until its windows end.
#[derive(Debug)]
#[must_use = "settle or release it: what it holds is lost to its subject until the window ends"]
pub struct Reserved(Vec<Part>);

/// Why a request is not admitted, or a stream must be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Index of the quota in the list given to [`Reservation::new`].
    pub quota: usize,
    /// Limit or fault.
    pub cause: Cause,
    /// The quota's limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Seconds for `retry-after`, rounded up. `None`: a retry is no use.
    pub retry_after_s: Option<u64>,
}

/// What denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The quota is used up for now.
    Limit,
    /// The request asks for more than the whole limit.
    TooLarge,
    /// The request cannot be metered.
    Fault(Fault),
}

/// A quota after the last update: for headers and the audit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Index of the quota in the list given to [`Reservation::new`].
    pub quota: usize,
    /// What it counts.
    pub unit: Unit,
    /// Its limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Millisecond since the epoch at which it starts again.
    pub reset_ms: u64,
    /// Held by this request.
    pub reserved: u64,
    /// Charged to this request; 0 until it is settled.
    pub charged: u64,
    /// Only on quotas in monitor mode: it would have denied.
    pub over: bool,
    /// `false`: the update failed, or found no place in monitor mode; the
    /// numbers are older.
    pub metered: bool,
    /// `false`: the quota is in monitor mode.
    pub enforced: bool,
}

impl Reservation {
    /// Ask for these amounts in all the quotas.
    pub fn new(quotas: &[Quota], scope: &Scope<'_>, ask: &Amounts, hasher: &Hasher) -> Self {
        // Most quotas of a request are per the same thing: hash it once.
        let mut known: Vec<(Dimensions, CounterId)> = Vec::new();
        let mut parts = Vec::with_capacity(quotas.len().min(MAX_QUOTAS));
        for (index, quota) in quotas.iter().take(MAX_QUOTAS).enumerate() {
            let found = known.iter().find(|(per, _)| *per == quota.per).map(|(_, id)| *id);
            let scope = found.unwrap_or_else(|| scope.id(quota.per, hasher));
            if found.is_none() {
                known.push((quota.per, scope));
            }
            let ask = quota.unit.of(ask, quota.cached_percent);
            parts.push(Part::new(index, quota, shard_key(&scope), quota.counter(&scope), ask));
        }
        // The order in which cells are taken; see the module above.
        crate::order::sort_by(&mut parts, |a, b| a.key.cmp(&b.key));
        let mut run = Run::new(Mode::Reserve, parts, |p| p.unit != Unit::Repeats);
        if quotas.len() > MAX_QUOTAS {
            let (quota, limit) = (MAX_QUOTAS, 0);
            run.deny(Denied {
                quota,
                cause: Cause::Fault(Fault::TooMany),
                limit,
                remaining: 0,
                retry_after_s: None,
            });
        }
        Reservation(run)
    }

    /// Count the prompt in quotas of unit `repeats`, by its
    /// [`super::repeats::fingerprint`]. Without a prompt they let pass.
    pub fn with_prompt(mut self, fingerprint: u64) -> Self {
        for part in self.0.parts.iter_mut().filter(|p| p.unit == Unit::Repeats) {
            part.ask = fingerprint;
        }
        let skip = |part: &Part| part.unit == Unit::Repeats && part.ask == 0;
        self.0.regroup(|part| !skip(part));
        self
    }

    /// Admitted or denied. To be called when `step` gives `None`; before that
    /// it denies, and what was taken so far stays charged.
    pub fn finish(self) -> Result<Reserved, Denied> {
        let run = self.0.stopped_early();
        run.denied.map_or(Ok(Reserved(run.parts)), Err)
    }
}

impl Reserved {
    /// Hold more, and renew the lease of a call in flight. `more` of zero only
    /// renews: call it once per lease at least.
    pub fn extend(mut self, more: &Amounts) -> Extension {
        for part in &mut self.0 {
            part.ask = match part.unit {
                Unit::Requests | Unit::Concurrent | Unit::Repeats => 0,
                unit => unit.of(more, part.cached_percent),
            };
        }
        Extension(Run::new(Mode::Extend, self.0, |p| p.metered && (p.ask > 0 || p.is_lease())))
    }

    /// Charge what was spent, be it above the reservation or the limit.
    pub fn settle(mut self, spent: &Amounts) -> Settlement {
        for part in &mut self.0 {
            let spent = part.unit.of(spent, part.cached_percent);
            part.charged = if part.is_lease() { 0 } else { spent };
            part.ask = part.charged.saturating_sub(part.earlier);
        }
        Settlement(Run::new(Mode::Settle, self.0, Part::settles))
    }

    /// Give back everything: the call never went out. Arrivals in a token
    /// bucket stay counted, and so does what an extension left in a window
    /// that is over.
    pub fn release(mut self) -> Settlement {
        for part in &mut self.0 {
            (part.ask, part.charged) = (0, 0);
        }
        Settlement(Run::new(Mode::Settle, self.0, Part::settles))
    }

    /// Where the quotas stand.
    pub fn standings(&self) -> Vec<Standing> {
        standings(&self.0)
    }
}

impl Extension {
    /// The request with what it holds now. `Err`: it holds what it held; once
    /// that is spent the stream must be cut.
    pub fn finish(self) -> (Reserved, Result<(), Denied>) {
        let run = self.0.stopped_early();
        (Reserved(run.parts), run.denied.map_or(Ok(()), Err))
    }
}

impl Settlement {
    /// Where the quotas stand. One that is not `metered` was not charged.
    pub fn finish(self) -> Vec<Standing> {
        standings(&self.0.parts)
    }
}

macro_rules! sequence {
    ($($name:ident)*) => { $(
        impl Sequence for $name {
            fn step(&mut self) -> Option<Step<'_>> {
                self.0.step()
            }

            fn feed(&mut self, outcome: Outcome) {
                self.0.feed(outcome);
            }
        }
    )* };
}
sequence!(Reservation Extension Settlement);

fn standings(parts: &[Part]) -> Vec<Standing> {
    let mut all: Vec<Standing> = parts.iter().map(Part::standing).collect();
    crate::order::sort_by_key(&mut all, |s| s.quota);
    all
}
