//! Gemini Interactions: turns and steps, whole and as SSE.
//!
//! Format: Gemini API reference, "Interactions". An answer is a list of steps;
//! a stream starts each, continues it by deltas and stops it by its index.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, Usage,
    WireError,
};
use super::{fields, gemini, openai, read, reply};
use crate::text::SpanKind;

/// Ids, times and enumerated values, wherever they stand.
const TOKENS: &[&str] = &[
    "id",
    "type",
    "role",
    "status",
    "object",
    "model",
    "agent",
    "created",
    "updated",
    "service_tier",
    "call_id",
    "interaction_id",
    "event_id",
    "event_type",
    "mime_type",
    "resolution",
    "search_type",
    "is_error",
    "code",
];

/// Media of a content block.
const MEDIA: &[&str] = &["data", "uri"];

const TEXT: u16 = 0;
const ARGUMENTS: u16 = 1;

/// See the module.
#[derive(Debug)]
pub(super) struct GeminiInteractions;

impl Dialect for GeminiInteractions {
    fn id(&self) -> &'static str {
        "gemini_interactions"
    }

    fn provider(&self) -> &'static str {
        "gcp.gemini"
    }

    /// `/v1beta/interactions`, of Vertex too.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let last = path.plain()?.last()?;
        (method == "POST" && path::is(last, "interactions")).then_some(Operation::Chat)
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let root = read::root(doc)?;
        let mut request = fields::request(doc, root, &[])?;
        request.stream_usage = true;
        let mut walk = Walk::whole(doc);
        read::exact_names(doc, root, &["generation_config", "system_instruction"])?;
        if let Some(config) = read::some(doc, root, "generation_config") {
            read::exact_names(doc, config, &["max_output_tokens", "temperature"])?;
            request.max_output_tokens =
                read::count(doc, config, "max_output_tokens", "max_output_tokens: not a whole number")?;
            request.temperature = read::number(doc, config, "temperature", "temperature: not a number")?;
            walk.tokens(config, &["thinking_level", "thinking_summaries", "tool_choice", "seed"]);
        }
        walk.tokens(root, TOKENS);
        walk.all_tokens(root, &["response_modalities"]);
        walk.remote(root, &["previous_interaction_id"]);
        if let Some(system) = doc.get(root, "system_instruction") {
            walk.claims.tree(system, SpanKind::System);
        }
        match read::some(doc, root, "input") {
            Some(input) if doc.kind(input) == Kind::Array => {
                walk.claims.run(input);
                for id in doc.items(input) {
                    step(&mut walk, id, SpanKind::User, 0);
                    request.messages = request.messages.saturating_add(1);
                }
            }
            Some(input) => {
                step(&mut walk, input, SpanKind::User, 0);
                request.messages = 1;
            }
            None => {}
        }
        if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
            openai::tools(&mut walk, tools, &mut request.tools_offered);
        }
        if let Some(format) = doc.get(root, "response_format") {
            walk.claims.tree(format, SpanKind::ToolDefinition);
        }
        walk.request(&mut request);
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let mut walk = Walk::whole(doc);
        let mut response = Response::default();
        let root = doc.root();
        response.usage = said(&mut walk, root);
        response.model = read::name(doc, root, "model");
        response.finish = read::name(doc, root, "status");
        walk.response(&mut response);
        Ok(response)
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
        reply::by_status(refusal, gemini::error(refusal))
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        if framing != Framing::Sse {
            return Vec::new();
        }
        let event = reply::json(&serde_json::json!({
            "event_type": "error", "error": { "code": refusal.code, "message": refusal.message },
        }));
        [b"event: error\ndata: ", event.as_slice(), b"\n\n"].concat()
    }

    fn edit_field(&self, _op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            // The last event always has it.
            FieldEdit::StreamUsage => Some(Vec::new()),
            FieldEdit::MaxOutputTokens(cap) => {
                let cap = cap.to_string();
                let config = doc.get(doc.root(), "generation_config");
                let edit = match config.filter(|&id| doc.kind(id) == Kind::Object) {
                    Some(config) => read::set(doc, config, "max_output_tokens", cap.as_bytes())?,
                    None => {
                        let config = format!(r#"{{"max_output_tokens":{cap}}}"#);
                        read::set(doc, doc.root(), "generation_config", config.as_bytes())?
                    }
                };
                Some(vec![edit])
            }
            field => fields::edit(doc, &[], field),
        }
    }
}

