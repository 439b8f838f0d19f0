//! What a live stream tells about itself, and why one cannot go on.

use crate::wire::{Refusal, Skips, ToolCall, Usage};

/// What a stream tells about itself on the way.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) finish: Option<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) skipped: Skips,
    /// Bytes of text produced, for an estimate where no usage comes.
    pub(super) text_bytes: u64,
    pub(super) done: bool,
    /// A disguised value came to light when part of it had gone.
    pub(super) late: bool,
}

/// Why a stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A rule blocks it.
    Blocked(String),
    /// The budget is used up, or nobody allows a call in it.
    Refused(Refusal),
    /// It cannot be read: what and where, without content.
    Unreadable(&'static str),
}

/// What the gate says: a rule's code, or what is wrong with the stream.
pub(super) fn refused(code: &'static str) -> Cut {
    if code.starts_with("stream.") { Cut::Unreadable(code) } else { Cut::Blocked(code.to_owned()) }
}

pub(super) fn blocked(rule: Option<String>, exhausted: bool) -> Result<(), Cut> {
    match rule {
        Some(rule) => Err(Cut::Blocked(rule)),
        None if exhausted => Err(Cut::Blocked("engine.budget".to_owned())),
        None => Ok(()),
    }
}
