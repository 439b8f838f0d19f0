//! One update of one sketch.

use super::cell::{self, Cell};
use super::kind::{Kind, Kinds, List};
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
        /// What it names.
        names: Vec<(List, String)>,
        /// What it will spend at least, by measure.
        least: [u64; MEASURES.len()],
        /// Kinds of anomaly that it is blocked for.
        blocks: Kinds,
    },
    /// An exchange ended: learn what it used, and what it cost.
    Settle {
        /// What was used.
        names: Vec<(List, String)>,
        /// What was spent, by measure; requests were counted on arrival.
        spent: [u64; MEASURES.len()],
    },
    /// Read it.
    Show,
    /// Forget it.
    Reset,
}

/// Something out of the ordinary.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// What.
    pub kind: Kind,
    /// The name that is new.
    pub name: Option<(List, String)>,
    /// The measure that jumped, its sum in the interval, and the limit.
    pub jump: Option<(&'static str, u64, f64)>,
}

/// What a model may come up with in an answer without being new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Known {
    pub served: Vec<String>,
    pub called: Vec<String>,
}

/// What an arrival or a settlement shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Empty while the subject is being learned.
    pub found: Vec<Anomaly>,
    /// Of an arrival, once the subject is learned.
    pub known: Option<Known>,
}

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
    let reading = match &op.what {
        What::Arrive { names, least, blocks } => {
            let reading = arrive(sketch, &op.rule, names, least, now_ms);
            if reading.found.iter().any(|anomaly| blocks.contains(anomaly.kind)) {
                return unchanged(Outcome::Read(reading));
            }
            sketch.count(now_ms);
            reading
        }
        What::Settle { names, spent } => {
            for (series, spent) in sketch.series.iter_mut().zip(spent) {
                series.current = series.current.saturating_add(*spent);
            }
            let mut left = room.saturating_sub(cell::size(sketch));
            for (list, name) in names {
                sketch.learn(*list, name, &op.rule, now_ms, &mut left);
            }
            let mut found = Vec::new();
            if sketch.is_learned(&op.rule, now_ms) {
                jumps(sketch, &op.rule, &[0; MEASURES.len()], &mut found);
            }
            // The rate was judged on arrival.
            found.retain(|anomaly| anomaly.kind == Kind::Spend);
            Reading { found, known: None }
        }
        What::Show | What::Reset => Reading::default(),
    };
    Applied { cell: Some(cell.close(&op.id)), outcome: Outcome::Read(reading) }
}

fn arrive(
    sketch: &Sketch,
    rule: &Rule,
    names: &[(List, String)],
    least: &[u64; MEASURES.len()],
    now_ms: u64,
) -> Reading {
    if !sketch.is_learned(rule, now_ms) {
        return Reading::default();
    }
    let mut found = Vec::new();
    for (list, name) in names {
        if !sketch.knows(*list, name, rule, now_ms) {
            let name = Some((*list, name.clone()));
            found.push(Anomaly { kind: list.kind(), name, jump: None });
        }
    }
    if sketch.is_unusual_hour(now_ms) {
        found.push(Anomaly { kind: Kind::UnusualHour, name: None, jump: None });
    }
    jumps(sketch, rule, least, &mut found);
    let all = |list| sketch.names(list, rule, now_ms).map(str::to_owned).collect();
    Reading { found, known: Some(Known { served: all(List::Served), called: all(List::Called) }) }
}

/// Numbers that are out of the ordinary with `more` on top.
fn jumps(sketch: &Sketch, rule: &Rule, more: &[u64; MEASURES.len()], found: &mut Vec<Anomaly>) {
    let kinds = [Kind::Rate, Kind::Spend, Kind::Spend];
    let series = sketch.series.iter().zip(rule.floors).zip(more);
    for (((series, floor), more), (kind, measure)) in series.zip(kinds.into_iter().zip(MEASURES)) {
        if let Some(limit) = series.passes(*more, rule, floor) {
            let jump = Some((measure, series.current.saturating_add(*more), limit));
            found.push(Anomaly { kind, name: None, jump });
        }
    }
}
