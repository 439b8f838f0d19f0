//! Admission: reserve the budget, then let the request go upstream.

use super::inspect::Scratch;
use super::settle::Money;
use super::{Command, Flow, Phase, Session};
use crate::audit::Decision;
use crate::quota::estimate::{Estimate, Family};
use crate::quota::{self, Scope};
use crate::text::Encoding;
use crate::wire::{Reason, Refusal, Request};

/// What is done once the budget is reserved.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The body to send instead of the original.
    pub(super) body: Option<Vec<u8>>,
    /// The body was redacted, not only renamed or capped.
    pub(super) redacted: bool,
    /// Rule that sends the request to quarantine.
    pub(super) quarantine: Option<String>,
    /// Estimate of the input.
    pub(super) input_tokens: u64,
    /// Cap on the output that the client set.
    pub(super) output_cap: Option<u64>,
    /// Answers asked for.
    pub(super) choices: u32,
    /// Similarity hash of the newest message; 0 if it has no words.
    pub(super) fingerprint: u64,
}

/// Output tokens to reserve where neither client nor policy sets a cap.
/// Settlement gives back what is not used; a longer answer is charged in full.
const DEFAULT_OUTPUT_TOKENS: u64 = 1024;

/// What a chat template adds to a message. OpenAI's cookbook on counting
/// tokens says 3, and 1 more for a name.
const TOKENS_PER_MESSAGE: u64 = 3;

impl Session {
    /// Tokens of the texts of a request, estimated.
    pub(super) fn estimate_input(&self, request: &Request, body: &[u8]) -> u64 {
        let model = self.asked.model.as_deref().unwrap_or_default();
        let mut estimate = Estimate::new(Family::of_model(model));
        for span in &request.spans {
            let raw = body.get(span.range.clone()).unwrap_or_default();
            match span.encoding {
                Encoding::Plain | Encoding::JsonNumber => estimate.text(raw),
                Encoding::Json | Encoding::JsonInJson => estimate.json(raw),
            }
        }
        // Roles and separators, as chat templates add them to each message.
        estimate.tokens(TOKENS_PER_MESSAGE.saturating_mul(u64::from(request.messages)));
        estimate.total()
    }

