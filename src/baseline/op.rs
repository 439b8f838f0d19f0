//! One update of one sketch.

use super::cell::{self, Cell};
use super::kind::{Kind, Kinds, kind_of};
use super::rule::{MEASURES, Rule};
use super::sketch::Sketch;
use crate::limits::BASELINE_CELLS;
use crate::quota::Hasher;
use crate::quota::cell::CounterId;

/// An update.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Whose sketch.
    pub id: CounterId,
    /// The numbers of today.
    pub rule: Rule,
    /// What to do.
    pub what: What,
}

/// See [`Op`].
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A request came: judge it, and count it unless it is blocked.
    Arrive {
        /// What it names, tagged.
        names: Vec<String>,
        /// What it will spend at least, by measure.
        least: [u64; MEASURES.len()],
        /// Kinds of anomaly that it is blocked for.
        blocks: Kinds,
    },
    /// An exchange ended: learn what it used, and what it cost.
    Settle {
        /// What was used, tagged.
        names: Vec<String>,
        /// What was spent, by measure; requests were counted on arrival.
        spent: [u64; MEASURES.len()],
    },
    /// Read it.
    Show,
    /// Forget it.
    Reset,
}

/// What an arrival or a settlement shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Names that are not known, tagged. This and all that is found is empty
    /// while the subject is being learned.
    pub news: Vec<String>,
    /// The hour is unusual.
    pub hour: bool,
    /// By measure: the sum in the interval and the limit, which is 0 where
    /// nothing jumped.
    pub jumps: [(u64, u64); MEASURES.len()],
    /// Of an arrival, once the subject is learned: all that is known.
    pub known: Option<Vec<String>>,
}

impl Reading {
    /// What was found.
    pub fn kinds(&self) -> Kinds {
        let mut kinds = Kinds::default();
        for name in &self.news {
            kinds.insert(kind_of(name));
        }
        if self.hour {
            kinds.insert(Kind::UnusualHour);
        }
        for (kind, jump) in JUMPS.into_iter().zip(self.jumps) {
            if jump.1 > 0 {
                kinds.insert(kind);
            }
        }
        kinds
    }
}

/// What a jump is, by measure.
pub const JUMPS: [Kind; MEASURES.len()] = [Kind::Rate, Kind::Spend, Kind::Spend];

/// Result of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of an arrival or a settlement.
    Read(Reading),
    /// The sketch, or what it was before it was forgotten.
    Shown(Option<Box<Sketch>>),
    /// Nothing was changed.
    Fault(Fault),
}

/// Why an update was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The cell has no room for another subject.
    Full,
    /// The cell is damaged. It stays so until the host's table is dropped: to
    /// start anew would be to learn what an attacker shows.
    Corrupt,
    /// The host refused to read or write, or the swap never succeeded.
    Host,
}

/// What the host does with the cell, and what to tell the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Bytes to swap in; if the swap fails, read again and apply again. `None`:
    /// leave the cell as it is.
    pub cell: Option<Vec<u8>>,
    /// Valid only once the cell is swapped in.
    pub outcome: Outcome,
}

/// The keyed hash of a subject.
pub fn subject_id(hasher: &Hasher, subject: &str) -> CounterId {
    hasher.id("baseline", &[subject.as_bytes()])
}

/// The shared-data key of the cell that holds a sketch.
pub fn key(id: &CounterId) -> String {
    let [a, b, c, d, ..] = *id;
    format!("pcb{}/{:03x}", cell::VERSION, u32::from_le_bytes([a, b, c, d]) % BASELINE_CELLS)
}

/// Apply an op to the bytes of a cell. A cell that the host does not have yet
/// is `None`. The host's contract is that of [`crate::quota::apply`].
pub fn apply(bytes: Option<&[u8]>, op: &Op, now_ms: u64) -> Applied {
    let unchanged = |outcome| Applied { cell: None, outcome };
    let Ok(mut cell) = Cell::open(bytes, &op.id) else {
        return unchanged(Outcome::Fault(Fault::Corrupt));
    };
    cell.forget(now_ms.saturating_sub(op.rule.forget_ms));
    if matches!(op.what, What::Show) {
        if let Some(sketch) = &mut cell.sketch {
            sketch.fade(&op.rule, now_ms);
        }
        return unchanged(Outcome::Shown(cell.sketch.map(Box::new)));
    }
    if matches!(op.what, What::Reset) {
        let before = cell.sketch.take();
        let bytes = before.is_some().then(|| cell.close(&op.id));
        return Applied { cell: bytes, outcome: Outcome::Shown(before.map(Box::new)) };
    }
    // Reset, or forgotten, since the request came: nothing to add to.
    if cell.sketch.is_none() && matches!(op.what, What::Settle { .. }) {
        return unchanged(Outcome::Read(Reading::default()));
    }
    let room = cell.room();
    if cell.sketch.is_none() && room < cell::FIXED {
        return unchanged(Outcome::Fault(Fault::Full));
    }
    let sketch = cell.sketch.get_or_insert_default();
    sketch.roll(&op.rule, now_ms);
    sketch.fade(&op.rule, now_ms);
    let mut reading = Reading::default();
    let is_learned = sketch.is_learned(&op.rule, now_ms);
    match &op.what {
        What::Arrive { names, least, blocks } => {
            if is_learned {
                reading.news.extend(names.iter().filter(|name| !sketch.names.contains(name)).cloned());
                reading.hour = sketch.is_unusual_hour(now_ms);
                reading.jumps = jumps(sketch, &op.rule, least);
                reading.known = Some(sketch.names.clone());
            }
            if reading.kinds().meets(*blocks) {
                return unchanged(Outcome::Read(reading));
            }
            sketch.count(now_ms);
        }
        What::Settle { names, spent } => {
            for (series, spent) in sketch.series.iter_mut().zip(spent) {
                series.current = series.current.saturating_add(*spent);
            }
            let mut left = room.saturating_sub(cell::size(sketch));
            for name in names {
                sketch.learn(name, now_ms, &mut left);
            }
            if is_learned {
                reading.jumps = jumps(sketch, &op.rule, &[0; MEASURES.len()]);
                // The rate was judged on arrival.
                reading.jumps[0] = (0, 0);
            }
        }
        What::Show | What::Reset => {}
    }
    Applied { cell: Some(cell.close(&op.id)), outcome: Outcome::Read(reading) }
}

/// Sums that are out of the ordinary with `more` on top.
fn jumps(sketch: &Sketch, rule: &Rule, more: &[u64; MEASURES.len()]) -> [(u64, u64); MEASURES.len()] {
    let mut jumps = [(0, 0); MEASURES.len()];
    let series = sketch.series.iter().zip(rule.floors).zip(more);
    for (jump, ((series, floor), more)) in jumps.iter_mut().zip(series) {
        if let Some(limit) = series.passes(*more, rule, floor) {
            // A limit below 1 shows as 1.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let limit = (limit as u64).max(1);
            *jump = (series.current.saturating_add(*more), limit);
        }
    }
    jumps
}
