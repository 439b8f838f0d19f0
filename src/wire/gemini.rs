//! Gemini: generateContent, streamGenerateContent, countTokens, embedContent
//! and its batch, and the list of models.
//!
//! Format: Gemini API reference; JSON mapping of Protocol Buffers, so that every
//! field may be written in camelCase or snake_case, a repeated field may be a
//! single value, and a number may be a string.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::path::{self, Path};
use super::walk::Walk;
use super::{
    Dialect, Field, FieldEdit, Framing, Operation, Reason, Refusal, Reply, Request, Response, StreamEvent,
    Usage, WireError,
};
use super::{gemini_content as part, model_list, openai, read, reply};
use crate::text::SpanKind;

/// See the module.
#[derive(Debug)]
pub(super) struct Gemini;

impl Dialect for Gemini {
    fn id(&self) -> &'static str {
        "gemini"
    }

    fn provider(&self) -> &'static str {
        "gcp.gemini"
    }

    /// `/v1beta/models/<model>:<verb>`.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let segments = path.plain()?;
        if segments.iter().any(|segment| path::is(segment, "projects")) {
            return None;
        }
        let version = |segment: &str| segment.starts_with("v1beta") || segment.starts_with("v1alpha");
        match (method, segments) {
            ("GET", [.., v, models]) if version(v) && path::is(models, "models") => {
                Some(Operation::ListModels)
            }
            ("GET", [.., v, models, _]) if version(v) && path::is(models, "models") => {
                Some(Operation::Metadata)
            }
            ("POST", [.., models, last]) if path::is(models, "models") || path::is(models, "tunedModels") => {
                verb(last)
            }
            _ => None,
        }
    }

    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        request(op, path, doc)
    }

    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(if op == Operation::ListModels { model_list::response(doc) } else { response(doc) })
    }

    fn framing(&self, op: Operation, content_type: &str) -> Framing {
        framing(op, content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(event(doc))
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        reply::by_status(refusal, error(refusal))
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        refusal_event(framing, refusal)
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        edit_field(op, doc, field)
    }
}

/// What `<model>:<verb>` asks for.
pub(super) fn verb(last: &str) -> Option<Operation> {
    match last.rsplit_once(':')?.1 {
        "generateContent" => Some(Operation::Chat),
        "streamGenerateContent" => Some(Operation::ChatStream),
        "countTokens" => Some(Operation::CountTokens),
        "embedContent" | "batchEmbedContents" | "predict" => Some(Operation::Embeddings),
        _ => None,
    }
}

/// The model in the last segment of a path.
pub(super) fn model(path: &str) -> Option<Field<String>> {
    let path = Path::parse(path)?;
    let (model, _) = path.any().last()?.rsplit_once(':')?;
    Some(Field { value: model.to_owned(), range: None })
}

/// SSE with `alt=sse`, without it a JSON array that grows.
pub(super) fn framing(op: Operation, content_type: &str) -> Framing {
    match openai::framing(content_type) {
        Framing::Whole if op == Operation::ChatStream => Framing::JsonArray,
        framing => framing,
    }
}

pub(super) fn request(op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = Request {
        model: model(path),
        stream: op == Operation::ChatStream,
        stream_usage: true,
        choices: 1,
        ..Request::default()
    };
    let mut walk = Walk::whole(doc);
    prompt(&mut walk, root, &mut request)?;
    // countTokens and batchEmbedContents wrap the prompt once more.
    if let Some(inner) = part::either(doc, root, "generateContentRequest")? {
        prompt(&mut walk, inner, &mut request)?;
    }
    for key in ["requests", "instances"] {
        for inner in part::either(doc, root, key)?.into_iter().flat_map(|id| part::repeated(doc, id)) {
            prompt(&mut walk, inner, &mut request)?;
        }
    }
    walk.request(&mut request);
    Ok(request)
}

