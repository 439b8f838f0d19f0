//! Names, ids and keys: values that hide where no text is expected, and the
//! record that must not repeat them.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::expect_used
)]

#[path = "common/drive.rs"]
mod drive;

use std::rc::Rc;

use drive::*;
use portcullis::config::Config;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const PLAIN_CARD: &str = "4111111111111111";
/// By shape, made up: all letters.
const TOKEN: &str = "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";

/// What goes upstream of a request, and the record.
fn sent(config: &Rc<Config>, path: &str, body: &Value) -> (Option<Value>, Value) {
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, config);
    let passed = exchange.ask(path, body.to_string().as_bytes());
    let sent = exchange.request.clone().filter(|_| passed).map(|b| serde_json::from_slice(&b).unwrap());
    (sent, exchange.finish())
}

fn history(call_id: &str, result_id: &str, arguments: &Value) -> Value {
    json!({ "model": "m", "messages": [
        { "role": "assistant", "content": null, "tool_calls": [
            { "id": call_id, "type": "function", "function": { "name": "f", "arguments": arguments.to_string() } },
            { "id": "call_2", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": result_id, "content": "ok" },
    ] })
}

#[test]
fn a_value_as_a_key_is_masked_and_keys_stay_different() {
    let config = config(masking());
    for value in [EMAIL, PLAIN_CARD, TOKEN] {
        // As an object, and as JSON in a string.
        let tool = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "assistant", "content": [
            { "type": "tool_use", "id": "t", "name": "f", "input": { "list": { value: 1 } } }] }] });
        let chat = history("a", "a", &json!({ "list": { value: 1 } }));
        for (path, body) in [("/v1/messages", &tool), (CHAT, &chat)] {
            let (sent, record) = sent(&config, path, body);
            let sent = sent.unwrap().to_string();
            assert!(!sent.contains(value), "{path}: {sent}");
            assert_eq!(record["decision"], "redact", "{path} {value}");
            assert!(!record.to_string().contains(value));
        }
    }
    let both = json!({ "a@x.example": 1, "b@x.example": { "a@x.example": ["c@x.example", "d@x.example"] } });
    let masked = json!({ "[EMAIL]": 1, "[EMAIL:2]": { "[EMAIL]": ["[EMAIL]", "[EMAIL]"] } });
    let tool = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "assistant", "content": [
        { "type": "tool_use", "id": "t", "name": "f", "input": both }] }] });
    let (got, _) = sent(&config, "/v1/messages", &tool);
    assert_eq!(got.unwrap()["messages"][0]["content"][0]["input"], masked);
    let (got, _) = sent(&config, CHAT, &history("a", "a", &both));
    let got = got.unwrap()["messages"][0]["tool_calls"][0]["function"]["arguments"].clone();
    assert_eq!(serde_json::from_str::<Value>(got.as_str().unwrap()).unwrap(), masked);
}

#[test]
fn streamed_arguments_with_values_as_keys_keep_their_keys_apart() {
    let config = config(masking());
    let arguments = r#"{"a@x.example": [1, "c@x.example"], "\u0062@x.example":{"a@x.example":""}}"#;
    let mut seen = Vec::new();
    for size in [1, 5, 1000] {
        let letters: Vec<char> = arguments.chars().collect();
        let mut body = Vec::new();
        for piece in letters.chunks(size) {
            let piece: String = piece.iter().collect();
            let call = json!([{ "index": 0, "id": "t", "function": { "name": "f", "arguments": piece } }]);
            let event = json!({ "choices": [{ "index": 0, "delta": { "tool_calls": call } }] });
            body.extend_from_slice(format!("data: {event}\n\n").as_bytes());
        }
        body.extend_from_slice(b"data: [DONE]\n\n");
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask(CHAT, &chat("hi", json!({ "stream": true }))));
        exchange.answer("200", "text/event-stream", &[&body]);
        let text = String::from_utf8(exchange.response).unwrap();
        let events =
            text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).filter(|d| d.starts_with('{'));
        let joined: String = events
            .map(|d| serde_json::from_str::<Value>(d).unwrap())
            .map(|e| {
                e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        seen.push(joined);
    }
    assert_eq!(seen[0], r#"{"[EMAIL]": [1, "[EMAIL]"], "[EMAIL:2]":{"[EMAIL]":""}}"#);
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:?}");
}

