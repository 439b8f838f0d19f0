//! The subject's baseline: asked before a request is sent on, told at the end
//! what was used. Policies without one pay nothing.

use super::admit::Plan;
use super::inspect::Scratch;
use super::{Flow, Phase, Session};
use crate::approval;
use crate::audit::{AnomalyLine, CoverageState, Decision};
use crate::baseline::kind::{bare, kind_of, tag, tagged};
use crate::baseline::op::JUMPS;
use crate::baseline::rule::MEASURES;
use crate::baseline::{self, Kind, Kinds, Outcome, Reading, What};
use crate::limits::{BASELINE_NAMES, MAX_LISTED_TOOLS, MAX_RECORDED_NAME};
use crate::policy::{Act, Habits};
use crate::quota::Amounts;
use crate::rules::Direction;
use crate::text::SpanKind;
use crate::wire::{Operation, Reason, Request};

/// What one exchange has to do with its subject's baseline.
#[derive(Debug, Default)]
pub(super) struct Usual {
    pub(super) update: Option<(String, baseline::Op)>,
    /// An update is out, its answer awaited.
    pub(super) asked: bool,
    /// What the exchange uses, to be learned at its end.
    names: Vec<String>,
    /// The request was judged, and passed.
    passed: bool,
    /// What an answer may bring; `None`: all, the subject is being learned.
    known: Option<Vec<String>>,
}

impl Usual {
    pub(super) fn ask(&mut self, op: baseline::Op) {
        self.update = Some((baseline::key(&op.id), op));
        self.asked = true;
    }
}

/// What is new of an answer, judged by the gate before it is sent on.
#[derive(Debug, Default)]
pub(super) struct First {
    known: Option<Vec<String>>,
    /// What was judged already, tagged.
    seen: Vec<String>,
}

impl First {
    /// Whether a name is not known; `None`: it was judged before.
    pub(super) fn is_new(&mut self, name: &String) -> Option<bool> {
        if self.seen.contains(name) {
            return None;
        }
        if self.seen.len() < MAX_LISTED_TOOLS {
            self.seen.push(name.clone());
        }
        Some(self.known.as_ref().is_some_and(|known| !known.contains(name)))
    }
}

impl Session {
    fn habits(&self) -> Option<&Habits> {
        self.policy().and_then(|p| p.habits.as_deref())
    }

    /// Take down what a request names.
    pub(super) fn note_names(&mut self, request: &Request, scratch: &mut Scratch) {
        if self.habits().is_none() {
            return;
        }
        let mut names = Vec::new();
        let also = request.models_also.iter().map(|model| &model.value);
        for model in self.asked.model.iter().chain(also) {
            add(&mut names, tag::MODEL, model);
        }
        let server = &self.asked.server;
        if matches!(self.target, Some((_, Operation::Mcp))) {
            add(&mut names, tag::SERVER, server);
            for call in &request.tool_calls {
                add(&mut names, tag::MCP_TOOL, &[server, "/", &call.name].concat());
            }
        }
        for tool in &request.tools_offered {
            add(&mut names, tag::OFFERED, tool);
        }
        self.hide_names(&mut names, scratch);
        if names.len() > BASELINE_NAMES {
            // Built to name more than is kept: nothing, which is never known.
            names.push(tagged(tag::OFFERED, ""));
        }
        if let Some(habits) = self.habits() {
            names.retain(|name| !habits.knows(name));
        }
        self.usual.names = names;
    }

    /// A name that holds a value is kept as the rule's label. Those that are
    /// too long to be known stay so.
    fn hide_names(&self, names: &mut [String], scratch: &mut Scratch) {
        let judge = self.response_judge(&self.config, &self.vault);
        for name in names.iter_mut().filter(|name| bare(name).len() <= MAX_RECORDED_NAME) {
            let mut hidden = bare(name).to_owned();
            judge.hide(&mut hidden, scratch);
            name.truncate(1);
            name.push_str(&hidden);
        }
    }

