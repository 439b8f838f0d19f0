//! Items of the Responses API: messages, reasoning, calls of tools and their
//! results, in requests and responses.

use super::Channel;
use super::json::{Kind, NodeId};
use super::openai;
use super::openai_message as chat;
use super::read;
use super::walk::Walk;
use crate::text::SpanKind;

/// Ids and enumerated values of items and parts.
const TOKENS: &[&str] = &[
    "id",
    "type",
    "role",
    "status",
    "call_id",
    "phase",
    "detail",
    "format",
    "container_id",
    "approval_request_id",
    "created_by",
    "execution",
];

/// The kind of a stream's text and its channel field, by the name of its events
/// without `.delta` or `.done`. Unknown ones get a field of their own.
pub(super) fn channel_of(what: &str) -> (SpanKind, u16) {
    match what {
        "response.output_text" => (SpanKind::Assistant, 0),
        "response.refusal" => (SpanKind::Assistant, 1),
        "response.reasoning_text" | "response.reasoning" => (SpanKind::Reasoning, 2),
        "response.reasoning_summary_text" | "response.reasoning_summary" => (SpanKind::Reasoning, 3),
        "response.function_call_arguments" => (SpanKind::ToolArguments, ARGUMENTS),
        "response.custom_tool_call_input" => (SpanKind::ToolArguments, INPUT),
        "response.mcp_call_arguments" | "response.mcp_call.arguments" => (SpanKind::ToolArguments, ARGUMENTS),
        "response.code_interpreter_call_code" | "response.code_interpreter_call.code" => {
            (SpanKind::ToolArguments, CODE)
        }
        "response.apply_patch_call_operation_diff" => (SpanKind::ToolArguments, DIFF),
        "response.audio_transcript" | "response.audio.transcript" => (SpanKind::Assistant, 8),
        "response.audio" => (SpanKind::Assistant, 9),
        _ => (SpanKind::Other, what.bytes().fold(0, |h: u16, b| h.wrapping_mul(31) ^ u16::from(b)) | 0x8000),
    }
}

const ARGUMENTS: u16 = 4;
const INPUT: u16 = 5;
const CODE: u16 = 6;
const DIFF: u16 = 7;

/// The text of these events is a JSON document.
pub(super) fn is_json(what: &str) -> bool {
    what.ends_with("arguments")
}

/// An item; `kind` is that of a message without a role.
pub(super) fn item(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, index: u32) {
    let doc = walk.doc;
    if doc.kind(node) != Kind::Object {
        return walk.claims.text(node, kind);
    }
    walk.tokens(node, TOKENS);
    let encrypted = doc.get(node, "encrypted_content");
    if let Some(encrypted) = encrypted {
        walk.opaque(encrypted);
    }
    match &*read::word(doc, node, "type") {
        "" | "message" => message(walk, node, kind),
        "reasoning" => walk.claims.tree(node, SpanKind::Reasoning),
        "item_reference" => walk.remote(node, &["id"]),
        "mcp_list_tools" => {
            if let Some(tools) = doc.get(node, "tools") {
                openai::tools(walk, tools, &mut Vec::new());
            }
            walk.tokens(node, &["server_label"]);
        }
        "tool_search_output" => walk.claims.tree(node, SpanKind::ToolDefinition),
        "image_generation_call" => {
            if let Some(result) = doc.get(node, "result") {
                walk.media(result, SpanKind::Assistant);
            }
            walk.claims.tree(node, SpanKind::ToolArguments);
        }
        word if word.ends_with("_output") => output(walk, node),
        word if word.ends_with("_call") || word == "mcp_approval_request" => call(walk, node, word, index),
        _ => {}
    }
}

fn message(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    let role = read::word(doc, node, "role");
    let kind = if role.is_empty() { kind } else { chat::kind(&role) };
    if let Some(inner) = doc.get(node, "content") {
        content(walk, inner, kind);
    }
}

/// Content: a string, parts, or one part.
pub(super) fn content(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    match doc.kind(node) {
        Kind::Array => {
            walk.claims.run(node);
            for item in doc.items(node) {
                content(walk, item, kind);
            }
        }
        Kind::Object => part(walk, node, kind),
        _ => walk.claims.text(node, kind),
    }
}

fn part(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(node, TOKENS);
    walk.remote(node, &["file_id"]);
    if let Some(logprobs) = doc.get(node, "logprobs").filter(|&id| doc.items(id).next().is_some()) {
        walk.claims.echo(logprobs);
    }
    if let Some(annotations) = doc.get(node, "annotations") {
        walk.claims.tree(annotations, SpanKind::Document);
    }
    for key in ["image_url", "file_url", "file_data", "input_audio", "audio_url", "video_url"] {
        let Some(media) = doc.get(node, key) else { continue };
        walk.tokens(media, TOKENS);
        let data = doc.get(media, "data").or_else(|| doc.get(media, "url")).or(Some(media));
        if let Some(id) = data.filter(|&id| doc.kind(id) == Kind::String) {
            walk.media(id, kind);
        }
    }
    let kind =
        if read::word(doc, node, "type").starts_with("reasoning") { SpanKind::Reasoning } else { kind };
    walk.claims.tree(node, kind);
}

/// What a tool gave back: text, parts, logs, screenshots.
fn output(walk: &mut Walk<'_, '_>, node: NodeId) {
    let doc = walk.doc;
    if let Some(output) = doc.get(node, "output") {
        content(walk, output, SpanKind::ToolResult);
    }
    walk.claims.tree(node, SpanKind::ToolResult);
}

/// A call. Hosted tools carry their results in the same item.
fn call(walk: &mut Walk<'_, '_>, node: NodeId, word: &str, index: u32) {
    let doc = walk.doc;
    let input = ["arguments", "input", "code", "action", "operation"]
        .iter()
        .find_map(|&key| Some((key, doc.get(node, key)?)));
    let field = match input {
        Some(("input", _)) => INPUT,
        Some(("code", _)) => CODE,
        Some(("operation", _)) => DIFF,
        _ => ARGUMENTS,
    };
    let channel = Channel { field, index, sub: 0 };
    walk.tokens(node, &["server_label", "namespace"]);
    match doc.get(node, "name") {
        Some(name) => walk.call(Some(name), input.map(|(_, id)| id), channel),
        None => walk.call_named(word.strip_suffix("_call").unwrap_or(word), input.map(|(_, id)| id), channel),
    }
    match input {
        Some(("arguments", id)) => walk.arguments(id, SpanKind::ToolArguments, channel),
        Some((_, id)) => {
            walk.tokens(id, &["type"]);
            walk.claims.tree(id, SpanKind::ToolArguments);
        }
        None => {}
    }
    for key in ["output", "outputs", "results", "error"] {
        let Some(result) = doc.get(node, key) else { continue };
        for output in doc.items(result) {
            if let Some(url) = doc.get(output, "url") {
                walk.media(url, SpanKind::ToolResult);
            }
        }
        walk.claims.tree(result, SpanKind::ToolResult);
    }
    walk.claims.tree(node, SpanKind::ToolArguments);
}
