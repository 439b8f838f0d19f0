//! Vertex AI: Gemini bodies, and with `rawPredict` those of the publisher, with
//! the model in the path.

use super::edit::Edit;
use super::json::Doc;
use super::path::{self, Path};
use super::{
    Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, WireError,
};
use super::{anthropic, gemini, openai, openai_chat, reply};

/// Whose bodies an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vertex {
    /// `publishers/google/models/<model>:generateContent` and its like, tuned
    /// models behind `endpoints/<id>` included.
    Google,
    /// `publishers/anthropic/models/<model>:rawPredict`.
    Anthropic,
    /// `publishers/mistralai/models/<model>:rawPredict`: chat completions.
    Mistral,
}

impl Dialect for Vertex {
    fn id(&self) -> &'static str {
        match self {
            Vertex::Google => "vertex",
            Vertex::Anthropic => "vertex_anthropic",
            Vertex::Mistral => "vertex_mistral",
        }
    }

    fn provider(&self) -> &'static str {
        "gcp.vertex_ai"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let path = Path::parse(path)?;
        let segments = path.plain()?;
        let [.., publisher, models, last] = segments else { return None };
        if method != "POST" || !segments.iter().any(|s| path::is(s, "projects") || path::is(s, "publishers"))
        {
            return None;
        }
        let endpoint = path::is(models, "endpoints");
        if !endpoint && !path::is(models, "models") {
            return None;
        }
        match self {
            Vertex::Google if endpoint || path::is(publisher, "google") => gemini::verb(last),
            Vertex::Anthropic if path::is(publisher, "anthropic") => raw(last),
            Vertex::Mistral if path::is(publisher, "mistralai") => raw(last),
            _ => None,
        }
    }

    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = match self {
            Vertex::Google => return gemini::request(op, path, doc),
            Vertex::Anthropic => anthropic::request(op, doc)?,
            Vertex::Mistral => openai_chat::request(doc)?,
        };
        request.stream |= op == Operation::ChatStream;
        // Counting names the model in the body: `count-tokens:rawPredict`.
        if op != Operation::CountTokens {
            request.model = gemini::model(path);
        }
        Ok(request)
    }

    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(match self {
            Vertex::Google => return gemini::Gemini.response(op, doc),
            Vertex::Anthropic => anthropic::response(doc),
            Vertex::Mistral => openai_chat::response(doc),
        })
    }

    fn framing(&self, op: Operation, content_type: &str) -> Framing {
        match self {
            Vertex::Google => gemini::framing(op, content_type),
            Vertex::Anthropic | Vertex::Mistral => openai::framing(content_type),
        }
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Ok(match self {
            Vertex::Google => gemini::event(doc),
            Vertex::Anthropic => anthropic::event(doc),
            Vertex::Mistral => openai_chat::event(doc),
        })
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        *self == Vertex::Mistral && openai::is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        match self {
            Vertex::Google => reply::by_status(refusal, gemini::error(refusal)),
            Vertex::Anthropic => reply::by_status(refusal, anthropic::error(refusal)),
            Vertex::Mistral => openai::refusal(refusal),
        }
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        match self {
            Vertex::Google => gemini::refusal_event(framing, refusal),
            Vertex::Anthropic => anthropic::refusal_event(framing, refusal),
            Vertex::Mistral => openai::refusal_event(framing, refusal),
        }
    }

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match self {
            Vertex::Google => gemini::edit_field(op, doc, field),
            // The model stands in the path.
            _ if matches!(field, FieldEdit::Model(_)) => None,
            Vertex::Anthropic => anthropic::edit_field(doc, field),
            Vertex::Mistral => openai_chat::OpenAiChat.edit_field(op, doc, field),
        }
    }
}

/// `<model>:rawPredict`, `<model>:streamRawPredict`.
fn raw(last: &str) -> Option<Operation> {
    match last.rsplit_once(':')? {
        ("count-tokens", "rawPredict") => Some(Operation::CountTokens),
        (_, "rawPredict") => Some(Operation::Chat),
        (_, "streamRawPredict") => Some(Operation::ChatStream),
        _ => None,
    }
}