fn prompt(walk: &mut Walk<'_, '_>, root: NodeId, request: &mut Request) -> Result<(), WireError> {
    let doc = walk.doc;
    walk.tokens(root, &["model", "taskType", "task_type", "outputDimensionality", "output_dimensionality"]);
    if let Some(system) = part::either(doc, root, "systemInstruction")? {
        part::content(walk, system, Some(SpanKind::System), 0);
    }
    for key in ["contents", "content"] {
        let Some(contents) = part::either(doc, root, key)? else { continue };
        for content in part::repeated(doc, contents) {
            part::content(walk, content, None, 0);
            request.messages = request.messages.saturating_add(1);
        }
    }
    if let Some(tools) = part::either(doc, root, "tools")? {
        part::tools(walk, tools, &mut request.tools_offered)?;
    }
    let choice = match part::either(doc, root, "toolConfig")? {
        Some(config) => part::either(doc, config, "functionCallingConfig")?,
        None => None,
    };
    if let Some(config) = choice
        && let Some(names) = part::either(doc, config, "allowedFunctionNames")?
    {
        let names = doc.subtree(names).filter_map(|id| doc.str(id));
        request.tools_forced.extend(names.map(|name| name.into_owned()));
    }
    walk.remote(root, &["cachedContent", "cached_content"]);
    if let Some(config) = part::either(doc, root, "generationConfig")? {
        generation_config(walk, config, request)?;
    }
    for setting in
        part::either(doc, root, "safetySettings")?.into_iter().flat_map(|id| part::repeated(doc, id))
    {
        walk.tokens(setting, &["category", "threshold", "method"]);
    }
    Ok(())
}

fn generation_config(
    walk: &mut Walk<'_, '_>,
    config: NodeId,
    request: &mut Request,
) -> Result<(), WireError> {
    let doc = walk.doc;
    let wrong = |what| move || WireError { what };
    if let Some(id) = part::either(doc, config, "maxOutputTokens")? {
        let value = part::number(doc, id).ok_or_else(wrong("maxOutputTokens: not a whole number"))?;
        request.max_output_tokens = Some(Field { value, range: Some(doc.range(id)) });
    }
    if let Some(id) = part::either(doc, config, "candidateCount")? {
        let value = part::number(doc, id).ok_or_else(wrong("candidateCount: not a whole number"))?;
        request.choices = u32::try_from(value.max(1)).unwrap_or(u32::MAX);
    }
    if let Some(id) = part::either(doc, config, "temperature")? {
        let value = doc
            .f64(id)
            .or_else(|| doc.str(id)?.parse().ok())
            .ok_or_else(wrong("temperature: not a number"))?;
        request.temperature = Some(Field { value, range: Some(doc.range(id)) });
    }
    walk.all_tokens(config, &["responseModalities", "response_modalities", "thinkingConfig", "speechConfig"]);
    walk.tokens(config, &["responseMimeType", "response_mime_type", "mediaResolution"]);
    for key in ["responseSchema", "responseJsonSchema", "_responseJsonSchema"] {
        if let Some(schema) = part::either(doc, config, key)? {
            walk.claims.tree(schema, SpanKind::ToolDefinition);
        }
    }
    Ok(())
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response { model: read::name(doc, root, "modelVersion"), ..Response::default() };
    response.usage = around(&mut walk, root);
    for candidate in doc.get(root, "candidates").iter().flat_map(|&id| doc.items(id)) {
        part::candidate(&mut walk, candidate, 0);
        response.finish = response.finish.or_else(|| read::name(doc, candidate, "finishReason"));
    }
    walk.response(&mut response);
    response
}

pub(super) fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent { model: read::name(doc, root, "modelVersion"), ..StreamEvent::default() };
    event.usage = around(&mut walk, root);
    for candidate in doc.get(root, "candidates").iter().flat_map(|&id| doc.items(id)) {
        let index = read::index(doc, candidate, "index").unwrap_or_default();
        part::candidate(&mut walk, candidate, index);
        if let Some(finish) = read::name(doc, candidate, "finishReason") {
            event.closes_index.push(index);
            event.finish = event.finish.or(Some(finish));
        }
    }
    walk.stream_event(&mut event);
    event
}

