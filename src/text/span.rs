//! Where a text lies in a document, what it is, and how its bytes encode it.

use std::ops::Range;

/// What a span is to the model: decides which rules look at it, and which
/// calibration of the classifier applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SpanKind {
    /// Instructions of the operator: system, developer, `instructions`.
    System,
    /// A turn of the user.
    User,
    /// A turn of the model.
    Assistant,
    /// The model's reasoning, or a summary of it.
    Reasoning,
    /// Name, description and schema of a tool offered to the model.
    ToolDefinition,
    /// Arguments the model gave to a tool.
    ToolArguments,
    /// What a tool returned: untrusted by nature.
    ToolResult,
    /// A document or search result given for context: untrusted by nature.
    Document,
    /// Text of an MCP or A2A message that is none of the above.
    Mcp,
    /// A string no schema names: scanned like user text.
    Other,
}

impl SpanKind {
    /// The name used in rules, records and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            SpanKind::System => "system",
            SpanKind::User => "user",
            SpanKind::Assistant => "assistant",
            SpanKind::Reasoning => "reasoning",
            SpanKind::ToolDefinition => "tool.definition",
            SpanKind::ToolArguments => "tool.arguments",
            SpanKind::ToolResult => "tool.result",
            SpanKind::Document => "document",
            SpanKind::Mcp => "mcp",
            SpanKind::Other => "other",
        }
    }

    /// Text that somebody outside the conversation wrote: tool results,
    /// documents, tool descriptions. Indirect injection arrives here.
    pub const fn is_untrusted(self) -> bool {
        matches!(self, SpanKind::ToolResult | SpanKind::Document | SpanKind::ToolDefinition | SpanKind::Mcp)
    }
}

/// How the bytes of a span encode its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes are the text.
    Plain,
    /// The inside of a JSON string.
    Json,
    /// The inside of a JSON string whose text is itself a JSON document, in
    /// whole or in part (a fragment of streamed tool arguments). Findings and
    /// edits map through both escapings.
    JsonInJson,
    /// A bare JSON number: long ones can be card or account numbers. An edit
    /// replaces the number by a JSON string.
    JsonNumber,
}

/// A text in a document: raw bytes `range`, between the quotes for strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What the text is.
    pub kind: SpanKind,
    /// How the bytes encode it.
    pub encoding: Encoding,
    /// Raw bytes in the document, without quotes.
    pub range: Range<usize>,
}
