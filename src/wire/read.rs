//! Typed reads of members, and edits that set one.
//!
//! A member of the wrong type is an error where policy depends on it: a lenient
//! upstream may take `"stream": "true"` for `true`.

use super::edit::Edit;
use super::json::{Doc, Kind, NodeId};
use super::{Field, WireError};

/// The root, which must be an object.
pub(super) fn root(doc: &Doc<'_>) -> Result<NodeId, WireError> {
    let root = doc.root();
    if doc.kind(root) == Kind::Object { Ok(root) } else { Err(WireError { what: "body: not an object" }) }
}

/// A member that is there and not null.
pub(super) fn some(doc: &Doc<'_>, object: NodeId, key: &str) -> Option<NodeId> {
    doc.get(object, key).filter(|&id| doc.kind(id) != Kind::Null)
}

/// An array member; `None` if absent or null. `what` names member and fault.
pub(super) fn array(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
) -> Result<Option<NodeId>, WireError> {
    typed(doc, object, key, what, |id| (doc.kind(id) == Kind::Array).then_some(id))
}

/// A boolean member, false if absent or null.
pub(super) fn boolean(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
) -> Result<bool, WireError> {
    Ok(typed(doc, object, key, what, |id| doc.bool(id))?.unwrap_or_default())
}

/// A whole number that is not negative.
pub(super) fn count(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
) -> Result<Option<Field<u64>>, WireError> {
    typed(doc, object, key, what, |id| Some(Field { value: doc.u64(id)?, range: Some(doc.range(id)) }))
}

/// A number.
pub(super) fn number(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
) -> Result<Option<Field<f64>>, WireError> {
    typed(doc, object, key, what, |id| Some(Field { value: doc.f64(id)?, range: Some(doc.range(id)) }))
}

/// A string.
pub(super) fn string(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
) -> Result<Option<Field<String>>, WireError> {
    typed(doc, object, key, what, |id| string_field(doc, id))
}

/// The string at `id`, with its place.
pub(super) fn string_field(doc: &Doc<'_>, id: NodeId) -> Option<Field<String>> {
    Some(Field { value: doc.str(id)?.into_owned(), range: Some(doc.range(id)) })
}

fn typed<T>(
    doc: &Doc<'_>,
    object: NodeId,
    key: &str,
    what: &'static str,
    read: impl Fn(NodeId) -> Option<T>,
) -> Result<Option<T>, WireError> {
    match some(doc, object, key) {
        None => Ok(None),
        Some(id) => read(id).map(Some).ok_or(WireError { what }),
    }
}

/// Refuse a member whose name is one of `names` but for case. Servers written
/// in Go take `"Model"` for `"model"`, and the last of both wins.
pub(super) fn exact_names(doc: &Doc<'_>, object: NodeId, names: &[&str]) -> Result<(), WireError> {
    for (key, _) in doc.members(object) {
        if names.iter().any(|name| *name != key && folds_to(&key, name)) {
            return Err(WireError { what: "body: member name differs from a known one in case only" });
        }
    }
    Ok(())
}

/// Unicode simple folding, as far as it reaches ASCII: `ſ` is s, `K` (Kelvin)
/// is k.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.len() <= 2 * name.len() + 2 && key.chars().map(fold).eq(name.chars().map(fold))
}

/// The string value of a member, if it is one.
pub(super) fn word<'b>(doc: &Doc<'b>, object: NodeId, key: &str) -> std::borrow::Cow<'b, str> {
    doc.get(object, key).and_then(|id| doc.str(id)).unwrap_or_default()
}

/// The string value of a member, if it is one and not empty.
pub(super) fn name(doc: &Doc<'_>, object: NodeId, key: &str) -> Option<String> {
    Some(word(doc, object, key).into_owned()).filter(|word| !word.is_empty())
}

/// A whole number as a channel index. Absurd ones share the last channel.
pub(super) fn index(doc: &Doc<'_>, object: NodeId, key: &str) -> Option<u32> {
    let value = doc.u64(doc.get(object, key)?)?;
    Some(u32::try_from(value).unwrap_or(u32::MAX))
}

/// `text` as a JSON string, quotes included.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_else(|_| b"\"\"".to_vec())
}

/// Set a member of an object: replace its value, or insert it in front.
pub(super) fn set(doc: &Doc<'_>, object: NodeId, key: &str, value: &[u8]) -> Option<Edit> {
    if doc.kind(object) != Kind::Object {
        return None;
    }
    if let Some(old) = doc.get(object, key) {
        return Some(Edit { range: doc.range(old), with: value.to_vec() });
    }
    let at = doc.range(object).start.checked_add(1)?;
    let mut with = quoted(key);
    with.push(b':');
    with.extend_from_slice(value);
    if doc.members(object).next().is_some() {
        with.push(b',');
    }
    Some(Edit { range: at..at, with })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_only_are_found() {
        for key in ["Model", "MODEL", "mOdel"] {
            assert!(folds_to(key, "model"), "{key}");
        }
        assert!(folds_to("\u{17f}tream", "stream") && folds_to("to\u{212a}en", "token"));
        assert!(!folds_to("models", "model") && !folds_to("mod\u{e9}l", "model"));
    }
}
