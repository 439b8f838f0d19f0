//! OpenAI Responses, with compaction and token counting; also spoken by xAI,
//! DeepSeek, vLLM and others.
//!
//! Format: OpenAI API reference, "Responses" and "Streaming events". A stream
//! says every text twice and more: in deltas, then whole in `*.done`, again in
//! `output_item.done` and in `response.completed`.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::Path;
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent,
    ToolCall, WireError,
};
use super::{fields, openai, openai_item as item, read, reply};
use crate::text::SpanKind;

const CAPS: &[&str] = &["max_output_tokens"];

/// See the module.
#[derive(Debug)]
pub(super) struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn id(&self) -> &'static str {
        "openai_responses"
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        match method {
            "POST" if path.is_api(&["responses"]) || path.is_api(&["responses", "compact"]) => {
                Some(Operation::Chat)
            }
            "POST" if path.is_api(&["responses", "input_tokens"]) => Some(Operation::CountTokens),
            _ => None,
        }
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(doc)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let mut walk = Walk::whole(doc);
        let mut response = Response::default();
        let said = said(&mut walk, doc.root());
        response.model = said.model;
        response.usage = said.usage;
        response.finish = said.finish;
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
        openai::refusal(refusal)
    }

    /// The event `error` of the format, with the object `error` inside on which
    /// the SDKs raise.
    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        if framing != Framing::Sse {
            return Vec::new();
        }
        let event = reply::json(&serde_json::json!({
            "type": "error", "code": refusal.code, "message": refusal.message, "param": null,
            "error": { "message": refusal.message, "type": openai::error_type(refusal.reason), "param": null, "code": refusal.code },
        }));
        [b"event: error\ndata: ", event.as_slice(), b"\n\n"].concat()
    }

    fn edit_field(&self, _op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            // `response.completed` always has it.
            FieldEdit::StreamUsage => Some(Vec::new()),
            field => fields::edit(doc, CAPS, field),
        }
    }
}

fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, CAPS)?;
    request.stream_usage = true;
    let mut walk = Walk::whole(doc);
    around(&mut walk, root);
    match read::some(doc, root, "input") {
        Some(input) if doc.kind(input) == Kind::Array => {
            for id in doc.items(input) {
                item::item(&mut walk, id, SpanKind::User, 0);
                request.messages = request.messages.saturating_add(1);
            }
        }
        Some(input) if doc.kind(input) == Kind::String => {
            walk.claims.text(input, SpanKind::User);
            request.messages = 1;
        }
        Some(_) => return Err(WireError { what: "input: neither a string nor an array" }),
        None => {}
    }
    if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
        openai::tools(&mut walk, tools, &mut request.tools_offered);
    }
    openai::forced(doc, root, &mut request.tools_forced);
    walk.request(&mut request);
    Ok(request)
}

/// Fields around the items, which a response repeats from its request.
fn around(walk: &mut Walk<'_, '_>, root: NodeId) {
    let doc = walk.doc;
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, &["status", "truncation", "completed_at", "prompt_cache_retention"]);
    walk.all_tokens(root, &["include", "billing", "content_filters"]);
    // Earlier turns and stored prompts are added on the provider's side.
    walk.remote(root, &["previous_response_id", "conversation"]);
    for key in ["conversation", "prompt"] {
        if let Some(stored) = doc.get(root, key) {
            walk.remote(stored, &["id"]);
        }
    }
    if let Some(instructions) = doc.get(root, "instructions") {
        walk.claims.tree(instructions, SpanKind::System);
    }
    if let Some(text) = doc.get(root, "text") {
        walk.tokens(text, &["verbosity"]);
        openai::format(walk, text, "format");
    }
    if let Some(reasoning) = doc.get(root, "reasoning") {
        walk.tokens(reasoning, &["effort", "summary", "generate_summary", "context"]);
    }
}

#[derive(Default)]
struct Said {
    model: Option<String>,
    usage: Option<super::Usage>,
    finish: Option<String>,
}

