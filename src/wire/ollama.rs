//! Ollama chat, generate and embed, whole and as NDJSON, and its list of
//! models. Its server is written in Go and matches field names in any case.
//!
//! Format: Ollama API documentation. Streaming is the default.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::Path;
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, Usage,
    WireError,
};
use super::{fields, generic, model_list, openai, openai_message as message, read, reply};
use crate::text::SpanKind;

/// See the module.
#[derive(Debug)]
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn id(&self) -> &'static str {
        "ollama"
    }

    fn provider(&self) -> &'static str {
        "ollama"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let is = |word| path.before(&["api", word]).is_some();
        match method {
            "POST" if is("chat") => Some(Operation::Chat),
            "POST" if is("generate") => Some(Operation::TextCompletion),
            "POST" if is("embed") || is("embeddings") => Some(Operation::Embeddings),
            "GET" if is("tags") => Some(Operation::ListModels),
            "GET" if is("version") => Some(Operation::Metadata),
            _ => None,
        }
    }

    fn request(&self, op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(op, doc)
    }

    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        if op == Operation::ListModels {
            return Ok(model_list::response(doc));
        }
        let root = doc.root();
        let mut walk = Walk::whole(doc);
        let mut response = Response { finish: read::name(doc, root, "done_reason"), ..Response::default() };
        (response.model, response.usage) = said(&mut walk);
        walk.response(&mut response);
        Ok(response)
    }

    fn framing(&self, op: Operation, content_type: &str) -> Framing {
        generic::Generic.framing(op, content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let root = doc.root();
        let mut walk = Walk::event(doc);
        let mut event =
            StreamEvent { finish: read::name(doc, root, "done_reason"), ..StreamEvent::default() };
        (event.model, event.usage) = said(&mut walk);
        event.done = doc.get(root, "done").and_then(|id| doc.bool(id)).unwrap_or_default();
        if event.done {
            event.closes_index.push(0);
        }
        walk.rest(root, SpanKind::Other, 0);
        walk.stream_event(&mut event);
        Ok(event)
    }

    /// `{"error": "…"}`.
    fn refusal(&self, refusal: &Refusal) -> Reply {
        reply::by_status(refusal, error(refusal))
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        match framing {
            Framing::Ndjson => [error(refusal).as_slice(), b"\n"].concat(),
            _ => Vec::new(),
        }
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            FieldEdit::StreamUsage => Some(Vec::new()),
            FieldEdit::MaxOutputTokens(_) if op == Operation::Embeddings => None,
            FieldEdit::MaxOutputTokens(cap) => {
                let root = doc.root();
                let edit = match doc.get(root, "options").filter(|&id| doc.kind(id) == Kind::Object) {
                    Some(options) => read::set(doc, options, "num_predict", cap.to_string().as_bytes())?,
                    None => {
                        read::set(doc, root, "options", format!(r#"{{"num_predict":{cap}}}"#).as_bytes())?
                    }
                };
                Some(vec![edit])
            }
            field @ FieldEdit::Model(_) => fields::edit(doc, &[], field),
        }
    }
}

fn error(refusal: &Refusal) -> Vec<u8> {
    reply::json(&serde_json::json!({ "error": refusal.message }))
}

fn request(op: Operation, doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, &[])?;
    read::exact_names(doc, root, &["options", "template", "context", "raw", "format", "images"])?;
    request.stream |= op != Operation::Embeddings && read::some(doc, root, "stream").is_none();
    request.stream_usage = true;
    if let Some(options) = read::some(doc, root, "options") {
        read::exact_names(doc, options, &["num_predict", "temperature"])?;
        // -1 and -2 mean no limit.
        let limited = read::number(doc, options, "num_predict", "num_predict: not a number")?
            .is_some_and(|n| n.value >= 0.0);
        if limited {
            request.max_output_tokens =
                read::count(doc, options, "num_predict", "num_predict: not a whole number")?;
        }
        request.temperature = read::number(doc, options, "temperature", "temperature: not a number")?;
    }
    let mut walk = Walk::whole(doc);
    walk.tokens(root, &["model", "keep_alive"]);
    for turn in
        read::array(doc, root, "messages", "messages: not an array")?.iter().flat_map(|&id| doc.items(id))
    {
        if doc.kind(turn) != Kind::Object {
            return Err(WireError { what: "messages: not objects" });
        }
        let kind = message::kind(&read::word(doc, turn, "role"));
        walk.tokens(turn, &["tool_name"]);
        images(&mut walk, turn, kind);
        message::message(&mut walk, turn, kind, 0);
        request.messages = request.messages.saturating_add(1);
    }
    if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
        openai::tools(&mut walk, tools, &mut request.tools_offered);
    }
    prompt(&mut walk, root);
    walk.request(&mut request);
    Ok(request)
}

/// The fields of generate and embed.
fn prompt(walk: &mut Walk<'_, '_>, root: NodeId) {
    let doc = walk.doc;
    images(walk, root, SpanKind::User);
    for (key, kind) in [
        ("prompt", SpanKind::User),
        ("suffix", SpanKind::User),
        ("input", SpanKind::User),
        ("system", SpanKind::System),
        ("template", SpanKind::System),
        ("format", SpanKind::ToolDefinition),
    ] {
        if let Some(node) = doc.get(root, key) {
            walk.claims.tree(node, kind);
        }
    }
    if let Some(context) = doc.get(root, "context") {
        walk.claims.token_ids(context);
    }
}

fn images(walk: &mut Walk<'_, '_>, object: NodeId, kind: SpanKind) {
    let doc = walk.doc;
    for image in doc.get(object, "images").iter().flat_map(|&id| doc.items(id)) {
        walk.media(image, kind);
    }
}

/// An answer, whole or in part.
fn said(walk: &mut Walk<'_, '_>) -> (Option<String>, Option<Usage>) {
    let doc = walk.doc;
    let root = doc.root();
    walk.tokens(
        root,
        &[
            "model",
            "created_at",
            "done_reason",
            "total_duration",
            "load_duration",
            "prompt_eval_count",
            "prompt_eval_duration",
            "eval_count",
            "eval_duration",
        ],
    );
    if let Some(turn) = doc.get(root, "message") {
        images(walk, turn, SpanKind::Assistant);
        message::message(walk, turn, SpanKind::Assistant, 0);
    }
    walk.member(root, "response", SpanKind::Assistant, Channel { field: 32, index: 0, sub: 0 });
    walk.member(root, "thinking", SpanKind::Reasoning, Channel { field: 33, index: 0, sub: 0 });
    for key in ["embedding", "embeddings"] {
        if let Some(vectors) = doc.get(root, key) {
            walk.vectors(vectors);
        }
    }
    // What a client may send back as `context`.
    if let Some(context) = doc.get(root, "context") {
        walk.claims.token_ids(context);
    }
    if let Some(logprobs) = doc.get(root, "logprobs") {
        walk.claims.echo(logprobs);
    }
    let read = |key: &str| doc.get(root, key).and_then(|id| doc.u64(id));
    let (input, output) = (read("prompt_eval_count"), read("eval_count"));
    let usage = (input.is_some() || output.is_some()).then_some(Usage { input, output, ..Usage::default() });
    (read::name(doc, root, "model"), usage)
}
