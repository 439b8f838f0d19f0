//! Agent2Agent: JSON-RPC and HTTP+JSON bindings, whole and as SSE, and agent
//! cards.
//!
//! Format: A2A specification 0.2 to 1.0; the names of both generations are read.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Channel, Dialect, Field, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent,
    WireError,
};
use super::{gemini, jsonrpc, openai, read, reply};
use crate::text::SpanKind;

/// Ids, times and enumerated values, wherever they stand.
const TOKENS: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "kind",
    "type",
    "role",
    "state",
    "timestamp",
    "messageId",
    "taskId",
    "contextId",
    "artifactId",
    "mimeType",
    "mediaType",
    "historyLength",
    "pageSize",
    "pageToken",
    "nextPageToken",
    "status",
    "protocolVersion",
    "version",
    "preferredTransport",
    "protocolBinding",
];

/// Methods of the JSON-RPC binding that no other protocol has.
const METHODS: &[&str] = &[
    "message/send",
    "message/stream",
    "tasks/resubscribe",
    "agent/getAuthenticatedExtendedCard",
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "GetExtendedAgentCard",
];

/// See the module.
#[derive(Debug)]
pub(super) struct A2a;

impl Dialect for A2a {
    fn id(&self) -> &'static str {
        "a2a"
    }

    fn provider(&self) -> &'static str {
        "a2a"
    }

    /// Agents choose their path: `/a2a` at either end is recognised, others by
    /// their body or by the route's word. `message:send` and its like are the
    /// HTTP+JSON binding.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let segments = path.plain()?;
        let last = segments.last()?;
        let card = ["agent-card.json", "agent.json", "card", "extendedAgentCard"]
            .iter()
            .any(|name| path::is(last, name));
        match method {
            "GET" if card && (path.before(&[".well-known", last]).is_some() || path.is_api(&[last])) => {
                Some(Operation::Metadata)
            }
            "POST" if path::is(last, "message:send") => Some(Operation::A2a),
            "POST" if path::is(last, "message:stream") => Some(Operation::A2a),
            "GET" if path.is_api(&["tasks"]) || path.is_api(&["tasks", last]) => Some(Operation::A2a),
            "POST"
                if path.is_api(&["tasks", last])
                    && (last.ends_with(":cancel") || last.ends_with(":subscribe")) =>
            {
                Some(Operation::A2a)
            }
            "POST"
                if path::is(last, "a2a") || segments.first().is_some_and(|first| path::is(first, "a2a")) =>
            {
                Some(Operation::A2a)
            }
            _ => None,
        }
    }

    fn request(&self, _op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let root = doc.root();
        let mut request = Request { choices: 1, stream_usage: true, ..Request::default() };
        let mut walk = Walk::whole(doc);
        if let Some(method) = rest_method(path) {
            request.methods.push(method);
            message(&mut walk, root, SpanKind::Mcp);
            request.messages = 1;
        } else {
            for id in jsonrpc::messages(doc)? {
                jsonrpc::envelope(doc, id, &mut request);
                walk.tokens(id, TOKENS);
                for key in ["params", "result"] {
                    if let Some(inner) = doc.get(id, key) {
                        message(&mut walk, inner, SpanKind::Mcp);
                    }
                }
                request.messages = request.messages.saturating_add(1);
            }
        }
        let streams = [
            "message/stream",
            "tasks/resubscribe",
            "SendStreamingMessage",
            "SubscribeToTask",
            "message:stream",
        ];
        request.stream = request.methods.iter().any(|method| streams.contains(&method.as_str()));
        skills(doc, &mut request.skills);
        walk.claims.tree(root, SpanKind::Mcp);
        walk.request(&mut request);
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let mut response = Response::default();
        let mut walk = Walk::whole(doc);
        let said = doc.get(doc.root(), "result").unwrap_or(doc.root());
        for skill in doc.get(said, "skills").iter().flat_map(|&id| doc.items(id)) {
            let name = read::word(doc, skill, "id").into_owned();
            response.skills_listed.push(Field { value: name, range: Some(doc.range(skill)) });
        }
        answer(&mut walk);
        walk.response(&mut response);
        Ok(response)
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let mut event = StreamEvent::default();
        let mut walk = Walk::event(doc);
        let said = doc.get(doc.root(), "result").unwrap_or(doc.root());
        let update = doc.get(said, "artifactUpdate").unwrap_or(said);
        if let Some(artifact) = doc.get(update, "artifact") {
            let index = artifact_index(&read::word(doc, artifact, "artifactId"));
            parts(&mut walk, artifact, SpanKind::Mcp, index);
            let last = doc.get(update, "lastChunk").and_then(|id| doc.bool(id)).unwrap_or_default();
            if last {
                event.closes_index.push(index);
            }
        }
        walk.alone(answer);
        walk.stream_event(&mut event);
        Ok(event)
    }

    /// What has no id is the HTTP+JSON binding, whose errors are
    /// `google.rpc.Status`; or a call refused before its body was read, of which
    /// clients of JSON-RPC take the HTTP status.
    fn refusal(&self, refusal: &Refusal) -> Reply {
        if refusal.rpc_ids.is_empty() {
            return reply::by_status(refusal, gemini::error(refusal));
        }
        jsonrpc::refusal(refusal)
    }

    /// The SDK takes an event of any other name for a message with no content.
    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        if refusal.rpc_ids.is_empty() && framing == Framing::Sse {
            return [b"event: error\ndata: ", gemini::error(refusal).as_slice(), b"\n\n"].concat();
        }
        jsonrpc::refusal_event(framing, refusal)
    }

    fn edit_field(&self, _op: Operation, _doc: &Doc<'_>, _field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        None
    }
}

