//! The response half: whole bodies held, streams rewritten live.

use std::cell::RefCell;

use super::consent::{REQUIRED, Then};
use super::gate::{Gate, merge};
use super::inspect::{Direction, Judge, Scratch, Verdict};
use super::live::{Cut, Live};
use super::seen::refused;
use super::vault::Vault;
use super::{Command, Facts, Flow, Headers, Phase, ResponseMode, Session, joined};
use crate::audit::{CalledTool, CoverageState, Decision, ListedTool, Mcp, Outcome};
use crate::config::Config;
use crate::limits::MAX_LISTED_TOOLS;
use crate::policy::access::Unpinned;
use crate::text::{Encoding, Span, SpanKind};
use crate::wire::edit::{Edit, apply};
use crate::wire::json::Doc;
use crate::wire::{Claims, Dialect, Framer, Framing, Operation, Reason, Refusal, Response};

impl Session {
    pub(super) fn response_headers(&mut self, headers: &Headers, end: bool, now_ms: u64) -> Flow {
        if matches!(self.phase, Phase::Asking(_)) {
            // Envoy's own answer, to a client it did not let wait so long.
            self.phase = Phase::Refused;
        }
        if !matches!(self.phase, Phase::Sent) {
            return Flow::Continue;
        }
        let facts = Facts::of(headers);
        let status = headers
            .iter()
            .find(|(k, _)| k == b":status")
            .and_then(|(_, v)| std::str::from_utf8(v).ok()?.parse().ok());
        self.record.upstream_status = status;
        self.out.push(Command::SetResponseHeader("x-portcullis-verdict", self.verdict_word().to_owned()));
        self.show_rates(now_ms);
        if end {
            self.record.outcome = Outcome::Complete;
            return Flow::Continue;
        }
        if !facts.is_identity() || facts.ambiguous {
            return self.stop(
                Reason::BadUpstream,
                "response.encoding",
                "the upstream's answer is encoded although it was asked not to be",
            );
        }
        let Some((dialect, op)) = self.target else { return Flow::Continue };
        let framing = dialect.framing(op, facts.media_type());
        self.facts.content_type = facts.content_type;
        if framing == Framing::Whole {
            self.mode = ResponseMode::Held;
            return Flow::Hold;
        }
        let framer = Framer::new(framing);
        self.mode = ResponseMode::Live;
        self.live = Some(Live::new(dialect, op, framer, self.asked.usage_is_ours, self.gate()));
        self.record.stream = true;
        self.out.push(Command::RemoveResponseHeader("content-length"));
        Flow::Continue
    }

