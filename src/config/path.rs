//! Where in a document a fault lies, as operators write it: `policies[2].models.allow[0]`.

use serde::de::DeserializeOwned;

use super::ConfigError;
use crate::rules::from_json;
use crate::wire::json::{Doc, Kind, NodeId};

/// Reads a document of this form. A fault is told with its path.
///
/// Strict JSON: a key that stands twice means one of the two is not in force,
/// and an operator should know which.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let fault = |path: String, what: String| ConfigError { path, what };
    let doc = Doc::parse(text.as_bytes()).map_err(|e| fault(String::new(), e.to_string()))?;
    from_json(text).map_err(|e| fault(of_error(&doc, &e), e.to_string()))
}

/// The path of the value at which `serde_json` stopped.
fn of_error(doc: &Doc<'_>, error: &serde_json::Error) -> String {
    let before: usize = doc
        .bytes()
        .split_inclusive(|b| *b == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    // The column counts the bytes read of the line: the fault is in the last.
    of_offset(doc, (before + error.column()).saturating_sub(1))
}

/// The path of the innermost value, or key, that holds the byte at `offset`.
fn of_offset(doc: &Doc<'_>, offset: usize) -> String {
    let mut path = String::new();
    let mut at = doc.root();
    while let Some((step, child)) = step_towards(doc, at, offset) {
        path.push_str(&step);
        at = child;
    }
    path.trim_start_matches('.').to_owned()
}

fn step_towards(doc: &Doc<'_>, parent: NodeId, offset: usize) -> Option<(String, NodeId)> {
    let in_array = doc.kind(parent) == Kind::Array;
    for (i, child) in doc.items(parent).enumerate() {
        let range = doc.range(child);
        let start = doc.key_range(child).map_or(range.start, |key| key.start.saturating_sub(1));
        if (start..range.end).contains(&offset) {
            let step = if in_array { format!("[{i}]") } else { format!(".{}", doc.key(child)?) };
            return Some((step, child));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn offsets_to_paths() {
        let text = "{\"a\": [\"x\",\n {\"b\": true, \"c\": {\"d\": \"deep\"}}], \"e\": \"f\"}";
        let doc = Doc::parse(text.as_bytes()).unwrap();
        for (mark, path) in [
            ("deep", "a[1].c.d"),
            ("\"d\"", "a[1].c.d"),
            ("true", "a[1].b"),
            ("x", "a[0]"),
            ("f", "e"),
            ("{", ""),
        ] {
            assert_eq!(of_offset(&doc, text.find(mark).unwrap()), path, "{mark}");
        }
    }
}
