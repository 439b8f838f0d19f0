//! Budgets: reserve before the call, settle on real usage, give back the rest.
//!
//! All of it is arithmetic over opaque cells that the host keeps in a map with
//! compare-and-swap, shared by every worker. Nothing here does I/O or reads a
//! clock:
//!
//! ```text
//! Reservation ─step─▶ (key, op) ─▶ host: loop { get, apply(cell, op, now), set if unchanged }
//!      ▲                                             │
//!      └──────────────── feed(outcome) ◀─────────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`spec`] | a quota as written, and resolved |
//! | [`window`] | calendar windows in UTC |
//! | [`key`] | which cell and which counter, as keyed hashes |
//! | [`cell`] | the binary form of a cell |
//! | [`meter`] | the arithmetic on one counter |
//! | [`op`] | one update of one cell, all or nothing |
//! | [`reserve`] | several cells in order, with rollback; settle exactly once |
//! | [`repeats`] | agents that loop |
//! | [`price`] | what a call costs |
//! | [`headers`] | where the quotas stand, for clients |
//! | [`estimate`] | how many tokens a text has |
//!
//! # Invariants
//! * Used plus reserved never passes the limit by a reservation or an
//!   extension. A settlement may pass it: what was spent is recorded, and the
//!   next request is denied.
//! * No name of a subject, group or model is in a key or a cell.
//! * Memory is bounded by [`crate::limits::QUOTA_SHARDS`] cells of
//!   [`crate::limits::QUOTA_SLOTS`] counters. A full cell denies.
//! * Limits are not stored: a reload that changes one applies to the use so far.
//!
//! # Why in order with rollback
//! Counters with the same scope (all quotas of one subject) share a cell: one
//! swap takes all or none. Scopes that differ (a subject and its group) lie in
//! different cells, which the host cannot swap together. Cells are taken in
//! key order and given back when a later one denies. While that goes on, a
//! request may be denied by a hold that is about to go; never the reverse. As
//! all take cells in the same order, the one furthest along never waits for
//! another.

pub mod cell;
mod decimal;
pub mod estimate;
pub mod headers;
pub mod key;
pub mod meter;
pub mod op;
pub mod price;
pub mod repeats;
pub mod reserve;
mod run;
pub mod spec;
pub mod window;

#[cfg(test)]
mod model_test;

pub use key::Hasher;
pub use op::{Applied, Fault, Op, Outcome, apply};
pub use reserve::{Cause, Denied, Extension, Reservation, Reserved, Sequence, Settlement, Standing, Step};
pub use spec::{Amounts, Dimension, Quota, QuotaWritten, Scope, Unit};
pub use window::Window;