    fn verdict_word(&self) -> &'static str {
        match self.record.decision {
            Decision::Allow => "allow",
            Decision::Redact => "redact",
            Decision::Quarantine => "quarantine",
            Decision::Deny => "deny",
        }
    }

    pub(super) fn response_data(&mut self, size: usize) -> Flow {
        if self.mode != ResponseMode::Held {
            return Flow::Continue;
        }
        if size > self.config.max_response_bytes {
            return self.stop(
                Reason::BadUpstream,
                "response.too_large",
                "the upstream's answer is too large to inspect",
            );
        }
        Flow::Hold
    }

    pub(super) fn response_end(&mut self, body: &[u8], now_ms: u64, scratch: &mut Scratch) -> Flow {
        if self.mode != ResponseMode::Held || self.is_over() {
            return Flow::Continue;
        }
        let Some((dialect, op)) = self.target else { return Flow::Continue };
        self.record.response.bytes = body.len() as u64;
        if self.config.hash_response {
            self.record.response.digest = Some(self.config.hasher.digest(body));
        }
        let read = match self.read_response(dialect, op, body) {
            Ok(read) => read,
            Err(what) => {
                self.gap(CoverageState::None, what);
                return self.stop(
                    Reason::BadUpstream,
                    what,
                    "the upstream's answer cannot be read, so it cannot be inspected",
                );
            }
        };
        self.describe_response(&read, body);
        let mut gate = self.gate();
        let cuts = gate.whole(&read, body);
        self.note_gate(&mut gate);
        let mut cuts = match cuts {
            Ok(cuts) => cuts,
            Err(code) => {
                let message = match code.starts_with("anomaly.") {
                    true => super::habits::UNUSUAL,
                    false => "the model calls a tool in a way this identity may not",
                };
                return self.stop(Reason::Forbidden, code, message);
            }
        };
        let verdict = self.inspect_response(body, &read, scratch);
        if scratch.was_cut() {
            self.gap(CoverageState::Partial, "compressed.cut");
        }
        if let Some(rule) = &verdict.block {
            let message = format!("the answer was refused by rule {rule}");
            if self.deny(Reason::Forbidden, rule, message) {
                return Flow::Hold;
            }
        }
        let mut edits = verdict.edits;
        if !edits.is_empty() {
            edits.extend(read.echoes.iter().map(|r| Edit { range: r.clone(), with: b"null".to_vec() }));
            self.record.decision = Decision::Redact;
            self.out.push(Command::SetResponseHeader("x-portcullis-verdict", "redact".to_owned()));
        }
        cuts.extend(self.filter_models(&read));
        match self.finish_held(body, merge(edits, cuts), verdict.keys) {
            Flow::Continue => self.consent_to_answer(&read, body, scratch, now_ms),
            Flow::Hold => Flow::Hold,
        }
    }

    fn finish_held(&mut self, body: &[u8], mut edits: Vec<Edit>, keys: bool) -> Flow {
        self.record.outcome = Outcome::Complete;
        if edits.is_empty() {
            return Flow::Continue;
        }
        match apply(body, &mut edits) {
            Ok(edited) if keys && Doc::parse(&edited).is_err() => {
                self.stop(Reason::BadUpstream, "response.keys", "a key is the mask of another one")
            }
            Ok(edited) => {
                self.out.push(Command::SetResponseHeader("content-length", edited.len().to_string()));
                self.out.push(Command::ReplaceResponseBody(edited.into_owned()));
                Flow::Continue
            }
            Err(_) => self.stop(Reason::Unavailable, "response.edit", "the answer could not be rewritten"),
        }
    }

    /// Read an answer: as the dialect has it; errors of whatever shape by a
    /// walk over all strings; other text as one span.
    fn read_response(
        &mut self,
        dialect: &'static dyn Dialect,
        op: Operation,
        body: &[u8],
    ) -> Result<Response, &'static str> {
        if body.is_empty() {
            return Ok(Response::default());
        }
        let failed = self.record.upstream_status.is_some_and(|s| s >= 400);
        match Doc::parse(body) {
            Ok(doc) => match dialect.response(op, &doc) {
                Ok(read) => Ok(read),
                Err(_) if failed => {
                    let found = Claims::new(&doc).finish();
                    Ok(Response { spans: found.spans, skipped: found.skipped, ..Response::default() })
                }
                Err(_) => Err("response.shape"),
            },
            Err(_)
                if failed
                    && self.facts.media_type().starts_with("text/")
                    && std::str::from_utf8(body).is_ok() =>
            {
                let span = Span { kind: SpanKind::Other, encoding: Encoding::Plain, range: 0..body.len() };
                Ok(Response { spans: vec![span], ..Response::default() })
            }
            Err(_) => Err("response.json"),
        }
    }

    fn describe_response(&mut self, read: &Response, body: &[u8]) {
        if let Some(model) = &read.model {
            self.record.model_served = Some(model.clone());
        }
        self.record.response.finish = read.finish.clone();
        for call in read.tool_calls.iter().take(MAX_LISTED_TOOLS) {
            let args = call.arguments.clone().and_then(|r| body.get(r));
            let args_hash = args.map(|a| self.config.hasher.digest(a));
            self.record.tools_called.push(CalledTool { name: call.name.clone(), args_hash });
        }
        self.note_skips(read.skipped);
        let text: usize = read.spans.iter().map(|s| s.range.len()).sum();
        self.money.produced(read.usage, text as u64);
    }

    fn note_skips(&mut self, skipped: crate::wire::Skips) {
        if skipped.media > 0 {
            self.gap(CoverageState::Partial, "response.media");
        }
        if skipped.opaque > 0 {
            self.gap(CoverageState::Partial, "response.opaque");
        }
        if skipped.remote > 0 {
            self.gap(CoverageState::Partial, "response.remote");
        }
        if skipped.token_ids > 0 {
            self.gap(CoverageState::Partial, "response.token_ids");
        }
    }

    pub(super) fn gate(&self) -> Gate {
        let policy = self.policy.map(|at| (self.config.clone(), at));
        let is_mcp = matches!(self.target, Some((_, Operation::Mcp)));
        let (server, vault) = (self.asked.server.clone(), self.vault.clone());
        Gate::new(policy, server, is_mcp, self.enforces(), vault).with_first(self.first())
    }

    /// Put what a gate has seen into the record.
    fn note_gate(&mut self, gate: &mut Gate) {
        let notes = std::mem::take(&mut gate.notes);
        if let Some(code) = notes.would_deny {
            self.record.would_deny.get_or_insert_with(|| code.to_owned());
        }
        let enforced = self.enforces();
        self.note_first(notes.news, notes.used);
        let pins = self.policy().map(|p| p.access.mcp.pins.clone()).unwrap_or_default();
        let action = |hides| if hides { "block" } else { "flag" };
        let hides = pins.unpinned == Unpinned::Hide;
        let place = (Direction::Response, SpanKind::ToolDefinition);
        let changed = action(pins.hide_changed);
        self.tally.note("mcp.tool_changed", "mcp", place, notes.changed, changed, enforced);
        self.tally.note("mcp.tool_unpinned", "mcp", place, notes.unpinned, action(hides), enforced);
        if notes.hidden > 0 || !notes.listed.is_empty() {
            let mcp = self.record.mcp.get_or_insert_with(Mcp::default);
            mcp.hidden = mcp.hidden.saturating_add(notes.hidden);
            let room = MAX_LISTED_TOOLS.saturating_sub(mcp.tools_listed.len());
            let listed = notes.listed.into_iter().take(room);
            mcp.tools_listed.extend(listed.map(|(name, sha256)| ListedTool { name, sha256 }));
        }
    }

    fn inspect_response(&mut self, body: &[u8], read: &Response, scratch: &mut Scratch) -> Verdict {
        let (config, vault) = (self.config.clone(), self.vault.clone());
        let judge = self.response_judge(&config, &vault);
        scratch.begin_body();
        let mut verdict = Verdict::default();
        for span in &read.spans {
            judge.span(body, span, scratch, &mut self.tally, &mut verdict);
        }
        judge.names(body, &read.names, scratch, &mut self.tally, &mut verdict);
        joined::inspect(&judge, body, &read.spans, &read.runs, scratch, &mut self.tally, &mut verdict);
        if verdict.exhausted {
            self.gap(CoverageState::Partial, "engine.budget");
            verdict.block.get_or_insert_with(|| "engine.budget".to_owned());
        }
        verdict
    }

    pub(super) fn response_judge<'c>(&self, config: &'c Config, vault: &'c RefCell<Vault>) -> Judge<'c> {
        Judge {
            config,
            actions: self.policy().map(|p| p.scan.response).unwrap_or_default(),
            direction: Direction::Response,
            enforced: self.enforces(),
            vault,
        }
    }

    /// Take the models out of a list that this identity may not use.
    fn filter_models(&self, read: &Response) -> Vec<Edit> {
        let Some(policy) = self.policy().filter(|_| self.enforces()) else { return Vec::new() };
        let ranges: Vec<_> = read
            .models_listed
            .iter()
            .filter_map(|f| Some((f.range.clone()?, policy.models.permits(&f.value))))
            .collect();
        crate::wire::edit::keep_elements(&ranges)
    }

    pub(super) fn response_chunk(
        &mut self,
        bytes: &[u8],
        end: bool,
        now_ms: u64,
        scratch: &mut Scratch,
    ) -> Flow {
        self.record.response.bytes = self.record.response.bytes.saturating_add(bytes.len() as u64);
        let Some(mut live) = self.live.take() else {
            // The stream was ended here: what the upstream still sends is swallowed.
            if self.mode == ResponseMode::Live {
                self.out.push(Command::ReplaceResponseBody(Vec::new()));
            }
            return Flow::Continue;
        };
        let (config, vault) = (self.config.clone(), self.vault.clone());
        let judge = self.response_judge(&config, &vault);
        let mut out = Vec::with_capacity(bytes.len() + 256);
        let result = live.push(bytes, end, &judge, scratch, &mut self.tally, &mut out);
        self.note_gate(&mut live.gate);
        match result {
            Err(cut) => self.cut(live, cut, &mut out),
            Ok(()) => self.carry_on(live, end, &mut out, now_ms, scratch),
        }
        // All of the end waits for the answer: behind it nothing can be added.
        let asks = end && matches!(self.phase, Phase::Asking(_));
        if let Some(live) = self.live.as_mut().filter(|_| asks) {
            live.late.append(&mut out);
        }
        // A chunk that leaves nothing to send is kept open: should trailers end
        // the stream, it is the only place where withheld text can still go.
        let waits = self.live.is_some() && out.is_empty() && (asks || self.open_chunk || !bytes.is_empty());
        if out != bytes {
            self.out.push(Command::ReplaceResponseBody(out));
        }
        self.open_chunk = waits;
        if waits { Flow::Hold } else { Flow::Continue }
    }

    /// After a chunk: cut, ask for consent, end, or wait for the next.
    fn carry_on(&mut self, mut live: Live, end: bool, out: &mut Vec<u8>, now_ms: u64, scratch: &mut Scratch) {
        live.ended |= end;
        if let Some(cut) = live.verdict.take() {
            return self.cut(live, cut, out);
        }
        let calls = live.take_calls();
        if calls.as_ref().is_some_and(Vec::is_empty) {
            return self.cut(live, refused(REQUIRED), out);
        }
        if let Some(calls) = calls {
            self.ask_about(calls, Then::Stream, now_ms, scratch);
        }
        if matches!(self.phase, Phase::Asking(_)) {
            self.live = Some(live);
        } else if live.ended {
            self.close_live(live);
        } else if self.is_spent(&live.seen) {
            let quota = self.spent_quota();
            self.cut(live, quota, out);
        } else {
            self.live = Some(live);
        }
    }

    /// The approval service has answered: what waited in a stream goes with the
    /// next chunk. Only behind the last one is the stream set going by itself:
    /// Envoy before 1.38.3 loses the chunk after one that was (issue 46841).
    pub(super) fn stream_answered(&mut self, cut: Option<Cut>, now_ms: u64, scratch: &mut Scratch) -> Flow {
        self.phase = Phase::Sent;
        let Some(mut live) = self.live.take() else { return Flow::Hold };
        match cut {
            Some(cut) => live.verdict = Some(cut),
            None => live.allow(),
        }
        if !live.ended {
            self.live = Some(live);
            return Flow::Hold;
        }
        let mut out = std::mem::take(&mut live.late);
        match live.release(&mut out) {
            Err(cut) => self.cut(live, cut, &mut out),
            Ok(()) => self.carry_on(live, true, &mut out, now_ms, scratch),
        }
        if let Some(live) = &mut self.live {
            // Another call, which began while the first was asked about.
            live.late = out;
            return Flow::Hold;
        }
        self.open_chunk = false;
        self.out.push(Command::ReplaceResponseBody(out));
        Flow::Continue
    }

    /// The end of a live stream behind its last chunk. Envoy lets nothing be
    /// added to a chunk that has gone: where text is still withheld then, the
    /// client gets a reset instead of an end that looks whole.
    pub(super) fn response_trailers(&mut self, now_ms: u64, scratch: &mut Scratch) -> Flow {
        let open = std::mem::take(&mut self.open_chunk);
        if self.live.is_none() {
            return Flow::Continue;
        }
        self.response_chunk(&[], true, now_ms, scratch);
        if matches!(self.phase, Phase::Asking(_)) {
            if open {
                return Flow::Hold;
            }
            self.live = None;
            self.out.retain(|c| !matches!(c, Command::Ask(_)));
            return self.stop(Reason::BadUpstream, REQUIRED, "there is no place for what waits for consent");
        }
        let lost = |c: &Command| matches!(c, Command::ReplaceResponseBody(left) if !left.is_empty());
        if open || !self.out.iter().any(lost) {
            return Flow::Continue;
        }
        self.out.retain(|c| !lost(c));
        self.gap(CoverageState::Partial, "stream.trailers");
        if self.record.deny_reason.is_some() {
            // Cut at this very place: the reset is the end, the reason stays.
            let code = self.record.deny_reason.clone().unwrap_or_default();
            return self.stop(Reason::BadUpstream, &code, "the stream was cut at its end");
        }
        self.stop(Reason::BadUpstream, "stream.trailers", "text was still withheld when the stream ended")
    }

    /// End a stream with the dialect's error event.
    fn cut(&mut self, mut live: Live, cut: Cut, out: &mut Vec<u8>) {
        // Whoever is asked for consent need not answer any more.
        self.phase = Phase::Sent;
        let mut retry_after = None;
        let (reason, code, message) = match cut {
            Cut::Blocked(rule) => {
                (Reason::Forbidden, rule.clone(), format!("the answer was cut by rule {rule}"))
            }
            Cut::Refused(refusal) => {
                retry_after = refusal.retry_after;
                (refusal.reason, refusal.code, refusal.message)
            }
            Cut::Unreadable(what) => {
                self.gap(CoverageState::Partial, what);
                (
                    Reason::BadUpstream,
                    what.to_owned(),
                    "the upstream's stream cannot be read, so it cannot be inspected".to_owned(),
                )
            }
        };
        let refusal =
            Refusal { reason, message, code: code.clone(), retry_after, rpc_ids: self.asked.rpc_ids.clone() };
        live.refusal_event(&refusal, out);
        self.note_live(&live);
        self.record.decision = Decision::Deny;
        self.record.outcome = Outcome::Refused;
        self.record.deny_reason = Some(code);
    }

    fn close_live(&mut self, live: Live) {
        self.note_live(&live);
        self.record.outcome = Outcome::Complete;
    }

    /// Put what a stream told about itself into the record.
    pub(super) fn note_live(&mut self, live: &Live) {
        let seen = &live.seen;
        if let Some(model) = &seen.model {
            self.record.model_served = Some(model.clone());
        }
        self.record.response.finish = seen.finish.clone();
        let called = seen.tool_calls.iter().take(MAX_LISTED_TOOLS);
        self.record.tools_called.extend(called.map(|c| CalledTool { name: c.name.clone(), args_hash: None }));
        if self.record.decision == Decision::Allow && live.edited {
            self.record.decision = Decision::Redact;
        }
        self.note_skips(seen.skipped);
        if seen.late {
            self.gap(CoverageState::Partial, "response.disguised");
        }
        self.money.produced(seen.usage, seen.text_bytes);
    }
}