/// A step, a turn or a content block: they nest and share their fields.
fn step(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, index: u32) {
    let doc = walk.doc;
    let channel = Channel { field: TEXT, index, sub: 0 };
    if doc.kind(node) != Kind::Object {
        return walk.text(node, kind, channel);
    }
    walk.tokens(node, TOKENS);
    if let Some(signature) = doc.get(node, "signature") {
        walk.opaque(signature);
    }
    let word = read::word(doc, node, "type");
    let kind = match (&*word, &*read::word(doc, node, "role")) {
        ("user_input", _) | (_, "user") => SpanKind::User,
        ("model_output", _) | (_, "model") => SpanKind::Assistant,
        (word, _) if word.starts_with("thought") => SpanKind::Reasoning,
        (word, _) if word.ends_with("_result") => SpanKind::ToolResult,
        (word, _) if word.ends_with("_call") || word.starts_with("arguments") => SpanKind::ToolArguments,
        _ => kind,
    };
    if kind == SpanKind::ToolArguments {
        let arguments = doc.get(node, "arguments");
        let channel = Channel { field: ARGUMENTS, index, sub: 0 };
        match doc.get(node, "name") {
            Some(name) => walk.call(Some(name), arguments, channel),
            // `google_search_call` and its like; a delta is no call.
            None if word.ends_with("_call") => walk.call_named(&word, arguments, channel),
            None => {}
        }
        if let Some(arguments) = arguments {
            walk.arguments(arguments, kind, channel);
        }
    }
    walk.member(node, "text", kind, channel);
    for media in MEDIA.iter().filter_map(|key| doc.get(node, key)) {
        walk.media(media, kind);
    }
    for key in ["content", "summary", "result"] {
        // What a function returned has fields of its own, `id` and `data` among them.
        let inner = |walk: &mut Walk<'_, '_>, id| match key {
            "result" if !is_block(doc, id) => walk.rest(id, kind, index),
            _ => step(walk, id, kind, index),
        };
        match doc.get(node, key) {
            Some(list) if doc.kind(list) == Kind::Array => {
                walk.claims.run(list);
                for id in doc.items(list) {
                    inner(walk, id);
                }
            }
            Some(object) if doc.kind(object) == Kind::Object => inner(walk, object),
            Some(inner) => walk.text(inner, kind, channel),
            None => {}
        }
    }
    walk.rest(node, kind, index);
}

/// A content block: its type says so, and it has what that needs.
fn is_block(doc: &Doc<'_>, node: NodeId) -> bool {
    let has = |key: &&str| doc.get(node, key).is_some();
    match &*read::word(doc, node, "type") {
        "text" => has(&"text"),
        "image" | "audio" | "video" | "document" => MEDIA.iter().any(has),
        _ => doc.kind(node) != Kind::Object,
    }
}

/// An interaction, whole or inside an event.
fn said(walk: &mut Walk<'_, '_>, root: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    walk.tokens(root, TOKENS);
    walk.remote(root, &["previous_interaction_id"]);
    for key in ["steps", "outputs"] {
        for id in doc.get(root, key).iter().flat_map(|&id| doc.items(id)) {
            step(walk, id, SpanKind::Assistant, 0);
        }
    }
    if let Some(input) = doc.get(root, "input") {
        walk.claims.tree(input, SpanKind::User);
    }
    let usage = doc.get(root, "usage").filter(|&id| doc.kind(id) == Kind::Object)?;
    walk.claims.numbers(usage);
    for id in doc.subtree(usage).collect::<Vec<_>>() {
        walk.tokens(id, &["modality"]);
    }
    let read = |key: &str| doc.get(usage, key).and_then(|id| doc.u64(id));
    let thoughts = read("total_thought_tokens");
    // Both are paid for as output, and neither holds the other.
    let output = read("total_output_tokens").map(|n| n.saturating_add(thoughts.unwrap_or_default()));
    Some(Usage {
        input: read("total_input_tokens"),
        output,
        cached: read("total_cached_tokens"),
        reasoning: thoughts,
    })
}

fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent::default();
    walk.tokens(root, TOKENS);
    let index = read::index(doc, root, "index").unwrap_or_default();
    if let Some(interaction) = doc.get(root, "interaction") {
        let calls = walk.calls.len();
        walk.alone(|walk| event.usage = said(walk, interaction));
        // Said when they were made, as a rule: nothing keeps a server to it.
        event.calls_again.extend(walk.calls.drain(calls..));
        event.model = read::name(doc, interaction, "model");
    }
    for key in ["step", "delta", "content"] {
        if let Some(inner) = doc.get(root, key) {
            step(&mut walk, inner, SpanKind::Assistant, index);
        }
    }
    match &*read::word(doc, root, "event_type") {
        "step.stop" | "content.stop" => event.closes_index.push(index),
        "interaction.completed" | "interaction.complete" => {
            event.finish = doc.get(root, "interaction").and_then(|id| read::name(doc, id, "status"));
            event.done = true;
        }
        _ => {}
    }
    walk.stream_event(&mut event);
    event
}
