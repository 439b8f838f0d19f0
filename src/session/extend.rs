//! Keeping up with a call that runs: leases renewed, more of the budget held
//! where an answer outgrows its reservation, and where the quotas stand for
//! the client.

use super::live::{Cut, Seen};
use super::settle::{BYTES_PER_TOKEN, Money, State};
use super::{Command, Flow, Phase, Session};
use crate::limits::FINGERPRINT_BYTES;
use crate::quota::headers::{Style, headers};
use crate::quota::{Amounts, Denied, Standing, Unit, repeats};
use crate::text::SpanKind;
use crate::wire::{Operation, Reason, Refusal, Request};

/// Output tokens that are held ahead of the text once the reservation is nearly used.
const MORE_TOKENS: u64 = 1024;

/// More is asked for while this many tokens are still covered: a chunk of a
/// stream holds fewer.
const AHEAD_TOKENS: u64 = 256;

/// UTF-8 bytes of text that a token is taken for where the request itself caps
/// the output. The provider keeps to its cap in its own tokens, and long words
/// or indented code give more bytes a token than [`BYTES_PER_TOKEN`]: by that
/// measure an answer would be cut that kept to its cap.
const CAPPED_BYTES_PER_TOKEN: u64 = 2 * BYTES_PER_TOKEN;

/// What of the output is covered by what is held.
#[derive(Debug, Default)]
pub(super) struct Cover {
    /// Output tokens.
    output: u64,
    /// The request goes upstream with a cap that `output` covers: only a
    /// provider that ignores it produces more.
    capped: bool,
    /// What the extension under way adds.
    more: u64,
    /// Shortest lease among the quotas, and when it was renewed.
    lease_ms: Option<u64>,
    renewed_ms: u64,
    /// An extension was denied: what is covered is all there is.
    denied: Option<Denied>,
}

impl Cover {
    /// Output tokens so far: as the provider counts them, or estimated.
    fn produced(&self, seen: &Seen) -> u64 {
        let told = seen.usage.and_then(|usage| usage.output).unwrap_or(0);
        let bytes = if self.capped { CAPPED_BYTES_PER_TOKEN } else { BYTES_PER_TOKEN };
        told.max(seen.text_bytes.div_ceil(bytes))
    }

    /// More should be held: ahead of the text, but for a capped answer, which
    /// must not take from others what it will not use.
    fn is_outgrown(&self, produced: u64) -> bool {
        if self.capped {
            return produced > self.output;
        }
        // A reservation smaller than the margin is outgrown by its first token.
        produced.saturating_add(AHEAD_TOKENS) > self.output && produced.saturating_mul(2) > self.output
    }
}

impl Money {
    pub(super) fn cover(&mut self, output: u64, capped: bool, now_ms: u64, lease_ms: Option<u64>) {
        self.cover = Cover { output, capped, lease_ms, renewed_ms: now_ms, ..Cover::default() };
    }

    /// End an extension, if one is under way.
    pub(super) fn extended(&mut self) {
        if self.is_waiting() {
            return;
        }
        match std::mem::take(&mut self.state) {
            State::Extending(run) => {
                let (reserved, granted) = run.finish();
                match granted {
                    Ok(()) => self.cover.output = self.cover.output.saturating_add(self.cover.more),
                    Err(denied) => self.cover.denied = Some(denied),
                }
                self.standings = reserved.standings();
                self.state = State::Held(reserved);
            }
            other => self.state = other,
        }
    }

    fn extend(&mut self, more: &Amounts) {
        match std::mem::take(&mut self.state) {
            State::Held(reserved) => {
                self.cover.more = more.output;
                self.state = State::Extending(reserved.extend(more));
            }
            other => self.state = other,
        }
    }
}