/// Skills asked for. The protocol has no field for them; agents look into
/// `metadata` or a part's data, of the request, its message or one of its
/// parts, so a name counts wherever it stands.
fn skills(doc: &Doc<'_>, names: &mut Vec<String>) {
    const KEYS: &[&str] = &["skill", "skillid", "skill_id", "skills", "skillids", "skill_ids"];
    for id in doc.subtree(doc.root()).filter(|&id| doc.kind(id) == Kind::Object) {
        for (key, value) in doc.members(id) {
            if KEYS.contains(&key.to_ascii_lowercase().as_str()) {
                let told = doc.subtree(value).filter_map(|id| doc.str(id));
                names.extend(told.filter(|name| !name.is_empty()).map(|name| name.into_owned()));
            }
        }
    }
}

/// Whether a body without a telling path is A2A.
pub(super) fn is_method(method: &str) -> bool {
    METHODS.contains(&method) || method.starts_with("tasks/pushNotificationConfig/")
}

/// `message:send` of the HTTP+JSON binding.
fn rest_method(path: &str) -> Option<String> {
    let path = Path::parse(path)?;
    let last = path.plain()?.last()?;
    let (_, verb) = last.split_once(':')?;
    matches!(verb, "send" | "stream" | "cancel" | "subscribe").then(|| last.to_string())
}

/// A result or a bare answer of the HTTP+JSON binding.
fn answer(walk: &mut Walk<'_, '_>) {
    let doc = walk.doc;
    let root = doc.root();
    let messages = if doc.kind(root) == Kind::Array { doc.items(root).collect() } else { vec![root] };
    for id in messages {
        walk.tokens(id, TOKENS);
        let said = doc.get(id, "result").unwrap_or(id);
        message(walk, said, SpanKind::Mcp);
        if let Some(error) = doc.get(id, "error") {
            walk.tokens(error, &["code"]);
        }
    }
    walk.claims.tree(root, SpanKind::Mcp);
}

/// A message, task, update or the envelope of one. What the agent says is
/// another party's text, untrusted like a tool's result.
fn message(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    walk.tokens(node, TOKENS);
    let kind = match &*read::word(doc, node, "role") {
        "user" | "ROLE_USER" => SpanKind::User,
        _ => kind,
    };
    parts(walk, node, kind, 0);
    for key in ["message", "task", "statusUpdate", "artifactUpdate", "status", "artifact", "msg"] {
        if let Some(inner) = doc.get(node, key).filter(|&id| doc.kind(id) == Kind::Object) {
            message(walk, inner, SpanKind::Mcp);
        }
    }
    for key in ["history", "artifacts", "tasks"] {
        for inner in doc.get(node, key).iter().flat_map(|&id| doc.items(id)) {
            message(walk, inner, SpanKind::Mcp);
        }
    }
}

fn parts(walk: &mut Walk<'_, '_>, node: NodeId, kind: SpanKind, index: u32) {
    let doc = walk.doc;
    if let Some(parts) = doc.get(node, "parts") {
        walk.claims.run(parts);
    }
    for (at, part) in doc.get(node, "parts").iter().flat_map(|&id| doc.items(id)).enumerate() {
        walk.tokens(part, TOKENS);
        let channel = Channel { field: 0, index, sub: u32::try_from(at).unwrap_or(u32::MAX) };
        walk.member(part, "text", kind, channel);
        for holder in [Some(part), doc.get(part, "file")].into_iter().flatten() {
            walk.tokens(holder, TOKENS);
            for key in ["bytes", "uri", "fileWithBytes", "fileWithUri", "raw", "url"] {
                if let Some(file) = doc.get(holder, key) {
                    walk.media(file, kind);
                }
            }
        }
        walk.rest(part, kind, index);
    }
}

/// Chunks of one artifact continue each other (FNV-1a of its id).
fn artifact_index(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
