//! JSON-RPC 2.0 envelopes, for MCP and A2A.

use super::json::{Doc, Kind, NodeId};
use super::read;
use super::reply;
use super::{Framing, Reason, Refusal, Reply, Request, WireError};

/// The messages of a body: one, or those of a batch. Each is an object with a
/// method, a result or an error.
pub(super) fn messages(doc: &Doc<'_>) -> Result<Vec<NodeId>, WireError> {
    let root = doc.root();
    let messages: Vec<_> = match doc.kind(root) {
        Kind::Array => doc.items(root).collect(),
        _ => vec![root],
    };
    if messages.is_empty() {
        return Err(WireError { what: "batch: empty" });
    }
    for &message in &messages {
        if doc.kind(message) != Kind::Object {
            return Err(WireError { what: "message: not an object" });
        }
        read::exact_names(doc, message, &["jsonrpc", "id", "method", "params", "result", "error"])?;
        if read::word(doc, message, "jsonrpc") != "2.0" {
            return Err(WireError { what: "jsonrpc: not 2.0" });
        }
        let method = read::string(doc, message, "method", "method: not a string")?;
        let answer = ["result", "error"].iter().any(|key| doc.get(message, key).is_some());
        if method.is_some() == answer {
            return Err(WireError { what: "message: neither a request nor an answer" });
        }
        if let Some(id) = read::some(doc, message, "id")
            && !matches!(doc.kind(id), Kind::String | Kind::Number)
        {
            return Err(WireError { what: "id: neither a string nor a number" });
        }
    }
    Ok(messages)
}

/// Note method and id of a message.
pub(super) fn envelope(doc: &Doc<'_>, message: NodeId, request: &mut Request) {
    let Some(method) = read::name(doc, message, "method") else { return };
    request.methods.push(method);
    if let Some(id) = read::some(doc, message, "id")
        && let Some(raw) = doc.bytes().get(doc.range(id)).and_then(|raw| std::str::from_utf8(raw).ok())
    {
        request.rpc_ids.push(raw.to_owned());
    }
}

/// Error answers to every id. An SDK that gets another status than 200 drops
/// the whole connection instead of raising on the call, so only a fault that
/// no single call is to blame for keeps its status.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    let mut reply = reply::by_status(refusal, errors(refusal));
    if !refusal.rpc_ids.is_empty() && refusal.reason != Reason::Unauthenticated {
        reply.status = 200;
    }
    reply
}

/// The same as SSE events, one an id.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    if framing != Framing::Sse {
        return Vec::new();
    }
    let mut out = Vec::new();
    for error in each_error(refusal) {
        out.extend_from_slice(b"event: message\ndata: ");
        out.extend_from_slice(&error);
        out.extend_from_slice(b"\n\n");
    }
    out
}

fn errors(refusal: &Refusal) -> Vec<u8> {
    let errors: Vec<_> = each_error(refusal).collect();
    if errors.len() == 1 { errors.concat() } else { [b"[", errors.join(&b","[..]).as_slice(), b"]"].concat() }
}

fn each_error(refusal: &Refusal) -> impl Iterator<Item = Vec<u8>> {
    let code = match refusal.reason {
        // What MCP calls HeaderMismatch.
        Reason::Malformed if refusal.code == "mcp.headers" => -32020,
        Reason::Malformed | Reason::TooLarge => -32600,
        Reason::NotFound => -32601,
        Reason::BadUpstream | Reason::Unavailable => -32603,
        // Codes of servers are -32000 to -32099; MCP and A2A use -32001 to
        // -32009 and -32042.
        Reason::Unauthenticated => -32051,
        Reason::Forbidden => -32053,
        Reason::RateLimited => -32059,
    };
    let mut data = serde_json::json!({ "code": refusal.code });
    if let (Some(seconds), Some(data)) = (refusal.retry_after, data.as_object_mut()) {
        data.insert("retry_after".to_owned(), seconds.into());
    }
    let error = reply::json(&serde_json::json!({ "code": code, "message": refusal.message, "data": data }));
    let ids = if refusal.rpc_ids.is_empty() { vec!["null".to_owned()] } else { refusal.rpc_ids.clone() };
    ids.into_iter()
        .map(move |id| [br#"{"jsonrpc":"2.0","id":"#, id.as_bytes(), br#","error":"#, &error, b"}"].concat())
}
