//! Consent: a call that needs it is held until the approval service has
//! answered, a request before it has a budget, an answer before the client has
//! it; a stream waits from the first such call on.
//!
//! Others ask too: [`Session::want_consent`] before a request is admitted is all
//! that it takes.

use std::cell::RefCell;

use super::admit::Plan;
use super::gate::arguments;
use super::inspect::{Direction, Judge, Scratch, Verdict};
use super::seen::Cut;
use super::tally::Tally;
use super::vault::Vault;
use super::{Command, Flow, Phase, Session};
use crate::approval::{self, Call, Decision, Question};
use crate::audit::{ApprovalLine, CoverageState, Digest, Outcome};
use crate::limits::{MAX_APPROVAL_ARGUMENTS, MAX_APPROVAL_CALLS};
use crate::policy::{Action, Actions, Approval, Ruling};
use crate::rules::Category;
use crate::text::{Encoding, Span, SpanKind};
use crate::wire::edit::{Edit, apply};
use crate::wire::json::{Doc, Kind};
use crate::wire::{Operation, Reason, Refusal, Request, Response};

/// Code where consent cannot be asked for, and of what monitor mode would have
/// held.
pub(super) const REQUIRED: &str = "approval.required";

/// What the host asks for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Cluster of Envoy's.
    pub cluster: String,
    /// `:path`.
    pub path: String,
    /// `:authority`.
    pub authority: String,
    /// After so long there is no answer.
    pub timeout_ms: u32,
    /// `idempotency-key`.
    pub id: String,
    /// JSON.
    pub body: String,
}

/// Why a request needs consent, gathered until it is admitted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    why: Vec<&'static str>,
    calls: Vec<Call>,
    /// Hash of what is asked.
    essence: String,
}

/// A question that is out, and what comes after a yes.
#[derive(Debug)]
pub(super) struct Waiting {
    id: String,
    then: Then,
}

#[derive(Debug)]
pub(super) enum Then {
    /// Reserve the budget, and send the request on.
    Admit(Plan),
    /// Let the answer go, changed like this.
    Release(Vec<Command>),
    /// Let the stream go on.
    Stream,
}

impl Session {
    /// The request that is about to be admitted needs consent: `cost`, `tool`
    /// or `anomaly` of [`approval`]. Without a service in the policy it is refused.
    pub(super) fn want_consent(&mut self, why: &'static str) {
        if !self.wanted.why.contains(&why) {
            self.wanted.why.push(why);
        }
    }

    fn approval(&self) -> Option<Approval> {
        self.policy().and_then(|p| p.approval.clone())
    }

    /// What consent to a request will be asked for, while its body is at hand.
    pub(super) fn note_request(&mut self, request: &Request, doc: &Doc<'_>, scratch: &mut Scratch) {
        let (Some(approval), Some((_, op))) = (self.approval(), self.target) else { return };
        let essence = match op {
            Operation::Mcp | Operation::A2a => self.config.hasher.digest(&without_ids(doc)),
            _ => {
                let told = self.record.prompt.digest.clone();
                told.unwrap_or_else(|| self.config.hasher.digest(doc.bytes()))
            }
        };
        let (Digest::Hmac(essence) | Digest::Sha256(essence)) = essence;
        self.wanted.essence = essence;
        let mut calls = Vec::new();
        if op == Operation::Mcp {
            let wanted = request.tool_calls.iter().filter(|c| approval.wants(&c.name, &self.asked.server));
            calls.extend(wanted.map(|c| self.told(&c.name, &arguments(c, doc.bytes()), scratch)));
        } else if op == Operation::A2a {
            let wanted = request.skills.iter().filter(|skill| approval.wants(skill, ""));
            calls.extend(wanted.map(|skill| self.told(skill, b"", scratch)));
        }
        self.wanted.calls = calls;
        if !self.wanted.calls.is_empty() {
            self.want_consent(approval::TOOL);
        }
    }

    /// A call as the service is told of it.
    fn told(&self, name: &str, arguments: &[u8], scratch: &mut Scratch) -> Call {
        let shows = self.approval().is_some_and(|a| a.show_arguments);
        Call {
            name: self.told_name(name, scratch),
            args_hash: (!arguments.is_empty()).then(|| self.config.hasher.digest(arguments)),
            bytes: arguments.len(),
            arguments: if shows { self.masked(arguments, scratch) } else { None },
        }
    }

