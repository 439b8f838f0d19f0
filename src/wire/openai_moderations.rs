//! OpenAI moderations: text and images to be judged.

use super::json::Doc;
use super::openai::{self, OpenAiLike};
use super::path::Path;
use super::walk::Walk;
use super::{Channel, Operation, Request, Response, StreamEvent, WireError};
use super::{fields, openai_message, read};
use crate::text::SpanKind;

/// See the module.
pub(super) static OPENAI_MODERATIONS: OpenAiLike = OpenAiLike {
    id: "openai_moderations",
    operation: |method: &str, path: &Path<'_>| {
        (method == "POST" && path.is_api(&["moderations"])).then_some(Operation::Moderation)
    },
    request,
    response,
    event: |_| StreamEvent::default(),
    caps: &[],
};

fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, &[])?;
    let input = read::some(doc, root, "input").ok_or(WireError { what: "input: missing" })?;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    openai_message::content(&mut walk, input, SpanKind::User, Channel { field: 0, index: 0, sub: 0 });
    request.messages = 1;
    walk.request(&mut request);
    Ok(request)
}

fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    if let Some(results) = doc.get(root, "results") {
        walk.claims.numbers(results);
    }
    let mut response = Response { model: read::name(doc, root, "model"), ..Response::default() };
    walk.response(&mut response);
    response
}
