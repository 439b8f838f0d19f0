//! Amazon Bedrock InvokeModel, whole and streamed. The body is the model
//! maker's own, and the path does not always tell whose (ARNs): its shape does.

use super::edit::Edit;
use super::json::{Doc, NodeId};
use super::walk::Walk;
use super::{
    Channel, Dialect, Field, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent,
    Usage, WireError,
};
use super::{anthropic, bedrock_converse as converse, fields, openai_chat, read};
use crate::text::SpanKind;

/// Output caps of the makers whose bodies are a prompt: Cohere, Mistral, Meta,
/// AI21.
const CAPS: &[&str] =
    &["max_tokens", "max_gen_len", "maxTokens", "max_tokens_to_sample", "max_completion_tokens"];

/// See the module.
#[derive(Debug)]
pub(super) struct BedrockInvoke;

/// Whose body it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Anthropic,
    Nova,
    Chat,
    Prompt,
}

impl Dialect for BedrockInvoke {
    fn id(&self) -> &'static str {
        "bedrock_invoke"
    }

    fn provider(&self) -> &'static str {
        "aws.bedrock"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        match converse::model_and_verb(method, path)?.1.as_str() {
            "invoke" => Some(Operation::Chat),
            "invoke-with-response-stream" => Some(Operation::ChatStream),
            _ => None,
        }
    }

    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = match request_shape(doc) {
            Shape::Anthropic => anthropic::request(op, doc)?,
            Shape::Nova => converse::request(doc)?,
            Shape::Chat => openai_chat::request(doc)?,
            Shape::Prompt => prompt(doc)?,
        };
        request.model =
            converse::model_and_verb("POST", path).map(|(model, _)| Field { value: model, range: None });
        request.stream = op == Operation::ChatStream;
        request.stream_usage = true;
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let root = doc.root();
        Ok(if read::word(doc, root, "type") == "message" {
            anthropic::response(doc)
        } else if doc.at(root, &["output", "message"]).is_some() {
            converse::response(doc)
        } else if doc.get(root, "choices").is_some() {
            openai_chat::response(doc)
        } else {
            completion(doc)
        })
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        converse::framing(content_type)
    }

    fn event(&self, _op: Operation, name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let root = doc.root();
        // Nova names its events in the body.
        let nova = doc.members(root).find(|(key, _)| {
            matches!(
                &**key,
                "messageStart"
                    | "contentBlockStart"
                    | "contentBlockDelta"
                    | "contentBlockStop"
                    | "messageStop"
                    | "metadata"
            )
        });
        Ok(if let Some((key, node)) = nova {
            converse::event(&key, doc, node)
        } else if doc.get(root, "choices").is_some() {
            openai_chat::event(doc)
        } else if !read::word(doc, root, "type").is_empty() {
            anthropic::event(doc)
        } else {
            chunk(name, doc)
        })
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        converse::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        converse::refusal_event(framing, refusal)
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match (field, request_shape(doc)) {
            // The model stands in the path.
            (FieldEdit::Model(_), _) => None,
            (FieldEdit::StreamUsage, _) => Some(Vec::new()),
            (field, Shape::Anthropic) => anthropic::edit_field(doc, field),
            (field, Shape::Nova) => converse::edit_field(doc, field),
            (field, Shape::Chat) => openai_chat::OpenAiChat.edit_field(op, doc, field),
            (FieldEdit::MaxOutputTokens(cap), Shape::Prompt) => prompt_cap(doc, cap),
        }
    }
}

fn request_shape(doc: &Doc<'_>) -> Shape {
    let root = doc.root();
    let has = |key: &str| doc.get(root, key).is_some();
    match () {
        () if has("anthropic_version") && has("messages") => Shape::Anthropic,
        () if has("inferenceConfig") || has("schemaVersion") || has("toolConfig") => Shape::Nova,
        () if has("messages") => Shape::Chat,
        () => Shape::Prompt,
    }
}

/// A body around a prompt: Titan, Llama, Mistral, Cohere, AI21, embeddings.
fn prompt(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, CAPS)?;
    read::exact_names(doc, root, &["inputText", "texts", "message", "textGenerationConfig"])?;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, &["input_type", "truncate", "embeddingTypes", "taskType", "inputType", "seed"]);
    if let Some(config) = doc.get(root, "textGenerationConfig") {
        read::exact_names(doc, config, &["maxTokenCount"])?;
        request.max_output_tokens =
            read::count(doc, config, "maxTokenCount", "maxTokenCount: not a whole number")?;
    }
    for key in [
        "inputText",
        "prompt",
        "texts",
        "text",
        "message",
        "query",
        "inputs",
        "singleEmbeddingParams",
        "chat_history",
    ] {
        if let Some(node) = doc.get(root, key) {
            walk.claims.tree(node, SpanKind::User);
        }
    }
    for (key, kind) in [("preamble", SpanKind::System), ("documents", SpanKind::Document)] {
        if let Some(node) = doc.get(root, key) {
            walk.claims.tree(node, kind);
        }
    }
    for key in ["inputImage", "images", "image"] {
        for id in doc.get(root, key).into_iter().flat_map(|id| doc.subtree(id)) {
            walk.media(id, SpanKind::User);
        }
    }
    request.messages = 1;
    walk.request(&mut request);
    Ok(request)
}

