//! Shared by the suites over wire formats: a walk that knows no dialect, and a
//! rendering of what a dialect said.
// Each suite uses a part.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use portcullis::text::{Encoding, Span};
use portcullis::wire::{Request, Response, StreamEvent, ToolCall, Usage};

/// Strings of at least two words in `body` that are neither a span nor inside
/// an echo. Found by another parser, and by text rather than by place.
pub(crate) fn forgotten(body: &[u8], spans: &[Span], echoes: &[Range<usize>]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for span in spans {
        *seen.entry(decoded(body, span)).or_default() += 1;
    }
    for echo in echoes {
        let value = serde_json::from_slice(&body[echo.clone()]).expect("an echo is a whole value");
        strings(&value, &mut |text| *seen.entry(text.to_owned()).or_default() += 1);
    }
    let mut missing = Vec::new();
    let value = serde_json::from_slice(body).expect("parsed before");
    strings(&value, &mut |text| {
        if text.split_whitespace().count() < 2 {
            return;
        }
        match seen.get_mut(text) {
            Some(count) if *count > 0 => *count -= 1,
            _ => missing.push(text.to_owned()),
        }
    });
    missing
}

fn strings(value: &serde_json::Value, found: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => found(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        serde_json::Value::Object(members) => members.iter().for_each(|(key, item)| {
            found(key);
            strings(item, found);
        }),
        _ => {}
    }
}

/// The text of a span, one escaping undone.
pub(crate) fn decoded(body: &[u8], span: &Span) -> String {
    let raw = &body[span.range.clone()];
    match span.encoding {
        Encoding::Json | Encoding::JsonInJson => {
            serde_json::from_slice(&[b"\"", raw, b"\""].concat()).expect("a span is the inside of a string")
        }
        Encoding::Plain | Encoding::JsonNumber => String::from_utf8(raw.to_vec()).expect("UTF-8"),
    }
}

pub(crate) fn show_request(body: &[u8], request: &Request) -> String {
    let mut out = String::new();
    let Request { model, models_also, stream, stream_usage, max_output_tokens, choices, temperature, .. } =
        request;
    if let Some(model) = model {
        let at =
            model.range.clone().map_or("path".into(), |r| String::from_utf8_lossy(&body[r]).into_owned());
        let _ = writeln!(out, "model {} at {at}", model.value);
    }
    for model in models_also {
        let _ = writeln!(out, "model also {}", model.value);
    }
    let _ = writeln!(out, "stream {stream} usage {stream_usage} choices {choices}");
    if let Some(max) = max_output_tokens {
        let _ = writeln!(out, "max_output_tokens {}", max.value);
    }
    if let Some(t) = temperature {
        let _ = writeln!(out, "temperature {}", t.value);
    }
    let _ = writeln!(out, "messages {} media {}", request.messages, request.media);
    for tool in &request.tools_offered {
        let _ = writeln!(out, "tool {tool}");
    }
    for method in &request.methods {
        let _ = writeln!(out, "method {method}");
    }
    if !request.rpc_ids.is_empty() {
        let _ = writeln!(out, "ids {}", request.rpc_ids.join(" "));
    }
    calls(&mut out, body, &request.tool_calls);
    spans(&mut out, body, &request.spans);
    let _ = writeln!(out, "{:?}", request.skipped);
    out
}

pub(crate) fn show_response(body: &[u8], response: &Response) -> String {
    let mut out = String::new();
    head(&mut out, response.model.as_deref(), response.usage, response.finish.as_deref());
    for model in &response.models_listed {
        let _ =
            writeln!(out, "model {} in {}", model.value, text(body, model.range.clone().expect("a range")));
    }
    for tool in &response.tools_listed {
        let _ = writeln!(out, "tool {} in {}", tool.value, text(body, tool.range.clone().expect("a range")));
    }
    calls(&mut out, body, &response.tool_calls);
    spans(&mut out, body, &response.spans);
    for echo in &response.echoes {
        let _ = writeln!(out, "echo {}", text(body, echo.clone()));
    }
    let _ = writeln!(out, "{:?}", response.skipped);
    out
}

pub(crate) fn show_event(body: &[u8], event: &StreamEvent) -> String {
    let mut out = String::new();
    head(&mut out, event.model.as_deref(), event.usage, event.finish.as_deref());
    for piece in &event.pieces {
        let channel = piece.channel;
        let _ = write!(out, "[{} {} {}] ", channel.field, channel.index, channel.sub);
        spans(&mut out, body, std::slice::from_ref(&piece.span));
    }
    for (channel, call) in &event.tool_calls {
        let _ = write!(out, "[{} {} {}] ", channel.field, channel.index, channel.sub);
        calls(&mut out, body, std::slice::from_ref(call));
    }
    spans(&mut out, body, &event.spans);
    for echo in &event.echoes {
        let _ = writeln!(out, "echo {}", text(body, echo.clone()));
    }
    for channel in &event.closes {
        let _ = writeln!(out, "closes [{} {} {}]", channel.field, channel.index, channel.sub);
    }
    for tool in &event.tools_listed {
        let _ = writeln!(out, "tool {} in {}", tool.value, text(body, tool.range.clone().expect("a range")));
    }
    for index in &event.closes_index {
        let _ = writeln!(out, "closes index {index}");
    }
    if event.usage_only {
        let _ = writeln!(out, "usage only");
    }
    if event.done {
        let _ = writeln!(out, "done");
    }
    out
}

fn head(out: &mut String, model: Option<&str>, usage: Option<Usage>, finish: Option<&str>) {
    if let Some(model) = model {
        let _ = writeln!(out, "model {model}");
    }
    if let Some(Usage { input, output, cached, reasoning }) = usage {
        let n = |v: Option<u64>| v.map_or("-".to_owned(), |v| v.to_string());
        let _ = writeln!(
            out,
            "usage input {} output {} cached {} reasoning {}",
            n(input),
            n(output),
            n(cached),
            n(reasoning)
        );
    }
    if let Some(finish) = finish {
        let _ = writeln!(out, "finish {finish}");
    }
}

fn calls(out: &mut String, body: &[u8], calls: &[ToolCall]) {
    for call in calls {
        let arguments = call.arguments.clone().map_or("-".to_owned(), |range| text(body, range));
        let _ = writeln!(out, "call {} {arguments}", call.name);
    }
}

fn spans(out: &mut String, body: &[u8], spans: &[Span]) {
    for span in spans {
        let encoding = match span.encoding {
            Encoding::Plain => "plain",
            Encoding::Json => "json",
            Encoding::JsonInJson => "json-in-json",
            Encoding::JsonNumber => "number",
        };
        let _ = writeln!(out, "{} {encoding} {}", span.kind.as_str(), text(body, span.range.clone()));
    }
}

fn text(body: &[u8], range: Range<usize>) -> String {
    String::from_utf8(body[range].to_vec()).expect("UTF-8").replace('\n', "⏎")
}
