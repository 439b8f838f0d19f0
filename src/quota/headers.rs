//! Where the quotas stand, in the response headers that SDKs know.
//!
//! Names and forms: OpenAI, "Rate limits" (resets as durations, `6m0s`);
//! Anthropic, "Rate limits: response headers" (resets in RFC 3339). Where
//! several quotas count the same thing, the one with the least left is shown.
//! Cost and calls in flight have no such header.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reserve::Standing;
use super::spec::Unit;

/// Whose names to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `x-ratelimit-limit-tokens`; for every dialect that has none of its own.
    OpenAi,
    /// `anthropic-ratelimit-tokens-limit`.
    Anthropic,
}

/// Names of limit, remaining and reset.
type Names = [&'static str; 3];

const OPENAI: [(&[Unit], Names); 2] = [
    (
        &[Unit::Requests],
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ),
    (
        &[Unit::Tokens, Unit::InputTokens, Unit::OutputTokens],
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ),
];

const ANTHROPIC: [(&[Unit], Names); 4] = [
    (
        &[Unit::Requests],
        [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
    ),
    (
        &[Unit::Tokens],
        [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
    ),
    (
        &[Unit::InputTokens],
        [
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ],
    ),
    (
        &[Unit::OutputTokens],
        [
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ],
    ),
];

/// Headers for these standings. Quotas in monitor mode are not the client's to
/// see, and those that could not be read are not shown.
pub fn headers(style: Style, standings: &[Standing], now_ms: u64) -> Vec<(&'static str, String)> {
    let groups: &[(&[Unit], Names)] = match style {
        Style::OpenAi => &OPENAI,
        Style::Anthropic => &ANTHROPIC,
    };
    let mut out = Vec::new();
    for (units, [limit, remaining, reset]) in groups {
        let shown = standings.iter().filter(|s| s.metered && s.enforced && units.contains(&s.unit));
        let Some(least) = shown.min_by_key(|s| (s.remaining, s.limit)) else { continue };
        out.push((*limit, least.limit.to_string()));
        out.push((*remaining, least.remaining.to_string()));
        let at = match style {
            Style::OpenAi => Some(duration(least.reset_ms.saturating_sub(now_ms))),
            Style::Anthropic => rfc3339(least.reset_ms),
        };
        out.extend(at.map(|at| (*reset, at)));
    }
    out
}

/// `90061000` ms as `25h1m1s`, rounded up to seconds; under one as `120ms`.
fn duration(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let s = ms.div_ceil(1000);
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

/// None: past the year 9999.
fn rfc3339(ms: u64) -> Option<String> {
    let seconds = i64::try_from(ms.div_ceil(1000)).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_772_409_600_000;

    fn standing(unit: Unit, limit: u64, remaining: u64, reset_ms: u64) -> Standing {
        Standing {
            quota: 0,
            unit,
            limit,
            remaining,
            reset_ms,
            reserved: 0,
            charged: 0,
            over: false,
            metered: true,
            enforced: true,
        }
    }

    #[test]
    fn least_left_in_each_dialects_names() {
        let mut hidden = standing(Unit::Tokens, 1, 0, T0);
        hidden.enforced = false;
        let all = [
            standing(Unit::Tokens, 1000, 900, T0 + 86_400_000),
            standing(Unit::Tokens, 100, 40, T0 + 59_001),
            standing(Unit::InputTokens, 70, 50, T0 + 1000),
            standing(Unit::Requests, 10, 0, T0 + 120),
            standing(Unit::CostUsd, 5, 5, T0),
            hidden,
        ];
        let text = |style| {
            let lines = headers(style, &all, T0);
            lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>()
        };
        assert_eq!(
            text(Style::OpenAi),
            "x-ratelimit-limit-requests: 10\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 120ms\n\
             x-ratelimit-limit-tokens: 100\nx-ratelimit-remaining-tokens: 40\nx-ratelimit-reset-tokens: 1m0s\n"
        );
        assert_eq!(
            text(Style::Anthropic),
            "anthropic-ratelimit-requests-limit: 10\nanthropic-ratelimit-requests-remaining: 0\n\
             anthropic-ratelimit-requests-reset: 2026-03-02T00:00:01Z\n\
             anthropic-ratelimit-tokens-limit: 100\nanthropic-ratelimit-tokens-remaining: 40\n\
             anthropic-ratelimit-tokens-reset: 2026-03-02T00:01:00Z\n\
             anthropic-ratelimit-input-tokens-limit: 70\nanthropic-ratelimit-input-tokens-remaining: 50\n\
             anthropic-ratelimit-input-tokens-reset: 2026-03-02T00:00:01Z\n"
        );
        assert_eq!(headers(Style::OpenAi, &[], T0), []);
    }

    #[test]
    fn durations() {
        for (ms, text) in
            [(0, "0ms"), (999, "999ms"), (1001, "2s"), (60_000, "1m0s"), (90_061_000, "25h1m1s")]
        {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(rfc3339(u64::MAX), None);
    }
}
