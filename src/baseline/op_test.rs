//! Whole updates, with a clock of the test's own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;

use super::kind::tag;
use super::sketch::DAY;
use super::*;
use crate::limits::{BASELINE_CELL_BYTES, BASELINE_CELLS, BASELINE_SKETCH_BYTES};
use crate::quota::Hasher;

const MINUTE: u64 = 60_000;

fn rule() -> Rule {
    Rule {
        learn_ms: 10 * MINUTE,
        learn_requests: 5,
        interval_ms: MINUTE,
        intervals: 4,
        floors: [5, 100, 1000],
        ..Rule::default()
    }
}

/// A host's table, and a subject in it.
struct Table {
    cells: HashMap<String, Vec<u8>>,
    rule: Rule,
    now: u64,
    blocks: Kinds,
}

impl Table {
    fn new() -> Self {
        Table { cells: HashMap::new(), rule: rule(), now: 20_000 * DAY, blocks: Kinds::default() }
    }

    fn run(&mut self, who: &str, what: What) -> Outcome {
        let id = subject_id(&Hasher::new(b"k"), who);
        let op = Op { id, rule: self.rule, what };
        let applied = apply(self.cells.get(&key(&id)).map(Vec::as_slice), &op, self.now);
        if let Some(cell) = applied.cell {
            assert!(cell.len() <= BASELINE_CELL_BYTES);
            self.cells.insert(key(&id), cell);
        }
        applied.outcome
    }

    fn read(&mut self, who: &str, what: What) -> Reading {
        match self.run(who, what) {
            Outcome::Read(reading) => reading,
            other => panic!("{other:?}"),
        }
    }

    /// Kinds that are found when a request comes.
    fn arrive(&mut self, who: &str, names: &[&str], tokens: u64) -> Vec<&'static str> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let what = What::Arrive { names, least: [1, tokens, 0], blocks: self.blocks };
        kinds(&self.read(who, what))
    }

    fn settle(&mut self, who: &str, names: &[&str], tokens: u64) -> Vec<&'static str> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        kinds(&self.read(who, What::Settle { names, spent: [0, tokens, 0] }))
    }

    /// Two calls a minute, for so many minutes.
    fn learn(&mut self, who: &str, minutes: u64) {
        for _ in 0..minutes {
            for _ in 0..2 {
                self.arrive(who, &["mm"], 5);
                self.settle(who, &["mm", "ct"], 10);
            }
            self.now += MINUTE;
        }
    }
}

fn kinds(reading: &Reading) -> Vec<&'static str> {
    Kind::ALL.into_iter().filter(|kind| reading.kinds().contains(*kind)).map(Kind::name).collect()
}

#[test]
fn nothing_is_found_until_a_subject_is_learned() {
    let mut table = Table::new();
    for n in 0..10 {
        assert!(table.arrive("ann", &[&format!("m{n}")], n * 1000).is_empty());
        table.now += MINUTE - 1;
    }
    table.now += 10;
    assert_eq!(table.arrive("ann", &["mother"], 0), ["new_model"]);
    assert!(table.arrive("bob", &["mother"], 0).is_empty(), "Bob is new");
    // Time alone is not enough.
    table.now += DAY;
    assert!(table.arrive("bob", &["mother"], 0).is_empty());
}

#[test]
fn what_was_only_asked_for_stays_new_and_what_was_used_does_not() {
    let mut table = Table::new();
    table.learn("ann", 11);
    for (tag, kind) in [
        (tag::MODEL, "new_model"),
        (tag::SERVED, "new_served_model"),
        (tag::SERVER, "new_mcp_server"),
        (tag::MCP_TOOL, "new_tool"),
        (tag::OFFERED, "new_tool"),
        (tag::CALLED, "new_tool"),
    ] {
        let (name, none) = (kind::tagged(tag, "x"), kind::tagged(tag, ""));
        assert_eq!(table.arrive("ann", &["mm", &name], 0), [kind]);
        assert_eq!(table.arrive("ann", &[&name], 0), [kind]);
        table.settle("ann", &[&name], 0);
        assert!(table.arrive("ann", &[&name], 0).is_empty());
        // No name is never known.
        table.settle("ann", &[&none], 0);
        assert_eq!(table.arrive("ann", &[&none], 0), [kind]);
        table.now += MINUTE;
    }
}

#[test]
fn the_gate_gets_what_is_known_once_it_matters() {
    let mut table = Table::new();
    let what = || What::Arrive { names: vec![], least: [1, 0, 0], blocks: Kinds::default() };
    assert_eq!(table.read("ann", what()).known, None);
    table.learn("ann", 11);
    let known = table.read("ann", what()).known.unwrap();
    assert_eq!(known, ["mm", "ct"]);
}

#[test]
fn a_rate_that_jumps_is_found_in_its_interval() {
    let mut table = Table::new();
    table.learn("ann", 12);
    // Two a minute are usual: three times that is 6, and the floor is 5.
    for _ in 0..6 {
        assert!(table.arrive("ann", &[], 0).is_empty());
    }
    for _ in 0..3 {
        assert_eq!(table.arrive("ann", &[], 0), ["rate"]);
    }
    table.now += MINUTE;
    assert!(table.arrive("ann", &[], 0).is_empty(), "the next interval begins anew");
}

