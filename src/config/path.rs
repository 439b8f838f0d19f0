//! Where in a document a fault lies, as operators write it: `policies[2].models.allow[0]`,
//! or `line 12, column 5` in a text that is no document.

use serde::de::DeserializeOwned;

use super::ConfigError;
use crate::rules::from_json;
use crate::wire::json::{Doc, Kind, NodeId};

/// Reads a document of this form. A fault is told with its path, one of syntax
/// with its line and column.
///
/// Strict JSON: a key that stands twice means one of the two is not in force,
/// and an operator should know which.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let fault = |path: String, what: String| ConfigError { path, what };
    let doc = Doc::parse(text.as_bytes())
        .map_err(|e| fault(String::new(), format!("{}: {}", place(text, e.offset), e.kind.what())))?;
    from_json(text).map_err(|e| fault(of_error(&doc, &e), e.to_string()))
}

/// Line and column of a byte as editors count them: from 1, and characters.
fn place(text: &str, offset: usize) -> String {
    let before = text.as_bytes().iter().take(offset);
    let (mut line, mut column) = (1, 1);
    for byte in before {
        match byte {
            b'\n' => (line, column) = (line + 1, 1),
            // Behind the first byte of a character.
            0x80..=0xbf => {}
            _ => column += 1,
        }
    }
    format!("line {line}, column {column}")
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
    fn faults_of_syntax_name_line_and_column() {
        for (text, said) in [
            ("", "line 1, column 1: the document ends early"),
            ("{\"a\": 1,}", "line 1, column 9: unexpected character"),
            ("{\n  \"ä€𝄞\": 1 2\n}", "line 2, column 12: unexpected character"),
            ("{\r\n  \"a\": 1\r\n  \"b\": 2 }", "line 3, column 3: unexpected character"),
            ("{\"a\": [\n", "line 2, column 1: the document ends early"),
            ("{\n\"a\": 1,\n \"a\": 2}", "line 3, column 3: a key occurs twice in one object"),
            ("\u{feff}{}", "line 1, column 1: a byte order mark"),
        ] {
            assert_eq!(read::<u8>(text).unwrap_err().to_string(), said, "{text}");
        }
    }

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
