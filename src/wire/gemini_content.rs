//! Contents, parts, tools and candidates of Gemini.

use std::borrow::Cow;

use super::json::{Doc, Kind, NodeId};
use super::read;
use super::walk::Walk;
use super::{Channel, WireError};
use crate::text::SpanKind;

// Channel fields.
const TEXT: u16 = 0;
const THOUGHT: u16 = 1;
const CODE: u16 = 2;
const ARGUMENTS: u16 = 3;

/// A member by its camelCase name or that name in snake_case; both is an error,
/// for servers differ in which one wins.
pub(super) fn either(doc: &Doc<'_>, object: NodeId, camel: &str) -> Result<Option<NodeId>, WireError> {
    let snake = snake(camel);
    let first = read::some(doc, object, camel);
    let second = if snake == camel { None } else { read::some(doc, object, &snake) };
    if first.is_some() && second.is_some() {
        return Err(WireError { what: "body: one field under two names" });
    }
    Ok(first.or(second))
}

fn snake(camel: &str) -> Cow<'_, str> {
    if !camel.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(camel);
    }
    let mut out = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    Cow::Owned(out)
}

/// Elements of a repeated field, which may be one bare value.
pub(super) fn repeated(doc: &Doc<'_>, node: NodeId) -> Vec<NodeId> {
    match doc.kind(node) {
        Kind::Array => doc.items(node).collect(),
        Kind::Null => Vec::new(),
        _ => vec![node],
    }
}

/// A whole number, bare or in a string.
pub(super) fn number(doc: &Doc<'_>, node: NodeId) -> Option<u64> {
    doc.u64(node).or_else(|| doc.str(node)?.parse().ok())
}

fn kind(role: &str) -> SpanKind {
    match role {
        "model" => SpanKind::Assistant,
        // A content without a role is the user's.
        "user" | "" => SpanKind::User,
        "system" => SpanKind::System,
        "function" | "tool" => SpanKind::ToolResult,
        _ => SpanKind::Other,
    }
}

/// A content: a role and parts, or a bare string as some clients send.
pub(super) fn content(walk: &mut Walk<'_, '_>, node: NodeId, kind: Option<SpanKind>, index: u32) {
    let doc = walk.doc;
    let kind = kind.unwrap_or_else(|| self::kind(&read::word(doc, node, "role")));
    if doc.kind(node) != Kind::Object {
        return walk.text(node, kind, Channel { field: TEXT, index, sub: 0 });
    }
    walk.tokens(node, &["role"]);
    match doc.get(node, "parts") {
        Some(parts) => {
            walk.claims.run(parts);
            for id in repeated(doc, parts) {
                part(walk, id, kind, index);
            }
        }
        // A bare part; the instances of `:predict` are such.
        None => part(walk, node, kind, index),
    }
}

fn part(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, index: u32) {
    let doc = walk.doc;
    let channel = |field| Channel { field, index, sub: 0 };
    let get = |camel: &str| doc.get(node, camel).or_else(|| doc.get(node, &snake(camel)));
    let thought = get("thought").and_then(|id| doc.bool(id)).unwrap_or_default();
    let (kind, field) = if thought { (SpanKind::Reasoning, THOUGHT) } else { (kind, TEXT) };
    walk.member(node, "text", kind, channel(field));
    if let Some(signature) = get("thoughtSignature") {
        walk.opaque(signature);
    }
    if let Some(data) = get("inlineData") {
        inline_data(walk, data, kind);
    }
    if let Some(file) = get("fileData") {
        walk.tokens(file, &["mimeType", "mime_type"]);
        for uri in ["fileUri", "file_uri"].iter().filter_map(|key| doc.get(file, key)) {
            walk.media(uri, kind);
        }
    }
    if let Some(call) = get("functionCall") {
        function_call(walk, call, index);
    }
    for key in ["functionResponse", "toolResponse", "codeExecutionResult"] {
        if let Some(result) = get(key) {
            function_response(walk, result);
        }
    }
    if let Some(code) = get("executableCode") {
        walk.tokens(code, &["language", "id"]);
        walk.member(code, "code", SpanKind::ToolArguments, channel(CODE));
    }
    walk.rest(node, kind, index);
}

