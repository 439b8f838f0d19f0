//! The subject's baseline: asked before a request is sent on, told at the end
//! what was used. Policies without one pay nothing.

use super::admit::Plan;
use super::inspect::Scratch;
use super::{Flow, Phase, Session};
use crate::audit::{AnomalyLine, CoverageState, Decision, UsageLine};
use crate::baseline::{self, Anomaly, Kind, Known, List, Outcome, Reading, What};
use crate::limits::{BASELINE_NAMES, MAX_LISTED_TOOLS, MAX_RECORDED_NAME};
use crate::policy::{Act, Habits};
use crate::quota::Amounts;
use crate::rules::Direction;
use crate::text::SpanKind;
use crate::wire::{Operation, Request};

/// What one exchange has to do with its subject's baseline.
#[derive(Debug, Default)]
pub(super) struct Usual {
    update: Option<(String, baseline::Op)>,
    /// An update is out, its answer awaited.
    asked: bool,
    /// What the exchange uses, to be learned at its end.
    names: Vec<(List, String)>,
    /// The request was judged, and passed.
    pub(super) passed: bool,
    /// What an answer may bring; `None`: all, the subject is being learned.
    known: Option<Known>,
}

impl Usual {
    pub(super) fn ask(&mut self, op: baseline::Op) {
        self.update = Some((baseline::key(&op.id), op));
        self.asked = true;
    }

    pub(super) fn next_update(&mut self) -> Option<(String, baseline::Op)> {
        self.update.take()
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.asked
    }
}

/// What is new of an answer, judged by the gate before it is sent on.
#[derive(Debug, Default)]
pub(super) struct First {
    known: Option<Known>,
    /// The model asked for: no news if it answers.
    model: String,
    /// What was judged already.
    seen: Vec<(List, String)>,
}

impl First {
    /// Never heard of, and not judged before. `None`: judged before.
    pub(super) fn is_new(&mut self, list: List, name: &str) -> Option<bool> {
        if self.seen.iter().any(|(l, n)| *l == list && n == name) {
            return None;
        }
        if self.seen.len() < MAX_LISTED_TOOLS {
            self.seen.push((list, name.to_owned()));
        }
        let known = self.known.as_ref().map(|known| match list {
            List::Served if name == self.model => true,
            List::Served => known.served.iter().any(|n| n == name),
            _ => known.called.iter().any(|n| n == name),
        });
        Some(known == Some(false))
    }
}

impl Session {
    fn habits(&self) -> Option<&Habits> {
        self.policy().and_then(|p| p.habits.as_ref())
    }

    /// Take down what a request names.
    pub(super) fn note_names(&mut self, request: &Request, scratch: &mut Scratch) {
        if self.habits().is_none() {
            return;
        }
        let mut names = Vec::new();
        let models = self.asked.model.iter().chain(request.models_also.iter().map(|m| &m.value));
        names.extend(models.map(|model| (List::Models, model.clone())));
        if matches!(self.target, Some((_, Operation::Mcp))) {
            let server = &self.asked.server;
            let calls =
                request.tool_calls.iter().map(|call| (List::McpTools, format!("{server}/{}", call.name)));
            names.extend(calls);
            names.push((List::Servers, server.clone()));
        } else {
            names.extend(request.tools_offered.iter().map(|tool| (List::Offered, tool.clone())));
        }
        // A request built to name more is new in any case: nothing has no name.
        crate::order::sort_by(&mut names, |a, b| (a.0 as u8, &a.1).cmp(&(b.0 as u8, &b.1)));
        names.dedup();
        if names.len() > 2 * BASELINE_NAMES {
            names.truncate(2 * BASELINE_NAMES);
            names.push((List::Offered, String::new()));
        }
        self.hide_names(&mut names, scratch);
        if let Some(habits) = self.habits() {
            names.retain(|(list, name)| !habits.knows(*list, name));
        }
        self.usual.names = names;
    }

    /// A name that holds a value is kept as the rule's label. Those that are
    /// too long to be known stay so.
    fn hide_names(&self, names: &mut [(List, String)], scratch: &mut Scratch) {
        let (config, vault) = (self.config.clone(), self.vault.clone());
        let judge = self.response_judge(&config, &vault);
        for (_, name) in names.iter_mut().filter(|(_, name)| name.len() <= MAX_RECORDED_NAME) {
            judge.hide(name, scratch);
        }
    }

    fn op(&self, what: What) -> baseline::Op {
        let subject = self.who.as_ref().map(|who| who.subject.as_str()).unwrap_or_default();
        let id = baseline::subject_id(&self.config.quota_hasher, subject);
        baseline::Op { id, rule: self.config.baseline, what }
    }

    /// Ask whether the request is usual, before its budget is reserved.
    pub(super) fn weigh(&mut self, plan: Plan, ask: &Amounts, now_ms: u64) -> Flow {
        let Some(blocks) = self.habits().map(Habits::blocks) else { return self.consent(plan, now_ms) };
        let model = self.asked.model.clone().unwrap_or_default();
        let least = [1, ask.input, self.amounts(&model, ask.input, 0, 0).cost_nano];
        let names = self.usual.names.clone();
        self.usual.ask(self.op(What::Arrive { names, least, blocks }));
        self.phase = Phase::Weighing(Box::new(plan));
        Flow::Hold
    }

