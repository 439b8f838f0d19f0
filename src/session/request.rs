//! The request half: who calls, what is asked, what is in it.

use super::admit::Plan;
use super::inspect::{Direction, Judge, Scratch, Verdict};
use super::vault::Vault;
use super::{Command, Flow, Headers, Phase, Session, facts::Facts, joined};
use crate::audit::{CalledTool, CoverageState, Mcp};
use crate::config::{
    CLAIM_ROUTE_DIALECT, CLAIM_ROUTE_POLICY, CLAIM_SOURCE_ADDRESS, FIRST_IDENTITY_CLAIM,
    written::Unrecognised,
};
use crate::limits::MAX_LISTED_TOOLS;
use crate::policy;
use crate::wire::edit::{Edit, apply};
use crate::wire::json::Doc;
use crate::wire::{self, Dialect, FieldEdit, Operation, Reason, Refusal, Request};

/// What the answer's inspection needs to know of the request.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Model sent upstream.
    pub(super) model: Option<String>,
    /// Usage in the stream was asked for by us, not by the client.
    pub(super) usage_is_ours: bool,
    /// MCP server.
    pub(super) server: String,
    /// JSON-RPC ids.
    pub(super) rpc_ids: Vec<String>,
    /// The client asked for a streamed answer.
    pub(super) stream: bool,
}

/// Headers that only this filter may set. Everything under the prefix is
/// removed from requests, so that routes can trust it.
const OWN_PREFIX: &[u8] = b"x-portcullis-";

impl Session {
    pub(super) fn request_headers(
        &mut self,
        headers: &Headers,
        claims: &[Option<Vec<u8>>],
        end: bool,
        now_ms: u64,
        scratch: &mut Scratch,
    ) -> Flow {
        self.facts = Facts::of(headers);
        self.open_record(claims, now_ms);
        self.clean_headers(headers);
        let named = text_claim(claims, CLAIM_ROUTE_DIALECT);
        self.aim(match &named {
            Some(id) => wire::by_route(id, &self.facts.method, &self.facts.path),
            None => wire::recognise_for(&self.facts.method, &self.facts.path, self.facts.anthropic),
        });
        if self.facts.ambiguous {
            return self.stop(
                Reason::Malformed,
                "request.headers",
                "a header that decides how the body is read is repeated or is not text",
            );
        }
        if self.identify(headers, claims) {
            return Flow::Hold;
        }
        if let Some(flow) = self.operator(headers) {
            return flow;
        }
        if self.choose_policy(claims) || self.check_query(headers) {
            return Flow::Hold;
        }
        if self.target.is_none() && (end || named.is_some() || !self.may_tell_by_body()) {
            return self.unrecognised();
        }
        if let Some(flow) = self.check_body_headers() {
            return flow;
        }
        if end {
            return self.request_end(&[], now_ms, scratch);
        }
        self.phase = Phase::Body;
        Flow::Hold
    }

    fn open_record(&mut self, claims: &[Option<Vec<u8>>], now_ms: u64) {
        self.record.ts = crate::audit::timestamp(now_ms);
        self.record.request_id = self.facts.request_id.clone();
        self.record.trace_id = self.facts.trace_id.clone();
        self.record.source_ip = text_claim(claims, CLAIM_SOURCE_ADDRESS).unwrap_or_default();
    }

    fn clean_headers(&mut self, headers: &Headers) {
        let mut names: Vec<&[u8]> =
            headers.iter().map(|(k, _)| k.as_slice()).filter(|k| k.starts_with(OWN_PREFIX)).collect();
        crate::order::sort_by(&mut names, Ord::cmp);
        names.dedup();
        let names = names.into_iter().filter_map(|n| std::str::from_utf8(n).ok());
        self.out.extend(names.map(|n| Command::RemoveRequestHeader(n.to_owned())));
        // What cannot be read cannot be inspected: answers come unencoded.
        self.out.push(Command::SetRequestHeader("accept-encoding".into(), "identity".to_owned()));
    }

    /// Find out who calls. True if refused.
    fn identify(&mut self, headers: &Headers, claims: &[Option<Vec<u8>>]) -> bool {
        let identity = claims.get(FIRST_IDENTITY_CLAIM..).unwrap_or_default();
        self.who = self.config.sources.iter().find_map(|s| s.identify(identity, headers));
        if let Some(who) = &self.who {
            self.record.subject = who.subject.clone();
            self.record.groups = who.groups.clone();
            self.record.chain = who.actors.clone();
            self.strip_identity_headers(headers);
            return false;
        }
        self.config.identity_required
            && self.deny(
                Reason::Unauthenticated,
                "identity.missing",
                "no verified identity came with this request".to_owned(),
            )
    }

