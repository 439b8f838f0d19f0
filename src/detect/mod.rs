//! Finds what rules describe in one text, or in a text that is still arriving.
//!
//! A prefilter looks for all literals of all rules in one pass; anchors look for
//! shapes without a literal. At each place they name, a lazy DFA of the rule
//! walks forward from there and is dead, or alive, or has matched: one step a
//! byte, never back. The state at the end of the text says what a stream must
//! hold back.

mod anchors;
mod budget;
pub mod checks;
pub mod classifier;
mod confirm;
mod context;
mod ends;
mod engine;
mod glance;
mod injection;
mod literals;
mod needs;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod prefilter_tests;
mod scratch;
mod self_test;
mod sight;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod stream_tests;
mod unit;

pub use engine::{Engine, Input, Match, Outcome, View};
pub use injection::Injection;
pub use scratch::Scratch;
pub use self_test::{Failure, self_test};
