//! Content blocks of Anthropic messages, whole and in parts.

use super::anthropic::channel;
use super::json::{Doc, Kind, NodeId};
use super::read;
use super::walk::Walk;
use crate::text::SpanKind;

// Channel fields.
const TEXT: u16 = 0;
const THINKING: u16 = 1;
const INPUT: u16 = 2;
const COMPACTION: u16 = 3;

/// Ids and enumerated values of blocks.
const TOKENS: &[&str] = &["type", "id", "tool_use_id", "media_type", "error_code", "retrieved_at"];

/// What a role makes of a text.
pub(super) fn kind(role: &str) -> SpanKind {
    match role {
        "user" => SpanKind::User,
        "assistant" => SpanKind::Assistant,
        "system" => SpanKind::System,
        _ => SpanKind::Other,
    }
}

/// Content: a string, blocks, or one block.
pub(super) fn content(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    match doc.kind(node) {
        Kind::Array => {
            walk.claims.run(node);
            for item in doc.items(node) {
                content(walk, item, kind);
            }
        }
        Kind::Object => block(walk, node, kind),
        _ => walk.claims.text(node, kind),
    }
}

/// A whole block. Blocks nest: results hold text, images and documents.
fn block(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    common(walk, node);
    let kind = match &*read::word(doc, node, "type") {
        "thinking" => SpanKind::Reasoning,
        "tool_use" | "server_tool_use" | "mcp_tool_use" => return tool_use(walk, node, 0),
        // A document inside a tool's result stays the result of that tool.
        "document" | "search_result" if kind != SpanKind::ToolResult => SpanKind::Document,
        word if word.ends_with("_result") || word.ends_with("_result_error") => SpanKind::ToolResult,
        _ => kind,
    };
    if let Some(source) = doc.get(node, "source") {
        self::source(walk, source, kind);
    }
    if let Some(inner) = doc.get(node, "content") {
        content(walk, inner, kind);
    }
    if let Some(citations) = doc.get(node, "citations") {
        cited(walk, citations);
    }
    walk.claims.tree(node, kind);
}

/// What every block may have.
fn common(walk: &mut Walk<'_, '_>, node: NodeId) {
    let doc = walk.doc;
    walk.tokens(node, TOKENS);
    walk.remote(node, &["file_id"]);
    if let Some(cache) = doc.get(node, "cache_control") {
        walk.tokens(cache, &["type", "ttl"]);
    }
    for key in ["signature", "encrypted_content", "encrypted_index", "encrypted_stdout"] {
        if let Some(node) = doc.get(node, key) {
            walk.opaque(node);
        }
    }
    if read::word(doc, node, "type") == "redacted_thinking"
        && let Some(data) = doc.get(node, "data")
    {
        walk.opaque(data);
    }
}

/// Where an image or a document comes from. `text` has its words in `data`.
fn source(walk: &mut Walk<'_, '_>, source: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    if doc.kind(source) != Kind::Object {
        return walk.claims.text(source, kind);
    }
    common(walk, source);
    let is_text = read::word(doc, source, "type") == "text";
    match doc.get(source, "data") {
        Some(data) if !is_text && !is_text_type(doc, source) => walk.media(data, kind),
        Some(data) => walk.claims.text(data, kind),
        None => {}
    }
    if let Some(url) = doc.get(source, "url") {
        walk.media(url, kind);
    }
    if let Some(inner) = doc.get(source, "content") {
        content(walk, inner, kind);
    }
}

fn is_text_type(doc: &Doc<'_>, source: NodeId) -> bool {
    read::word(doc, source, "media_type").starts_with("text/")
}

fn cited(walk: &mut Walk<'_, '_>, citations: NodeId) {
    let doc = walk.doc;
    for citation in doc.items(citations) {
        common(walk, citation);
    }
    walk.claims.tree(citations, SpanKind::Document);
}

fn tool_use(walk: &mut Walk<'_, '_>, node: NodeId, index: u32) {
    let doc = walk.doc;
    // A stream starts with `{}` and sends the arguments in parts.
    let input = doc.get(node, "input").filter(|&id| doc.members(id).next().is_some());
    walk.call(doc.get(node, "name"), input, channel(INPUT, index));
    walk.tokens(node, &["server_name"]);
    if let Some(caller) = doc.get(node, "caller") {
        walk.tokens(caller, &["type", "tool_id"]);
    }
    if let Some(input) = input {
        walk.claims.tree(input, SpanKind::ToolArguments);
    }
}

/// `content_block_start`: empty for what comes in deltas, whole for results of
/// server tools.
pub(super) fn start(walk: &mut Walk<'_, '_>, node: NodeId, index: u32) {
    let doc = walk.doc;
    match &*read::word(doc, node, "type") {
        "text" => walk.member(node, "text", SpanKind::Assistant, channel(TEXT, index)),
        "thinking" => walk.member(node, "thinking", SpanKind::Reasoning, channel(THINKING, index)),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            common(walk, node);
            return tool_use(walk, node, index);
        }
        _ => {}
    }
    walk.alone(|walk| block(walk, node, SpanKind::Assistant));
}

/// `content_block_delta`.
pub(super) fn delta(walk: &mut Walk<'_, '_>, delta: NodeId, index: u32) {
    let doc = walk.doc;
    common(walk, delta);
    walk.member(delta, "text", SpanKind::Assistant, channel(TEXT, index));
    walk.member(delta, "thinking", SpanKind::Reasoning, channel(THINKING, index));
    if let Some(part) = doc.get(delta, "partial_json") {
        walk.arguments(part, SpanKind::ToolArguments, channel(INPUT, index));
    }
    if read::word(doc, delta, "type") == "compaction_delta" {
        walk.member(delta, "content", SpanKind::Assistant, channel(COMPACTION, index));
    }
    if let Some(citation) = doc.get(delta, "citation") {
        common(walk, citation);
        walk.claims.tree(citation, SpanKind::Document);
    }
    walk.rest(delta, SpanKind::Other, index);
}
