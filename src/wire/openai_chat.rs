//! OpenAI chat completions, and everyone who speaks them: Groq, DeepSeek, xAI,
//! Together, OpenRouter, Perplexity, Mistral, vLLM and others.
//!
//! Format: OpenAI API reference, "Chat Completions", with the extra fields of
//! the providers named where they are read.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Channel, Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent,
    WireError,
};
use super::{fields, openai, openai_message, read};
use crate::text::SpanKind;

/// Channel of the text of completions; lower fields are `openai_message`'s.
const TEXT: u16 = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn id(&self) -> &'static str {
        "openai_chat"
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    /// `…/chat/completions` under any prefix: no other format ends so. Azure's
    /// deployments have a dialect of their own.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        // Mistral's agents take and give the same.
        let prefix =
            path.before(&["chat", "completions"]).or_else(|| path.before(&["agents", "completions"]))?;
        let azure = prefix.iter().any(|segment| path::is(segment, "deployments"));
        (method == "POST" && !azure).then_some(Operation::Chat)
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(doc)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(response(doc))
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(event(doc))
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        openai::is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        openai::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        openai::refusal_event(framing, refusal)
    }

    fn edit_field(&self, _op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        fields::edit(doc, caps(doc), field)
    }
}

/// The cap to set first. OpenAI's reasoning models refuse `max_tokens`; most
/// others know nothing else.
fn caps(doc: &Doc<'_>) -> &'static [&'static str] {
    let model = read::word(doc, doc.root(), "model");
    let name = model.rsplit('/').next().unwrap_or_default();
    if ["gpt-", "o1", "o3", "o4", "chatgpt-"].iter().any(|start| name.starts_with(start)) {
        &["max_completion_tokens", "max_tokens"]
    } else {
        &["max_tokens", "max_completion_tokens"]
    }
}

pub(super) fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, caps(doc))?;
    let messages = read::array(doc, root, "messages", "messages: not an array")?
        .ok_or(WireError { what: "messages: missing" })?;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    walk.all_tokens(root, &["modalities", "thinking"]);
    for message in doc.items(messages) {
        if doc.kind(message) != Kind::Object {
            return Err(WireError { what: "messages: not objects" });
        }
        let kind = openai_message::kind(&read::word(doc, message, "role"));
        openai_message::message(&mut walk, message, kind, 0);
        if let Some(name) = doc.get(message, "name") {
            walk.claims.text(name, kind);
        }
        request.messages = request.messages.saturating_add(1);
    }
    if let Some(tools) = read::array(doc, root, "tools", "tools: not an array")? {
        openai::tools(&mut walk, tools, &mut request.tools_offered);
    }
    if let Some(functions) = read::array(doc, root, "functions", "functions: not an array")? {
        openai::tools(&mut walk, functions, &mut request.tools_offered);
    }
    openai::forced(doc, root, &mut request.tools_forced);
    openai::format(&mut walk, root, "response_format");
    if let Some(prediction) = doc.at(root, &["prediction", "content"]) {
        walk.claims.tree(prediction, SpanKind::Assistant);
    }
    // vLLM: context for templates that know retrieval.
    if let Some(documents) = doc.get(root, "documents") {
        walk.claims.tree(documents, SpanKind::Document);
    }
    walk.request(&mut request);
    Ok(request)
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let mut response = Response::default();
    let mut walk = Walk::whole(doc);
    let top = top(&mut walk, doc.root());
    response.model = top.model;
    response.usage = top.usage;
    if let Some(choices) = doc.get(doc.root(), "choices") {
        for choice in doc.items(choices) {
            let finish = walk_choice(&mut walk, choice, 0);
            response.finish = response.finish.or(finish);
        }
    }
    walk.response(&mut response);
    response
}

pub(super) fn event(doc: &Doc<'_>) -> StreamEvent {
    let mut event = StreamEvent::default();
    let mut walk = Walk::event(doc);
    let top = top(&mut walk, doc.root());
    event.model = top.model;
    event.usage = top.usage;
    let choices = doc.get(doc.root(), "choices");
    for (at, choice) in choices.iter().flat_map(|&id| doc.items(id)).enumerate() {
        let index = read::index(doc, choice, "index").unwrap_or(u32::try_from(at).unwrap_or(u32::MAX));
        let finish = walk_choice(&mut walk, choice, index);
        if finish.is_some() {
            event.closes_index.push(index);
        }
        event.finish = event.finish.or(finish);
    }
    // Azure's first event has no choices either, but filter results.
    let empty = choices.is_none_or(|id| doc.items(id).next().is_none());
    event.usage_only = event.usage.is_some() && empty;
    event.done = event.usage_only;
    walk.stream_event(&mut event);
    event
}

struct Top {
    model: Option<String>,
    usage: Option<super::Usage>,
}

/// The fields around the choices.
fn top(walk: &mut Walk<'_, '_>, root: NodeId) -> Top {
    let doc = walk.doc;
    walk.tokens(root, openai::TOP_TOKENS);
    let mut usage = openai::usage(walk, root, "usage");
    // Groq's streams carry it in a field of their own.
    if let Some(groq) = doc.get(root, "x_groq") {
        walk.tokens(groq, &["id"]);
        usage = usage.or(openai::usage(walk, groq, "usage"));
    }
    // Azure
    walk.all_tokens(root, &["prompt_filter_results"]);
    // llama.cpp
    if let Some(timings) = doc.get(root, "timings") {
        walk.claims.numbers(timings);
    }
    // Perplexity
    for key in ["citations", "search_results"] {
        if let Some(node) = doc.get(root, key) {
            walk.claims.tree(node, SpanKind::Document);
        }
    }
    Top { model: read::name(doc, root, "model"), usage }
}

/// A choice of a response or of an event; its finish reason.
fn walk_choice(walk: &mut Walk<'_, '_>, choice: NodeId, index: u32) -> Option<String> {
    let doc = walk.doc;
    walk.tokens(choice, &["finish_reason", "native_finish_reason"]);
    walk.all_tokens(choice, &["content_filter_results"]);
    let delta = read::some(doc, choice, "delta");
    if let Some(delta) = delta {
        openai_message::message(walk, delta, SpanKind::Assistant, index);
        walk.rest(delta, SpanKind::Other, index);
    }
    if let Some(message) = read::some(doc, choice, "message") {
        // Perplexity sends the answer so far beside each delta.
        if delta.is_some() {
            walk.claims.echo(message);
        } else {
            openai_message::message(walk, message, SpanKind::Assistant, index);
        }
    }
    // Completions answer so.
    walk.member(choice, "text", SpanKind::Assistant, Channel { field: TEXT, index, sub: 0 });
    if let Some(logprobs) = doc.get(choice, "logprobs") {
        walk.claims.echo(logprobs);
    }
    let reason = doc.get(choice, "finish_reason").and_then(|id| doc.str(id))?;
    Some(reason.into_owned())
}