fn prompt_cap(doc: &Doc<'_>, cap: u64) -> Option<Vec<Edit>> {
    let root = doc.root();
    if doc.get(root, "inputText").is_none() {
        let there = CAPS.iter().find(|key| doc.get(root, key).is_some())?;
        return Some(vec![read::set(doc, root, there, cap.to_string().as_bytes())?]);
    }
    let edit = match doc.get(root, "textGenerationConfig") {
        Some(config) => read::set(doc, config, "maxTokenCount", cap.to_string().as_bytes())?,
        None => {
            let config = format!(r#"{{"maxTokenCount":{cap}}}"#);
            read::set(doc, root, "textGenerationConfig", config.as_bytes())?
        }
    };
    Some(vec![edit])
}

/// Counts in the names of Titan and Llama.
fn usage(walk: &mut Walk<'_, '_>, root: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    let keys =
        ["inputTextTokenCount", "prompt_token_count", "generation_token_count", "totalOutputTextTokenCount"];
    walk.tokens(root, &keys);
    let read = |key: &str| doc.get(root, key).and_then(|id| count(doc, id));
    let results = doc.get(root, "results").into_iter().flat_map(|id| doc.items(id));
    let written = results.filter_map(|id| count(doc, doc.get(id, "tokenCount")?)).reduce(u64::saturating_add);
    let input = read("inputTextTokenCount").or_else(|| read("prompt_token_count"));
    let output =
        written.or_else(|| read("generation_token_count")).or_else(|| read("totalOutputTextTokenCount"));
    (input.is_some() || output.is_some()).then_some(Usage { input, output, ..Usage::default() })
}

/// A count that some guardrails write as `28.0`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(doc: &Doc<'_>, id: NodeId) -> Option<u64> {
    doc.u64(id).or_else(|| doc.f64(id).filter(|n| (0.0..1e15).contains(n)).map(|n| n as u64))
}

fn completion(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response { usage: usage(&mut walk, root), ..Response::default() };
    response.finish = read::name(doc, root, "stop_reason");
    walk.tokens(root, &["id", "stop_reason", "response_type", "generation_id", "finish_reason"]);
    for key in ["embedding", "embeddings", "embeddingsByType"] {
        if let Some(vectors) = doc.get(root, key) {
            walk.claims.numbers(vectors);
        }
    }
    // AI21 repeats prompt and answer token by token.
    let completions = doc.get(root, "completions").into_iter().flat_map(|id| doc.items(id));
    for holder in completions.filter_map(|id| doc.get(id, "data")).chain(doc.get(root, "prompt")) {
        if let Some(tokens) = doc.get(holder, "tokens") {
            walk.claims.echo(tokens);
        }
    }
    walk.claims.tree(root, SpanKind::Assistant);
    walk.response(&mut response);
    response
}

/// A chunk of Titan, Llama, Mistral or Cohere.
fn chunk(_name: &str, doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent { usage: usage(&mut walk, root), ..StreamEvent::default() };
    walk.tokens(root, &["index", "completionReason", "stop_reason", "finish_reason", "p"]);
    let channel = Channel { field: 0, index: read::index(doc, root, "index").unwrap_or_default(), sub: 0 };
    for key in ["outputText", "generation", "text", "completion"] {
        walk.member(root, key, SpanKind::Assistant, channel);
    }
    for output in doc.get(root, "outputs").iter().flat_map(|&id| doc.items(id)) {
        walk.tokens(output, &["stop_reason"]);
        walk.member(output, "text", SpanKind::Assistant, channel);
    }
    if let Some(metrics) = doc.get(root, "amazon-bedrock-invocationMetrics") {
        walk.claims.numbers(metrics);
        let read = |key: &str| doc.get(metrics, key).and_then(|id| count(doc, id));
        event.usage = Some(Usage {
            input: read("inputTokenCount"),
            output: read("outputTokenCount"),
            ..Usage::default()
        });
        event.done = true;
    }
    for key in ["completionReason", "stop_reason", "finish_reason"] {
        event.finish = event.finish.or_else(|| read::name(doc, root, key));
    }
    walk.rest(root, SpanKind::Other, 0);
    walk.stream_event(&mut event);
    event
}
