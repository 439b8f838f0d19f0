//! Model Context Protocol over streamable HTTP: single messages and batches,
//! both ways, whole and as SSE.
//!
//! Format: MCP specification, revisions 2024-11-05 to 2026-07-28. Answers do not
//! say what they answer: their shape does.

use super::edit::Edit;
use super::json::{Doc, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, RpcCall, StreamEvent,
    WireError,
};
use super::{jsonrpc, mcp_message as message, openai, read};

/// See the module.
#[derive(Debug)]
pub(super) struct Mcp;

impl Dialect for Mcp {
    fn id(&self) -> &'static str {
        "mcp"
    }

    fn provider(&self) -> &'static str {
        "mcp"
    }

    /// Servers choose their path: `/mcp`, `/<server>/mcp` and `/mcp/<server>`
    /// are recognised, others by their body or by the route's word. GET opens
    /// a stream of messages, DELETE ends a session.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let [first, .., last] = path.plain()? else {
            return path.before(&["mcp"]).and_then(|_| operation(method));
        };
        (path::is(first, "mcp") || path::is(last, "mcp")).then(|| operation(method))?
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = Request { choices: 1, stream_usage: true, ..Request::default() };
        let mut walk = Walk::whole(doc);
        for id in jsonrpc::messages(doc)? {
            jsonrpc::envelope(doc, id, &mut request);
            if let Some(method) = read::name(doc, id, "method") {
                request.rpc.push(rpc_call(doc, id, method));
            }
            if let Some(params) = doc.get(id, "params") {
                read::exact_names(doc, params, &["name", "arguments", "uri", "messages", "ref"])?;
                let tools = doc.get(params, "tools").into_iter().flat_map(|tools| doc.items(tools));
                request.tools_offered.extend(tools.filter_map(|tool| read::name(doc, tool, "name")));
            }
            message::message(&mut walk, id, &mut Vec::new());
            request.messages = request.messages.saturating_add(1);
        }
        walk.request(&mut request);
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let mut response = Response::default();
        let mut walk = Walk::whole(doc);
        for id in jsonrpc::messages(doc)? {
            response.methods.extend(read::name(doc, id, "method"));
            message::message(&mut walk, id, &mut response.tools_listed);
        }
        walk.response(&mut response);
        Ok(response)
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    /// Each event is a whole message.
    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let mut event = StreamEvent::default();
        let mut walk = Walk::event(doc);
        for id in jsonrpc::messages(doc)? {
            event.methods.extend(read::name(doc, id, "method"));
            walk.alone(|walk| message::message(walk, id, &mut event.tools_listed));
        }
        walk.stream_event(&mut event);
        Ok(event)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        jsonrpc::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        jsonrpc::refusal_event(framing, refusal)
    }

    fn edit_field(&self, _op: Operation, _doc: &Doc<'_>, _field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        None
    }
}

/// Tool, prompt and resource that a message names; a completion names them in `ref`.
fn rpc_call(doc: &Doc<'_>, message: NodeId, method: String) -> RpcCall {
    let params = doc.get(message, "params");
    let named = |key: &str| {
        let inner = params.and_then(|id| doc.get(id, "ref")).and_then(|id| read::name(doc, id, key));
        params.and_then(|id| read::name(doc, id, key)).or(inner)
    };
    RpcCall { name: named("name"), uri: named("uri"), method }
}

/// The name that a path gives a server: `jira` of `/jira/mcp` and `/mcp/jira`.
/// `None`: it has none, and the server is known by its host.
pub fn server(path: &str) -> Option<String> {
    let path = Path::parse(path)?;
    let name = match path.plain()? {
        [.., name, last] if path::is(last, "mcp") => name,
        [first, name, ..] if path::is(first, "mcp") => name,
        _ => return None,
    };
    Some(name.to_string())
}

fn operation(method: &str) -> Option<Operation> {
    match method {
        "POST" | "GET" => Some(Operation::Mcp),
        "DELETE" => Some(Operation::Metadata),
        _ => None,
    }
}