    /// Arguments with labels in place of personal data and credentials, whatever
    /// the policy does about them. `None`: none, too long, or not read to the end.
    fn masked(&self, arguments: &[u8], scratch: &mut Scratch) -> Option<String> {
        if arguments.is_empty() || arguments.len() > MAX_APPROVAL_ARGUMENTS {
            return None;
        }
        let mut actions = Actions::default();
        // What is wrong with a call is what its approver has to see.
        for category in [Category::Pii, Category::Secrets] {
            actions.set(category, Ruling { action: Action::Redact, enforced: true });
        }
        let direction =
            if matches!(self.phase, Phase::Sent) { Direction::Response } else { Direction::Request };
        let vault = RefCell::<Vault>::default();
        let judge = Judge { config: &self.config, actions, direction, enforced: true, vault: &vault };
        let mut verdict = Verdict::default();
        let (kind, encoding) = (SpanKind::ToolArguments, Encoding::Plain);
        let span = Span { kind, encoding, range: 0..arguments.len() };
        judge.span(arguments, &span, scratch, &mut Tally::default(), &mut verdict);
        if verdict.exhausted {
            return None;
        }
        String::from_utf8(apply(arguments, &mut verdict.edits).ok()?.into_owned()).ok()
    }

    /// The request may go on, or asks first.
    pub(super) fn consent(&mut self, plan: Plan, now_ms: u64, scratch: &mut Scratch) -> Flow {
        // A list of models or the like costs nothing.
        let cost = if plan.choices == 0 { 0.0 } else { self.most(&plan).1.cost_nano as f64 / 1e9 };
        let over = |approval: Approval| approval.cost_over_usd.is_some_and(|most| cost > most);
        if self.approval().is_some_and(over) {
            self.want_consent(approval::COST);
        }
        let wanted = std::mem::take(&mut self.wanted);
        if wanted.why.is_empty() {
            return self.budget(plan, now_ms);
        }
        // A tenant may stand in the query, a server behind a port.
        let (authority, target) = (self.facts.authority.clone(), self.facts.target.clone());
        let what = [authority.as_slice(), target.as_bytes(), wanted.essence.as_bytes()];
        self.ask("request", &wanted, &what, cost, Then::Admit(plan), now_ms, scratch)
    }

    /// The same for a whole answer that is ready: `self.out` is what lets it go.
    pub(super) fn consent_to_answer(
        &mut self,
        read: &Response,
        body: &[u8],
        scratch: &mut Scratch,
        now_ms: u64,
    ) -> Flow {
        let Some(approval) = self.approval().filter(|_| !read.tool_calls.is_empty()) else {
            return Flow::Continue;
        };
        let gate = self.gate();
        let mut calls: Vec<(String, Vec<u8>)> = Vec::new();
        for called in &read.tool_calls {
            let call = (gate.name(called), arguments(called, body));
            // One more than may be asked about says enough.
            if approval.wants(&call.0, &self.asked.server) && calls.len() <= MAX_APPROVAL_CALLS {
                calls.push(call);
            }
        }
        if calls.is_empty() {
            return Flow::Continue;
        }
        let release = Then::Release(std::mem::take(&mut self.out));
        if read.partial_calls && self.enforces() {
            return self.stop(Reason::Forbidden, REQUIRED, "a call that needs consent comes in parts");
        }
        self.ask_about(calls, release, now_ms, scratch)
    }

    /// Ask for consent to calls of a model's, of these names and arguments.
    pub(super) fn ask_about(
        &mut self,
        called: Vec<(String, Vec<u8>)>,
        then: Then,
        now_ms: u64,
        scratch: &mut Scratch,
    ) -> Flow {
        let (authority, target) = (self.facts.authority.clone(), self.facts.target.clone());
        let mut what = vec![authority.as_slice(), target.as_bytes()];
        what.extend(called.iter().flat_map(|(name, json)| [name.as_bytes(), json.as_slice()]));
        let calls = called.iter().map(|(name, json)| self.told(name, json, scratch)).collect();
        let wanted = Wanted { why: vec![approval::TOOL], calls, essence: String::new() };
        self.ask("answer", &wanted, &what, 0.0, then, now_ms, scratch)
    }

