//! The operator's endpoint: a subject's baseline as JSON, and its reset. The
//! filter answers it itself; whoever is not listed is refused in any mode.

use serde_json::{Value, json};

use super::{Command, Flow, Headers, Phase, Session};
use crate::audit::{Outcome, timestamp};
use crate::baseline::rule::{MEASURES, Rule};
use crate::baseline::{self, List, Op, Sketch, What};
use crate::policy::Glob;
use crate::wire::{Reason, Reply};

impl Session {
    /// `None`: the request is none for the operator's endpoint.
    pub(super) fn operator(&mut self, headers: &Headers) -> Option<Flow> {
        let config = self.config.clone();
        let operator = config.operator.as_ref().filter(|o| o.path == self.facts.path)?;
        let what = match self.facts.method.as_str() {
            "GET" => Some(("baseline_show", What::Show)),
            "DELETE" => Some(("baseline_reset", What::Reset)),
            _ => None,
        };
        self.record.operation = Some(what.as_ref().map_or("baseline", |(name, _)| *name));
        let listed = self.who.as_ref().is_some_and(|who| {
            operator.subjects.iter().any(|glob| glob.matches(&who.subject))
                || operator.groups.iter().any(|group| who.groups.contains(group))
        });
        if !listed {
            return Some(self.stop(
                Reason::Forbidden,
                "baseline.operator",
                "this identity is no operator of baselines",
            ));
        }
        let path = headers.iter().find(|(name, _)| name == b":path").map(|(_, path)| path.as_slice());
        let (Some((_, what)), Some(subject)) = (what, path.and_then(subject_of)) else {
            return Some(self.stop(
                Reason::Malformed,
                "baseline.request",
                "GET shows and DELETE forgets what is known of ?subject=",
            ));
        };
        let id = baseline::subject_id(&config.quota_hasher, &subject);
        self.usual.ask(Op { id, rule: config.baseline, what });
        self.record.baseline_of = Some(subject.clone());
        self.phase = Phase::Operator(subject);
        Some(Flow::Hold)
    }

    /// The sketch is there, or was forgotten.
    pub(super) fn shown(&mut self, subject: &str, outcome: baseline::Outcome, now_ms: u64) -> Flow {
        let sketch = match outcome {
            baseline::Outcome::Shown(Some(sketch)) => sketch,
            baseline::Outcome::Shown(None) => {
                return self.stop(Reason::NotFound, "baseline.none", "nothing is known of this subject");
            }
            _ => {
                return self.stop(
                    Reason::Unavailable,
                    "baseline.unavailable",
                    "what is known of this subject cannot be read now",
                );
            }
        };
        let body = export(subject, &sketch, &self.config.baseline, now_ms);
        self.record.outcome = Outcome::Complete;
        self.phase = Phase::Refused;
        let reply = Reply {
            status: 200,
            content_type: "application/json",
            headers: vec![("cache-control", "no-store".to_owned())],
            body: serde_json::to_vec_pretty(&body).unwrap_or_default(),
        };
        self.out.push(Command::Reply { reply, details: "portcullis_baseline".to_owned() });
        Flow::Hold
    }
}

/// The value of `subject`, which must be there once.
fn subject_of(path: &[u8]) -> Option<String> {
    let (_, query) = std::str::from_utf8(path).ok()?.split_once('?')?;
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("subject="));
    let raw = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let mut hex = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        out.push(if byte == b'%' { u8::try_from(hex()? * 16 + hex()?).ok()? } else { byte });
    }
    String::from_utf8(out).ok().filter(|subject| !subject.chars().any(char::is_control))
}

/// What is known, and as a part of a policy that allows just that.
fn export(subject: &str, sketch: &Sketch, rule: &Rule, now_ms: u64) -> Value {
    let names = |list| {
        let mut names: Vec<&str> = sketch.names(list, rule, now_ms).collect();
        crate::order::sort_by(&mut names, Ord::cmp);
        names
    };
    let (models, servers, mcp) = (names(List::Models), names(List::Servers), names(List::McpTools));
    let (offered, called) = (names(List::Offered), names(List::Called));
    // In a policy a name is a pattern: one with a `*` in it would allow others.
    let plain = |names: Vec<&str>| {
        let mut plain: Vec<String> = names.into_iter().filter(|n| is_literal(n)).map(str::to_owned).collect();
        crate::order::sort_by(&mut plain, Ord::cmp);
        plain.dedup();
        plain
    };
    let tools = plain(offered.iter().chain(&called).copied().collect());
    let mcp_tools = plain(mcp.iter().filter_map(|name| Some(name.split_once('/')?.1)).collect());
    let measures = sketch.series.iter().zip(rule.floors).zip(MEASURES).map(|((series, floor), name)| {
        let about = json!({
            "intervals": series.intervals,
            "mean": series.mean,
            "deviation": series.variance.sqrt(),
            "limit": series.limit(rule, floor),
            "now": series.current,
        });
        (name.to_owned(), about)
    });
    json!({
        "subject": subject,
        "learned": sketch.is_learned(rule, now_ms),
        "first": timestamp(sketch.first),
        "last": timestamp(sketch.last),
        "requests": sketch.requests,
        "hours_utc": sketch.hours,
        "interval_s": sketch.interval_ms / 1000,
        "per_interval": measures.collect::<serde_json::Map<_, _>>(),
        "policy": {
            "models": { "allow": plain(models.clone()) },
            "tools": { "allow": tools },
            "mcp": { "servers": plain(servers.clone()), "tools": { "allow": mcp_tools } },
        },
        "models": models,
        "models_served": names(List::Served),
        "mcp_servers": servers,
        "mcp_tools": mcp,
        "tools_offered": offered,
        "tools_called": called,
    })
}

fn is_literal(name: &str) -> bool {
    !name.contains(['*', '?']) && Glob::new(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_from_the_query() {
        for (path, subject) in [
            ("/b?subject=ann", Some("ann")),
            ("/b?x=1&subject=spiffe%3A%2F%2Fcorp%2Fa+b", Some("spiffe://corp/a+b")),
            ("/b?subject=caf%C3%A9", Some("caf\u{e9}")),
            ("/b?subject=", Some("")),
            ("/b", None),
            ("/b?Subject=ann", None),
            ("/b?subject=a&subject=b", None),
            ("/b?subject=%", None),
            ("/b?subject=%4", None),
            ("/b?subject=%zz", None),
            ("/b?subject=%ff", None),
            ("/b?subject=a%0ab", None),
        ] {
            assert_eq!(subject_of(path.as_bytes()).as_deref(), subject, "{path}");
        }
    }

    #[test]
    fn a_pattern_is_not_exported_as_a_name() {
        for (name, literal) in [("gpt-4o", true), ("*", false), ("a?", false), ("a b", false), ("[x]", false)]
        {
            assert_eq!(is_literal(name), literal, "{name}");
        }
    }
}