/// The fields around the candidates; embeddings.
fn around(walk: &mut Walk<'_, '_>, root: NodeId) -> Option<Usage> {
    let doc = walk.doc;
    walk.tokens(
        root,
        &["modelVersion", "responseId", "createTime", "totalTokens", "cachedContentTokenCount"],
    );
    for key in ["embedding", "embeddings", "predictions"] {
        if let Some(vectors) = doc.get(root, key) {
            walk.claims.numbers(vectors);
        }
    }
    walk.all_tokens(root, &["promptTokensDetails", "metadata"]);
    if let Some(total) = doc.get(root, "totalTokens").and_then(|id| doc.u64(id)) {
        return Some(Usage { input: Some(total), ..Usage::default() });
    }
    let usage = doc.get(root, "usageMetadata")?;
    walk.claims.numbers(usage);
    walk.tokens(usage, &["trafficType", "serviceTier"]);
    let details = [
        "promptTokensDetails",
        "candidatesTokensDetails",
        "cacheTokensDetails",
        "toolUsePromptTokensDetails",
    ];
    walk.all_tokens(usage, &details);
    let read = |key: &str| doc.get(usage, key).and_then(|id| doc.u64(id));
    let (candidates, thoughts) = (read("candidatesTokenCount"), read("thoughtsTokenCount"));
    let tools = read("toolUsePromptTokenCount").unwrap_or_default();
    Some(Usage {
        input: read("promptTokenCount").map(|prompt| prompt.saturating_add(tools)),
        output: match (candidates, thoughts) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or_default().saturating_add(b.unwrap_or_default())),
        },
        cached: read("cachedContentTokenCount"),
        reasoning: thoughts,
    })
}

/// `google.rpc.Status`, with the stable code as `ErrorInfo`.
pub(super) fn error(refusal: &Refusal) -> Vec<u8> {
    let status = match refusal.reason {
        Reason::Malformed | Reason::TooLarge => "INVALID_ARGUMENT",
        Reason::Unauthenticated => "UNAUTHENTICATED",
        Reason::Forbidden => "PERMISSION_DENIED",
        Reason::NotFound => "NOT_FOUND",
        Reason::RateLimited => "RESOURCE_EXHAUSTED",
        Reason::BadUpstream => "INTERNAL",
        Reason::Unavailable => "UNAVAILABLE",
    };
    let mut details = vec![serde_json::json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.code, "domain": "portcullis"
    })];
    if let Some(seconds) = refusal.retry_after {
        details.push(serde_json::json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")
        }));
    }
    reply::json(&serde_json::json!({
        "error": { "code": refusal.reason.status(), "message": refusal.message, "status": status, "details": details }
    }))
}

/// An error in place of a chunk. In a JSON array it is the last element.
pub(super) fn refusal_event(framing: Framing, refusal: &Refusal) -> Vec<u8> {
    match framing {
        Framing::Sse => [b"data: ", error(refusal).as_slice(), b"\n\n"].concat(),
        Framing::JsonArray => [error(refusal).as_slice(), b"]"].concat(),
        _ => Vec::new(),
    }
}

/// The model stands in the path; usage needs no asking.
pub(super) fn edit_field(op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
    let root = doc.root();
    match field {
        FieldEdit::Model(_) => None,
        FieldEdit::StreamUsage => Some(Vec::new()),
        FieldEdit::MaxOutputTokens(_) if !matches!(op, Operation::Chat | Operation::ChatStream) => None,
        FieldEdit::MaxOutputTokens(cap) => {
            let cap = cap.to_string();
            let config = part::either(doc, root, "generationConfig").ok()?;
            let Some(config) = config.filter(|&id| doc.kind(id) == Kind::Object) else {
                let config = format!(r#"{{"maxOutputTokens":{cap}}}"#);
                return Some(vec![read::set(doc, root, "generationConfig", config.as_bytes())?]);
            };
            let snake = doc.get(config, "max_output_tokens").is_some();
            let key = if snake { "max_output_tokens" } else { "maxOutputTokens" };
            Some(vec![read::set(doc, config, key, cap.as_bytes())?])
        }
    }
}
