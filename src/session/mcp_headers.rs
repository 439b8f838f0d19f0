//! Headers in which MCP says again what the body says (revision 2026-07-28), so
//! that proxies can route without reading bodies.
//!
//! Who goes by the header and who goes by the body must see the same: where they
//! differ, the request is refused. What agrees was judged in the body, and is
//! masked as it is there, so that both still agree behind us.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::inspect::{Judge, Scratch, Verdict};
use super::{Command, Session};
use crate::limits::MAX_MCP_HEADERS;
use crate::text::{Encoding, Span, SpanKind};
use crate::wire::edit::apply;
use crate::wire::json::{Doc, Kind, NodeId};
use crate::wire::{Operation, Reason};

/// Text that a header cannot hold as it is, in base64, stands between these.
const WRAPPED: (&str, &str) = ("=?base64?", "?=");

/// An argument of a tool, where its schema asks for a header.
const PARAM: &str = "mcp-param-";

/// Where the envelope of a request names the revision.
const VERSION: &[&str] = &["params", "_meta", "io.modelcontextprotocol/protocolVersion"];

impl Session {
    /// Whether the headers of an MCP request agree with its body. True if refused.
    pub(super) fn check_mcp_headers(&mut self, doc: Option<&Doc<'_>>) -> bool {
        self.is_mcp()
            && disagreement(&self.facts.mcp, doc)
                .is_some_and(|what| self.deny(Reason::Malformed, "mcp.headers", what.to_owned()))
    }

    pub(super) fn is_mcp(&self) -> bool {
        self.target.is_some_and(|(dialect, op)| op == Operation::Mcp || dialect.id() == "mcp")
    }

    /// Inspect what a client can put text into. An id is the other side's too:
    /// it cannot be masked.
    pub(super) fn inspect_mcp_headers(
        &mut self,
        judge: &Judge<'_>,
        method: &str,
        scratch: &mut Scratch,
        verdict: &mut Verdict,
    ) {
        if !self.is_mcp() {
            return;
        }
        for (name, value) in std::mem::take(&mut self.facts.mcp) {
            let is_id = match name.as_str() {
                "mcp-method" | "mcp-protocol-version" => continue,
                // Judged as a name in the body.
                "mcp-name" if method == "tools/call" || method.starts_with("tasks/") => continue,
                "mcp-session-id" | "last-event-id" => true,
                _ => false,
            };
            let Some(text) = decode(&value) else { continue };
            let kind = if name.starts_with(PARAM) { SpanKind::ToolArguments } else { SpanKind::Mcp };
            let span = Span { kind, encoding: Encoding::Plain, range: 0..text.len() };
            let mut own = Verdict::default();
            if is_id {
                judge.names(text.as_bytes(), &[span], scratch, &mut self.tally, &mut own);
            } else {
                judge.span(text.as_bytes(), &span, scratch, &mut self.tally, &mut own);
            }
            verdict.exhausted |= own.exhausted;
            verdict.block = verdict.block.take().or(own.block);
            if own.edits.is_empty() {
                continue;
            }
            match apply(text.as_bytes(), &mut own.edits).map(|edited| String::from_utf8(edited.into_owned()))
            {
                Ok(Ok(edited)) if !is_id => {
                    self.out.push(Command::SetRequestHeader(Cow::Owned(name), encode(edited)));
                }
                _ => verdict.block = verdict.block.take().or(Some("request.id".to_owned())),
            }
        }
    }
}

/// What is wrong with the headers, if anything is.
fn disagreement(headers: &[(String, Vec<u8>)], doc: Option<&Doc<'_>>) -> Option<&'static str> {
    if headers.len() > MAX_MCP_HEADERS {
        return Some("there are too many headers of MCP");
    }
    // A batch has none of these: no header speaks for all of it.
    let at = |path: &[&str]| doc.and_then(|doc| doc.str(doc.at(doc.root(), path)?));
    let mut arguments = Vec::new();
    let mut before: &[(String, Vec<u8>)] = &[];
    for (count, (name, value)) in headers.iter().enumerate() {
        if before.iter().any(|(other, _)| other == name) {
            return Some("a header of MCP is repeated");
        }
        before = headers.get(..=count).unwrap_or_default();
        let Some(text) = decode(value) else { return Some("a header of MCP cannot be read") };
        let agrees = match name.as_str() {
            "mcp-method" => at(&["method"]).is_some_and(|method| method == text),
            "mcp-name" => at(&["method"])
                .and_then(|method| at(&["params", named(&method)]))
                .is_some_and(|name| name == text),
            "mcp-protocol-version" => is_version(&text) && at(VERSION).is_none_or(|told| told == text),
            _ => true,
        };
        if !agrees {
            return Some("a header of MCP and the body say different things");
        }
        if name.starts_with(PARAM) {
            arguments.push(text);
        }
    }
    if let Some(doc) = doc
        && let Some(node) = doc.at(doc.root(), &["params", "arguments"])
    {
        for id in doc.subtree(node) {
            if arguments.is_empty() {
                break;
            }
            arguments.retain(|text| !is_value(doc, id, text));
        }
    }
    (!arguments.is_empty()).then_some("a header of MCP has a value that no argument has")
}

/// The parameter that `Mcp-Name` repeats.
fn named(method: &str) -> &'static str {
    match method {
        m if m.starts_with("resources/") => "uri",
        m if m.starts_with("tasks/") => "taskId",
        _ => "name",
    }
}

