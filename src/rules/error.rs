//! What is wrong with a rule: file, rule, field, reason.

use std::fmt;

/// A fault of a pack or of one rule. The pack is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Name of the file, or the path in a configuration.
    pub file: String,
    /// Id of the rule; empty where the fault is the pack's.
    pub rule: String,
    /// Name of the field; empty where it is none in particular.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl RuleError {
    pub(crate) fn new(file: &str, rule: &str, field: &'static str, reason: impl Into<String>) -> Self {
        RuleError { file: file.to_owned(), rule: rule.to_owned(), field, reason: reason.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.rule.is_empty() {
            write!(f, "rule {}: ", self.rule)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for RuleError {}
