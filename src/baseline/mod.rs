//! What a subject usually does, as a bounded sketch, and what is out of it.
//!
//! Like budgets: arithmetic over opaque cells that the host keeps in a map with
//! compare-and-swap. Nothing here does I/O or reads a clock. An exchange takes
//! two updates: [`What::Arrive`] judges what is asked for and counts it,
//! [`What::Settle`] learns what was used and what it cost.
//!
//! | file | holds |
//! |---|---|
//! | [`kind`] | what can be out of the ordinary |
//! | [`rule`] | the numbers of an operator |
//! | [`series`] | the usual level of a number, and when it jumps |
//! | [`sketch`] | all that is known of one subject |
//! | [`cell`] | the binary form: several sketches in a cell |
//! | [`op`] | one update of one sketch |
//!
//! # Invariants
//! * What an operator blocks is not learned, neither the name nor the arrival:
//!   nothing becomes usual by being tried.
//! * Names of models, tools and servers are in a cell, so that they can be
//!   exported; a subject's name is not.
//! * Memory is bounded by [`crate::limits::BASELINE_CELLS`] cells of
//!   [`crate::limits::BASELINE_CELL_BYTES`]. A subject for whom there is no room is
//!   a fault, a name for which there is none stays new.

pub mod cell;
pub mod kind;
pub mod op;
pub mod rule;
pub mod series;
pub mod sketch;

#[cfg(test)]
mod op_test;

pub use kind::{Kind, Kinds};
pub use op::{Applied, Fault, Op, Outcome, Reading, What, apply, key, subject_id};
pub use rule::Rule;
pub use sketch::Sketch;
