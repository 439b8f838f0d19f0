//! Who may do what: identities, policies, and the action a finding leads to.

pub mod access;
mod approval;
mod glob;
mod habits;
mod identity;
mod rulings;
mod select;

pub use approval::Approval;
pub use glob::{BadGlob, Glob, GlobSet};
pub use habits::{Act, Habits};
pub use identity::{Claim, Identity, Source, split_pairs};
pub use rulings::{Action, Actions, Ruling, Scan};
pub use select::{Limits, Policy, select};
