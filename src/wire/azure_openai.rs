//! Azure OpenAI's older paths, which name a deployment instead of the model;
//! the bodies are OpenAI's. (`/openai/v1/…` is OpenAI's own dialect.)

use super::edit::Edit;
use super::json::Doc;
use super::openai::{self, OpenAiLike};
use super::openai_chat::OpenAiChat;
use super::openai_completions::OPENAI_COMPLETIONS;
use super::openai_embeddings::OPENAI_EMBEDDINGS;
use super::openai_images::OPENAI_IMAGES;
use super::path::{self, Path};
use super::{
    Dialect, Field, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, WireError,
};

/// See the module.
#[derive(Debug)]
pub(super) struct AzureOpenAi;

/// The dialect of the body.
fn inner(op: Operation) -> &'static dyn Dialect {
    let like: &'static OpenAiLike = match op {
        Operation::TextCompletion => &OPENAI_COMPLETIONS,
        Operation::Embeddings => &OPENAI_EMBEDDINGS,
        Operation::Image => &OPENAI_IMAGES,
        _ => return &OpenAiChat,
    };
    like
}

/// `…/deployments/<name>/<operation>`.
fn deployment(path: &str) -> Option<(String, Operation)> {
    let path = Path::parse(path)?;
    let segments = path.plain()?;
    let at = segments.iter().position(|segment| path::is(segment, "deployments"))?;
    let name = segments.get(at.checked_add(1)?)?;
    let rest = segments.get(at.checked_add(2)?..)?;
    let words: Vec<String> = rest.iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let op = match words.as_slice() {
        ["chat", "completions"] | ["extensions", "chat", "completions"] => Operation::Chat,
        ["completions"] => Operation::TextCompletion,
        ["embeddings"] => Operation::Embeddings,
        ["images", "generations"] => Operation::Image,
        _ => return None,
    };
    Some((name.to_string(), op))
}

impl Dialect for AzureOpenAi {
    fn id(&self) -> &'static str {
        "azure_openai"
    }

    fn provider(&self) -> &'static str {
        "azure.ai.openai"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        deployment(path).filter(|_| method == "POST").map(|(_, op)| op)
    }

    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = inner(op).request(op, path, doc)?;
        // A `model` in the body means nothing here.
        request.model = deployment(path).map(|(name, _)| Field { value: name, range: None });
        Ok(request)
    }

    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        inner(op).response(op, doc)
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, op: Operation, name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        inner(op).event(op, name, doc)
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

    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        match field {
            // The deployment stands in the path.
            FieldEdit::Model(_) => None,
            field => inner(op).edit_field(op, doc, field),
        }
    }
}