fn inline_data(walk: &mut Walk<'_, '_>, data: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(data, &["mimeType", "mime_type"]);
    let mime = doc.get(data, "mimeType").or_else(|| doc.get(data, "mime_type")).and_then(|id| doc.str(id));
    let Some(bytes) = doc.get(data, "data") else { return };
    if mime.is_some_and(|mime| mime.starts_with("text/")) {
        walk.claims.text(bytes, kind);
    } else {
        walk.media(bytes, kind);
    }
}

fn function_call(walk: &mut Walk<'_, '_>, call: NodeId, index: u32) {
    let doc = walk.doc;
    walk.tokens(call, &["id"]);
    let arguments = doc.get(call, "args");
    walk.call(doc.get(call, "name"), arguments, Channel { field: ARGUMENTS, index, sub: 0 });
    if let Some(arguments) = arguments {
        walk.claims.tree(arguments, SpanKind::ToolArguments);
    }
    // Vertex streams arguments as values with a JSON path.
    for key in ["partialArgs", "partial_args"] {
        walk.partial_calls |= doc.get(call, key).is_some();
        for (at, piece) in doc.get(call, key).iter().flat_map(|&id| doc.items(id)).enumerate() {
            let sub = u32::try_from(at).unwrap_or(u32::MAX);
            for value in ["stringValue", "string_value"] {
                walk.member(piece, value, SpanKind::ToolArguments, Channel { field: ARGUMENTS, index, sub });
            }
        }
    }
}

fn function_response(walk: &mut Walk<'_, '_>, result: NodeId) {
    let doc = walk.doc;
    walk.tokens(result, &["id", "name", "outcome"]);
    for inner in doc.get(result, "parts").into_iter().flat_map(|id| repeated(doc, id)) {
        for key in ["inlineData", "inline_data"] {
            if let Some(data) = doc.get(inner, key) {
                inline_data(walk, data, SpanKind::ToolResult);
            }
        }
    }
    walk.claims.tree(result, SpanKind::ToolResult);
}

/// Tools: declarations of functions, and built-in ones named by their field.
pub(super) fn tools(
    walk: &mut Walk<'_, '_>,
    tools: NodeId,
    names: &mut Vec<String>,
) -> Result<(), WireError> {
    let doc = walk.doc;
    for tool in repeated(doc, tools) {
        let declared = either(doc, tool, "functionDeclarations")?;
        for function in declared.into_iter().flat_map(|id| repeated(doc, id)) {
            names.extend(read::name(doc, function, "name"));
        }
        for (key, _) in doc.members(tool) {
            if !matches!(&*key, "functionDeclarations" | "function_declarations") {
                names.push(key.into_owned());
            }
        }
        walk.claims.tree(tool, SpanKind::ToolDefinition);
    }
    Ok(())
}

/// A candidate of a response or of a chunk.
pub(super) fn candidate(walk: &mut Walk<'_, '_>, node: NodeId, index: u32) {
    let doc = walk.doc;
    walk.tokens(node, &["finishReason", "avgLogprobs", "tokenCount"]);
    if let Some(inner) = doc.get(node, "content") {
        content(walk, inner, Some(SpanKind::Assistant), index);
    }
    if let Some(logprobs) = doc.get(node, "logprobsResult") {
        walk.claims.echo(logprobs);
    }
    for rating in doc.get(node, "safetyRatings").iter().flat_map(|&id| doc.items(id)) {
        walk.tokens(rating, &["category", "probability", "severity"]);
        walk.claims.numbers(rating);
    }
    for key in ["groundingMetadata", "citationMetadata", "urlContextMetadata", "groundingAttributions"] {
        if let Some(node) = doc.get(node, key) {
            walk.claims.numbers(node);
            walk.claims.tree(node, SpanKind::Document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_becomes_snake() {
        assert_eq!(snake("systemInstruction"), "system_instruction");
        assert_eq!(snake("contents"), "contents");
    }
}