    fn op(&self, what: What) -> baseline::Op {
        let subject = self.who.as_ref().map(|who| who.subject.as_str()).unwrap_or_default();
        let id = baseline::subject_id(&self.config.quota_hasher, subject);
        baseline::Op { id, rule: self.config.baseline, what }
    }

    /// Ask whether the request is usual, before its budget is reserved.
    pub(super) fn weigh(&mut self, plan: Plan, ask: &Amounts, now_ms: u64, scratch: &mut Scratch) -> Flow {
        let Some(blocks) = self.habits().map(Habits::blocks) else {
            return self.consent(plan, now_ms, scratch);
        };
        let model = self.asked.model.as_deref().unwrap_or_default();
        let input = ask.input;
        let least = [1, input, self.amounts(model, input, 0, 0).cost_nano];
        let names = self.usual.names.clone();
        self.usual.ask(self.op(What::Arrive { names, least, blocks }));
        self.phase = Phase::Weighing(Box::new(plan));
        Flow::Hold
    }

    /// The baseline answered.
    pub(super) fn usual_answered(&mut self, outcome: Outcome, now_ms: u64, scratch: &mut Scratch) -> Flow {
        self.usual.asked = false;
        match (std::mem::take(&mut self.phase), outcome) {
            (Phase::Operator(subject), outcome) => self.shown(&subject, outcome, now_ms),
            (Phase::Weighing(plan), Outcome::Read(reading)) => self.weighed(*plan, reading, now_ms, scratch),
            (Phase::Weighing(plan), _) => self.unweighed(*plan, now_ms, scratch),
            (phase, outcome) => {
                self.phase = phase;
                match outcome {
                    Outcome::Read(reading) => {
                        self.note_found(&reading, Direction::Response);
                    }
                    _ => self.gap(CoverageState::Partial, "fault.baseline"),
                }
                self.settled(scratch);
                Flow::Continue
            }
        }
    }

    fn weighed(&mut self, plan: Plan, mut reading: Reading, now_ms: u64, scratch: &mut Scratch) -> Flow {
        self.usual.known = reading.known.take();
        let worst = self.note_found(&reading, Direction::Request);
        // What would be refused is not learned in monitor mode either.
        if let Some((act, kind)) = worst.filter(|(act, _)| *act != Act::Flag) {
            let enforced = self.enforces();
            let habits = self.policy().and_then(|p| p.habits.clone());
            let drops = |name: &String| {
                let act = habits.as_ref().map_or(Act::Block, |habits| habits.act(kind_of(name)));
                (act == Act::Block || act == Act::Approve && !enforced) && reading.news.contains(name)
            };
            self.usual.names.retain(|name| !drops(name));
            if act == Act::Approve {
                self.want_consent(approval::ANOMALY);
            } else if self.deny(Reason::Forbidden, kind.id(), UNUSUAL.to_owned()) {
                return Flow::Hold;
            }
        }
        self.usual.passed = true;
        self.consent(plan, now_ms, scratch)
    }

    fn blocks(&self) -> Kinds {
        self.habits().map(Habits::blocks).unwrap_or_default()
    }

    /// The baseline is out of order: that denies where a policy relies on it.
    fn unweighed(&mut self, plan: Plan, now_ms: u64, scratch: &mut Scratch) -> Flow {
        if self.blocks().is_empty() {
            self.gap(CoverageState::Partial, "fault.baseline");
        } else if !self.passes_faults("fault.baseline")
            && self.deny(
                Reason::Unavailable,
                "baseline.unavailable",
                "what is usual for this identity cannot be told now".to_owned(),
            )
        {
            return Flow::Hold;
        }
        self.consent(plan, now_ms, scratch)
    }

