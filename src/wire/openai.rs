//! What the dialects of OpenAI and of those who speak like it share.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::Path;
use super::reply::{self, is_type, json};
use super::walk::Walk;
use super::{
    Dialect, FieldEdit, Framing, Operation, Reason, Refusal, Reply, Request, Response, StreamEvent, Usage,
    WireError,
};
use super::{fields, read};
use crate::text::SpanKind;

/// Ids, times and enumerated values at the top of requests and responses.
pub(super) const TOP_TOKENS: &[&str] = &[
    "model",
    "id",
    "object",
    "created",
    "created_at",
    "system_fingerprint",
    "service_tier",
    "provider",
    "seed",
    "obfuscation",
    "p",
    "reasoning_effort",
    "reasoning_format",
    "verbosity",
    "tool_choice",
    "encoding_format",
];

/// Definitions of tools, in the nested form of chat and the flat one of
/// responses.
pub(super) fn tools(walk: &mut Walk<'_, '_>, tools: NodeId, names: &mut Vec<String>) {
    let doc = walk.doc;
    for tool in doc.items(tools) {
        walk.tokens(tool, &["type"]);
        let kind = read::word(doc, tool, "type");
        let before = names.len();
        // All of them: which one counts is the provider's choice.
        for path in [&["function", "name"][..], &["custom", "name"], &["name"]] {
            names.extend(doc.at(tool, path).and_then(|id| doc.str(id)).map(|name| name.into_owned()));
        }
        let members = ["function", "custom", "name", "type"];
        let nested = ["function", "custom"].iter().filter_map(|key| doc.get(tool, key));
        let odd = read::exact_names(doc, tool, &members).is_err()
            || nested.into_iter().any(|id| read::exact_names(doc, id, &["name"]).is_err());
        if odd {
            // `"Function"` is a function to some servers: no list lets the empty name through.
            names.push(String::new());
        } else if names.len() == before && !kind.is_empty() {
            // A built-in tool (`web_search`) has no name but its type.
            names.push(kind.into_owned());
        }
        walk.claims.tree(tool, SpanKind::ToolDefinition);
    }
}

/// Tools that `tool_choice` or `function_call` name, in any of their forms: a
/// name below, or the type of a built-in tool.
pub(super) fn forced(doc: &Doc<'_>, root: NodeId, names: &mut Vec<String>) {
    const WORDS: &[&str] =
        &["function", "custom", "tool", "allowed_tools", "auto", "none", "any", "required", "mcp"];
    for choice in ["tool_choice", "function_call"].iter().filter_map(|key| doc.get(root, key)) {
        for id in doc.subtree(choice).filter(|&id| doc.kind(id) == Kind::Object) {
            let named = ["name", "server_label"].iter().filter_map(|key| read::name(doc, id, key));
            let before = names.len();
            names.extend(named);
            let kind = read::word(doc, id, "type");
            if names.len() == before && !kind.is_empty() && !WORDS.contains(&&*kind) {
                names.push(kind.into_owned());
            }
        }
    }
}

/// `response_format`, `text.format`: a schema the model reads.
pub(super) fn format(walk: &mut Walk<'_, '_>, object: NodeId, key: &str) {
    if let Some(format) = walk.doc.get(object, key) {
        walk.tokens(format, &["type"]);
        walk.claims.tree(format, SpanKind::ToolDefinition);
    }
}

/// Usage in the names of chat completions or of responses. Its numbers are
/// claimed.
pub(super) fn usage(walk: &mut Walk<'_, '_>, object: NodeId, key: &str) -> Option<Usage> {
    let doc = walk.doc;
    let usage = doc.get(object, key).filter(|&id| doc.kind(id) == Kind::Object)?;
    walk.claims.numbers(usage);
    let read = |path: &[&str]| doc.at(usage, path).and_then(|id| doc.u64(id));
    let input = read(&["prompt_tokens"]).or_else(|| read(&["input_tokens"]));
    let output = read(&["completion_tokens"]).or_else(|| read(&["output_tokens"]));
    // xAI leaves reasoning out of `completion_tokens`, not out of the total.
    let beyond = read(&["total_tokens"]).zip(input).and_then(|(total, input)| total.checked_sub(input));
    Some(Usage {
        input,
        output: output.map(|output| output.max(beyond.unwrap_or_default())),
        cached: read(&["prompt_tokens_details", "cached_tokens"])
            .or_else(|| read(&["input_tokens_details", "cached_tokens"]))
            .or_else(|| read(&["prompt_cache_hit_tokens"]))
            .or_else(|| read(&["cached_tokens"])),
        reasoning: read(&["completion_tokens_details", "reasoning_tokens"])
            .or_else(|| read(&["output_tokens_details", "reasoning_tokens"]))
            .or_else(|| read(&["reasoning_tokens"])),
    })
}

/// Whole or SSE; no other framing is spoken here.
pub(super) fn framing(content_type: &str) -> Framing {
    if is_type(content_type, "text/event-stream") { Framing::Sse } else { Framing::Whole }
}

/// `data: [DONE]`.
pub(super) fn is_end_mark(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

/// `{"error":{"message","type","param","code"}}`. The SDKs choose the exception
/// by status and show the rest.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    reply::by_status(refusal, error(refusal))
}

/// The error object as an event, and the end mark. The SDKs raise on a chunk
/// that has `error`.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    match framing {
        Framing::Sse => [b"data: ", error(refusal).as_slice(), b"\n\ndata: [DONE]\n\n"].concat(),
        // Nothing can be said inside a document that has begun.
        _ => Vec::new(),
    }
}

/// `error.type` by reason.
pub(super) fn error_type(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed | Reason::TooLarge => "invalid_request_error",
        Reason::Unauthenticated => "authentication_error",
        Reason::Forbidden => "permission_error",
        Reason::NotFound => "not_found_error",
        Reason::RateLimited => "rate_limit_error",
        Reason::BadUpstream | Reason::Unavailable => "server_error",
    }
}

fn error(refusal: &Refusal) -> Vec<u8> {
    let kind = error_type(refusal.reason);
    json(&serde_json::json!({
        "error": { "message": refusal.message, "type": kind, "param": null, "code": refusal.code }
    }))
}

/// A dialect of OpenAI's that is told apart by path and body alone.
#[derive(Debug)]
pub(super) struct OpenAiLike {
    pub(super) id: &'static str,
    /// By method and path.
    pub(super) operation: fn(&str, &Path<'_>) -> Option<Operation>,
    pub(super) request: fn(&Doc<'_>) -> Result<Request, WireError>,
    pub(super) response: fn(&Doc<'_>) -> Response,
    pub(super) event: fn(&Doc<'_>) -> StreamEvent,
    /// Fields that cap the output, as in [`fields::request`].
    pub(super) caps: &'static [&'static str],
}

impl Dialect for OpenAiLike {
    fn id(&self) -> &'static str {
        self.id
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        (self.operation)(method, &Path::parse(path)?)
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        (self.request)(doc)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok((self.response)(doc))
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok((self.event)(doc))
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        self::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        refusal_event(framing, refusal)
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            FieldEdit::MaxOutputTokens(_) if self.caps.is_empty() => None,
            FieldEdit::StreamUsage if op != Operation::TextCompletion => None,
            field => fields::edit(doc, self.caps, field),
        }
    }
}
