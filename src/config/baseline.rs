//! Baselines as written, and resolved: the numbers for all, what a policy does.

use serde_json::Value;

use super::fields::Fields;
use super::resolve::error;
use super::{ConfigError, Operator};
use crate::baseline::{Kind, Rule};
use crate::policy::{Act, Habits};

#[inline(never)]
fn act_of(fields: &Fields<'_>, name: &str, or: Act) -> Result<Act, ConfigError> {
    match fields.text(name)? {
        None => Ok(or),
        Some("allow") => Ok(Act::Allow),
        Some("flag") => Ok(Act::Flag),
        Some("block") => Ok(Act::Block),
        Some("approve") => Ok(Act::Approve),
        Some(_) => Err(error(fields.path(name), "must be `allow`, `flag`, `approve` or `block`")),
    }
}

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Sums above this are nobody's.
const MOST: u64 = 1_000_000_000_000;

/// Nano-dollars in a dollar.
const NANO: f64 = 1e9;

pub(super) fn read(document: &Value) -> Result<(Rule, Option<Operator>), ConfigError> {
    let known = ["learn", "learn_requests", "interval", "forget", "jump", "admin"];
    let fields = Fields::of(document.get("baseline"), "baseline".to_owned(), &known)?;
    let known = ["sigmas", "times", "intervals", "min_requests", "min_tokens", "min_cost_usd"];
    let jump = fields.object("jump", &known)?;
    let mut rule = Rule::default();
    fields.time("learn", &mut rule.learn_ms)?;
    fields.time("interval", &mut rule.interval_ms)?;
    fields.time("forget", &mut rule.forget_ms)?;
    if rule.forget_ms < DAY || rule.forget_ms <= rule.learn_ms.max(rule.interval_ms) {
        return Err(error("baseline.forget", "a day at least, and longer than `learn` and `interval`"));
    }
    rule.learn_requests = fields.count("learn_requests", rule.learn_requests, (0, MOST))?;
    rule.sigmas = jump.number("sigmas", rule.sigmas, (0, MOST))?;
    rule.times = jump.number("times", rule.times, (1, MOST))?;
    // Fewer than two have no usual level.
    rule.intervals = jump.count("intervals", rule.intervals, (2, 1000))?;
    let [requests, tokens, cost] = &mut rule.floors;
    *requests = jump.count("min_requests", *requests, (0, MOST))?;
    *tokens = jump.count("min_tokens", *tokens, (0, MOST))?;
    let usd = jump.number("min_cost_usd", *cost as f64 / NANO, (0, MOST / 1000))?;
    // In range, and a fraction of a nano-dollar is nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let nano = (usd * NANO) as u64;
    *cost = nano;
    Ok((rule, operator(&fields)?))
}

fn operator(fields: &Fields<'_>) -> Result<Option<Operator>, ConfigError> {
    let admin = fields.object("admin", &["path", "subjects"])?;
    if admin.map.is_none() {
        return Ok(None);
    }
    let path = admin.text("path")?.unwrap_or_default();
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./~".contains(&b));
    if !path.starts_with('/') || path.len() < 2 || !plain {
        return Err(error(admin.path("path"), "begins with / and has no query, escapes or spaces"));
    }
    let subjects = admin.globs("subjects")?;
    if subjects.is_empty() {
        return Err(error(admin.path("subjects"), "names nobody"));
    }
    Ok(Some(Operator { path: path.to_owned(), subjects }))
}

/// The baseline of the policy at an index.
pub(super) fn habits(
    document: &Value,
    index: usize,
    can_ask: bool,
) -> Result<Option<Box<Habits>>, ConfigError> {
    let written = document.get("policies").and_then(|all| all.get(index)?.get("baseline"));
    if written.is_none() {
        return Ok(None);
    }
    let at = ["policies[", &index.to_string(), "].baseline"].concat();
    let fields = Fields::of(written, at, &["action", "per", "known"])?;
    let act = act_of(&fields, "action", Act::Flag)?;
    let mut habits = Box::new(Habits::new(act));
    let kinds = Kind::ALL.map(Kind::name);
    let per = fields.object("per", &kinds)?;
    for (kind, name) in Kind::ALL.into_iter().zip(kinds) {
        habits.set(kind, act_of(&per, name, act)?);
    }
    if !can_ask && Kind::ALL.into_iter().any(|kind| habits.act(kind) == Act::Approve) {
        return Err(error(fields.at, "`approve` needs `approval` in the policy"));
    }
    let known = fields.object("known", &["models", "tools", "servers"])?;
    habits.models = known.globs("models")?;
    habits.tools = known.globs("tools")?;
    habits.servers = known.globs("servers")?;
    Ok(Some(habits))
}
