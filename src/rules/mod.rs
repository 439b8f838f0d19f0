//! Rule packs: as written in JSON, then resolved and checked.

mod builtin;
mod error;
mod follow;
mod gate;
mod heads;
mod needs;
mod objects;
mod pattern;
mod scope;
mod set;
mod written;

pub use builtin::{NAMES as PACK_NAMES, builtin, text as pack_text};
pub use error::RuleError;
pub use follow::ByteSet;
pub use gate::{Gate, OPERATOR_REACH, RUN, RUN_REACH, in_run, is_operator};
pub use heads::HEAD_PLACES;
pub use needs::{HEAD_BYTES, Needs};
pub use objects::from_json;
pub use pattern::Shape;
pub use scope::{Direction, Scope};
pub use set::{CLASSIFIER, LoadedRule, RuleIndex, RuleSet, Start, Strictness};
pub use written::{Anchor, Category, Context, Pack, Pattern, Rule, RuleTests, Severity, Surprise, TextView};
