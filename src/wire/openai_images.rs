//! OpenAI images from a prompt. Edits are multipart forms and not read here.

use super::json::{Doc, NodeId};
use super::openai::{self, OpenAiLike};
use super::path::Path;
use super::walk::Walk;
use super::{Operation, Request, Response, StreamEvent, WireError};
use super::{fields, read};
use crate::text::SpanKind;

/// Enumerated values.
const TOKENS: &[&str] =
    &["size", "quality", "style", "response_format", "background", "output_format", "moderation", "type"];

/// See the module.
pub(super) static OPENAI_IMAGES: OpenAiLike = OpenAiLike {
    id: "openai_images",
    operation: |method: &str, path: &Path<'_>| {
        (method == "POST" && path.is_api(&["images", "generations"])).then_some(Operation::Image)
    },
    request,
    response,
    event,
    caps: &[],
};

pub(super) fn request(doc: &Doc<'_>) -> Result<Request, WireError> {
    let root = read::root(doc)?;
    let mut request = fields::request(doc, root, &[])?;
    // Usage comes in the last event, asked for or not.
    request.stream_usage = true;
    let mut walk = Walk::whole(doc);
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, TOKENS);
    if let Some(prompt) = doc.get(root, "prompt") {
        walk.claims.text(prompt, SpanKind::User);
    }
    request.messages = 1;
    walk.request(&mut request);
    Ok(request)
}

pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut walk = Walk::whole(doc);
    let mut response = Response { usage: openai::usage(&mut walk, root, "usage"), ..Response::default() };
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, TOKENS);
    for image in doc.get(root, "data").iter().flat_map(|&id| doc.items(id)) {
        self::image(&mut walk, image);
    }
    walk.response(&mut response);
    response
}

fn image(walk: &mut Walk<'_, '_>, image: NodeId) {
    let doc = walk.doc;
    for key in ["b64_json", "url"] {
        if let Some(data) = doc.get(image, key) {
            walk.media(data, SpanKind::Assistant);
        }
    }
    walk.claims.tree(image, SpanKind::Assistant);
}

fn event(doc: &Doc<'_>) -> StreamEvent {
    let root = doc.root();
    let mut walk = Walk::event(doc);
    let mut event = StreamEvent { usage: openai::usage(&mut walk, root, "usage"), ..StreamEvent::default() };
    walk.tokens(root, openai::TOP_TOKENS);
    walk.tokens(root, TOKENS);
    image(&mut walk, root);
    event.done = read::word(doc, root, "type").ends_with(".completed");
    walk.stream_event(&mut event);
    event
}
