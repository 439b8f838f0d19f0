//! Fields that text requests of most dialects share, and their edits.

use super::edit::Edit;
use super::json::{Doc, NodeId};
use super::read;
use super::{Field, FieldEdit, Request, WireError};

/// Members that policy depends on or that hold text for a model. A name that
/// differs from one of these in case only is refused.
const NAMES: &[&str] = &[
    "model",
    "models",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "temperature",
    "messages",
    "input",
    "prompt",
    "tools",
    "functions",
    "instructions",
    "system",
];

/// Read what text requests have in common. `caps` names the fields that cap
/// the output: of several the largest counts, and all are edited.
pub(super) fn request(doc: &Doc<'_>, root: NodeId, caps: &[&str]) -> Result<Request, WireError> {
    read::exact_names(doc, root, NAMES)?;
    read::exact_names(doc, root, caps)?;
    let mut request = Request {
        model: read::string(doc, root, "model", "model: not a string")?,
        stream: read::boolean(doc, root, "stream", "stream: not a boolean")?,
        temperature: read::number(doc, root, "temperature", "temperature: not a number")?,
        choices: choices(doc, root)?,
        ..Request::default()
    };
    if let Some(models) = read::array(doc, root, "models", "models: not an array")? {
        for id in doc.items(models) {
            request
                .models_also
                .push(read::string_field(doc, id).ok_or(WireError { what: "models: not strings" })?);
        }
    }
    for cap in caps {
        let found = read::count(doc, root, cap, "output token limit: not a whole number")?;
        let value = |f: &Option<Field<u64>>| f.as_ref().map(|f| f.value);
        if value(&found) > value(&request.max_output_tokens) {
            request.max_output_tokens = found;
        }
    }
    if let Some(options) = read::some(doc, root, "stream_options") {
        read::exact_names(doc, options, &["include_usage"])?;
        request.stream_usage = read::boolean(doc, options, "include_usage", "include_usage: not a boolean")?;
    }
    Ok(request)
}

/// Answers paid for: `best_of` of them are written where `n` are shown.
fn choices(doc: &Doc<'_>, root: NodeId) -> Result<u32, WireError> {
    let n = read::count(doc, root, "n", "n: not a whole number")?.map_or(1, |f| f.value);
    let best_of = read::count(doc, root, "best_of", "best_of: not a whole number")?.map_or(1, |f| f.value);
    Ok(u32::try_from(n.max(best_of).max(1)).unwrap_or(u32::MAX))
}

/// Edits of the fields that [`request`] reads. `caps` as in [`request`]; the
/// first is set where none is.
pub(super) fn edit(doc: &Doc<'_>, caps: &[&str], field: FieldEdit<'_>) -> Option<Vec<Edit>> {
    let root = doc.root();
    match field {
        FieldEdit::Model(name) => Some(vec![read::set(doc, root, "model", &read::quoted(name))?]),
        FieldEdit::MaxOutputTokens(cap) => {
            let there: Vec<_> = caps.iter().filter(|key| read::some(doc, root, key).is_some()).collect();
            let keys = if there.is_empty() { caps.iter().take(1).collect() } else { there };
            let cap = cap.to_string();
            keys.into_iter().map(|key| read::set(doc, root, key, cap.as_bytes())).collect()
        }
        FieldEdit::StreamUsage => {
            let edit = match read::some(doc, root, "stream_options") {
                Some(options) => read::set(doc, options, "include_usage", b"true")?,
                None => read::set(doc, root, "stream_options", br#"{"include_usage":true}"#)?,
            };
            Some(vec![edit])
        }
    }
}
