//! Anthropic Messages and token counting; also in the envelopes of Vertex and
//! Bedrock, which name the model elsewhere.
//!
//! Format: Anthropic API reference, "Messages" and "Streaming messages".

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::Path;
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Reason, Refusal, Reply, Request, Response, StreamEvent,
    Usage, WireError,
};
use super::{anthropic_block as block, fields, model_list, openai, read, reply};
use crate::text::SpanKind;

const CAPS: &[&str] = &["max_tokens"];

/// Ids, times and enumerated values at the top of requests and responses.
const TOP_TOKENS: &[&str] =
    &["model", "id", "type", "role", "service_tier", "stop_reason", "anthropic_version", "inference_geo"];

/// See the module.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn id(&self) -> &'static str {
        "anthropic"
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        match method {
            "POST" if path.is_api(&["messages"]) => Some(Operation::Chat),
            "POST" if path.is_api(&["messages", "count_tokens"]) => Some(Operation::CountTokens),
            // Bare `/v1/models` is OpenAI's as well: see `recognise_for`.
            "GET" if path.before(&["anthropic", "v1", "models"]).is_some() => Some(Operation::ListModels),
            _ => None,
        }
    }

    fn request(&self, op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(op, doc)
    }

    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(if op == Operation::ListModels { model_list::response(doc) } else { response(doc) })
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(event(doc))
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        reply::by_status(refusal, error(refusal))
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        refusal_event(framing, refusal)
    }

    fn edit_field(&self, _op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        edit_field(doc, field)
    }
}

pub(super) fn request(op: Operation, doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, CAPS)?;
    // Usage comes in every stream, asked for or not.
    request.stream_usage = true;
    request.stream |= op == Operation::ChatStream;
    let messages = read::array(doc, root, "messages", "messages: not an array")?
        .ok_or(WireError { what: "messages: missing" })?;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, TOP_TOKENS);
    if let Some(system) = doc.get(root, "system") {
        block::content(&mut walk, system, SpanKind::System);
    }
    for message in doc.items(messages) {
        if doc.kind(message) != Kind::Object {
            return Err(WireError { what: "messages: not objects" });
        }
        walk.tokens(message, &["role"]);
        let kind = block::kind(&read::word(doc, message, "role"));
        if let Some(content) = doc.get(message, "content") {
            block::content(&mut walk, content, kind);
        }
        request.messages = request.messages.saturating_add(1);
    }
    if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
        openai::tools(&mut walk, tools, &mut request.tools_offered);
    }
    if let Some(choice) = doc.get(root, "tool_choice") {
        walk.tokens(choice, &["type", "name"]);
    }
    openai::forced(doc, root, &mut request.tools_forced);
    if let Some(config) = doc.get(root, "output_config") {
        walk.tokens(config, &["effort"]);
        openai::format(&mut walk, config, "format");
    }
    openai::format(&mut walk, root, "output_format");
    request_extras(&mut walk, root);
    walk.request(&mut request);
    Ok(request)
}

/// Containers keep files between requests, MCP servers bring tools: both are
/// read by the model and not seen here.
fn request_extras(walk: &mut Walk<'_, '_>, root: NodeId) {
    let doc = walk.doc;
    walk.remote(root, &["container"]);
    if let Some(container) = doc.get(root, "container") {
        walk.remote(container, &["id"]);
    }
    if let Some(thinking) = doc.get(root, "thinking") {
        walk.tokens(thinking, &["type", "display"]);
    }
    for server in doc.get(root, "mcp_servers").iter().flat_map(|&id| doc.items(id)) {
        walk.tokens(server, &["type", "name"]);
        walk.remote(server, &["url"]);
    }
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response::default();
    let (model, usage) = message(&mut walk, root);
    response.model = model;
    response.usage = usage;
    response.finish = read::name(doc, root, "stop_reason");
    if doc.kind(root) == Kind::Object {
        // The answer of `count_tokens`.
        walk.tokens(root, &["input_tokens"]);
        if let Some(input) = doc.get(root, "input_tokens").and_then(|id| doc.u64(id)) {
            response.usage = Some(Usage { input: Some(input), ..Usage::default() });
        }
    }
    failure(&mut walk, root);
    walk.response(&mut response);
    response
}

