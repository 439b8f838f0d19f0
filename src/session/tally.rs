//! Findings of one exchange, counted by rule and place.

use std::collections::BTreeMap;

use crate::audit::Finding;
use crate::limits::MAX_FINDINGS;
use crate::policy::{Action, Ruling};
use crate::rules::{Category, Direction, LoadedRule, Severity};
use crate::text::{SpanKind, Transforms};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    by_place: BTreeMap<(String, Direction, SpanKind, bool), Finding>,
    /// Findings beyond the cap, so that none is lost without a trace.
    dropped: u32,
}

impl Tally {
    pub(super) fn add(
        &mut self,
        rule: &LoadedRule,
        direction: Direction,
        kind: SpanKind,
        ruling: Ruling,
        transforms: Transforms,
        features: &[String],
    ) {
        let key = (rule.id.clone(), direction, kind, ruling.enforced);
        if self.by_place.len() >= MAX_FINDINGS && !self.by_place.contains_key(&key) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let finding = self.by_place.entry(key).or_insert_with(|| Finding {
            rule: rule.id.clone(),
            category: category_name(rule.category),
            severity: severity_name(rule.severity),
            action: action_name(ruling.action),
            enforced: ruling.enforced,
            place: format!("{}:{}", direction_name(direction), kind.as_str()),
            transforms: transforms.names().collect(),
            features: features.to_vec(),
            count: 0,
        });
        finding.count = finding.count.saturating_add(1);
    }

    /// A finding of the policy's, not of a rule's: about what a server lists,
    /// or what a subject does.
    pub(super) fn note(
        &mut self,
        id: &'static str,
        category: &'static str,
        (direction, kind): (Direction, SpanKind),
        count: u32,
        action: &'static str,
        enforced: bool,
    ) {
        if count == 0 {
            return;
        }
        let key = (id.to_owned(), direction, kind, enforced);
        let finding = self.by_place.entry(key).or_insert_with(|| Finding {
            rule: id.to_owned(),
            category,
            severity: severity_name(Severity::High),
            action,
            enforced,
            place: format!("{}:{}", direction_name(direction), kind.as_str()),
            transforms: Vec::new(),
            features: Vec::new(),
            count: 0,
        });
        finding.count = finding.count.saturating_add(count);
    }

    pub(super) fn dropped(&self) -> u32 {
        self.dropped
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.by_place.into_values().collect()
    }
}

pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Flag => "flag",
        Action::Redact => "redact",
        Action::Hash => "hash",
        Action::Tokenize => "tokenize",
        Action::Quarantine => "quarantine",
        Action::Block => "block",
    }
}

fn category_name(category: Category) -> &'static str {
    match category {
        Category::Injection => "injection",
        Category::Pii => "pii",
        Category::Secrets => "secrets",
        Category::Exfiltration => "exfiltration",
        Category::Code => "code",
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => "request",
        Direction::Response => "response",
    }
}
