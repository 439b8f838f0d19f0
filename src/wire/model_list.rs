//! Answers that list models: OpenAI's and Anthropic's `data`, Gemini's and
//! Ollama's `models`.

use super::json::{Doc, Kind, NodeId};
use super::walk::Walk;
use super::{Field, Response};

/// Read a list of models. The element ranges let policy take some out.
pub(super) fn response(doc: &Doc<'_>) -> Response {
    let root = doc.root();
    let mut response = Response::default();
    let mut walk = Walk::whole(doc);
    walk.tokens(root, &["object", "first_id", "last_id", "nextPageToken"]);
    let list = ["data", "models"].iter().find_map(|key| doc.get(root, key));
    // Together answers with the bare array.
    let list = list.or(Some(root)).filter(|&id| doc.kind(id) == Kind::Array);
    for model in list.iter().flat_map(|&id| doc.items(id)) {
        if let Some(name) = name(doc, model) {
            response.models_listed.push(Field { value: name, range: Some(doc.range(model)) });
        }
        walk.tokens(
            model,
            &["id", "object", "created", "created_at", "owned_by", "type", "name", "model", "digest"],
        );
    }
    walk.response(&mut response);
    response
}

/// An element without a name of its own keeps the empty one, so that no
/// allowlist lets it through.
fn name(doc: &Doc<'_>, model: NodeId) -> Option<String> {
    let name = ["id", "model", "name"].iter().find_map(|key| doc.str(doc.get(model, key)?));
    // Gemini says `models/gemini-2.5-pro` where requests say the rest.
    Some(name.map_or_else(String::new, |name| name.strip_prefix("models/").unwrap_or(&name).to_owned()))
}