impl Session {
    /// After a chunk of the answer: renew the lease at half its time, hold more
    /// before the text outgrows what is held.
    pub(super) fn keep_up(&mut self, flow: Flow, now_ms: u64) -> Flow {
        let cover = &self.money.cover;
        if !matches!(self.phase, Phase::Sent) || !matches!(self.money.state, State::Held(_)) {
            return flow;
        }
        let produced = self.live.as_ref().map_or(0, |live| cover.produced(&live.seen));
        let outgrown = cover.denied.is_none() && cover.is_outgrown(produced);
        let due = cover.lease_ms.is_some_and(|ms| now_ms.saturating_sub(cover.renewed_ms) >= ms / 2);
        if outgrown || due {
            let model = self.asked.model.clone().unwrap_or_default();
            let short = produced.saturating_sub(cover.output);
            let more = if outgrown { short.saturating_add(MORE_TOKENS) } else { 0 };
            let more = self.amounts(&model, 0, 0, more);
            self.money.cover.renewed_ms = now_ms;
            self.money.extend(&more);
            // Nothing to update: none of the quotas counts what was asked for.
            self.money.extended();
            self.flow_after = flow;
        }
        flow
    }

    /// More than what is held was produced, and no more was granted.
    pub(super) fn is_spent(&self, seen: &Seen) -> bool {
        let cover = &self.money.cover;
        self.enforces() && cover.denied.is_some() && cover.produced(seen) > cover.output
    }

    pub(super) fn spent_quota(&self) -> Cut {
        let refusal = self.money.cover.denied.map(|denied| self.over_quota(&denied));
        Cut::Refused(refusal.unwrap_or_else(|| Refusal {
            reason: Reason::RateLimited,
            message: "the budget is used up".to_owned(),
            code: "quota".to_owned(),
            retry_after: None,
            rpc_ids: Vec::new(),
        }))
    }

    /// A model without a price where cost is limited. Calls of tools and agents
    /// name none and cost nothing a token.
    pub(super) fn lacks_price(&self, model: &str) -> bool {
        let priced = !matches!(self.target, Some((_, Operation::Mcp | Operation::A2a)));
        priced && self.policy().is_some_and(|p| p.limits_cost()) && !self.config.prices.knows(model)
    }

    /// Similarity hash of the newest message: the last run of texts that a
    /// user, a tool or another agent wrote, or that a tool is called with.
    pub(super) fn fingerprint(&self, request: &Request, body: &[u8]) -> u64 {
        let counts = self.policy().is_some_and(|p| p.quotas.iter().any(|q| q.unit == Unit::Repeats));
        if !counts {
            return 0;
        }
        let is_message = |kind: SpanKind| {
            matches!(
                kind,
                SpanKind::User
                    | SpanKind::ToolResult
                    | SpanKind::ToolArguments
                    | SpanKind::Document
                    | SpanKind::Mcp
                    | SpanKind::Other
            )
        };
        let mut last: Vec<_> = request.spans.iter().filter(|s| is_message(s.kind)).collect();
        crate::order::sort_by_key(&mut last, |s| s.range.start);
        let kind = last.last().map(|s| s.kind);
        let mut parts = Vec::new();
        let mut bytes = 0;
        for span in last.into_iter().rev().take_while(|s| Some(s.kind) == kind) {
            let raw = body.get(span.range.clone()).unwrap_or_default();
            bytes += raw.len();
            parts.push(raw);
            if bytes >= FINGERPRINT_BYTES {
                break;
            }
        }
        parts.reverse();
        repeats::fingerprint(&parts.join(&b' '))
    }

    fn style(&self) -> Style {
        match self.target {
            Some((dialect, _)) if dialect.provider() == "anthropic" => Style::Anthropic,
            _ => Style::OpenAi,
        }
    }

    /// Tell the client where the quotas stand.
    pub(super) fn show_rates(&mut self, now_ms: u64) {
        let shown = headers(self.style(), &self.money.standings, now_ms);
        self.out.extend(shown.into_iter().map(|(name, value)| Command::SetResponseHeader(name, value)));
    }

    /// The same for the quota that denied.
    pub(super) fn rate_headers_denied(&self, denied: &Denied, now_ms: u64) -> Vec<(&'static str, String)> {
        let Some(quota) = self.policy().and_then(|p| p.quotas.get(denied.quota)) else { return Vec::new() };
        let wait_ms = denied.retry_after_s.unwrap_or(0).saturating_mul(1000);
        let standing = Standing {
            quota: denied.quota,
            unit: quota.unit,
            limit: denied.limit,
            remaining: denied.remaining,
            reset_ms: now_ms.saturating_add(wait_ms),
            reserved: 0,
            charged: 0,
            over: true,
            metered: denied.retry_after_s.is_some(),
            enforced: quota.limit.enforced,
        };
        headers(self.style(), &[standing], now_ms)
    }
}
