//! Cohere v1 chat and generate. Writer has chat completions at the same path,
//! told apart by the body.

use super::edit::Edit;
use super::json::{Doc, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, Usage,
    WireError,
};
use super::{cohere, fields, generic, openai, openai_chat, read, reply};
use crate::text::SpanKind;

const CAPS: &[&str] = &["max_tokens"];

/// See the module.
#[derive(Debug)]
pub(super) struct CohereV1;

impl Dialect for CohereV1 {
    fn id(&self) -> &'static str {
        "cohere_v1"
    }

    fn provider(&self) -> &'static str {
        "cohere"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let v1 = |tail| path.before(tail).is_some_and(|p| p.last().is_some_and(|last| path::is(last, "v1")));
        match method {
            "POST" if v1(&["chat"]) => Some(Operation::Chat),
            "POST" if v1(&["generate"]) => Some(Operation::TextCompletion),
            _ => None,
        }
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let root = read::root(doc)?;
        if doc.get(root, "messages").is_some() {
            return openai_chat::request(doc);
        }
        read::exact_names(doc, root, &["message", "chat_history", "preamble"])?;
        let mut request = fields::request(doc, root, CAPS)?;
        request.stream_usage = true;
        let mut walk = Walk::whole(doc);
        walk.tokens(root, &["model", "prompt_truncation", "citation_quality", "truncate", "safety_mode"]);
        for turn in doc.get(root, "chat_history").iter().flat_map(|&id| doc.items(id)) {
            walk.tokens(turn, &["role"]);
            walk.claims.tree(turn, kind(&read::word(doc, turn, "role")));
            request.messages = request.messages.saturating_add(1);
        }
        for (key, kind) in [
            ("message", SpanKind::User),
            ("prompt", SpanKind::User),
            ("preamble", SpanKind::System),
            ("documents", SpanKind::Document),
            ("tool_results", SpanKind::ToolResult),
            ("tools", SpanKind::ToolDefinition),
        ] {
            if let Some(node) = doc.get(root, key) {
                walk.claims.tree(node, kind);
            }
        }
        let tools = doc.get(root, "tools").into_iter().flat_map(|id| doc.items(id));
        request.tools_offered = tools.filter_map(|tool| read::name(doc, tool, "name")).collect();
        request.messages = request.messages.saturating_add(1);
        walk.request(&mut request);
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let root = doc.root();
        if doc.get(root, "choices").is_some() {
            return Ok(openai_chat::response(doc));
        }
        let mut walk = Walk::whole(doc);
        let mut response = Response { finish: read::name(doc, root, "finish_reason"), ..Response::default() };
        response.usage = said(&mut walk, root);
        walk.response(&mut response);
        Ok(response)
    }

    fn framing(&self, op: Operation, content_type: &str) -> Framing {
        if reply::is_type(content_type, "application/stream+json") {
            return Framing::Ndjson;
        }
        generic::Generic.framing(op, content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let root = doc.root();
        if doc.get(root, "choices").is_some() {
            return Ok(openai_chat::event(doc));
        }
        let mut walk = Walk::event(doc);
        let mut event = StreamEvent::default();
        walk.tokens(root, &["event_type", "generation_id", "finish_reason", "is_finished"]);
        if let Some(response) = doc.get(root, "response") {
            walk.alone(|walk| event.usage = said(walk, response));
            event.finish = read::name(doc, root, "finish_reason");
            event.done = true;
        }
        walk.member(root, "text", SpanKind::Assistant, Channel { field: 0, index: 0, sub: 0 });
        walk.rest(root, SpanKind::Other, 0);
        walk.stream_event(&mut event);
        Ok(event)
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        openai::is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        cohere::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        if framing != Framing::Ndjson {
            return cohere::refusal_event(framing, refusal);
        }
        let mut line = reply::json(&serde_json::json!({
            "is_finished": true, "event_type": "stream-end", "finish_reason": "ERROR", "error": refusal.message
        }));
        line.push(b'\n');
        line
    }

    fn edit_field(&self, _op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            FieldEdit::StreamUsage if doc.get(doc.root(), "messages").is_none() => Some(Vec::new()),
            field => fields::edit(doc, CAPS, field),
        }
    }
}

fn kind(role: &str) -> SpanKind {
    match role {
        "USER" | "User" => SpanKind::User,
        "CHATBOT" | "Chatbot" => SpanKind::Assistant,
        "SYSTEM" | "System" => SpanKind::System,
        "TOOL" | "Tool" => SpanKind::ToolResult,
        _ => SpanKind::Other,
    }
}

/// A response object, whole or in the last event.
fn said(walk: &mut Walk<'_, '_>, root: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    walk.tokens(root, &["id", "response_id", "generation_id", "finish_reason"]);
    for call in doc.get(root, "tool_calls").iter().flat_map(|&id| doc.items(id)) {
        let parameters = doc.get(call, "parameters");
        walk.call(doc.get(call, "name"), parameters, Channel { field: 1, index: 0, sub: 0 });
        walk.claims.tree(call, SpanKind::ToolArguments);
    }
    for (key, kind) in [
        ("text", SpanKind::Assistant),
        ("generations", SpanKind::Assistant),
        ("documents", SpanKind::Document),
        ("citations", SpanKind::Document),
        ("search_results", SpanKind::Document),
    ] {
        if let Some(node) = doc.get(root, key) {
            walk.claims.tree(node, kind);
        }
    }
    // The conversation so far, answer included.
    for turn in doc.get(root, "chat_history").iter().flat_map(|&id| doc.items(id)) {
        walk.claims.tree(turn, kind(&read::word(doc, turn, "role")));
    }
    let meta = doc.get(root, "meta")?;
    walk.claims.numbers(meta);
    let read = |key| {
        let id = doc.at(meta, &["tokens", key]).or_else(|| doc.at(meta, &["billed_units", key]))?;
        doc.u64(id).or_else(|| doc.f64(id).filter(|n| (0.0..1e15).contains(n)).map(cohere::whole))
    };
    Some(Usage { input: read("input_tokens"), output: read("output_tokens"), ..Usage::default() })
}
