//! Baselines as written, and resolved: the numbers for all, what a policy does.
//!
//! Read from a tree and not by derived code, which is 4 KB of module for each
//! struct. The rest of the document is read without it.

use serde_json::{Map, Value};

use super::resolve::{error, globs};
use super::{ConfigError, Operator};
use crate::baseline::{Kind, Rule};
use crate::policy::{Act, Glob, Habits};
use crate::quota::Window;

/// An object of the configuration. Its fields are known before one is read.
struct Fields<'v> {
    at: String,
    map: Option<&'v Map<String, Value>>,
}

impl<'v> Fields<'v> {
    /// An absent object has no fields.
    #[inline(never)]
    fn of(value: Option<&'v Value>, at: String, known: &[&str]) -> Result<Self, ConfigError> {
        let map = match value {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(_) => return Err(error(at, "must be an object")),
        };
        let mut names = map.iter().flat_map(|map| map.keys());
        match names.find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(error([&at, ".", name].concat(), "unknown field")),
            None => Ok(Fields { at, map }),
        }
    }

    fn path(&self, name: &str) -> String {
        [&self.at, ".", name].concat()
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.map?.get(name)
    }

    fn object(&self, name: &str, known: &[&str]) -> Result<Fields<'v>, ConfigError> {
        Fields::of(self.get(name), self.path(name), known)
    }

    #[inline(never)]
    fn text(&self, name: &str) -> Result<Option<&'v str>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(error(self.path(name), "must be a string")),
        }
    }

    #[inline(never)]
    fn globs(&self, name: &str) -> Result<Vec<Glob>, ConfigError> {
        let items = match self.get(name) {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(other) => std::slice::from_ref(other),
        };
        let texts: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.len() < items.len() {
            return Err(error(self.path(name), "must be a list of strings"));
        }
        globs(&texts, &self.path(name))
    }

    #[inline(never)]
    fn time(&self, name: &str, slot: &mut u64) -> Result<(), ConfigError> {
        match self.text(name)?.map(Window::parse) {
            None => Ok(()),
            Some(Ok(Window::Millis(ms))) => {
                *slot = ms;
                Ok(())
            }
            Some(_) => Err(error(self.path(name), "a time in s, m, h or d, from 1s to 366d")),
        }
    }

    /// A number in a range; those of counts may not have a fraction.
    #[inline(never)]
    fn number(&self, name: &str, or: f64, (least, most): (u32, u64)) -> Result<f64, ConfigError> {
        let value = match self.get(name) {
            None => Some(or),
            Some(other) => other.as_f64(),
        };
        let fits = |value: &f64| *value >= f64::from(least) && *value <= most as f64;
        value.filter(fits).ok_or_else(|| {
            error(
                self.path(name),
                ["must be a number from ", &least.to_string(), " to ", &most.to_string()].concat(),
            )
        })
    }

    fn count(&self, name: &str, or: u64, range: (u32, u64)) -> Result<u64, ConfigError> {
        let value = self.number(name, or as f64, range)?;
        // In range, and whole in what an operator writes.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(value as u64)
    }

    #[inline(never)]
    fn act(&self, name: &str, or: Act) -> Result<Act, ConfigError> {
        match self.text(name)? {
            None => Ok(or),
            Some("allow") => Ok(Act::Allow),
            Some("flag") => Ok(Act::Flag),
            Some("block") => Ok(Act::Block),
            Some("approve") => Ok(Act::Approve),
            Some(_) => Err(error(self.path(name), "must be `allow`, `flag`, `approve` or `block`")),
        }
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
    let act = fields.act("action", Act::Flag)?;
    let mut habits = Box::new(Habits::new(act));
    let kinds = Kind::ALL.map(Kind::name);
    let per = fields.object("per", &kinds)?;
    for (kind, name) in Kind::ALL.into_iter().zip(kinds) {
        habits.set(kind, per.act(name, act)?);
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