    /// The baseline answered.
    pub(super) fn usual_answered(&mut self, outcome: Outcome, now_ms: u64, scratch: &mut Scratch) -> Flow {
        self.usual.asked = false;
        match std::mem::take(&mut self.phase) {
            Phase::Weighing(plan) => self.weighed(*plan, outcome, now_ms),
            Phase::Operator(subject) => self.shown(&subject, outcome, now_ms),
            other => {
                self.phase = other;
                match outcome {
                    Outcome::Read(reading) => {
                        self.note_found(&reading.found, Direction::Response);
                    }
                    Outcome::Fault(_) | Outcome::Shown(_) => {
                        self.gap(CoverageState::Partial, "fault.baseline");
                    }
                }
                self.settled(scratch);
                Flow::Continue
            }
        }
    }

    fn weighed(&mut self, plan: Plan, outcome: Outcome, now_ms: u64) -> Flow {
        let Outcome::Read(Reading { found, known }) = outcome else {
            return self.unweighed(plan, now_ms);
        };
        self.usual.known = known;
        if let Some(kind) = self.note_found(&found, Direction::Request) {
            // What would be blocked is not learned in monitor mode either.
            let news: Vec<_> = found.into_iter().filter_map(|anomaly| anomaly.name).collect();
            let blocks = self.habits().map(Habits::blocks).unwrap_or_default();
            self.usual.names.retain(|name| !(blocks.contains(name.0.kind()) && news.contains(name)));
            if self.deny(crate::wire::Reason::Forbidden, kind.id(), message(kind).to_owned()) {
                return Flow::Hold;
            }
        }
        self.usual.passed = true;
        self.consent(plan, now_ms)
    }

    /// The baseline is out of order: that denies where a policy relies on it.
    fn unweighed(&mut self, plan: Plan, now_ms: u64) -> Flow {
        let relies = self.habits().is_some_and(|habits| !habits.blocks().is_empty());
        if !relies {
            self.gap(CoverageState::Partial, "fault.baseline");
        } else if !self.passes_faults("fault.baseline")
            && self.deny(
                crate::wire::Reason::Unavailable,
                "baseline.unavailable",
                "what is usual for this identity cannot be told now".to_owned(),
            )
        {
            return Flow::Hold;
        }
        self.consent(plan, now_ms)
    }

    /// Put anomalies into the record. The first kind that blocks.
    pub(super) fn note_found(&mut self, found: &[Anomaly], direction: Direction) -> Option<Kind> {
        let habits = self.habits()?.clone();
        let enforced = self.enforces();
        let mut blocks = None;
        for anomaly in found {
            let act = habits.act(anomaly.kind);
            if act == Act::Allow {
                continue;
            }
            if act == Act::Block {
                blocks.get_or_insert(anomaly.kind);
            }
            let (measure, value, limit) = match anomaly.jump {
                Some((measure, value, limit)) => (Some(measure), Some(value), Some(limit)),
                None => (None, None, None),
            };
            let again = |line: &AnomalyLine| line.kind == anomaly.kind.id() && line.measure == measure;
            if measure.is_some() && self.record.anomalies.iter().any(again) {
                continue;
            }
            let place = match anomaly.kind {
                Kind::NewTool if direction == Direction::Response => SpanKind::ToolArguments,
                Kind::NewTool => SpanKind::ToolDefinition,
                Kind::NewMcpServer => SpanKind::Mcp,
                _ => SpanKind::Other,
            };
            self.tally.note(anomaly.kind.id(), "anomaly", (direction, place), 1, act.action(), enforced);
            if self.record.anomalies.len() < MAX_LISTED_TOOLS {
                let name = anomaly.name.as_ref().map(|(_, name)| name.clone());
                let kind = anomaly.kind.id();
                self.record.anomalies.push(AnomalyLine { kind, name, measure, value, limit });
            }
        }
        blocks
    }

    /// For the gate; `None`: no baseline.
    pub(super) fn first(&self) -> Option<First> {
        self.habits()?;
        let model = self.asked.model.clone().unwrap_or_default();
        Some(First { known: self.usual.known.clone(), model, seen: Vec::new() })
    }

    /// What the gate has judged: anomalies, and what was used.
    pub(super) fn note_first(&mut self, found: &[Anomaly], used: Vec<(List, String)>) {
        if !found.is_empty() {
            self.note_found(found, Direction::Response);
        }
        let room = (3 * BASELINE_NAMES).saturating_sub(self.usual.names.len());
        self.usual.names.extend(used.into_iter().take(room));
    }

    /// Tell what was used and spent. What was refused teaches nothing.
    pub(super) fn settle_usual(
        &mut self,
        used: &UsageLine,
        model: &str,
        produced: bool,
        scratch: &mut Scratch,
    ) {
        if !std::mem::take(&mut self.usual.passed) {
            return;
        }
        let fine = self.record.upstream_status.is_some_and(|s| s < 400);
        let mut names = std::mem::take(&mut self.usual.names);
        if !fine || self.record.decision == Decision::Deny {
            names.clear();
        }
        self.hide_names(&mut names, scratch);
        let mut spent = [0; 3];
        if produced {
            let (input, output) = (used.input.unwrap_or(0), used.output.unwrap_or(0));
            let cost = self.amounts(model, input, used.cached.unwrap_or(0), output).cost_nano;
            spent = [0, input.saturating_add(output), cost];
        }
        if !names.is_empty() || produced {
            self.usual.ask(self.op(What::Settle { names, spent }));
        }
    }
}

/// What a refusal says.
pub(super) const fn message(kind: Kind) -> &'static str {
    match kind {
        Kind::NewModel => "this identity has never used this model",
        Kind::NewServedModel => "a model answered that this identity has never used",
        Kind::NewTool => "this identity has never used this tool",
        Kind::NewMcpServer => "this identity has never used this MCP server",
        Kind::UnusualHour => "this identity makes no requests at this time of the day",
        Kind::Spend => "this identity spends far more than usual",
        Kind::Rate => "this identity makes far more requests than usual",
    }
}
