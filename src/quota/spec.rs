//! A quota as written in the configuration, and resolved.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cell::CounterId;
use super::key::Hasher;
use super::meter::{Limit, Meter};
use super::window::Window;

/// A quota as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaWritten {
    /// For records and errors, and part of the counter's identity: quotas of
    /// the same name, scope, unit and window share their counters, in
    /// whichever policy they stand.
    pub name: String,
    /// What has a counter of its own: `subject`, `group`, `policy`, `model`, or
    /// several. An empty list: one counter for all traffic.
    pub per: Per,
    /// What is counted.
    pub unit: Unit,
    /// How much of it. US dollars for `cost_usd`.
    pub limit: serde_json::Number,
    /// `1s`, `5m`, `1h`, `1d`, `1w`, `1month`. For `concurrent`: after how long
    /// a call whose worker died is forgotten; default `15m`.
    #[serde(default)]
    pub window: Option<String>,
    /// Slide instead of starting at zero. See [`super::meter`] for the error.
    #[serde(default)]
    pub sliding: bool,
    /// For `requests`: a token bucket that refills by `limit` a window and
    /// holds this many.
    #[serde(default)]
    pub burst: Option<u64>,
    /// What a cached input token counts, in percent of a fresh one.
    #[serde(default)]
    pub cached_percent: Option<u8>,
    /// Count and record, but do not deny.
    #[serde(default)]
    pub monitor: bool,
}

/// One name or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Per {
    One(Dimension),
    All(Vec<Dimension>),
}

/// A property of a request that can have a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Dimension {
    Subject,
    Group,
    Policy,
    Model,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calls.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens, reasoning included.
    OutputTokens,
    /// Cost by the price table, in nano-dollars.
    CostUsd,
    /// Calls in flight.
    Concurrent,
    /// Nearly equal prompts, each counted alone: see [`super::repeats`].
    Repeats,
}

/// What a request asks for, or what a call has spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// All input tokens.
    pub input: u64,
    /// Those of `input` that came from the provider's cache.
    pub cached: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Nano-dollars.
    pub cost_nano: u64,
}

/// Whose counters a request uses. `None` counts as the empty name.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Scope<'a> {
    pub subject: &'a str,
    pub group: &'a str,
    pub policy: &'a str,
    pub model: &'a str,
}

/// A resolved quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Name in records.
    pub name: String,
    /// What has a counter of its own.
    pub per: Dimensions,
    /// What is counted.
    pub unit: Unit,
    /// How it is counted.
    pub meter: Meter,
    /// Limit in the unit's integers.
    pub limit: Limit,
    /// See [`QuotaWritten::cached_percent`].
    pub cached_percent: u8,
    /// Digest of what makes this a budget of its own: name, unit, window.
    tag: CounterId,
}

/// A set of [`Dimension`]s, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dimensions(u8);

impl Dimensions {
    /// Whether a property is in the set.
    pub const fn contains(self, dimension: Dimension) -> bool {
        self.0 >> dimension as u8 & 1 == 1
    }
}

/// A call whose worker died is forgotten after one to two of these.
const LEASE: Window = Window::Millis(15 * 60 * 1000);

/// Nano-dollars in a dollar.
const NANO: u32 = 9;

impl QuotaWritten {
    /// Check and resolve. The error is for the operator, without the path.
    pub fn resolve(&self) -> Result<Quota, String> {
        if self.name.is_empty() {
            return Err("name: must not be empty".into());
        }
        let per = match &self.per {
            Per::One(one) => std::slice::from_ref(one),
            Per::All(all) => all,
        };
        let per = Dimensions(per.iter().fold(0, |set, d| set | 1 << *d as u8));
        let scale = if self.unit == Unit::CostUsd { NANO } else { 0 };
        let most =
            super::decimal::scaled(&self.limit.to_string(), scale).map_err(|e| format!("limit: {e}"))?;
        let cached_percent = self.cached_percent.unwrap_or(100);
        if cached_percent > 100 {
            return Err("cached_percent: from 0 to 100".into());
        }
        let limit = Limit { most, enforced: !self.monitor };
        let (name, unit, meter) = (self.name.clone(), self.unit, self.meter()?);
        let identity = format!("{unit:?}/{cached_percent}/{}/{name}", meter.identity());
        let mut tag = CounterId::default();
        for (to, from) in tag.iter_mut().zip(Sha256::digest(identity)) {
            *to = from;
        }
        Ok(Quota { name, per, unit, meter, limit, cached_percent, tag })
    }