/// Revisions are dates; drafts have words.
fn is_version(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// The value at `id` is written as `text`. Numbers are the same with and
/// without a fraction of zero.
fn is_value(doc: &Doc<'_>, id: NodeId, text: &str) -> bool {
    let whole = |number: &str| match number.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole.len(),
        _ => number.len(),
    };
    match doc.kind(id) {
        Kind::String => doc.str(id).is_some_and(|value| value == text),
        Kind::Number => {
            std::str::from_utf8(doc.raw(id)).is_ok_and(|raw| raw.get(..whole(raw)) == text.get(..whole(text)))
        }
        Kind::Bool => doc.bool(id).is_some_and(|value| text == if value { "true" } else { "false" }),
        _ => false,
    }
}

/// The text of a header; `None` if it is none.
fn decode(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let Some(inner) = text.strip_prefix(WRAPPED.0).and_then(|t| t.strip_suffix(WRAPPED.1)) else {
        return Some(text.to_owned());
    };
    String::from_utf8(STANDARD.decode(inner).ok()?).ok()
}

fn encode(text: String) -> String {
    let plain =
        text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.trim() == text && !text.starts_with(WRAPPED.0);
    if plain { text } else { [WRAPPED.0, &STANDARD.encode(text), WRAPPED.1].concat() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fault(headers: &[(&str, &str)], body: &str) -> Option<&'static str> {
        let headers: Vec<_> = headers.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        disagreement(&headers, Some(&Doc::parse(body.as_bytes()).unwrap()))
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gr\u00fc\u00dfe",
        "arguments":{"a":{"region":"eu","n":42,"f":1.50,"yes":true,"no":null}},
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    #[test]
    fn what_agrees_passes() {
        for headers in [
            &[("mcp-method", "tools/call"), ("mcp-protocol-version", "2026-07-28")][..],
            &[("mcp-name", "=?base64?Z3LDvMOfZQ==?=")],
            &[("mcp-name", "grüße")],
            &[("mcp-param-region", "eu"), ("mcp-param-n", "42"), ("mcp-param-yes", "true")],
            &[("mcp-param-n", "42.0"), ("mcp-param-f", "1.50")],
            &[("mcp-session-id", "whatever"), ("last-event-id", "17")],
        ] {
            assert_eq!(fault(headers, CALL), None, "{headers:?}");
        }
        let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://x"}}"#;
        assert_eq!(fault(&[("mcp-name", "notes://x"), ("mcp-protocol-version", "2025-06-18")], read), None);
        let task = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t1","name":"n"}}"#;
        assert_eq!(fault(&[("mcp-name", "t1")], task), None);
        assert!(fault(&[("mcp-name", "n")], task).is_some());
    }

    #[test]
    fn what_differs_does_not() {
        for headers in [
            &[("mcp-method", "tools/list")][..],
            &[("mcp-method", "Tools/Call")],
            &[("mcp-method", "tools/call"), ("mcp-method", "tools/call")],
            &[("mcp-name", "other")],
            &[("mcp-name", "=?base64?Z3LDvMOfZR==?=")],
            &[("mcp-name", "=?base64?!?=")],
            &[("mcp-protocol-version", "2025-06-18")],
            &[("mcp-protocol-version", "2026-07-28 and more")],
            &[("mcp-param-region", "us")],
            // Names of arguments are no values of theirs.
            &[("mcp-param-region", "region")],
            &[("mcp-param-n", "42.5")],
            &[("mcp-param-n", "4")],
            &[("mcp-param-no", "null")],
        ] {
            assert!(fault(headers, CALL).is_some(), "{headers:?}");
        }
        let batch = format!("[{CALL},{CALL}]");
        assert!(fault(&[("mcp-method", "tools/call")], &batch).is_some());
        for name in ["mcp-method", "mcp-name", "mcp-param-x"] {
            assert!(disagreement(&[(name.to_owned(), b"tools/call".to_vec())], None).is_some(), "{name}");
        }
        assert!(disagreement(&[("mcp-x".to_owned(), b"\xff".to_vec())], None).is_some());
        let many: Vec<_> = (0..=MAX_MCP_HEADERS).map(|i| (format!("mcp-{i}"), Vec::new())).collect();
        assert!(disagreement(&many, None).is_some());
    }

    #[test]
    fn texts_come_back() {
        for text in ["", "plain", " edge", "grüße", "a\nb", "=?base64?x?="] {
            assert_eq!(decode(encode(text.to_owned()).as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(encode("a b".to_owned()), "a b");
    }
}