    /// Find the policy. True if refused.
    fn choose_policy(&mut self, claims: &[Option<Vec<u8>>]) -> bool {
        let route = text_claim(claims, CLAIM_ROUTE_POLICY);
        let who = self.who.clone().unwrap_or_default();
        let chosen =
            policy::select(&self.config.policies, &who, route.as_deref()).map(|(at, p)| (at, p.name.clone()));
        if let Some((at, name)) = chosen {
            self.policy = Some(at);
            self.record.policy = Some(name);
            return false;
        }
        self.deny(Reason::Forbidden, "policy.none", "no policy allows this identity here".to_owned())
    }

    /// A request of no known format. True if it goes no further here.
    fn aim(&mut self, target: Option<(&'static dyn Dialect, Operation)>) {
        self.target = target;
        self.record.dialect = target.map(|(dialect, _)| dialect.id());
        self.record.operation = target.map(|(_, op)| op.as_str());
    }

    /// The path tells nothing, but the body may: servers of MCP and A2A choose
    /// their paths. Other bodies are not held to find out.
    fn may_tell_by_body(&self) -> bool {
        let media_type = self.facts.media_type();
        self.facts.method == "POST"
            && (media_type == "application/json" || media_type.ends_with("+json"))
            && self.facts.is_identity()
            && !self.facts.has_foreign_charset()
            && self.facts.content_length.is_none_or(|n| n <= self.config.max_request_bytes)
    }

    fn unrecognised(&mut self) -> Flow {
        self.gap(CoverageState::None, "unrecognised");
        match self.config.unrecognised {
            Unrecognised::Deny => {
                self.deny(
                    Reason::NotFound,
                    "traffic.unrecognised",
                    "this path is no known model or agent API".to_owned(),
                );
            }
            Unrecognised::Flag | Unrecognised::Allow => {}
        }
        if !self.is_refused() {
            self.phase = Phase::Passed;
        }
        self.end_headers()
    }

    fn end_headers(&self) -> Flow {
        if self.is_refused() { Flow::Hold } else { Flow::Continue }
    }

    /// Headers that make a body unreadable or too large.
    fn check_body_headers(&mut self) -> Option<Flow> {
        if !self.facts.is_identity() {
            return Some(self.stop(
                Reason::Malformed,
                "request.encoding",
                "the body is encoded; send it unencoded, or put a decompressor in front",
            ));
        }
        if self.facts.has_foreign_charset() {
            return Some(self.stop(Reason::Malformed, "request.charset", "the body must be UTF-8"));
        }
        if self.facts.content_length.is_some_and(|n| n > self.config.max_request_bytes) {
            return Some(self.too_large());
        }
        None
    }

    pub(super) fn request_data(&mut self, size: usize) -> Flow {
        match self.phase {
            Phase::Body if size > self.config.max_request_bytes && self.target.is_none() => {
                self.unrecognised()
            }
            Phase::Body if size > self.config.max_request_bytes => self.too_large(),
            Phase::Passed | Phase::Sent => Flow::Continue,
            _ => Flow::Hold,
        }
    }

    fn too_large(&mut self) -> Flow {
        self.refuse(Refusal {
            reason: Reason::TooLarge,
            message: format!("the request body is over {} bytes", self.config.max_request_bytes),
            code: "request.too_large".to_owned(),
            retry_after: None,
            rpc_ids: Vec::new(),
        });
        Flow::Hold
    }

    /// Refuse for good, whatever the mode.
    pub(super) fn stop(&mut self, reason: Reason, code: &str, message: &str) -> Flow {
        self.refuse(Refusal {
            reason,
            message: message.to_owned(),
            code: code.to_owned(),
            retry_after: None,
            rpc_ids: self.asked.rpc_ids.clone(),
        });
        Flow::Hold
    }

    pub(super) fn request_end(&mut self, body: &[u8], now_ms: u64, scratch: &mut Scratch) -> Flow {
        if !matches!(self.phase, Phase::New | Phase::Body) {
            return self.end_headers();
        }
        if self.target.is_none() {
            self.aim(Doc::parse(body).ok().as_ref().and_then(wire::by_body));
        }
        let Some((dialect, op)) = self.target else { return self.unrecognised() };
        if body.len() > self.config.max_request_bytes {
            return self.too_large();
        }
        self.record.prompt.bytes = body.len();
        // Lists, cards, and the streams that MCP and A2A open by GET.
        let bare = matches!(op, Operation::ListModels | Operation::Metadata) || self.facts.method == "GET";
        if body.is_empty() && bare {
            self.name_server(op);
            if self.check_mcp_headers(None) || self.check_request(&Request::default(), body) {
                return Flow::Hold;
            }
            if self.is_mcp() && self.refuse_found(&Request::default(), body, scratch).is_none() {
                return Flow::Hold;
            }
            self.note_names(&Request::default(), scratch);
            return self.admit(Plan::default(), now_ms, scratch);
        }
        let doc = match Doc::parse(body) {
            Ok(doc) => doc,
            Err(e) => {
                return self.stop(
                    Reason::Malformed,
                    "request.json",
                    &format!("the body is not strict JSON: {e}"),
                );
            }
        };
        let request = match dialect.request(op, &self.facts.path, &doc) {
            Ok(request) => request,
            Err(e) => {
                return self.stop(
                    Reason::Malformed,
                    "request.shape",
                    &format!("the body is not a {} request: {}", dialect.id(), e.what),
                );
            }
        };
        self.name_server(op);
        self.describe(&request, body);
        if self.check_mcp_headers(Some(&doc)) || self.check_request(&request, body) {
            return Flow::Hold;
        }
        let Some(verdict) = self.refuse_found(&request, body, scratch) else { return Flow::Hold };
        self.note_names(&request, scratch);
        self.note_request(&request, &doc, scratch);
        match self.plan(body, &doc, &request, verdict) {
            Ok(plan) => self.admit(plan, now_ms, scratch),
            Err(flow) => flow,
        }
    }

    /// Inspect the request. `None`: it is refused for what was found.
    fn refuse_found(&mut self, request: &Request, body: &[u8], scratch: &mut Scratch) -> Option<Verdict> {
        let verdict = self.inspect_request(body, request, scratch);
        if scratch.was_cut() {
            self.gap(CoverageState::Partial, "compressed.cut");
        }
        if let Some(rule) = &verdict.block {
            let message = format!("refused by rule {rule}");
            if self.deny(Reason::Forbidden, rule, message) {
                return None;
            }
        }
        Some(verdict)
    }

    /// MCP servers go by a segment of the path, else by their host.
    fn name_server(&mut self, op: Operation) {
        if op == Operation::Mcp {
            let named = wire::mcp_server(&self.facts.path);
            self.asked.server = named.unwrap_or_else(|| self.facts.host.clone());
        }
    }

    /// Put the request into the record.
    fn describe(&mut self, request: &Request, body: &[u8]) {
        self.record.stream = request.stream;
        self.record.model_requested = request.model.as_ref().map(|m| m.value.clone());
        self.record.prompt.messages = request.messages;
        if self.config.hash_prompt {
            self.record.prompt.digest = Some(self.config.hasher.digest(body));
        }
        // A record longer than its request serves nobody.
        self.record.tools_offered = request.tools_offered.iter().take(MAX_LISTED_TOOLS).cloned().collect();
        for call in request.tool_calls.iter().take(MAX_LISTED_TOOLS) {
            let args = call.arguments.clone().and_then(|r| body.get(r));
            let args_hash = args.map(|a| self.config.hasher.digest(a));
            self.record.tools_called.push(CalledTool { name: call.name.clone(), args_hash });
        }
        if let Some(method) = request.methods.first() {
            let tool = request.tool_calls.first().map(|c| c.name.clone());
            let server = Some(self.asked.server.clone()).filter(|s| !s.is_empty());
            self.record.mcp = Some(Mcp { server, method: method.clone(), tool, ..Mcp::default() });
        }
        if request.skipped.media > 0 {
            self.gap(CoverageState::Partial, "request.media");
        }
        if request.skipped.opaque > 0 {
            self.gap(CoverageState::Partial, "request.opaque");
        }
        if request.skipped.remote > 0 {
            self.gap(CoverageState::Partial, "request.remote");
        }
        if request.skipped.token_ids > 0 {
            self.gap(CoverageState::Partial, "request.token_ids");
        }
        self.asked.stream = request.stream;
        self.asked.rpc_ids = request.rpc_ids.clone();
    }

    fn inspect_request(&mut self, body: &[u8], request: &Request, scratch: &mut Scratch) -> Verdict {
        let config = self.config.clone();
        let vault = self.vault.clone();
        vault.replace(Vault::of(&self.record.subject));
        scratch.begin_body();
        let judge = Judge {
            config: &config,
            actions: self.policy().map(|p| p.scan.request).unwrap_or_default(),
            direction: Direction::Request,
            enforced: self.enforces(),
            vault: &vault,
        };
        let mut verdict = Verdict::default();
        for span in &request.spans {
            judge.span(body, span, scratch, &mut self.tally, &mut verdict);
        }
        let lost = judge.names(body, &request.names, scratch, &mut self.tally, &mut verdict);
        // Whoever answers under another id, or to another tool, is not heard.
        if lost && matches!(self.target, Some((_, Operation::Mcp | Operation::A2a))) {
            verdict.block.get_or_insert_with(|| "request.id".to_owned());
        }
        let method = request.methods.first().map(String::as_str).unwrap_or_default();
        self.inspect_mcp_headers(&judge, method, scratch, &mut verdict);
        joined::inspect(&judge, body, &request.spans, &request.runs, scratch, &mut self.tally, &mut verdict);
        if verdict.exhausted {
            self.gap(CoverageState::Partial, "engine.budget");
            verdict.block.get_or_insert_with(|| "engine.budget".to_owned());
        }
        let vault = vault.borrow();
        self.record.placeholders.made = vault.len();
        if vault.overflowed() {
            self.gap(CoverageState::Partial, "request.placeholders");
        }
        verdict
    }

    /// Everything that has to be done once the request is admitted.
    fn plan(
        &mut self,
        body: &[u8],
        doc: &Doc<'_>,
        request: &Request,
        verdict: Verdict,
    ) -> Result<Plan, Flow> {
        let (redacted, keys) = (!verdict.edits.is_empty(), verdict.keys);
        let mut edits = verdict.edits;
        let Some(fields) = self.field_edits(doc, request) else {
            return Err(self.stop(
                Reason::Forbidden,
                "limits.max_output_tokens",
                "output is limited for this identity, and this API has no field for that",
            ));
        };
        edits.extend(fields);
        let body = match apply(body, &mut edits) {
            Ok(_) if edits.is_empty() => None,
            Ok(edited) if keys && Doc::parse(&edited).is_err() => {
                return Err(self.stop(Reason::Malformed, "request.keys", "a key is the mask of another one"));
            }
            Ok(edited) => Some(edited.into_owned()),
            Err(_) => {
                return Err(self.stop(
                    Reason::Unavailable,
                    "request.edit",
                    "the request could not be rewritten",
                ));
            }
        };
        let input_tokens = self.estimate_input(request, doc.bytes());
        let output_cap = request.max_output_tokens.as_ref().map(|f| f.value);
        Ok(Plan {
            body,
            redacted,
            quarantine: verdict.quarantine,
            input_tokens,
            output_cap,
            choices: request.choices.max(1),
            fingerprint: self.fingerprint(request, doc.bytes()),
        })
    }

    /// Edits of named fields: alias, cap on output, wish for usage. `None`: a
    /// cap cannot be written.
    fn field_edits(&mut self, doc: &Doc<'_>, request: &Request) -> Option<Vec<Edit>> {
        let Some((dialect, op)) = self.target else { return Some(Vec::new()) };
        let generates = matches!(op, Operation::Chat | Operation::ChatStream | Operation::TextCompletion);
        let mut wanted = Vec::new();
        let model = self.asked.model.clone();
        if let Some(model) =
            model.as_deref().filter(|m| request.model.as_ref().is_some_and(|f| f.value != *m))
        {
            wanted.push(FieldEdit::Model(model));
        }
        let cap = self.policy().and_then(|p| p.limits.max_output_tokens);
        if let Some(cap) = cap.filter(|c| request.max_output_tokens.as_ref().is_none_or(|f| f.value > *c)) {
            wanted.push(FieldEdit::MaxOutputTokens(cap));
        }
        if request.stream && !request.stream_usage {
            wanted.push(FieldEdit::StreamUsage);
        }
        let mut edits = Vec::new();
        for field in wanted {
            let made = dialect.edit_field(op, doc, field);
            if matches!(field, FieldEdit::StreamUsage) {
                self.asked.usage_is_ours = made.is_some();
            }
            if matches!(field, FieldEdit::MaxOutputTokens(_))
                && made.is_none()
                && generates
                && self.enforces()
            {
                return None;
            }
            edits.extend(made.unwrap_or_default());
        }
        Some(edits)
    }
}

fn text_claim(claims: &[Option<Vec<u8>>], at: usize) -> Option<String> {
    let raw = claims.get(at)?.as_deref()?;
    std::str::from_utf8(raw).ok().filter(|s| !s.is_empty()).map(str::to_owned)
}