    /// The most output that a plan may bring, and all amounts with it.
    pub(super) fn most(&self, plan: &Plan) -> (u64, quota::Amounts) {
        let limit = self.policy().and_then(|p| p.limits.max_output_tokens);
        let cap = match (plan.output_cap, limit) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => DEFAULT_OUTPUT_TOKENS,
        };
        let model = self.asked.model.as_deref().unwrap_or_default();
        let output = cap.saturating_mul(u64::from(plan.choices.max(1)));
        (output, self.amounts(model, plan.input_tokens, 0, output))
    }

    /// Start to reserve; the request waits until the cells have answered.
    pub(super) fn admit(&mut self, plan: Plan, now_ms: u64, scratch: &mut Scratch) -> Flow {
        let (_, ask) = self.most(&plan);
        let model = self.asked.model.clone().unwrap_or_default();
        if plan.choices == 0 {
            // A list of models or the like: no tokens, nothing to reserve.
            return self.weigh(plan, &ask, now_ms, scratch);
        }
        if self.lacks_price(&model)
            && self.deny(
                Reason::Forbidden,
                "price.missing",
                "the model asked for has no price, and this identity's cost is limited".to_owned(),
            )
        {
            return Flow::Hold;
        }
        if let Some(most) = self.policy().and_then(|p| p.limits.max_cost_usd) {
            let cost = ask.cost_nano as f64 / 1e9;
            if cost > most
                && self.deny(
                    Reason::Forbidden,
                    "limits.max_cost_usd",
                    "the estimated cost of this request is over the limit".to_owned(),
                )
            {
                return Flow::Hold;
            }
        }
        self.weigh(plan, &ask, now_ms, scratch)
    }

    /// Reserve what the plan may cost.
    pub(super) fn budget(&mut self, plan: Plan, now_ms: u64) -> Flow {
        let (output, ask) = self.most(&plan);
        let model = self.asked.model.clone().unwrap_or_default();
        let who = self.who.clone().unwrap_or_default();
        let config = self.config.clone();
        let Some(policy) = self
            .policy
            .and_then(|at| config.policies.get(at))
            .filter(|p| !p.quotas.is_empty() && plan.choices > 0)
        else {
            self.money.expect(plan.input_tokens);
            return self.go(plan);
        };
        let scope = Scope {
            subject: &who.subject,
            group: policy.group_of(&who),
            policy: &policy.name,
            model: &model,
        };
        self.money = Money::reserve(&policy.quotas, &scope, &ask, &config.quota_hasher, plan.fingerprint);
        self.money.expect(plan.input_tokens);
        let capped = plan.output_cap.is_some() || policy.limits.max_output_tokens.is_some();
        self.money.cover(
            output,
            capped,
            now_ms,
            policy.quotas.iter().filter_map(quota::Quota::lease_ms).min(),
        );
        self.phase = Phase::Reserving(Box::new(plan));
        self.advance(now_ms)
    }

    /// The cells answered.
    pub(super) fn updated(&mut self, outcome: quota::Outcome, now_ms: u64, scratch: &mut Scratch) -> Flow {
        self.money.feed(outcome);
        match self.phase {
            Phase::Reserving(_) => self.advance(now_ms),
            Phase::Settling => {
                self.settled(scratch);
                Flow::Continue
            }
            Phase::Sent => {
                self.money.extended();
                self.flow_after
            }
            _ => Flow::Hold,
        }
    }

    fn advance(&mut self, now_ms: u64) -> Flow {
        if self.money.is_waiting() {
            return Flow::Hold;
        }
        let Phase::Reserving(plan) = std::mem::take(&mut self.phase) else { return Flow::Hold };
        match self.money.admitted() {
            Ok(()) => self.go(*plan),
            Err(denied)
                if matches!(denied.cause, quota::Cause::Fault(_)) && self.passes_faults("fault.quota") =>
            {
                self.go(*plan)
            }
            Err(denied) => {
                let refusal = self.over_quota(&denied);
                self.reply_headers = self.rate_headers_denied(&denied, now_ms);
                if self.deny_with(refusal) { Flow::Hold } else { self.go(*plan) }
            }
        }
    }

    pub(super) fn over_quota(&self, denied: &quota::Denied) -> Refusal {
        let quota = self.policy().and_then(|p| p.quotas.get(denied.quota));
        let name = quota.map(|q| q.name.clone()).unwrap_or_default();
        let (reason, message) = match denied.cause {
            quota::Cause::Limit => (
                Reason::RateLimited,
                format!("quota {name} is used up: {} of {} left", denied.remaining, denied.limit),
            ),
            quota::Cause::TooLarge => (
                Reason::RateLimited,
                format!("this request asks for more than all of quota {name} ({})", denied.limit),
            ),
            quota::Cause::Fault(_) => (Reason::Unavailable, format!("quota {name} cannot be metered now")),
        };
        Refusal {
            reason,
            message,
            code: format!("quota.{name}"),
            retry_after: denied.retry_after_s,
            rpc_ids: self.asked.rpc_ids.clone(),
        }
    }

    /// Send the request on.
    fn go(&mut self, plan: Plan) -> Flow {
        self.phase = Phase::Sent;
        let verdict = match (&plan.quarantine, plan.redacted) {
            (Some(_), _) => Decision::Quarantine,
            (None, true) => Decision::Redact,
            (None, false) => Decision::Allow,
        };
        self.record.decision = verdict;
        let word = match verdict {
            Decision::Quarantine => "quarantine",
            Decision::Redact => "redact",
            _ => "allow",
        };
        let dialect = self.target.map(|(d, _)| d.id()).unwrap_or_default();
        let printable = |name: &str| name.chars().filter(|c| c.is_ascii_graphic()).collect::<String>();
        let subject = printable(&self.record.subject);
        let actor = self.record.chain.first().map(|name| printable(name)).unwrap_or_default();
        let model = self.asked.model.clone().unwrap_or_default();
        let policy = self.record.policy.clone().unwrap_or_default();
        for (name, value) in [
            ("x-portcullis-model", model),
            ("x-portcullis-dialect", dialect.to_owned()),
            ("x-portcullis-policy", policy),
            ("x-portcullis-subject", subject),
            ("x-portcullis-actor", actor),
            ("x-portcullis-verdict", word.to_owned()),
        ] {
            if !value.is_empty() {
                self.out.push(Command::SetRequestHeader(name.into(), value));
            }
        }
        self.out.push(Command::ClearRouteCache);
        if let Some(body) = plan.body {
            self.out.push(Command::SetRequestHeader("content-length".into(), body.len().to_string()));
            self.out.push(Command::ReplaceRequestBody(body));
        }
        Flow::Continue
    }
}
