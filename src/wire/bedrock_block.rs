//! Content blocks of Bedrock Converse: unions, named by their only member.

use super::Channel;
use super::json::{Kind, NodeId};
use super::read;
use super::walk::Walk;
use crate::text::SpanKind;

// Channel fields.
const TEXT: u16 = 0;
const REASONING: u16 = 1;
const INPUT: u16 = 2;

/// What a role makes of a text.
pub(super) fn kind(role: &str) -> SpanKind {
    match role {
        "user" => SpanKind::User,
        "assistant" => SpanKind::Assistant,
        "system" => SpanKind::System,
        _ => SpanKind::Other,
    }
}

/// Content: blocks, one block, or a string.
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

fn block(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    for (key, inner) in doc.members(node) {
        match &*key {
            "toolUse" => tool_use(walk, inner, 0),
            "toolResult" => {
                walk.tokens(inner, &["toolUseId", "status", "type"]);
                if let Some(result) = doc.get(inner, "content") {
                    content(walk, result, SpanKind::ToolResult);
                }
                walk.claims.tree(inner, SpanKind::ToolResult);
            }
            "image" | "video" | "audio" => media(walk, inner, kind),
            "document" => {
                media(walk, inner, if kind == SpanKind::ToolResult { kind } else { SpanKind::Document });
            }
            "searchResult" => walk.claims.tree(inner, SpanKind::Document),
            "citationsContent" => {
                if let Some(text) = doc.get(inner, "content") {
                    content(walk, text, kind);
                }
                walk.claims.tree(inner, SpanKind::Document);
            }
            "reasoningContent" => reasoning(walk, inner, 0),
            "cachePoint" => walk.tokens(inner, &["type", "ttl"]),
            _ => walk.claims.tree(inner, kind),
        }
    }
}

/// `{"format", "source": {"bytes" | "s3Location" | "text" | "content"}}`.
fn media(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(node, &["format"]);
    // The bytes of these formats are text, which the views of encoded text
    // decode.
    let is_text = matches!(&*read::word(doc, node, "format"), "txt" | "md" | "csv" | "html");
    if let Some(source) = doc.get(node, "source") {
        if let Some(bytes) = doc.get(source, "bytes").filter(|_| !is_text) {
            walk.media(bytes, kind);
        }
        if let Some(uri) = doc.at(source, &["s3Location", "uri"]) {
            walk.media(uri, kind);
        }
    }
    walk.claims.tree(node, kind);
}

fn tool_use(walk: &mut Walk<'_, '_>, node: NodeId, index: u32) {
    let doc = walk.doc;
    walk.tokens(node, &["toolUseId", "type"]);
    let channel = Channel { field: INPUT, index, sub: 0 };
    let input = doc.get(node, "input");
    walk.call(doc.get(node, "name"), input, channel);
    if let Some(input) = input {
        walk.arguments(input, SpanKind::ToolArguments, channel);
    }
    walk.claims.tree(node, SpanKind::ToolArguments);
}

fn reasoning(walk: &mut Walk<'_, '_>, node: NodeId, index: u32) {
    let doc = walk.doc;
    let text = doc.get(node, "reasoningText").unwrap_or(node);
    for (object, key) in [(text, "signature"), (node, "redactedContent")] {
        if let Some(blob) = doc.get(object, key) {
            walk.opaque(blob);
        }
    }
    walk.member(text, "text", SpanKind::Reasoning, Channel { field: REASONING, index, sub: 0 });
    walk.rest(node, SpanKind::Reasoning, index);
}

/// `contentBlockStart`.
pub(super) fn start(walk: &mut Walk<'_, '_>, start: NodeId, index: u32) {
    if let Some(tool) = walk.doc.get(start, "toolUse") {
        tool_use(walk, tool, index);
    }
}

/// `contentBlockDelta`.
pub(super) fn delta(walk: &mut Walk<'_, '_>, delta: NodeId, index: u32) {
    let doc = walk.doc;
    walk.member(delta, "text", SpanKind::Assistant, Channel { field: TEXT, index, sub: 0 });
    if let Some(input) = doc.at(delta, &["toolUse", "input"]) {
        walk.arguments(input, SpanKind::ToolArguments, Channel { field: INPUT, index, sub: 0 });
    }
    if let Some(inner) = doc.get(delta, "reasoningContent") {
        reasoning(walk, inner, index);
    }
    if let Some(citation) = doc.get(delta, "citation") {
        walk.claims.tree(citation, SpanKind::Document);
    }
    walk.rest(delta, SpanKind::Other, index);
}
