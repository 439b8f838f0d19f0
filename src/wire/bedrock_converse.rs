//! Amazon Bedrock Converse, ConverseStream and CountTokens; also the bodies of
//! the Nova models under InvokeModel.
//!
//! Format: Amazon Bedrock Runtime API reference. The model stands in the path.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Dialect, Field, FieldEdit, Framing, Operation, Reason, Refusal, Reply, Request, Response, StreamEvent,
    Usage, WireError,
};
use super::{bedrock_block as block, eventstream, openai, read, reply};
use crate::text::SpanKind;

/// See the module.
#[derive(Debug)]
pub(super) struct BedrockConverse;

impl Dialect for BedrockConverse {
    fn id(&self) -> &'static str {
        "bedrock_converse"
    }

    fn provider(&self) -> &'static str {
        "aws.bedrock"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        match model_and_verb(method, path)?.1.as_str() {
            "converse" => Some(Operation::Chat),
            "converse-stream" => Some(Operation::ChatStream),
            "count-tokens" => Some(Operation::CountTokens),
            _ => None,
        }
    }

    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = request(doc)?;
        request.model = model_and_verb("POST", path).map(|(model, _)| Field { value: model, range: None });
        request.stream = op == Operation::ChatStream;
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(response(doc))
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        framing(content_type)
    }

    fn event(&self, _op: Operation, name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(event(name, doc, doc.root()))
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        self::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        refusal_event(framing, refusal)
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        if op == Operation::CountTokens { None } else { edit_field(doc, field) }
    }
}

/// `/model/<id or ARN>/<verb>`; ARNs hold encoded slashes.
pub(super) fn model_and_verb(method: &str, path: &str) -> Option<(String, String)> {
    let path = Path::parse(path)?;
    match path.any() {
        [model, id, verb] if method == "POST" && path::is(model, "model") && !verb.contains('/') => {
            Some((id.to_string(), verb.to_ascii_lowercase()))
        }
        _ => None,
    }
}

pub(super) fn framing(content_type: &str) -> Framing {
    if reply::is_type(content_type, "application/vnd.amazon.eventstream") {
        return Framing::EventStream;
    }
    openai::framing(content_type)
}

pub(super) fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = Request { choices: 1, stream_usage: true, ..Request::default() };
    let mut walk = Walk::whole(doc);
    // CountTokens wraps the body; InvokeModel's stands there in base64, which
    // the views of encoded text decode.
    let body = doc.at(root, &["input", "converse"]).unwrap_or(root);
    read::exact_names(doc, body, &["messages", "system", "inferenceConfig", "toolConfig"])?;
    if let Some(messages) = read::array(doc, body, "messages", "messages: not an array")? {
        for message in doc.items(messages) {
            let kind = block::kind(&read::word(doc, message, "role"));
            walk.tokens(message, &["role"]);
            if let Some(content) = doc.get(message, "content") {
                block::content(&mut walk, content, kind);
            }
            request.messages = request.messages.saturating_add(1);
        }
    }
    if let Some(system) = doc.get(body, "system") {
        block::content(&mut walk, system, SpanKind::System);
    }
    if let Some(config) = doc.get(body, "inferenceConfig") {
        read::exact_names(doc, config, &["maxTokens", "max_new_tokens"])?;
        for key in ["maxTokens", "max_new_tokens"] {
            let cap = read::count(doc, config, key, "maxTokens: not a whole number")?;
            request.max_output_tokens = request.max_output_tokens.or(cap);
        }
        request.temperature = read::number(doc, config, "temperature", "temperature: not a number")?;
    }
    tools(&mut walk, body, &mut request);
    if let Some(guardrail) = doc.get(body, "guardrailConfig") {
        walk.tokens(guardrail, &["guardrailIdentifier", "guardrailVersion", "trace", "streamProcessingMode"]);
    }
    walk.request(&mut request);
    Ok(request)
}

fn tools(walk: &mut Walk<'_, '_>, body: NodeId, request: &mut Request) {
    let doc = walk.doc;
    for tool in doc.at(body, &["toolConfig", "tools"]).iter().flat_map(|&id| doc.items(id)) {
        for key in ["toolSpec", "systemTool"] {
            request.tools_offered.extend(doc.get(tool, key).and_then(|spec| read::name(doc, spec, "name")));
        }
        walk.claims.tree(tool, SpanKind::ToolDefinition);
    }
    let forced = doc.at(body, &["toolConfig", "toolChoice", "tool"]);
    request.tools_forced.extend(forced.and_then(|tool| read::name(doc, tool, "name")));
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response { finish: read::name(doc, root, "stopReason"), ..Response::default() };
    response.usage = around(&mut walk, root);
    if let Some(message) = doc.at(root, &["output", "message"]) {
        walk.tokens(message, &["role"]);
        if let Some(content) = doc.get(message, "content") {
            block::content(&mut walk, content, SpanKind::Assistant);
        }
    }
    // The answer of CountTokens.
    walk.tokens(root, &["inputTokens"]);
    if let Some(input) = doc.get(root, "inputTokens").and_then(|id| doc.u64(id)) {
        response.usage = Some(Usage { input: Some(input), ..Usage::default() });
    }
    walk.response(&mut response);
    response
}