    /// Put what was found into the record. What is worst of it.
    pub(super) fn note_found(&mut self, reading: &Reading, direction: Direction) -> Option<(Act, Kind)> {
        let mut worst = None;
        for name in &reading.news {
            self.note_anomaly(kind_of(name), bare(name), None, direction, &mut worst);
        }
        if reading.hour {
            self.note_anomaly(Kind::UnusualHour, "", None, direction, &mut worst);
        }
        for ((kind, measure), jump) in JUMPS.into_iter().zip(MEASURES).zip(reading.jumps) {
            if jump.1 > 0 {
                self.note_anomaly(kind, measure, Some(jump), direction, &mut worst);
            }
        }
        worst
    }

    #[inline(never)]
    fn note_anomaly(
        &mut self,
        kind: Kind,
        name: &str,
        jump: Option<(u64, u64)>,
        direction: Direction,
        worst: &mut Option<(Act, Kind)>,
    ) {
        let act = self.habits().map_or(Act::Allow, |habits| habits.act(kind));
        if act == Act::Allow {
            return;
        }
        if worst.is_none_or(|(before, _)| before < act) {
            *worst = Some((act, kind));
        }
        let lines = &mut self.record.anomalies;
        if lines.iter().any(|line| line.kind == kind.id() && line.name == name) {
            return;
        }
        if lines.len() < MAX_LISTED_TOOLS {
            let (value, limit) = jump.unzip();
            lines.push(AnomalyLine { kind: kind.id(), name: name.to_owned(), value, limit });
        }
        let place = match kind {
            Kind::NewTool if direction == Direction::Response => SpanKind::ToolArguments,
            Kind::NewTool => SpanKind::ToolDefinition,
            Kind::NewMcpServer => SpanKind::Mcp,
            _ => SpanKind::Other,
        };
        let enforced = self.enforces();
        self.tally.note(kind.id(), "anomaly", (direction, place), 1, act.name(), enforced);
    }

    /// For the gate; `None`: no baseline. The model asked for is no news.
    pub(super) fn first(&self) -> Option<First> {
        self.habits()?;
        let asked = self.asked.model.as_ref().map(|model| tagged(tag::SERVED, model));
        let known = self.usual.known.clone();
        Some(First { known: known.map(|known| known.into_iter().chain(asked).collect()), seen: Vec::new() })
    }

    /// What the gate has judged: what was new, and what was used.
    pub(super) fn note_first(&mut self, news: Vec<String>, used: Vec<String>) {
        if !news.is_empty() {
            self.note_found(&Reading { news, ..Reading::default() }, Direction::Response);
        }
        for name in &used {
            note(&mut self.usual.names, name);
        }
    }

    /// Tell what was used and spent. What was refused teaches no names.
    pub(super) fn settle_usual(&mut self, spent: &Amounts, produced: bool, scratch: &mut Scratch) {
        if !std::mem::take(&mut self.usual.passed) {
            return;
        }
        let mut names = std::mem::take(&mut self.usual.names);
        let fine = self.record.upstream_status.is_some_and(|s| s < 400);
        if !fine || self.record.decision == Decision::Deny {
            names.clear();
        }
        self.hide_names(&mut names, scratch);
        let spent = match produced {
            true => [0, spent.input.saturating_add(spent.output), spent.cost_nano],
            false => [0; MEASURES.len()],
        };
        if produced || !names.is_empty() {
            self.usual.ask(self.op(What::Settle { names, spent }));
        }
    }
}

/// One more than is kept tells that there are more.
#[inline(never)]
fn add(names: &mut Vec<String>, tag: char, name: &str) {
    note(names, &tagged(tag, name));
}

/// The same for a name that is tagged. A stream may repeat names for ever.
pub(super) fn note(names: &mut Vec<String>, name: &String) {
    if names.len() <= BASELINE_NAMES && !names.contains(name) {
        names.push(name.clone());
    }
}

/// What a refusal says; its code says more.
pub(super) const UNUSUAL: &str = "this is out of the ordinary for this identity";