/// A response object, whole or inside an event.
fn said(walk: &mut Walk<'_, '_>, root: NodeId) -> Said {
    let doc = walk.doc;
    around(walk, root);
    for key in ["output", "input"] {
        let kind = if key == "output" { SpanKind::Assistant } else { SpanKind::User };
        // Events count the items of an answer like this.
        for (index, id) in (0..).zip(doc.get(root, key).iter().flat_map(|&id| doc.items(id))) {
            item::item(walk, id, kind, index);
        }
    }
    if let Some(tools) = doc.get(root, "tools") {
        openai::tools(walk, tools, &mut Vec::new());
    }
    let mut usage = openai::usage(walk, root, "usage");
    // The answer of `responses/input_tokens`.
    walk.tokens(root, &["input_tokens"]);
    if let Some(input) = doc.get(root, "input_tokens").and_then(|id| doc.u64(id)) {
        usage = Some(super::Usage { input: Some(input), ..Default::default() });
    }
    let incomplete = doc.get(root, "incomplete_details").and_then(|id| read::name(doc, id, "reason"));
    Said {
        model: read::name(doc, root, "model"),
        usage,
        finish: incomplete.or_else(|| read::name(doc, root, "status")),
    }
}

fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent::default();
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, &["type", "item_id", "sequence_number", "code", "param"]);
    let kind = read::word(doc, root, "type");
    let index = read::index(doc, root, "output_index").unwrap_or_default();
    if let Some(response) = doc.get(root, "response") {
        let ends = matches!(&*kind, "response.completed" | "response.failed" | "response.incomplete");
        whole_response(&mut walk, response, &mut event, ends);
    }
    if let Some(node) = doc.get(root, "item") {
        let added = &*kind == "response.output_item.added";
        let calls = walk.calls.len();
        walk.alone(|walk| item::item(walk, node, SpanKind::Assistant, index));
        if !added {
            // Said when it was added.
            event.calls_again.extend(walk.calls.drain(calls..));
            event.closes_index.push(index);
        }
    }
    if let Some(part) = doc.get(root, "part") {
        walk.alone(|walk| item::content(walk, part, SpanKind::Assistant));
    }
    if let Some(annotation) = doc.get(root, "annotation") {
        walk.claims.tree(annotation, SpanKind::Document);
    }
    if let Some(image) = doc.get(root, "partial_image_b64") {
        walk.media(image, SpanKind::Assistant);
    }
    if let Some(logprobs) = doc.get(root, "logprobs").filter(|&id| doc.items(id).next().is_some()) {
        walk.claims.echo(logprobs);
    }
    texts(&mut walk, &kind, index, &mut event);
    walk.stream_event(&mut event);
    event
}

/// `response.created` to `response.completed`: everything said so far.
fn whole_response(walk: &mut Walk<'_, '_>, response: NodeId, event: &mut StreamEvent, ends: bool) {
    let mut found = Said::default();
    let calls = walk.calls.len();
    walk.alone(|walk| found = said(walk, response));
    event.calls_again.extend(walk.calls.drain(calls..));
    event.model = found.model;
    event.usage = found.usage;
    if ends {
        event.finish = found.finish;
        event.done = true;
    }
}

/// `response.<what>.delta` continues a channel, `response.<what>.done` repeats
/// its text and ends it.
fn texts(walk: &mut Walk<'_, '_>, name: &str, index: u32, event: &mut StreamEvent) {
    let doc = walk.doc;
    let root = doc.root();
    let Some((what, step)) = name.rsplit_once('.') else { return };
    let part = read::index(doc, root, "content_index").or_else(|| read::index(doc, root, "summary_index"));
    let (kind, field) = item::channel_of(what);
    let channel = Channel { field, index, sub: part.unwrap_or_default() };
    match step {
        "delta" => {
            let Some(delta) = doc.get(root, "delta") else { return };
            match what {
                "response.audio" => walk.media(delta, kind),
                _ if kind == SpanKind::ToolArguments && item::is_json(what) => {
                    walk.arguments(delta, kind, channel)
                }
                _ => walk.text(delta, kind, channel),
            }
            walk.rest(delta, kind, index);
        }
        "done" => {
            let mut whole = false;
            walk.alone(|walk| {
                for key in ["text", "refusal", "code", "input", "transcript", "diff", "arguments"] {
                    let Some(node) = doc.get(root, key) else { continue };
                    whole = true;
                    if key == "arguments" {
                        let arguments = Some(doc.inner_range(node));
                        event.calls_again.push((channel, ToolCall { name: String::new(), arguments }));
                        walk.arguments(node, kind, channel);
                    } else {
                        walk.text(node, kind, channel);
                    }
                }
            });
            if whole {
                event.closes.push(channel);
            }
        }
        _ => {}
    }
}