#[test]
fn blocked_requests_are_not_counted() {
    let mut table = Table::new();
    table.blocks.insert(Kind::Rate);
    table.learn("ann", 12);
    for n in 0..20 {
        assert_eq!(table.arrive("ann", &[], 0).is_empty(), n < 6, "{n}");
    }
    let Outcome::Shown(Some(sketch)) = table.run("ann", What::Show) else { panic!() };
    assert_eq!((sketch.requests, sketch.series[0].current), (24 + 6, 6));
}

#[test]
fn spend_that_jumps_is_found_when_it_is_known() {
    let mut table = Table::new();
    table.learn("ann", 12);
    // 20 tokens a minute are usual, 100 are the floor.
    assert!(table.arrive("ann", &[], 100).is_empty());
    assert_eq!(table.arrive("ann", &[], 101), ["spend"], "the prompt alone is too much");
    assert!(table.settle("ann", &[], 100).is_empty());
    assert_eq!(table.settle("ann", &[], 1), ["spend"]);
    assert_eq!(table.arrive("ann", &[], 0), ["spend"], "what follows in the interval");
    table.now += MINUTE;
    assert!(table.arrive("ann", &[], 0).is_empty());
    // The burst has taught 100 at most: 20 + (100 - 20) / 13 on average.
    let Outcome::Shown(Some(sketch)) = table.run("ann", What::Show) else { panic!() };
    assert!(sketch.series[1].mean < 30.0, "{:?}", sketch.series);
}

#[test]
fn a_subject_is_forgotten_by_time_and_by_reset() {
    let mut table = Table::new();
    table.learn("ann", 12);
    table.learn("bob", 12);
    let Outcome::Shown(Some(before)) = table.run("ann", What::Reset) else { panic!() };
    assert_eq!(before.requests, 24);
    assert_eq!(table.run("ann", What::Reset), Outcome::Shown(None));
    // A call that was on its way brings nothing back.
    assert!(table.settle("ann", &["mx"], 10).is_empty());
    assert_eq!(table.run("ann", What::Show), Outcome::Shown(None));
    assert!(table.arrive("ann", &["mx"], 0).is_empty(), "learned anew");
    assert_eq!(table.arrive("bob", &["mx"], 0), ["new_model"]);
    table.now += 91 * DAY;
    assert_eq!(table.run("bob", What::Show), Outcome::Shown(None));
}

#[test]
fn damage_is_a_fault_and_stays() {
    let mut table = Table::new();
    table.learn("ann", 1);
    let id = subject_id(&Hasher::new(b"k"), "ann");
    table.cells.get_mut(&key(&id)).unwrap()[20] ^= 1;
    let before = table.cells.clone();
    for what in [
        What::Arrive { names: vec![], least: [1, 0, 0], blocks: Kinds::default() },
        What::Settle { names: vec![], spent: [0; 3] },
        What::Show,
        What::Reset,
    ] {
        assert_eq!(table.run("ann", what), Outcome::Fault(Fault::Corrupt));
    }
    assert_eq!(table.cells, before);
}

/// A cell is full, whoever fills it: those in it go on, others are a fault, and
/// none takes the room of all.
#[test]
fn a_full_cell_refuses_newcomers_and_keeps_the_rest() {
    let mut table = Table::new();
    let hasher = Hasher::new(b"k");
    let of = |n: u32| key(&subject_id(&hasher, &format!("s{n}")));
    let same: Vec<String> = (0..).filter(|n| of(*n) == of(0)).take(80).map(|n| format!("s{n}")).collect();
    let names: Vec<String> = (0..400).map(|n| format!("c{n:0>100}")).collect();
    table.arrive(&same[0], &[], 0);
    table.read(&same[0], What::Settle { names, spent: [0; 3] });
    let size = table.cells[&of(0)].len();
    assert!(size <= BASELINE_SKETCH_BYTES + 8 && size > BASELINE_SKETCH_BYTES - 120, "{size}");
    let arrive = || What::Arrive { names: vec![], least: [1, 0, 0], blocks: Kinds::default() };
    let faults =
        same[1..].iter().filter(|who| table.run(who, arrive()) == Outcome::Fault(Fault::Full)).count();
    assert!((30..36).contains(&faults), "{faults}");
    for who in &same[..30] {
        assert!(table.arrive(who, &[], 0).is_empty());
    }
    // Time makes room.
    table.now += 91 * DAY;
    assert!(same.iter().all(|who| table.run(who, arrive()) != Outcome::Fault(Fault::Full)));
}

#[test]
fn keys_are_bounded_and_tell_nothing() {
    let hasher = Hasher::new(b"k");
    let keys: std::collections::HashSet<String> =
        (0..3 * BASELINE_CELLS).map(|n| key(&subject_id(&hasher, &n.to_string()))).collect();
    assert!(keys.len() <= BASELINE_CELLS as usize && keys.len() > BASELINE_CELLS as usize * 9 / 10);
    assert!(keys.iter().all(|key| key.len() == "pcb1/fff".len()));
    assert_ne!(subject_id(&hasher, "ann"), subject_id(&Hasher::new(b"K"), "ann"));
}