/// Stop reason, usage and metrics.
fn around(walk: &mut Walk<'_, '_>, node: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    walk.tokens(node, &["stopReason", "role", "p"]);
    if let Some(metrics) = doc.get(node, "metrics") {
        walk.claims.numbers(metrics);
    }
    let usage = doc.get(node, "usage").filter(|&id| doc.kind(id) == Kind::Object)?;
    walk.claims.numbers(usage);
    let read = |key: &str| doc.get(usage, key).and_then(|id| doc.u64(id));
    let cached = read("cacheReadInputTokens").or_else(|| read("cacheReadInputTokenCount"));
    let written = read("cacheWriteInputTokens").or_else(|| read("cacheWriteInputTokenCount"));
    let beside = cached.unwrap_or_default().saturating_add(written.unwrap_or_default());
    // `inputTokens` are those neither read from nor written to the cache.
    let input = read("inputTokens").map(|input| input.saturating_add(beside));
    Some(Usage { input, output: read("outputTokens"), cached, reasoning: None })
}

/// An event by its name; `node` is its payload.
pub(super) fn event(name: &str, doc: &Doc<'_>, node: NodeId) -> StreamEvent {
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent { usage: around(&mut walk, node), ..StreamEvent::default() };
    walk.tokens(doc.root(), &["p"]);
    let index = read::index(doc, node, "contentBlockIndex").unwrap_or_default();
    match name {
        "contentBlockStart" => {
            if let Some(start) = doc.get(node, "start") {
                block::start(&mut walk, start, index);
            }
        }
        "contentBlockDelta" => {
            if let Some(delta) = doc.get(node, "delta") {
                block::delta(&mut walk, delta, index);
            }
        }
        "contentBlockStop" => event.closes_index.push(index),
        "messageStop" => event.finish = read::name(doc, node, "stopReason"),
        "metadata" => event.done = true,
        _ => {}
    }
    walk.stream_event(&mut event);
    event
}

/// The name of the exception stands in a header, for the SDKs.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    let kind = match refusal.reason {
        Reason::Malformed | Reason::TooLarge => "ValidationException",
        Reason::Unauthenticated => "UnrecognizedClientException",
        Reason::Forbidden => "AccessDeniedException",
        Reason::NotFound => "ResourceNotFoundException",
        Reason::RateLimited => "ThrottlingException",
        Reason::BadUpstream => "ModelErrorException",
        Reason::Unavailable => "ServiceUnavailableException",
    };
    let mut reply = reply::by_status(refusal, message(refusal));
    reply.headers.push(("x-amzn-errortype", kind.to_owned()));
    reply
}

/// An exception message of the event stream, by one of the names its union has.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    if framing != Framing::EventStream {
        return Vec::new();
    }
    let kind = match refusal.reason {
        Reason::RateLimited => "throttlingException",
        Reason::BadUpstream => "modelStreamErrorException",
        Reason::Unavailable => "serviceUnavailableException",
        _ => "validationException",
    };
    let headers =
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    eventstream::encode(&headers, &message(refusal)).unwrap_or_default()
}

fn message(refusal: &Refusal) -> Vec<u8> {
    reply::json(&serde_json::json!({ "message": refusal.message }))
}

/// The model stands in the path; usage needs no asking.
pub(super) fn edit_field(doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
    match field {
        FieldEdit::Model(_) => None,
        FieldEdit::StreamUsage => Some(Vec::new()),
        FieldEdit::MaxOutputTokens(cap) => {
            let cap = cap.to_string();
            let edit = match doc.get(doc.root(), "inferenceConfig").filter(|&id| doc.kind(id) == Kind::Object)
            {
                Some(config) => {
                    let nova = doc.get(config, "max_new_tokens").is_some();
                    read::set(doc, config, if nova { "max_new_tokens" } else { "maxTokens" }, cap.as_bytes())?
                }
                None => {
                    let config = format!(r#"{{"maxTokens":{cap}}}"#);
                    read::set(doc, doc.root(), "inferenceConfig", config.as_bytes())?
                }
            };
            Some(vec![edit])
        }
    }
}