    fn meter(&self) -> Result<Meter, String> {
        let window = self.window.as_deref().map(Window::parse).transpose()?;
        if self.sliding && (self.burst.is_some() || matches!(self.unit, Unit::Concurrent | Unit::Repeats)) {
            return Err("sliding: not with `burst`, `concurrent` or `repeats`".into());
        }
        if let Some(burst) = self.burst {
            let Some(Window::Millis(per_ms)) = window else {
                return Err("burst: needs a window in s, m, h or d".into());
            };
            if self.unit != Unit::Requests || burst == 0 {
                return Err("burst: from 1, and only for `requests`".into());
            }
            return Ok(Meter::Bucket { per_ms, burst });
        }
        if self.unit == Unit::Concurrent {
            let Window::Millis(ms) = window.unwrap_or(LEASE) else {
                return Err("window: of `concurrent` in s, m, h or d".into());
            };
            return Ok(Meter::Lease { ms });
        }
        let window = window.ok_or("window: missing")?;
        Ok(match self.unit {
            Unit::Repeats => Meter::Repeats(window),
            _ if self.sliding => Meter::Sliding(window),
            _ => Meter::Fixed(window),
        })
    }
}

impl Scope<'_> {
    /// The hash of the properties that a quota is per: decides the cell.
    pub(super) fn id(&self, per: Dimensions, hasher: &Hasher) -> CounterId {
        let values = [self.subject, self.group, self.policy, self.model];
        // A property that is not asked for must differ from one that is empty:
        // the set is part of the hash.
        let set = [per.0];
        let mut parts: Vec<&[u8]> = vec![&set];
        parts.extend(
            values.iter().enumerate().filter(|(i, _)| per.0 >> i & 1 == 1).map(|(_, v)| v.as_bytes()),
        );
        hasher.id("scope", &parts)
    }
}

impl Quota {
    /// What one counts, the other counts too, in the same cells.
    pub fn shares_counters(&self, other: &Quota) -> bool {
        (self.tag, self.per) == (other.tag, other.per)
    }

    /// The lease of a quota on calls in flight, in milliseconds.
    pub fn lease_ms(&self) -> Option<u64> {
        match self.meter {
            Meter::Lease { ms } => Some(ms),
            _ => None,
        }
    }

    /// Which counter of a scope: the keyed hash of the scope and the digest of
    /// the quota, folded. Both are as good as random, so no two pairs meet.
    pub(super) fn counter(&self, scope: &CounterId) -> CounterId {
        let mut id = *scope;
        for (to, from) in id.iter_mut().zip(self.tag) {
            *to ^= from;
        }
        id
    }
}

impl Unit {
    /// This unit's share of the amounts. Calls count one, whatever they ask.
    pub fn of(self, amounts: &Amounts, cached_percent: u8) -> u64 {
        let cached = amounts.cached.min(amounts.input);
        let cut = u128::from(cached) * u128::from(100_u8.saturating_sub(cached_percent)) / 100;
        let input = amounts.input.saturating_sub(u64::try_from(cut).unwrap_or(0));
        match self {
            Unit::Requests | Unit::Concurrent => 1,
            Unit::Tokens => input.saturating_add(amounts.output),
            Unit::InputTokens => input,
            Unit::OutputTokens => amounts.output,
            Unit::CostUsd => amounts.cost_nano,
            // By fingerprint, see `Reservation::with_prompt`.
            Unit::Repeats => 0,
        }
    }
}

impl Meter {
    /// What of a meter is part of a counter's identity. Not the burst: like a
    /// limit, it may change without forgetting.
    fn identity(self) -> String {
        match self {
            Meter::Fixed(window) => format!("fixed {window}"),
            Meter::Sliding(window) => format!("sliding {window}"),
            Meter::Lease { ms } => format!("lease {ms}"),
            Meter::Repeats(window) => format!("repeats {window}"),
            Meter::Bucket { per_ms, .. } => format!("bucket {per_ms}"),
        }
    }
}
