//! The injection classifier: a linear model over hashed n-grams of words.
//!
//! Rules find what somebody listed; the model finds what reads like it. It is
//! one pass of table look-ups. A long text is scored in overlapping segments,
//! so that one poisoned paragraph counts as much as a short message.
//!
//! `rules/models/README.md` says what the model was trained on, what it finds
//! and what it misses.

mod grams;
mod model;
mod quick;
mod segments;

pub use grams::{Family, Sink, grams};
pub use model::{Classifier, LEVELS, ModelError};
pub use segments::{BLOCK_BYTES, Scores, Segment, export};

/// The model that comes with Portcullis.
pub const BUILTIN: &[u8] = include_bytes!("../../../rules/models/injection.bin");
