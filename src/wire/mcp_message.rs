//! What is what in one MCP message.

use super::json::{Kind, NodeId};
use super::read;
use super::walk::Walk;
use super::{Channel, Field};
use crate::text::SpanKind;

/// Ids and enumerated values, wherever they stand.
const TOKENS: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "type",
    "mimeType",
    "role",
    "level",
    "action",
    "stopReason",
    "protocolVersion",
    "progressToken",
    "progress",
    "total",
    "requestId",
    "taskId",
    "ttl",
    "pollInterval",
    "status",
    "createdAt",
    "lastUpdatedAt",
    "lastModified",
    "nextCursor",
    "cursor",
    "includeContext",
    "maxTokens",
    "toolUseId",
    "elicitationId",
    "mode",
];

/// A request, notification or answer. Tools of a list go to `tools`.
pub(super) fn message(walk: &mut Walk<'_, '_>, message: NodeId, tools: &mut Vec<Field<String>>) {
    let doc = walk.doc;
    walk.tokens(message, TOKENS);
    if let Some(params) = doc.get(message, "params") {
        self::params(walk, params, &read::word(doc, message, "method"));
    }
    if let Some(result) = doc.get(message, "result") {
        self::result(walk, result, tools);
    }
    if let Some(error) = doc.get(message, "error") {
        walk.tokens(error, &["code"]);
    }
    walk.claims.tree(message, SpanKind::Mcp);
}

fn params(walk: &mut Walk<'_, '_>, params: NodeId, method: &str) {
    let doc = walk.doc;
    walk.tokens(params, TOKENS);
    if let Some(meta) = doc.get(params, "_meta") {
        walk.tokens(meta, TOKENS);
    }
    if method == "tools/call" {
        let arguments = doc.get(params, "arguments");
        let (calls, channel) = (walk.calls.len(), Channel { field: 0, index: 0, sub: 0 });
        walk.call(doc.get(params, "name"), arguments, channel);
        if walk.calls.len() == calls {
            walk.call_named("", arguments, channel);
        }
        if let Some(arguments) = arguments {
            walk.claims.tree(arguments, SpanKind::ToolArguments);
        }
    }
    // What a user or a model fills into a prompt or a completion.
    for key in ["arguments", "argument"] {
        if let Some(node) = doc.get(params, key) {
            walk.claims.tree(node, SpanKind::User);
        }
    }
    sampling(walk, params);
}

/// `sampling/createMessage`: the server asks the client's model.
fn sampling(walk: &mut Walk<'_, '_>, params: NodeId) {
    let doc = walk.doc;
    if let Some(system) = doc.get(params, "systemPrompt") {
        walk.claims.text(system, SpanKind::System);
    }
    for message in doc.get(params, "messages").iter().flat_map(|&id| doc.items(id)) {
        turn(walk, message);
    }
    for tool in doc.get(params, "tools").iter().flat_map(|&id| doc.items(id)) {
        walk.claims.tree(tool, SpanKind::ToolDefinition);
    }
}

/// A message of sampling or of a prompt: role and content.
fn turn(walk: &mut Walk<'_, '_>, message: NodeId) {
    let doc = walk.doc;
    walk.tokens(message, TOKENS);
    let kind = match &*read::word(doc, message, "role") {
        "user" => SpanKind::User,
        "assistant" => SpanKind::Assistant,
        _ => SpanKind::Mcp,
    };
    if let Some(inner) = doc.get(message, "content") {
        content(walk, inner, kind);
    }
}

fn result(walk: &mut Walk<'_, '_>, result: NodeId, tools: &mut Vec<Field<String>>) {
    let doc = walk.doc;
    walk.tokens(result, TOKENS);
    walk.tokens(result, &["model"]);
    for tool in doc.get(result, "tools").iter().flat_map(|&id| doc.items(id)) {
        // One without a name keeps the empty one: no allowlist lets it through.
        let name = read::word(doc, tool, "name").into_owned();
        tools.push(Field { value: name, range: Some(doc.range(tool)) });
        icons(walk, tool);
        walk.claims.tree(tool, SpanKind::ToolDefinition);
    }
    if doc.get(result, "role").is_some() {
        // The answer to sampling.
        turn(walk, result);
    }
    if let Some(inner) = doc.get(result, "content") {
        // Of a tool, or what a user filled into a form.
        if doc.get(result, "action").is_some() {
            walk.claims.tree(inner, SpanKind::User);
        } else {
            content(walk, inner, SpanKind::ToolResult);
        }
    }
    if let Some(structured) = doc.get(result, "structuredContent") {
        walk.claims.tree(structured, SpanKind::ToolResult);
    }
    for resource in doc.get(result, "contents").iter().flat_map(|&id| doc.items(id)) {
        self::resource(walk, resource, SpanKind::Document);
    }
    for message in doc.get(result, "messages").iter().flat_map(|&id| doc.items(id)) {
        // A server wrote these, whatever role it gives them.
        if let Some(inner) = doc.get(message, "content") {
            walk.tokens(message, TOKENS);
            content(walk, inner, SpanKind::Mcp);
        }
    }
    for key in ["resources", "resourceTemplates", "prompts"] {
        for item in doc.get(result, key).iter().flat_map(|&id| doc.items(id)) {
            walk.tokens(item, TOKENS);
            icons(walk, item);
        }
    }
}

fn icons(walk: &mut Walk<'_, '_>, object: NodeId) {
    let doc = walk.doc;
    for icon in doc.get(object, "icons").iter().flat_map(|&id| doc.items(id)) {
        if let Some(source) = doc.get(icon, "src") {
            walk.media(source, SpanKind::Mcp);
        }
    }
}

/// Content: one block or several.
fn content(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    match doc.kind(node) {
        Kind::Array => {
            walk.claims.run(node);
            for item in doc.items(node) {
                block(walk, item, kind);
            }
        }
        _ => block(walk, node, kind),
    }
}

fn block(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(node, TOKENS);
    let kind = match &*read::word(doc, node, "type") {
        "tool_use" => {
            walk.call(doc.get(node, "name"), doc.get(node, "input"), Channel { field: 0, index: 0, sub: 0 });
            SpanKind::ToolArguments
        }
        "tool_result" => SpanKind::ToolResult,
        _ => kind,
    };
    if let Some(data) = doc.get(node, "data") {
        walk.media(data, kind);
    }
    if let Some(resource) = doc.get(node, "resource") {
        self::resource(walk, resource, kind);
    }
    if let Some(inner) = doc.get(node, "content") {
        content(walk, inner, kind);
    }
    walk.claims.tree(node, kind);
}

/// Contents of a resource: text, or a blob that may well be text.
fn resource(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(node, TOKENS);
    let mime = read::word(doc, node, "mimeType");
    let is_text = mime.starts_with("text/") || mime.ends_with("json") || mime.ends_with("xml");
    if let Some(blob) = doc.get(node, "blob").filter(|_| !is_text) {
        walk.media(blob, kind);
    }
    walk.claims.tree(node, kind);
}
