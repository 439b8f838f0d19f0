//! Rows of a set.

use portcullis::text::SpanKind;
use serde::Deserialize;

/// One labelled text.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) label: String,
    pub(super) category: String,
    pub(super) expected: Vec<Expected>,
    /// What an encoded attack says.
    pub(super) plain: Option<String>,
}

/// Sets of documents and of what tools return; `scripts/train_data.py` has the
/// same.
const DOCUMENTS: &[&str] = &[
    "agent_instruction_files",
    "benign_code",
    "benign_documents",
    "bipia",
    "secret_hard_benign",
    "tau_users_json",
];

impl Row {
    /// The kind of span a text of this category arrives as.
    pub(super) fn kind(&self, set: &str) -> SpanKind {
        if self.category.contains("tool_schema") || self.category.starts_with("mcp") {
            SpanKind::ToolDefinition
        } else if self.category.starts_with("indirect") || DOCUMENTS.contains(&set) {
            SpanKind::Document
        } else {
            SpanKind::User
        }
    }
}

/// A span that should be found, in bytes.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) entity: String,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Only the number of findings is known: any place will do.
    pub(super) anywhere: bool,
}

#[derive(Deserialize)]
struct WrittenRow {
    text: Option<String>,
    label: Option<String>,
    #[serde(default)]
    category: String,
    #[serde(default)]
    expected: serde_json::Value,
    plain: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSpan {
    #[serde(rename = "type")]
    entity: String,
    start: Option<usize>,
    end: Option<usize>,
    count: Option<usize>,
}

/// A row of the line; none if it has no label (sets of other purposes).
pub(super) fn parse(line: &str) -> Result<Option<Row>, serde_json::Error> {
    let written: WrittenRow = serde_json::from_str(line)?;
    let (Some(text), Some(label)) = (written.text, written.label) else { return Ok(None) };
    let spans: Vec<WrittenSpan> = match written.expected {
        serde_json::Value::Array(_) => serde_json::from_value(written.expected)?,
        _ => Vec::new(),
    };
    let places = Places::of(&text);
    let expected = spans
        .into_iter()
        .filter_map(|span| {
            let (start, end) = match (span.start, span.end, span.count) {
                (Some(start), Some(end), _) => (places.byte(start)?, places.byte(end)?),
                (None, None, Some(1)) => (0, text.len()),
                _ => return None,
            };
            let anywhere = span.start.is_none();
            // A span with white space around the value means the value.
            let value = text.get(start..end)?;
            let start = start + value.len() - value.trim_start().len();
            Some(Expected { entity: span.entity, start, end: start + value.trim().len(), anywhere })
        })
        .collect();
    Ok(Some(Row { text, label, category: written.category, expected, plain: written.plain }))
}

/// Byte offsets of code points.
struct Places(Vec<usize>);

impl Places {
    fn of(text: &str) -> Places {
        Places(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
    }

    fn byte(&self, code_point: usize) -> Option<usize> {
        self.0.get(code_point).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn spans_are_bytes() {
        let row =
            parse(r#"{"id":"a","text":"é 12","label":"pii","expected":[{"type":"X","start":2,"end":4}]}"#);
        let row = row.unwrap().unwrap();
        assert_eq!((row.expected[0].start, row.expected[0].end), (3, 5));
        assert!(parse(r#"{"name":"x","expected":"accept"}"#).unwrap().is_none());
        assert!(parse("{").is_err());
    }
}