#[test]
fn a_key_that_is_the_mask_of_another_is_refused() {
    let config = config(masking());
    let input = json!({ "a@x.example": 1, "[EMAIL]": 2 });
    let body = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "assistant", "content": [
        { "type": "tool_use", "id": "t", "name": "f", "input": input }] }] });
    let (got, record) = sent(&config, "/v1/messages", &body);
    assert!(got.is_none());
    assert_eq!(record["deny_reason"], "request.keys");
    // An answer too.
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(
        exchange.ask(
            "/v1/messages",
            json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] })
                .to_string()
                .as_bytes()
        )
    );
    let answer = json!({ "type": "message", "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "f", "input": input }] });
    exchange.answer("200", "application/json", &[answer.to_string().as_bytes()]);
    assert_eq!(exchange.finish()["deny_reason"], "response.keys");
}

#[test]
fn ids_with_values_are_masked_and_still_pair() {
    let config = config(masking());
    for value in [PLAIN_CARD, TOKEN] {
        for id in [value.to_owned(), format!("order:{value}")] {
            let (sent, record) = sent(&config, CHAT, &history(&id, &id, &json!({})));
            let sent = sent.unwrap();
            assert!(!sent.to_string().contains(value), "{sent}");
            let (call, result) =
                (&sent["messages"][0]["tool_calls"][0]["id"], &sent["messages"][1]["tool_call_id"]);
            assert_eq!(call, result);
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
            assert!(call.as_str().unwrap().chars().all(plain), "{call}");
            assert_eq!(record["findings"][0]["count"], 2);
        }
    }
    // Two values stay two.
    let other = "5555555555554444";
    let (sent, _) = sent(&config, CHAT, &history(PLAIN_CARD, other, &json!({})));
    let sent = sent.unwrap();
    assert_ne!(sent["messages"][0]["tool_calls"][0]["id"], sent["messages"][1]["tool_call_id"]);
    assert!(!sent.to_string().contains(other) && !sent.to_string().contains(PLAIN_CARD));
}

#[test]
fn numbers_as_ids_are_read_and_times_are_not() {
    let config = config(masking());
    let body = |id: Value| json!({ "model": "m", "messages": [{ "role": "tool", "tool_call_id": id, "content": "ok" }] });
    // One that a checksum fits by chance, and a word that is no context, are left alone.
    for (id, passes) in [
        (json!(4111111111111111u64), false),
        (json!(1763700000), true),
        (json!(5825102000u64), true),
        (json!("call_55117580"), true),
        (json!(17), true),
    ] {
        let (sent, record) = sent(&config, CHAT, &body(id.clone()));
        assert_eq!(sent.unwrap()["messages"][0]["tool_call_id"] == id, passes, "{id}");
        assert_eq!(record["decision"] == "allow", passes, "{id}");
    }
    // Of an answer's text a client sees ids as well.
    let answer = json!({ "id": PLAIN_CARD, "created": 1763700000, "model": "m", "choices": [
        { "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "hi" } }] });
    for stream in [false, true] {
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask(CHAT, &chat("hi", json!({ "stream": stream }))));
        let event = format!("data: {answer}\n\ndata: [DONE]\n\n");
        match stream {
            true => exchange.answer("200", "text/event-stream", &[event.as_bytes()]),
            false => exchange.answer("200", "application/json", &[answer.to_string().as_bytes()]),
        }
        let got = String::from_utf8(exchange.response.clone()).unwrap();
        assert!(!got.contains(PLAIN_CARD) && got.contains("1763700000"), "{got}");
    }
}

#[test]
fn where_both_sides_keep_the_id_the_message_is_refused() {
    let config = config(masking());
    let call = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "x", "arguments": {} } });
    for (id, code) in [
        (json!(4111111111111111u64), Some("request.id")),
        (json!(PLAIN_CARD), Some("request.id")),
        (json!("7c9e6679-7425-40de-944b-e07fc1f90ae7"), None),
        (json!(12345678), None),
        (json!(1763700000123u64), None),
    ] {
        let (sent, record) = sent(&config, "/mcp", &call(id.clone()));
        assert_eq!(record["deny_reason"].as_str(), code, "{id}");
        assert_eq!(sent.is_none(), code.is_some(), "{id}");
    }
}

#[test]
fn what_a_function_returned_is_data_whatever_its_fields_are_called() {
    let config = config(masking());
    let result = json!({ "id": PLAIN_CARD, "code": 4111111111111111u64, "type": "customer", "data": "amFuZS5kb2VAZXhhbXBsZS5jb20=" });
    for result in [result.clone(), json!([result])] {
        let body = json!({ "model": "m", "input": [{ "type": "function_result", "call_id": "c", "name": "f", "result": result }] });
        let (sent, record) = sent(&config, "/v1beta/interactions", &body);
        let sent = sent.unwrap().to_string();
        assert!(!sent.contains(PLAIN_CARD) && !sent.contains("amFuZS"), "{sent}");
        assert_eq!(record["coverage"], "full");
    }
}

#[test]
fn no_name_in_the_record_holds_a_value() {
    let config = config(json!({ "name": "p" }));
    let slack = ["xoxb-937261840175", "kQ7vZp2XwLs9TfRb4NdGhJ6m"].join("-");
    for value in [EMAIL, PLAIN_CARD, TOKEN, &slack, "ann\u{ff20}mail.example.com"] {
        let function = json!({ "type": "function", "function": { "name": value, "parameters": {} } });
        let call = json!([{ "index": 0, "id": "c", "type": "function", "function": { "name": value, "arguments": "{}" } }]);
        let question = json!({ "model": value, "tools": [function], "messages": [
            { "role": "user", "content": "hi" }, { "role": "assistant", "tool_calls": call }] });
        let whole = json!({ "model": value, "choices": [
            { "index": 0, "finish_reason": value, "message": { "role": "assistant", "content": "", "tool_calls": call } }] });
        let event = json!({ "model": value, "choices": [
            { "index": 0, "finish_reason": value, "delta": { "tool_calls": call } }] });
        let stream = format!("data: {event}\n\ndata: [DONE]\n\n").into_bytes();
        for (kind, answer) in
            [("application/json", whole.to_string().into_bytes()), ("text/event-stream", stream)]
        {
            let mut worker = Worker::default();
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask(CHAT, question.to_string().as_bytes()));
            exchange.answer("200", kind, &[&answer]);
            let record = exchange.finish();
            assert!(!record.to_string().contains(value), "{record}");
            let label = record["model_requested"].as_str().unwrap();
            assert!(label.starts_with('[') && label.ends_with(']'), "{label}");
            assert_eq!(record["tools_called"].as_array().unwrap().len(), 2);
        }
        let rpc = json!({ "jsonrpc": "2.0", "id": 1, "method": value, "params": { "name": value } });
        let rpc = rpc.to_string();
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("/mcp", rpc.as_bytes()));
        let listed = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [{ "name": value, "inputSchema": {} }] } });
        exchange.answer("200", "application/json", &[listed.to_string().as_bytes()]);
        let record = exchange.finish();
        assert!(!record.to_string().contains(value), "{record}");
        assert_eq!(record["mcp"]["tools_listed"].as_array().unwrap().len(), 1);
    }
    // What holds none stays, and is no longer than a name.
    let long = "n".repeat(1000);
    let body = json!({ "model": "gpt-4o-2024-08-06", "messages": [], "tools": [
        { "type": "function", "function": { "name": "get_weather" } },
        { "type": "function", "function": { "name": long } }] });
    let (_, record) = sent(&config, CHAT, &body);
    assert_eq!(record["model_requested"], "gpt-4o-2024-08-06");
    assert_eq!(record["tools_offered"], json!(["get_weather", &long[..128]]));
}

#[test]
fn a_request_id_with_a_value_is_not_recorded() {
    use portcullis::session::{Event, Session};
    let config = config(json!({ "name": "p" }));
    for (id, kept) in [(EMAIL, false), ("7c9e6679-7425-40de-944b-e07fc1f90ae7", true), (PLAIN_CARD, false)] {
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        exchange.session = Session::new(config.clone());
        let headers: Vec<_> = [(":method", "GET"), (":path", "/v1/models"), ("x-request-id", id)]
            .iter()
            .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
        exchange.step(Event::RequestHeaders { headers: &headers, claims: &[], end: true });
        assert_eq!(exchange.finish()["request_id"] == id, kept, "{id}");
    }
}
