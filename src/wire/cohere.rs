//! Cohere v2 chat, embed and rerank; rerank as Voyage, Jina and vLLM speak it.
//!
//! Format: Cohere API reference, v2.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, Usage,
    WireError,
};
use super::{fields, openai, openai_message as message, read, reply};
use crate::text::SpanKind;

const CAPS: &[&str] = &["max_tokens"];

/// Channel of the plan before tool calls; lower fields are `openai_message`'s.
const TOOL_PLAN: u16 = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Cohere;

impl Dialect for Cohere {
    fn id(&self) -> &'static str {
        "cohere"
    }

    fn provider(&self) -> &'static str {
        "cohere"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let v2 = |tail| path.before(tail).is_some_and(|p| p.last().is_some_and(|last| path::is(last, "v2")));
        match method {
            "POST" if v2(&["chat"]) => Some(Operation::Chat),
            "POST" if v2(&["embed"]) || path.is_api(&["embed"]) => Some(Operation::Embeddings),
            "POST" if path.is_api(&["rerank"]) => Some(Operation::Rerank),
            _ => None,
        }
    }

    fn request(&self, op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(op, doc)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(response(doc))
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(event(doc))
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        openai::is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        self::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        refusal_event(framing, refusal)
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            FieldEdit::StreamUsage => Some(Vec::new()),
            FieldEdit::MaxOutputTokens(_) if op != Operation::Chat => None,
            field => fields::edit(doc, CAPS, field),
        }
    }
}

fn request(op: Operation, doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, if op == Operation::Chat { CAPS } else { &[] })?;
    request.stream_usage = true;
    let mut walk = Walk::whole(doc);
    walk.tokens(
        root,
        &["model", "safety_mode", "input_type", "truncate", "seed", "citation_quality", "tool_choice"],
    );
    let messages = read::array(doc, root, "messages", "messages: not an array")?;
    if op == Operation::Chat && messages.is_none() {
        return Err(WireError { what: "messages: missing" });
    }
    for turn in messages.iter().flat_map(|&id| doc.items(id)) {
        if doc.kind(turn) != Kind::Object {
            return Err(WireError { what: "messages: not objects" });
        }
        let kind = message::kind(&read::word(doc, turn, "role"));
        said(&mut walk, turn, kind);
        request.messages = request.messages.saturating_add(1);
    }
    if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
        openai::tools(&mut walk, tools, &mut request.tools_offered);
    }
    openai::format(&mut walk, root, "response_format");
    for key in ["query", "texts", "inputs"] {
        let Some(node) = doc.get(root, key) else { continue };
        for id in doc.subtree(node).filter(|&id| doc.get(id, "image_url").is_some()) {
            if let Some(url) = doc.at(id, &["image_url", "url"]) {
                walk.media(url, SpanKind::User);
            }
        }
        walk.claims.tree(node, SpanKind::User);
    }
    for image in doc.get(root, "images").iter().flat_map(|&id| doc.items(id)) {
        walk.media(image, SpanKind::User);
    }
    if let Some(documents) = doc.get(root, "documents") {
        walk.claims.tree(documents, SpanKind::Document);
    }
    walk.request(&mut request);
    Ok(request)
}

/// A message, with Cohere's documents, citations and plans.
fn said(walk: &mut Walk<'_, '_>, turn: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    for part in doc.get(turn, "content").iter().flat_map(|&id| doc.items(id)) {
        if let Some(document) = doc.get(part, "document") {
            let kind = if kind == SpanKind::ToolResult { kind } else { SpanKind::Document };
            walk.tokens(document, &["id"]);
            walk.claims.tree(document, kind);
        }
    }
    message::message(walk, turn, kind, 0);
    walk.member(turn, "tool_plan", SpanKind::Reasoning, Channel { field: TOOL_PLAN, index: 0, sub: 0 });
    if let Some(citations) = doc.get(turn, "citations") {
        cited(walk, citations);
    }
}

/// Citations repeat words of the answer and whole documents.
fn cited(walk: &mut Walk<'_, '_>, citations: NodeId) {
    walk.claims.tree(citations, SpanKind::Document);
}

fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response { finish: read::name(doc, root, "finish_reason"), ..Response::default() };
    response.usage = around(&mut walk, root);
    if let Some(turn) = doc.get(root, "message").filter(|&id| doc.kind(id) == Kind::Object) {
        said(&mut walk, turn, SpanKind::Assistant);
    }
    for key in ["embeddings", "results"] {
        if let Some(vectors) = doc.get(root, key) {
            walk.vectors(vectors);
            walk.claims.tree(vectors, SpanKind::Document);
        }
    }
    if let Some(logprobs) = doc.get(root, "logprobs").filter(|&id| doc.items(id).next().is_some()) {
        walk.claims.echo(logprobs);
    }
    walk.response(&mut response);
    response
}

/// Ids, finish reason and usage, which lies in `meta` for embed and rerank.
fn around(walk: &mut Walk<'_, '_>, node: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    walk.tokens(node, &["id", "type", "index", "finish_reason", "response_type", "object", "model"]);
    let meta = doc.get(node, "meta");
    if let Some(meta) = meta {
        walk.claims.numbers(meta);
        if let Some(version) = doc.get(meta, "api_version") {
            walk.tokens(version, &["version"]);
        }
    }
    let usage = doc.get(node, "usage").or(meta)?;
    walk.claims.numbers(usage);
    let count = |path: &[&str]| {
        let id = doc.at(usage, path)?;
        // Counts come as `28.0` at times.
        doc.u64(id).or_else(|| doc.f64(id).filter(|n| (0.0..1e15).contains(n)).map(whole))
    };
    let read = |key| {
        count(&["tokens", key])
            .or_else(|| count(&["billed_units", key]))
            .or_else(|| count(&["billed_units", "total_tokens"]))
    };
    let input = read("input_tokens").or_else(|| count(&["total_tokens"]));
    let output = count(&["tokens", "output_tokens"]).or_else(|| count(&["billed_units", "output_tokens"]));
    Some(Usage { input, output, cached: count(&["cached_tokens"]), reasoning: None })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}

fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent::default();
    walk.tokens(root, &["type", "id"]);
    let index = read::index(doc, root, "index").unwrap_or_default();
    let kind = read::word(doc, root, "type");
    let delta = doc.get(root, "delta");
    if let Some(turn) = delta.and_then(|delta| doc.get(delta, "message")) {
        said_delta(&mut walk, turn, index);
    }
    match &*kind {
        "content-end" | "tool-call-end" => event.closes_index.push(index),
        "message-end" => {
            let delta = delta.unwrap_or(root);
            event.usage = around(&mut walk, delta);
            event.finish = read::name(doc, delta, "finish_reason");
            event.done = true;
        }
        _ => {}
    }
    if let Some(logprobs) = doc.get(root, "logprobs") {
        walk.claims.echo(logprobs);
    }
    walk.rest(root, SpanKind::Other, index);
    walk.stream_event(&mut event);
    event
}

/// The delta of a message: `content`, `tool_calls` and `citations` hold one
/// element and no array.
fn said_delta(walk: &mut Walk<'_, '_>, turn: NodeId, index: u32) {
    let doc = walk.doc;
    message::message(walk, turn, SpanKind::Assistant, index);
    if let Some(call) = doc.get(turn, "tool_calls").filter(|&id| doc.kind(id) == Kind::Object) {
        message::tool_call(walk, call, index, 0);
    }
    walk.member(turn, "tool_plan", SpanKind::Reasoning, Channel { field: TOOL_PLAN, index: 0, sub: 0 });
    if let Some(citations) = doc.get(turn, "citations") {
        cited(walk, citations);
    }
}

/// `{"message": "…"}`.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    reply::by_status(refusal, reply::json(&serde_json::json!({ "message": refusal.message })))
}

/// The stream ends with the finish reason of a fault.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    if framing != Framing::Sse {
        return Vec::new();
    }
    let event = reply::json(&serde_json::json!({
        "type": "message-end", "delta": { "finish_reason": "ERROR", "error": refusal.message }
    }));
    [b"event: message-end\ndata: ", event.as_slice(), b"\n\n"].concat()
}
