//! Consent from outside: what a service of the operator's is asked before a
//! call goes on, and how its answer is read. Nothing here does the asking.
//!
//! The filter keeps nothing between calls. Each call asks again under an id made
//! of what is asked, so a call that is tried again finds its decision.

mod answer;
mod question;

pub use answer::{Answer, Decision, read};
pub use question::{Call, Question, id};

/// The estimate of its cost is over the policy's threshold.
pub const COST: &str = "cost";
/// It calls a tool, or asks for a skill, that needs consent.
pub const TOOL: &str = "tool";
/// The subject does not behave as it used to.
pub const ANOMALY: &str = "anomaly";

/// Where to ask.
#[derive(Clone, Debug)]
pub struct Service {
    /// Cluster of Envoy's.
    pub cluster: String,
    /// Path of the POST.
    pub path: String,
    /// `:authority` of the POST.
    pub authority: String,
    /// Wait so long for the answer.
    pub timeout_ms: u32,
    /// Calls pass where the service does not answer, and the record says so.
    pub open: bool,
}
