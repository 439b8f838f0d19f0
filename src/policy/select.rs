//! Which policy a request falls under.

use super::access::Access;
use super::{Approval, Glob, GlobSet, Habits, Identity, Scan};
use crate::quota;

/// A policy, ready to use.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name in records and headers.
    pub name: String,
    /// Decisions take effect.
    pub enforced: bool,
    /// Groups it is for; empty: any.
    pub groups: Vec<String>,
    /// Subjects it is for; empty: any.
    pub subjects: Vec<Glob>,
    /// Agents it is for, where one acts for the subject; empty: any, or none.
    pub actors: Vec<Glob>,
    /// Models.
    pub models: GlobSet,
    /// Formats, tools, servers and skills.
    pub access: Access,
    /// Caps on one request.
    pub limits: Limits,
    /// Budgets over time.
    pub quotas: Vec<quota::Quota>,
    /// Actions on findings.
    pub scan: Scan,
    /// What happens where a subject does what it never did; `None`: nobody looks.
    pub habits: Option<Box<Habits>>,
    /// Which calls need consent.
    pub approval: Option<Approval>,
}

/// Caps on one request.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Written into the request where it asks for more, or for no cap.
    pub max_output_tokens: Option<u64>,
    /// Of the estimate, in USD.
    pub max_cost_usd: Option<f64>,
    /// Sampling temperature.
    pub max_temperature: Option<f64>,
    /// Answers to one request.
    pub max_choices: Option<u32>,
    /// Bytes of a body.
    pub max_request_bytes: Option<usize>,
    /// Messages or items.
    pub max_messages: Option<u32>,
    /// Tools offered.
    pub max_tools: Option<usize>,
    /// Images and other media.
    pub max_media: Option<u32>,
    /// Streamed answers: never, or only.
    pub stream: Option<bool>,
}

impl Policy {
    /// Cost is limited: a model without a price cannot be admitted.
    pub fn limits_cost(&self) -> bool {
        let quota = |q: &quota::Quota| q.unit == quota::Unit::CostUsd && q.limit.enforced;
        let asks = self.approval.as_ref().is_some_and(|a| a.cost_over_usd.is_some());
        self.limits.max_cost_usd.is_some() || asks || self.quotas.iter().any(quota)
    }

    /// The group that counters per group belong to: the first one that this
    /// policy is for, else the first one.
    pub fn group_of<'w>(&self, who: &'w Identity) -> &'w str {
        let named = who.groups.iter().find(|g| self.groups.contains(g));
        named.or(who.groups.first()).map(String::as_str).unwrap_or_default()
    }

    /// Whether this policy is for that identity.
    pub fn is_for(&self, who: &Identity) -> bool {
        let group = self.groups.is_empty() || self.groups.iter().any(|g| who.groups.contains(g));
        let subject = self.subjects.is_empty() || self.subjects.iter().any(|g| g.matches(&who.subject));
        let acting = who.actors.first();
        let actor =
            self.actors.is_empty() || acting.is_some_and(|a| self.actors.iter().any(|g| g.matches(a)));
        group && subject && actor
    }
}

/// The first policy for `who`. A route may name one (`route`): then that one,
/// if it is for `who`, and no other. `None`: the request is denied.
pub fn select<'p>(
    policies: &'p [Policy],
    who: &Identity,
    route: Option<&str>,
) -> Option<(usize, &'p Policy)> {
    policies.iter().enumerate().find(|(_, p)| route.is_none_or(|name| p.name == name) && p.is_for(who))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn policy(name: &str, groups: &[&str], subjects: &[&str]) -> Policy {
        Policy {
            name: name.into(),
            enforced: true,
            groups: groups.iter().map(|s| s.to_string()).collect(),
            subjects: subjects.iter().map(|p| Glob::new(p).unwrap()).collect(),
            actors: Vec::new(),
            models: GlobSet::default(),
            access: Access::default(),
            limits: Limits::default(),
            quotas: Vec::new(),
            scan: Scan::default(),
            habits: None,
            approval: None,
        }
    }

    #[test]
    fn first_match_wins_and_no_match_is_none() {
        let policies = [
            policy("fin", &["finance"], &[]),
            policy("bots", &[], &["bot-*"]),
            policy("both", &["x"], &["ann"]),
        ];
        let who = |subject: &str, group: &str| Identity {
            subject: subject.into(),
            groups: vec![group.into()],
            source: "header",
            ..Identity::default()
        };
        for (subject, group, route, expected) in [
            ("ann", "finance", None, Some("fin")),
            ("bot-1", "finance", None, Some("fin")),
            ("bot-1", "hr", None, Some("bots")),
            ("ann", "x", None, Some("both")),
            ("bob", "x", None, None),
            ("bot-1", "finance", Some("bots"), Some("bots")),
            ("ann", "finance", Some("bots"), None),
            ("ann", "finance", Some("no-such"), None),
        ] {
            let found = select(&policies, &who(subject, group), route).map(|(_, p)| p.name.as_str());
            assert_eq!(found, expected, "{subject} {group} {route:?}");
        }
    }
}
