//! A message of chat completions, or the delta of one, with the extra fields
//! of the providers that speak the same format.

use super::Channel;
use super::json::{Kind, NodeId};
use super::read;
use super::walk::Walk;
use crate::text::SpanKind;

// Channel fields.
const CONTENT: u16 = 0;
const REFUSAL: u16 = 1;
const REASONING: u16 = 2;
const REASONING_CONTENT: u16 = 3;
const THINKING: u16 = 4;
const REASONING_DETAILS: u16 = 5;
const ARGUMENTS: u16 = 6;
const FUNCTION_CALL: u16 = 7;
const CUSTOM_INPUT: u16 = 8;
const TRANSCRIPT: u16 = 9;

/// What a role makes of a text.
pub(super) fn kind(role: &str) -> SpanKind {
    match role {
        "system" | "developer" => SpanKind::System,
        "user" => SpanKind::User,
        "assistant" => SpanKind::Assistant,
        "tool" | "function" => SpanKind::ToolResult,
        _ => SpanKind::Other,
    }
}

/// A message of this kind, or a delta of choice `index`.
pub(super) fn message(walk: &mut Walk<'_, '_>, message: NodeId, kind: SpanKind, index: u32) {
    let doc = walk.doc;
    let channel = |field| Channel { field, index, sub: 0 };
    walk.tokens(message, &["role", "tool_call_id", "channel"]);
    if let Some(node) = doc.get(message, "content") {
        content(walk, node, kind, channel(CONTENT));
    }
    walk.member(message, "refusal", kind, channel(REFUSAL));
    walk.member(message, "reasoning", SpanKind::Reasoning, channel(REASONING));
    walk.member(message, "reasoning_content", SpanKind::Reasoning, channel(REASONING_CONTENT));
    walk.member(message, "thinking", SpanKind::Reasoning, channel(THINKING));
    for key in ["reasoning_details", "thinking_blocks", "reasoning", "thinking"] {
        if let Some(node) = doc.get(message, key) {
            reasoning_details(walk, node, index);
        }
    }
    if let Some(calls) = doc.get(message, "tool_calls") {
        tool_calls(walk, calls, index);
    }
    if let Some(call) = doc.get(message, "function_call") {
        called(walk, call, channel(FUNCTION_CALL));
    }
    audio(walk, message, kind, channel(TRANSCRIPT));
    if let Some(images) = doc.get(message, "images") {
        content(walk, images, kind, channel(CONTENT));
    }
    if let Some(node) = doc.get(message, "annotations") {
        walk.claims.tree(node, SpanKind::Document);
    }
    signature(walk, message);
}

/// Content: a string, parts, or one part.
pub(super) fn content(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, channel: Channel) {
    let doc = walk.doc;
    match doc.kind(node) {
        Kind::Array => {
            walk.claims.run(node);
            for item in doc.items(node) {
                part(walk, item, kind, channel);
            }
        }
        _ => part(walk, node, kind, channel),
    }
}

fn part(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, channel: Channel) {
    let doc = walk.doc;
    if doc.kind(node) != Kind::Object {
        return walk.text(node, kind, channel);
    }
    walk.tokens(node, &["type", "format"]);
    walk.remote(node, &["file_id"]);
    if let Some(cache) = doc.get(node, "cache_control") {
        walk.tokens(cache, &["type", "ttl"]);
    }
    walk.member(node, "text", kind, channel);
    walk.member(node, "refusal", kind, Channel { field: REFUSAL, ..channel });
    if let Some(thinking) = doc.get(node, "thinking") {
        content(walk, thinking, SpanKind::Reasoning, Channel { field: THINKING, ..channel });
    }
    for (key, inner) in [
        ("image_url", "url"),
        ("video_url", "url"),
        ("audio_url", "url"),
        ("document_url", "url"),
        ("input_audio", "data"),
        ("file", "file_data"),
    ] {
        let Some(media) = doc.get(node, key) else { continue };
        walk.tokens(media, &["detail", "format"]);
        walk.remote(media, &["file_id"]);
        if let Some(id) = doc.get(media, inner).or(Some(media)).filter(|&id| doc.kind(id) == Kind::String) {
            walk.media(id, kind);
        }
    }
    walk.rest(node, kind, channel.index);
}

/// OpenRouter's `reasoning_details`, LiteLLM's `thinking_blocks`.
fn reasoning_details(walk: &mut Walk<'_, '_>, details: NodeId, index: u32) {
    let doc = walk.doc;
    for (at, detail) in doc.items(details).enumerate() {
        walk.tokens(detail, &["type", "format", "id"]);
        let sub = read::index(doc, detail, "index").unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
        for key in ["signature", "data"] {
            if let Some(node) = doc.get(detail, key) {
                walk.opaque(node);
            }
        }
        for key in ["text", "summary", "thinking"] {
            walk.member(detail, key, SpanKind::Reasoning, Channel { field: REASONING_DETAILS, index, sub });
        }
    }
}

fn tool_calls(walk: &mut Walk<'_, '_>, calls: NodeId, index: u32) {
    let doc = walk.doc;
    for (at, call) in doc.items(calls).enumerate() {
        // Gemini's compatible endpoint leaves `index` out.
        let sub = read::index(doc, call, "index").unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
        tool_call(walk, call, index, sub);
    }
}

/// One call; `sub` tells those of one message apart.
pub(super) fn tool_call(walk: &mut Walk<'_, '_>, call: NodeId, index: u32, sub: u32) {
    let doc = walk.doc;
    walk.tokens(call, &["id", "type"]);
    if let Some(function) = doc.get(call, "function") {
        called(walk, function, Channel { field: ARGUMENTS, index, sub });
    }
    if let Some(custom) = doc.get(call, "custom") {
        let channel = Channel { field: CUSTOM_INPUT, index, sub };
        walk.call(doc.get(custom, "name"), doc.get(custom, "input"), channel);
        walk.member(custom, "input", SpanKind::ToolArguments, channel);
    }
    signature(walk, call);
}

/// `{"name", "arguments"}`.
fn called(walk: &mut Walk<'_, '_>, function: NodeId, channel: Channel) {
    let doc = walk.doc;
    let arguments = doc.get(function, "arguments");
    walk.call(doc.get(function, "name"), arguments, channel);
    if let Some(node) = arguments {
        walk.arguments(node, SpanKind::ToolArguments, channel);
    }
}

/// Spoken answers: the transcript is text, the sound is not.
fn audio(walk: &mut Walk<'_, '_>, message: NodeId, kind: SpanKind, channel: Channel) {
    let doc = walk.doc;
    let Some(audio) = doc.get(message, "audio") else { return };
    walk.tokens(audio, &["id", "expires_at"]);
    if let Some(data) = doc.get(audio, "data") {
        walk.media(data, kind);
    }
    walk.member(audio, "transcript", kind, channel);
}

/// Gemini's thought signatures, in the two places where it puts them.
fn signature(walk: &mut Walk<'_, '_>, object: NodeId) {
    let doc = walk.doc;
    let places = [
        doc.get(object, "thought_signature"),
        doc.at(object, &["extra_content", "google", "thought_signature"]),
    ];
    for node in places.into_iter().flatten() {
        walk.opaque(node);
    }
}