    /// A name as the service is told: one that holds a value is replaced by the
    /// rule's label, as in the record.
    fn told_name(&self, name: &str, scratch: &mut Scratch) -> String {
        let mut name = name.to_owned();
        self.response_judge(&self.config, &self.vault).hide(&mut name, scratch);
        name
    }

    #[allow(clippy::too_many_arguments)]
    fn ask(
        &mut self,
        stage: &'static str,
        wanted: &Wanted,
        what: &[&[u8]],
        cost: f64,
        then: Then,
        now_ms: u64,
        scratch: &mut Scratch,
    ) -> Flow {
        let config = self.config.clone();
        let host = self.told_name(std::str::from_utf8(&self.facts.authority).unwrap_or_default(), scratch);
        let path = self.told_name(&self.facts.path, scratch);
        let named = self.asked.model.as_deref().map(|model| self.told_name(model, scratch));
        let server = self.told_name(&self.asked.server, scratch);
        let record = &self.record;
        let model = self.asked.model.as_deref();
        let (dialect, operation) = (record.dialect.unwrap_or_default(), record.operation.unwrap_or_default());
        let (chain, why) = (record.chain.join("\0"), wanted.why.join(" "));
        let policy = record.policy.as_deref().unwrap_or_default();
        let who = [stage, &record.subject, &chain, policy, &why];
        let asked = [dialect, operation, model.unwrap_or_default(), &self.asked.server];
        let mut parts: Vec<&[u8]> = who.iter().chain(&asked).map(|part| part.as_bytes()).collect();
        parts.extend(what);
        let id = approval::id(&config.hasher, &parts);
        let line = |decision| ApprovalLine {
            id: id.clone(),
            decision,
            why: wanted.why.clone(),
            reason: None,
            waited_us: 0,
        };
        if !self.enforces() {
            let line = line("monitor");
            self.record.approval.push(line);
            self.record.would_deny.get_or_insert_with(|| REQUIRED.to_owned());
            return self.proceed(then, now_ms);
        }
        let service = self.approval().and_then(|a| config.approval_service(&a.service));
        if wanted.calls.len() > MAX_APPROVAL_CALLS || service.is_none() {
            return self.stop(Reason::Forbidden, REQUIRED, "this needs an approval that cannot be asked for");
        }
        let question = Question {
            v: 1,
            id: &id,
            why: &wanted.why,
            stage,
            subject: &record.subject,
            groups: &record.groups,
            chain: &record.chain,
            policy: record.policy.as_deref(),
            dialect: record.dialect,
            operation: record.operation,
            model: named.as_deref(),
            server: Some(server.as_str()).filter(|s| !s.is_empty()),
            host: &host,
            path: &path,
            estimated_cost_usd: cost,
            calls: &wanted.calls,
        };
        let body = serde_json::to_string(&question).unwrap_or_default();
        if let Some(service) = service {
            self.out.push(Command::Ask(Ask {
                cluster: service.cluster.clone(),
                path: service.path.clone(),
                authority: service.authority.clone(),
                timeout_ms: service.timeout_ms,
                id: id.clone(),
                body,
            }));
        }
        let line = line("unanswered");
        self.record.approval.push(line);
        self.record.outcome = Outcome::Aborted;
        self.phase = Phase::Asking(Box::new(Waiting { id, then }));
        Flow::Hold
    }