/// A message of a response, or that of `message_start`.
fn message(walk: &mut Walk<'_, '_>, message: NodeId) -> (Option<String>, Option<Usage>) {
    let doc = walk.doc;
    walk.tokens(message, TOP_TOKENS);
    if let Some(container) = doc.get(message, "container") {
        walk.tokens(container, &["id", "expires_at"]);
    }
    if let Some(content) = doc.get(message, "content") {
        block::content(walk, content, SpanKind::Assistant);
    }
    (read::name(doc, message, "model"), usage(walk, message))
}

/// Usage as Anthropic counts: `input_tokens` are those not cached.
fn usage(walk: &mut Walk<'_, '_>, object: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    let usage = doc.get(object, "usage").filter(|&id| doc.kind(id) == Kind::Object)?;
    walk.claims.numbers(usage);
    walk.tokens(usage, TOP_TOKENS);
    let read = |key: &str| doc.get(usage, key).and_then(|id| doc.u64(id));
    let cached = read("cache_read_input_tokens");
    let written = read("cache_creation_input_tokens").unwrap_or_default();
    let input = read("input_tokens")
        .map(|new| new.saturating_add(written).saturating_add(cached.unwrap_or_default()));
    Some(Usage { input, output: read("output_tokens"), cached, reasoning: None })
}

fn failure(walk: &mut Walk<'_, '_>, root: NodeId) {
    walk.tokens(root, &["request_id"]);
    if let Some(error) = walk.doc.get(root, "error") {
        walk.tokens(error, &["type"]);
    }
}

pub(super) fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent::default();
    walk.tokens(root, &["type"]);
    let index = read::index(doc, root, "index").unwrap_or_default();
    match &*read::word(doc, root, "type") {
        "message_start" => {
            if let Some(start) = doc.get(root, "message") {
                (event.model, event.usage) = message(&mut walk, start);
            }
        }
        "content_block_start" => {
            if let Some(start) = doc.get(root, "content_block") {
                block::start(&mut walk, start, index);
            }
        }
        "content_block_delta" => {
            if let Some(delta) = doc.get(root, "delta") {
                block::delta(&mut walk, delta, index);
            }
        }
        "content_block_stop" => event.closes_index.push(index),
        "message_delta" => {
            event.usage = usage(&mut walk, root);
            if let Some(delta) = doc.get(root, "delta") {
                walk.tokens(delta, TOP_TOKENS);
                event.finish = read::name(doc, delta, "stop_reason");
            }
        }
        "message_stop" => {
            event.done = true;
            metrics(&mut walk, root);
        }
        _ => failure(&mut walk, root),
    }
    walk.stream_event(&mut event);
    event
}

/// Bedrock adds its own counts to the last event.
fn metrics(walk: &mut Walk<'_, '_>, root: NodeId) {
    if let Some(metrics) = walk.doc.get(root, "amazon-bedrock-invocationMetrics") {
        walk.claims.numbers(metrics);
    }
}

/// `{"type":"error","error":{"type","message"}}`, as an SSE event `error`.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    match framing {
        Framing::Sse => [b"event: error\ndata: ", error(refusal).as_slice(), b"\n\n"].concat(),
        _ => Vec::new(),
    }
}

pub(super) fn error(refusal: &Refusal) -> Vec<u8> {
    let kind = match refusal.reason {
        Reason::Malformed => "invalid_request_error",
        Reason::Unauthenticated => "authentication_error",
        Reason::Forbidden => "permission_error",
        Reason::NotFound => "not_found_error",
        Reason::TooLarge => "request_too_large",
        Reason::RateLimited => "rate_limit_error",
        Reason::BadUpstream => "api_error",
        Reason::Unavailable => "overloaded_error",
    };
    reply::json(
        &serde_json::json!({ "type": "error", "error": { "type": kind, "message": refusal.message } }),
    )
}

/// Usage needs no asking.
pub(super) fn edit_field(doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
    match field {
        FieldEdit::StreamUsage => Some(Vec::new()),
        field => fields::edit(doc, CAPS, field),
    }
}

/// The channel of a block.
pub(super) fn channel(field: u16, index: u32) -> Channel {
    Channel { field, index, sub: 0 }
}
