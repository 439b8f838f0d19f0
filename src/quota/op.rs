//! One update of one cell: several counters, all or nothing.

use super::cell::{self, CounterId, Slot};
use super::meter::{Change, Limit, Meter, Over, Reading};
use crate::limits::QUOTA_SLOTS;

/// Changes to counters of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Op {
    /// In order; the first that does not fit denies all.
    pub items: Vec<Item>,
}

/// A change of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which counter.
    pub id: CounterId,
    /// How it counts.
    pub meter: Meter,
    /// Its limit today.
    pub limit: Limit,
    /// What to do.
    pub change: Change,
}

/// What the host does with the cell, and what to tell the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Bytes to swap in. If the swap fails, read again and apply again.
    /// `None`: leave the cell as it is.
    pub cell: Option<Vec<u8>>,
    /// Valid only once the cell is swapped in.
    pub outcome: Outcome,
}

/// Result of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; a reading for each item. `None`: the counter found no place in
    /// the cell, and its item was not one that denies.
    Done(Vec<Option<Reading>>),
    /// Nothing was changed: this item does not fit.
    Denied {
        /// Index in the op.
        item: usize,
        /// By how much, and for how long.
        over: Over,
    },
    /// Nothing was changed.
    Fault(Fault),
}

/// Why an update was not possible at all. Denies, unless the operator chose to
/// be open on faults; then the record says that the call was not metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every slot of the cell belongs to a live counter.
    TableFull,
    /// The cell is damaged. It stays so until the host's table is dropped: to
    /// start it at zero would be to open it.
    Corrupt,
    /// The host refused to read or write, or the swap never succeeded.
    Host,
    /// More quotas than [`crate::limits::MAX_QUOTAS`]: configuration should
    /// have refused them.
    TooMany,
}

/// Apply an op to the bytes of a cell. A cell that the host does not have yet
/// is `None`.
///
/// Host contract: the swap of a new cell must fail if another worker made it
/// in between. Envoy takes a swap with cas 0 as unconditional, so the first
/// write must carry a cas that no cell can have.
pub fn apply(cell: Option<&[u8]>, op: &Op, now_ms: u64) -> Applied {
    let Ok(mut slots) = cell::decode(cell) else {
        return Applied { cell: None, outcome: Outcome::Fault(Fault::Corrupt) };
    };
    slots.retain(|slot| slot.expires > now_ms);
    let mut readings = Vec::with_capacity(op.items.len());
    for (index, item) in op.items.iter().enumerate() {
        match one(&mut slots, item, now_ms) {
            Ok(reading) => readings.push(reading),
            Err(Stop::Over(over)) => {
                return Applied { cell: None, outcome: Outcome::Denied { item: index, over } };
            }
            Err(Stop::Full) => return Applied { cell: None, outcome: Outcome::Fault(Fault::TableFull) },
        }
    }
    let bytes = cell::encode(&slots);
    let changed = cell.is_none_or(|old| old != bytes);
    Applied { cell: changed.then_some(bytes), outcome: Outcome::Done(readings) }
}

enum Stop {
    Over(Over),
    Full,
}

fn one(slots: &mut Vec<Slot>, item: &Item, now_ms: u64) -> Result<Option<Reading>, Stop> {
    if let Some(slot) = slots.iter_mut().find(|slot| slot.id == item.id) {
        return item.meter.change(slot, item.change, item.limit, now_ms).map(Some).map_err(Stop::Over);
    }
    let mut slot = Slot { id: item.id, ..Slot::default() };
    let reading = item.meter.change(&mut slot, item.change, item.limit, now_ms).map_err(Stop::Over)?;
    // Nothing to remember: a settlement whose window is long gone.
    if slot.used == 0 && slot.held == 0 && !matches!(item.change, Change::Reserve { .. }) {
        return Ok(Some(reading));
    }
    if slots.len() >= QUOTA_SLOTS {
        let admits = matches!(item.change, Change::Reserve { .. } | Change::Extend { .. });
        return if admits && item.limit.enforced { Err(Stop::Full) } else { Ok(None) };
    }
    slots.push(slot);
    Ok(Some(reading))
}