    /// The service answered; `None`: it did not. `Flow::Continue`: the message
    /// that was held goes on.
    pub(super) fn answered(
        &mut self,
        reply: Option<(u16, &[u8])>,
        waited_us: u64,
        now_ms: u64,
        scratch: &mut Scratch,
    ) -> Flow {
        let Phase::Asking(_) = self.phase else { return Flow::Hold };
        let Phase::Asking(waiting) = std::mem::take(&mut self.phase) else { return Flow::Hold };
        let Waiting { id, then } = *waiting;
        let answer = reply.and_then(|(status, body)| approval::read(status, body, &id));
        let decision = answer.as_ref().map(|a| a.decision);
        let reason = answer.and_then(|a| a.reason).filter(|reason| !reason.is_empty());
        let (word, code, said) = match decision {
            Some(Decision::Allow) => ("allow", "", ""),
            Some(Decision::Deny) => ("deny", "approval.denied", "the approval was denied"),
            Some(Decision::Pending) => ("pending", "approval.pending", "nobody has approved this yet"),
            None => ("fault", "approval.unavailable", "this needs an approval, and nobody answers"),
        };
        if let Some(line) = self.record.approval.last_mut() {
            (line.decision, line.waited_us) = (word, waited_us);
            line.reason.clone_from(&reason);
        }
        let open = || {
            let service = self.policy().and_then(|p| p.approval.as_ref());
            service.and_then(|a| self.config.approval_service(&a.service)).is_some_and(|s| s.open)
        };
        let passes = decision == Some(Decision::Allow) || decision.is_none() && open();
        if passes && decision.is_none() {
            self.gap(CoverageState::Partial, "fault.approval");
        }
        let colon = if reason.is_some() { ": " } else { "" };
        let message = [said, " (approval ", &id, ")", colon, &reason.unwrap_or_default()].concat();
        let kind = if decision.is_none() { Reason::Unavailable } else { Reason::Forbidden };
        let code = code.to_owned();
        let rpc_ids = self.asked.rpc_ids.clone();
        let refusal = Refusal { reason: kind, message, code, retry_after: None, rpc_ids };
        match then {
            Then::Stream => self.stream_answered((!passes).then_some(Cut::Refused(refusal)), now_ms, scratch),
            then if passes => self.proceed(then, now_ms),
            _ => {
                self.reply_headers.push(("x-portcullis-approval", id));
                self.refuse(refusal);
                Flow::Hold
            }
        }
    }

    fn proceed(&mut self, then: Then, now_ms: u64) -> Flow {
        match then {
            Then::Admit(plan) => self.budget(plan, now_ms),
            Then::Release(mut commands) => {
                self.phase = Phase::Sent;
                self.record.outcome = Outcome::Complete;
                self.out.append(&mut commands);
                Flow::Continue
            }
            // Never without an answer: in monitor mode the gate asks for nothing.
            Then::Stream => Flow::Continue,
        }
    }
}

/// A JSON-RPC body, or a message of A2A, without what an SDK makes anew when it
/// tries again. Ids at any other place are part of what is asked.
fn without_ids(doc: &Doc<'_>) -> Vec<u8> {
    const PATHS: &[&[&str]] = &[
        &["id"],
        &["params", "_meta", "progressToken"],
        &["params", "message", "messageId"],
        &["message", "messageId"],
    ];
    let root = doc.root();
    let messages = if doc.kind(root) == Kind::Array { doc.items(root).collect() } else { vec![root] };
    let ids = messages.iter().flat_map(|&m| PATHS.iter().filter_map(move |path| doc.at(m, path)));
    let mut cuts: Vec<_> = ids.map(|id| Edit { range: doc.range(id), with: Vec::new() }).collect();
    // Ranges of a document's values do not overlap unless one holds the other.
    apply(doc.bytes(), &mut cuts).map_or_else(|_| doc.bytes().to_vec(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn essence(json: &str) -> String {
        String::from_utf8(without_ids(&Doc::parse(json.as_bytes()).unwrap())).unwrap()
    }

    #[test]
    fn what_is_asked_is_all_but_the_ids_of_the_envelope() {
        let one =
            r#"{"id":1,"method":"tools/call","params":{"_meta":{"progressToken":7},"arguments":{"id":5}}}"#;
        let again = one.replace("\"id\":1", "\"id\":\"2b\"").replace(":7", ":8");
        assert_eq!(essence(one), essence(&again));
        assert_ne!(essence(one), essence(&one.replace("\"id\":5", "\"id\":6")));
        let batch = format!("[{one},{one}]");
        assert_eq!(essence(&batch), essence(&format!("[{one},{again}]")));
        let message = r#"{"id":1,"params":{"message":{"messageId":"a","parts":[{"data":{"messageId":1}}]}}}"#;
        assert_eq!(essence(message), essence(&message.replace("\"a\"", "\"b\"")));
        assert_ne!(essence(message), essence(&message.replace("\"messageId\":1", "\"messageId\":2")));
    }
}
