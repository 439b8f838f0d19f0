//! OpenAI embeddings, also spoken by Mistral, Voyage, vLLM and others.

use super::json::{Doc, Kind};
use super::openai::{self, OpenAiLike};
use super::path::Path;
use super::walk::Walk;
use super::{Operation, Request, Response, StreamEvent, WireError};
use super::{fields, read};
use crate::text::SpanKind;

/// See the module.
pub(super) static OPENAI_EMBEDDINGS: OpenAiLike = OpenAiLike {
    id: "openai_embeddings",
    operation: |method: &str, path: &Path<'_>| {
        (method == "POST" && path.is_api(&["embeddings"])).then_some(Operation::Embeddings)
    },
    request,
    response,
    event: |_| StreamEvent::default(),
    caps: &[],
};

pub(super) fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, &[])?;
    let input = read::some(doc, root, "input").ok_or(WireError { what: "input: missing" })?;
    if !matches!(doc.kind(input), Kind::String | Kind::Array) {
        return Err(WireError { what: "input: neither a string nor an array" });
    }
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, &["input_type", "output_dtype", "truncate"]);
    walk.claims.token_ids(input);
    walk.claims.tree(input, SpanKind::User);
    request.messages = 1;
    walk.request(&mut request);
    Ok(request)
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    let mut response = Response { model: read::name(doc, root, "model"), ..Response::default() };
    response.usage = openai::usage(&mut walk, root, "usage");
    // Voyage counts the total only.
    if let Some(usage) = response.usage.as_mut().filter(|usage| usage.input.is_none()) {
        usage.input = doc.at(root, &["usage", "total_tokens"]).and_then(|id| doc.u64(id));
    }
    for item in doc.get(root, "data").iter().flat_map(|&id| doc.items(id)) {
        walk.tokens(item, &["object"]);
        if let Some(vector) = doc.get(item, "embedding") {
            walk.vectors(vector);
        }
    }
    walk.response(&mut response);
    response
}
