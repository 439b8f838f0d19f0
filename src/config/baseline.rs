//! Baselines as written, and resolved: the numbers for all, what a policy does.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::resolve::{error, globs};
use super::{ConfigError, Operator};
use crate::baseline::rule::MEASURES;
use crate::baseline::{Kind, Rule};
use crate::policy::{Act, Habits};
use crate::quota::Window;

/// How everybody is learned. What is absent is as in [`Rule::default`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineWritten {
    /// Learning takes so long: `7d`.
    pub learn: Option<String>,
    /// And so many requests.
    pub learn_requests: Option<u64>,
    /// Requests and spend are summed up over this: `1h`.
    pub interval: Option<String>,
    /// What was not seen for so long is forgotten: `90d`.
    pub forget: Option<String>,
    /// When an interval jumps.
    pub jump: Jump,
    /// Who may see and forget baselines, and where.
    pub admin: Option<AdminWritten>,
}

/// An interval is out of the ordinary above all of these.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Jump {
    /// Standard deviations above the mean.
    pub sigmas: Option<f64>,
    /// Multiples of the mean.
    pub times: Option<f64>,
    pub min_requests: Option<u64>,
    pub min_tokens: Option<u64>,
    pub min_cost_usd: Option<f64>,
    /// Intervals that have to be known.
    pub intervals: Option<u32>,
}

/// See [`BaselineWritten::admin`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct AdminWritten {
    pub path: String,
    /// Globs of subjects.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Exact names of groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What a policy does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HabitsWritten {
    /// For every kind.
    pub action: Act,
    /// For some: `new_tool` → action.
    pub per: BTreeMap<String, Act>,
    /// Names that are known from the start.
    pub known: KnownWritten,
}

/// See [`HabitsWritten::known`]: globs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct KnownWritten {
    pub models: Vec<String>,
    pub tools: Vec<String>,
    pub servers: Vec<String>,
}

const DAY: u64 = 24 * 60 * 60 * 1000;

pub(super) fn rule(written: &BaselineWritten) -> Result<Rule, ConfigError> {
    let mut rule = Rule::default();
    for (field, text, slot) in [
        ("learn", &written.learn, &mut rule.learn_ms),
        ("interval", &written.interval, &mut rule.interval_ms),
        ("forget", &written.forget, &mut rule.forget_ms),
    ] {
        let Some(text) = text else { continue };
        *slot = match Window::parse(text) {
            Ok(Window::Millis(ms)) => ms,
            _ => return Err(error(format!("baseline.{field}"), "a time in s, m, h or d, from 1s to 366d")),
        };
    }
    if rule.forget_ms < DAY || rule.forget_ms <= rule.learn_ms || rule.forget_ms <= rule.interval_ms {
        return Err(error("baseline.forget", "a day at least, and longer than `learn` and `interval`"));
    }
    let jump = &written.jump;
    let (sigmas, times) = (jump.sigmas.unwrap_or(rule.sigmas), jump.times.unwrap_or(rule.times));
    // Neither holds for NaN.
    if !(0.0..=1e6).contains(&sigmas) || !(1.0..=1e6).contains(&times) {
        return Err(error("baseline.jump", "`sigmas` from 0 and `times` from 1, to 1000000"));
    }
    (rule.sigmas, rule.times) = (sigmas, times);
    rule.learn_requests = written.learn_requests.unwrap_or(rule.learn_requests);
    rule.intervals = jump.intervals.unwrap_or(rule.intervals);
    if !(2..=1000).contains(&rule.intervals) {
        return Err(error("baseline.jump.intervals", "from 2 to 1000: fewer have no usual level"));
    }
    let cost = jump.min_cost_usd.map(|usd| usd * 1e9);
    if cost.is_some_and(|nano| !(0.0..=1e18).contains(&nano)) {
        return Err(error("baseline.jump.min_cost_usd", "from 0 to 1000000000"));
    }
    // In range, and a fraction of a nano-dollar is nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cost = cost.map(|nano| nano as u64);
    let written: [Option<u64>; MEASURES.len()] = [jump.min_requests, jump.min_tokens, cost];
    for (slot, value) in rule.floors.iter_mut().zip(written) {
        *slot = value.unwrap_or(*slot);
    }
    Ok(rule)
}

pub(super) fn operator(written: &BaselineWritten) -> Result<Option<Operator>, ConfigError> {
    let Some(admin) = &written.admin else { return Ok(None) };
    let plain = admin.path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./~".contains(&b));
    if !admin.path.starts_with('/') || admin.path.len() < 2 || !plain {
        return Err(error("baseline.admin.path", "begins with / and has no query, escapes or spaces"));
    }
    if admin.subjects.is_empty() && admin.groups.is_empty() {
        return Err(error("baseline.admin", "names nobody: needs `subjects` or `groups`"));
    }
    Ok(Some(Operator {
        path: admin.path.clone(),
        subjects: globs(&admin.subjects, "baseline.admin.subjects")?,
        groups: admin.groups.clone(),
    }))
}

pub(super) fn habits(written: Option<&HabitsWritten>, at: &str) -> Result<Option<Habits>, ConfigError> {
    let Some(written) = written else { return Ok(None) };
    let at = format!("{at}.baseline");
    let mut habits = Habits::new(written.action);
    for (name, act) in &written.per {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
            let known: Vec<_> = Kind::ALL.into_iter().map(Kind::name).collect();
            return Err(error(format!("{at}.per.{name}"), format!("there are {}", known.join(", "))));
        };
        habits.set(kind, *act);
    }
    if Kind::ALL.into_iter().any(|kind| habits.act(kind) == Act::Approve) {
        return Err(error(at, "`approve` is not possible yet; use `flag` or `block`"));
    }
    let known = &written.known;
    habits.models = globs(&known.models, &format!("{at}.known.models"))?;
    habits.tools = globs(&known.tools, &format!("{at}.known.tools"))?;
    habits.servers = globs(&known.servers, &format!("{at}.known.servers"))?;
    Ok(Some(habits))
}
