//! OpenAI completions, and Mistral's fill-in-the-middle, which answers like
//! chat.

use super::fields;
use super::json::{Doc, Kind};
use super::openai::{self, OpenAiLike};
use super::path::Path;
use super::walk::Walk;
use super::{Operation, Request, WireError};
use super::{openai_chat, read};
use crate::text::SpanKind;

const CAPS: &[&str] = &["max_tokens"];

/// See the module.
pub(super) static OPENAI_COMPLETIONS: OpenAiLike = OpenAiLike {
    id: "openai_completions",
    operation,
    request,
    response: openai_chat::response,
    event: openai_chat::event,
    caps: CAPS,
};

fn operation(method: &str, path: &Path<'_>) -> Option<Operation> {
    let ours = path.is_api(&["completions"]) || path.is_api(&["fim", "completions"]);
    (method == "POST" && ours).then_some(Operation::TextCompletion)
}

pub(super) fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, CAPS)?;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    if let Some(prompt) = read::some(doc, root, "prompt") {
        if !matches!(doc.kind(prompt), Kind::String | Kind::Array) {
            return Err(WireError { what: "prompt: neither a string nor an array" });
        }
        walk.claims.token_ids(prompt);
        walk.claims.tree(prompt, SpanKind::User);
        request.messages = 1;
    }
    if let Some(suffix) = doc.get(root, "suffix") {
        walk.claims.text(suffix, SpanKind::User);
    }
    walk.request(&mut request);
    Ok(request)
}
