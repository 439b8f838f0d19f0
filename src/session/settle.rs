//! What an exchange costs: held at admission, charged at its end; and the record.

use super::inspect::Scratch;
use super::{Command, Flow, Metric, Phase, Session};
use crate::audit::{CoverageState, Decision, Outcome, QuotaLine, UsageLine};
use crate::limits::MAX_PUBLISHED_TOKENS;
use crate::quota::{
    self, Amounts, Denied, Extension, Hasher, Quota, Reservation, Reserved, Scope, Sequence, Settlement,
    Standing,
};
use crate::wire::{Operation, Usage};

/// The budget of one exchange.
#[derive(Debug, Default)]
pub(super) struct Money {
    pub(super) state: State,
    /// An update is out, its outcome awaited.
    asked: bool,
    /// Input tokens estimated at admission.
    expected_input: u64,
    usage: Option<Usage>,
    text_bytes: u64,
    pub(super) standings: Vec<Standing>,
    pub(super) cover: super::extend::Cover,
}

#[derive(Debug, Default)]
pub(super) enum State {
    #[default]
    Idle,
    Reserving(Reservation),
    Held(Reserved),
    Extending(Extension),
    Settling(Settlement),
}

/// UTF-8 bytes of output text per token, for an answer without usage.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

impl Money {
    pub(super) fn reserve(
        quotas: &[Quota],
        scope: &Scope<'_>,
        ask: &Amounts,
        hasher: &Hasher,
        prompt: u64,
    ) -> Self {
        let run = Reservation::new(quotas, scope, ask, hasher).with_prompt(prompt);
        Money { state: State::Reserving(run), ..Money::default() }
    }

    pub(super) fn expect(&mut self, input: u64) {
        self.expected_input = input;
    }

    /// What the provider said, or how much text came.
    pub(super) fn produced(&mut self, usage: Option<Usage>, text_bytes: u64) {
        self.usage = usage.or(self.usage);
        self.text_bytes = text_bytes;
    }

    /// The next update of a cell, if one is due.
    pub(super) fn next_update(&mut self) -> Option<(String, quota::Op)> {
        let step = match &mut self.state {
            State::Reserving(run) => run.step(),
            State::Extending(run) => run.step(),
            State::Settling(run) => run.step(),
            State::Idle | State::Held(_) => None,
        };
        let step = step.map(|s| (s.key.to_owned(), s.op.clone()));
        self.asked = step.is_some();
        step
    }

    pub(super) fn feed(&mut self, outcome: quota::Outcome) {
        self.asked = false;
        match &mut self.state {
            State::Reserving(run) => run.feed(outcome),
            State::Extending(run) => run.feed(outcome),
            State::Settling(run) => run.feed(outcome),
            State::Idle | State::Held(_) => {}
        }
    }

    /// More updates to come.
    pub(super) fn is_waiting(&mut self) -> bool {
        match &mut self.state {
            State::Reserving(run) => run.step().is_some(),
            State::Extending(run) => run.step().is_some(),
            State::Settling(run) => run.step().is_some(),
            State::Idle | State::Held(_) => false,
        }
    }

