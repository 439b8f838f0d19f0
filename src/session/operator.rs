//! The operator's endpoint: a subject's baseline as JSON, and its reset. The
//! filter answers it itself; whoever is not listed is refused in any mode.

use super::{Command, Flow, Headers, Phase, Session};
use crate::audit::{Outcome, timestamp};
use crate::baseline::kind::{bare, tag};
use crate::baseline::rule::{MEASURES, Rule};
use crate::baseline::{self, Op, Sketch, What};
use crate::policy::Glob;
use crate::text::escape;
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
        let listed = self
            .who
            .as_ref()
            .is_some_and(|who| operator.subjects.iter().any(|glob| glob.matches(&who.subject)));
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
            body: body.into_bytes(),
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

/// What is known, and as a part of a policy that allows just that. Written by
/// hand: a tree of values is several times the code.
fn export(subject: &str, sketch: &Sketch, rule: &Rule, now_ms: u64) -> String {
    let mut name = String::new();
    escape::escape_json(subject, &mut name);
    let hours: Vec<String> = sketch.hours.iter().map(|days| days.to_string()).collect();
    let mut out = format!(
        "{{\"subject\":\"{name}\",\"learned\":{},\"first\":\"{}\",\"last\":\"{}\",\"requests\":{},\
         \"interval_s\":{},\"hours_utc\":[{}],\"per_interval\":{{",
        sketch.is_learned(rule, now_ms),
        timestamp(sketch.first),
        timestamp(sketch.last),
        sketch.requests,
        sketch.interval_ms / 1000,
        hours.join(","),
    );
    for ((series, floor), measure) in sketch.series.iter().zip(rule.floors).zip(MEASURES) {
        let comma = if out.ends_with('{') { "" } else { "," };
        let parts = [
            series.intervals,
            rounded(series.mean),
            rounded(series.variance.sqrt()),
            // 0: too few intervals are known.
            rounded(series.limit(rule, floor).unwrap_or_default()),
            series.current,
        ];
        let [intervals, mean, deviation, limit, now] = parts;
        out.push_str(&format!(
            "{comma}\"{measure}\":{{\"intervals\":{intervals},\"mean\":{mean},\"deviation\":{deviation},\
             \"limit\":{limit},\"now\":{now}}}"
        ));
    }
    for (before, tags, for_policy) in LISTS {
        out.push_str(before);
        write_names(sketch, tags, for_policy, &mut out);
    }
    out.push_str("]}}}}");
    out
}

/// What goes before each list, which tags are in it, and whether it is one of
/// patterns.
const LISTS: [(&str, [char; 2], bool); 10] = [
    ("},\"models\":[", [tag::MODEL; 2], false),
    ("],\"models_served\":[", [tag::SERVED; 2], false),
    ("],\"mcp_servers\":[", [tag::SERVER; 2], false),
    ("],\"mcp_tools\":[", [tag::MCP_TOOL; 2], false),
    ("],\"tools_offered\":[", [tag::OFFERED; 2], false),
    ("],\"tools_called\":[", [tag::CALLED; 2], false),
    ("],\"policy\":{\"models\":{\"allow\":[", [tag::MODEL; 2], true),
    ("]},\"tools\":{\"allow\":[", [tag::OFFERED, tag::CALLED], true),
    ("]},\"mcp\":{\"servers\":[", [tag::SERVER; 2], true),
    ("],\"tools\":{\"allow\":[", [tag::MCP_TOOL; 2], true),
];

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// Names of some tags, each once. In a policy a name is a pattern: one with a
/// `*` in it would allow others, so it is left out there.
fn write_names(sketch: &Sketch, tags: [char; 2], for_policy: bool, out: &mut String) {
    let mut seen: Vec<&str> = Vec::new();
    for known in &sketch.names {
        let mut name = bare(known);
        if for_policy && known.starts_with(tag::MCP_TOOL) {
            name = name.split_once('/').map_or(name, |(_, tool)| tool);
        }
        if !known.starts_with(tags) || seen.contains(&name) || for_policy && !is_literal(name) {
            continue;
        }
        out.push_str(if seen.is_empty() { "\"" } else { ",\"" });
        escape::escape_json(name, out);
        out.push('"');
        seen.push(name);
    }
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