    /// End of a reservation: held, or denied.
    pub(super) fn admitted(&mut self) -> Result<(), Denied> {
        match std::mem::take(&mut self.state) {
            State::Reserving(run) => {
                let reserved = run.finish()?;
                self.standings = reserved.standings();
                self.state = State::Held(reserved);
                Ok(())
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    /// Take over what was charged; what had been reserved stays on record.
    fn settle_standings(&mut self, mut after: Vec<Standing>) {
        for standing in &mut after {
            let before = self.standings.iter().find(|s| s.quota == standing.quota);
            standing.reserved = before.map_or(standing.reserved, |s| s.reserved);
        }
        self.standings = after;
    }

    /// Tokens used: as the provider counted them, else estimated.
    fn used(&self) -> UsageLine {
        let estimate = self.text_bytes.div_ceil(BYTES_PER_TOKEN);
        let usage = self.usage.unwrap_or_default();
        let counted = usage.input.is_some() || usage.output.is_some();
        UsageLine {
            input: Some(usage.input.unwrap_or(self.expected_input)),
            output: Some(usage.output.unwrap_or(estimate)),
            cached: usage.cached,
            reasoning: usage.reasoning,
            source: Some(if counted { "provider" } else { "estimate" }),
        }
    }
}

impl Session {
    /// Amounts in all units. A model without a price costs as much as the
    /// dearest one: free is what it must not be.
    pub(super) fn amounts(&self, model: &str, input: u64, cached: u64, output: u64) -> Amounts {
        let cost_nano = match self.target {
            // Calls of tools and agents have no price a token.
            Some((_, Operation::Mcp | Operation::A2a)) => 0,
            _ => self.config.prices.cost_at_most(model, input, cached, output),
        };
        Amounts { input, cached, output, cost_nano }
    }

    /// The model whose price counts: the one that answered, unless only the one
    /// asked for is on the list (`gpt-4o` is answered by `gpt-4o-2024-08-06`).
    fn priced_model(&self) -> String {
        let served = self.record.model_served.as_ref().filter(|m| self.config.prices.knows(m));
        served.or(self.asked.model.as_ref()).cloned().unwrap_or_default()
    }

    pub(super) fn done(&mut self, status: u16, added_us: u64, now_ms: u64, scratch: &mut Scratch) -> Flow {
        let _ = now_ms;
        if matches!(self.phase, Phase::Closed | Phase::Settling) {
            return Flow::Continue;
        }
        if let Some(live) = self.live.take() {
            self.note_live(&live);
        }
        self.record.status = status;
        self.record.added_us = added_us;
        let succeeded = self.record.upstream_status.is_some_and(|s| s < 400);
        let answered = succeeded && !matches!(self.phase, Phase::Refused);
        // The text of an error is no output; an answer refused on its way back was.
        let produced = answered || self.money.usage.is_some() || succeeded && self.money.text_bytes > 0;
        let used = self.money.used();
        self.phase = Phase::Settling;
        self.money.extended();
        let (input, cached, output) =
            (used.input.unwrap_or(0), used.cached.unwrap_or(0), used.output.unwrap_or(0));
        let spent = self.amounts(&self.priced_model(), input, cached, output);
        if let State::Held(reserved) = std::mem::take(&mut self.money.state) {
            self.money.state =
                State::Settling(if produced { reserved.settle(&spent) } else { reserved.release() });
        }
        self.settle_usual(&spent, produced, scratch);
        if produced {
            self.record.usage = used;
            self.price();
        }
        self.settled(scratch);
        Flow::Continue
    }

    fn price(&mut self) {
        let usage = &self.record.usage;
        let model = self.priced_model();
        let (input, cached, output) =
            (usage.input.unwrap_or(0), usage.cached.unwrap_or(0), usage.output.unwrap_or(0));
        let cost = self.config.prices.cost(&model, input, cached, output);
        self.record.cost_usd = cost.map(|nano| nano as f64 / 1e9);
    }

    /// Write the record once the cells have answered.
    pub(super) fn settled(&mut self, scratch: &mut Scratch) {
        if self.money.is_waiting() || self.usual.asked {
            return;
        }
        if let State::Settling(run) = std::mem::take(&mut self.money.state) {
            self.money.settle_standings(run.finish());
        }
        self.phase = Phase::Closed;
        let policy = self.policy.and_then(|at| self.config.policies.get(at));
        let over = self.money.standings.iter().find(|s| s.over && !s.enforced);
        if let Some(quota) = over.and_then(|s| policy?.quotas.get(s.quota)) {
            self.record.would_deny.get_or_insert_with(|| format!("quota.{}", quota.name));
        }
        let lines = self.money.standings.iter().map(|s| QuotaLine {
            name: policy.and_then(|p| p.quotas.get(s.quota)).map(|q| q.name.clone()).unwrap_or_default(),
            reserved: s.reserved,
            charged: s.charged,
            remaining: Some(s.remaining),
            over: s.over,
        });
        self.record.quota = lines.collect();
        if self.tally.dropped() > 0 {
            self.gap(CoverageState::Partial, "audit.findings_dropped");
        }
        if self.record.decision == Decision::Deny && self.record.upstream_status.is_none() {
            // Refused before anything was sent: nothing went by uninspected.
            self.record.outcome = Outcome::Refused;
        }
        self.record.placeholders.restored = self.vault.borrow().restored();
        self.record.findings = std::mem::take(&mut self.tally).into_findings();
        let (state, reasons) = self.coverage.parts();
        self.record.coverage = state;
        self.record.coverage_reasons = reasons.to_vec();
        let (config, vault) = (self.config.clone(), self.vault.clone());
        self.response_judge(&config, &vault).record(&mut self.record, scratch);
        self.publish();
    }

    fn publish(&mut self) {
        let usage = &self.record.usage;
        let (input, output) = (usage.input.unwrap_or(0), usage.output.unwrap_or(0));
        self.out.push(Command::Tokens(input.saturating_add(output).min(MAX_PUBLISHED_TOKENS)));
        self.out.push(Command::Count(Metric::Request {
            decision: match self.record.decision {
                Decision::Allow => "allow",
                Decision::Redact => "redact",
                Decision::Quarantine => "quarantine",
                Decision::Deny => "deny",
            },
            dialect: self.record.dialect.unwrap_or("none"),
        }));
        self.out.push(Command::Count(Metric::Tokens { input, output }));
        for finding in &self.record.findings {
            self.out.push(Command::Count(Metric::Finding {
                rule: finding.rule.clone(),
                enforced: finding.enforced,
            }));
        }
        for reason in &self.record.coverage_reasons {
            self.out.push(Command::Count(Metric::Gap(reason)));
        }
        // Serialising a record of plain data cannot fail; if it ever does, an
        // empty object is a line that shows something is wrong.
        let line = serde_json::to_string(&self.record).unwrap_or_else(|_| "{}".to_owned());
        self.out.push(Command::Audit(line));
    }
}
