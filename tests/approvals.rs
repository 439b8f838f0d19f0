//! Consent through the session: which calls ask, under which id, what the
//! service is told, and what becomes of each answer.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::expect_used
)]

#[path = "common/exchange.rs"]
mod common;

use std::rc::Rc;

use common::{Exchange, Worker, chat, config, deltas, refused, said};
use portcullis::config::Config;
use portcullis::session::Flow;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn asking(approval: Value, service: Value) -> Rc<Config> {
    let mut approval = approval;
    approval["service"] = json!("desk");
    let mut desk = json!({ "cluster": "c" });
    desk.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    let quota = json!({ "name": "d", "per": "subject", "unit": "tokens", "limit": 9000, "window": "1d" });
    config(
        json!([{ "name": "p", "approval": approval, "quotas": [quota] }]),
        json!({
            "approvals": { "desk": desk },
            "models": { "prices": { "m": { "input": 1, "output": 1000 } } },
            "rules": { "packs": ["pii", "code"] },
        }),
    )
}

fn tools() -> Rc<Config> {
    asking(json!({ "tools": ["db.*"], "show_arguments": true }), json!({}))
}

fn mcp(id: Value, name: &str, arguments: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": name, "arguments": arguments, "_meta": { "progressToken": id } } })
    .to_string()
    .into_bytes()
}

/// The question that a request of `who` leads to; `None`: it goes upstream.
fn question(config: &Rc<Config>, who: &str, path: &str, body: &[u8]) -> Option<Value> {
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, config);
    let sent = exchange.ask(who, path, body);
    let asked = exchange.asked.take();
    assert_eq!(sent, asked.is_none(), "{:?}", exchange.reply);
    let asked = asked?;
    let question: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(question["id"], json!(asked.id));
    Some(question)
}

fn id(config: &Rc<Config>, who: &str, path: &str, body: &[u8]) -> String {
    question(config, who, path, body).expect("asks")["id"].as_str().unwrap().to_owned()
}

fn answer(id: &str, decision: &str) -> String {
    json!({ "id": id, "decision": decision, "reason": "because of jane.doe@example.com" }).to_string()
}

#[test]
fn a_cost_over_the_threshold_asks() {
    let config = asking(json!({ "cost_over_usd": 1.0 }), json!({}));
    assert_eq!(question(&config, "ann", CHAT, &chat("hi", json!({ "max_tokens": 900 }))), None);
    let asked = question(&config, "ann", CHAT, &chat("hi", json!({ "max_tokens": 1100 }))).unwrap();
    assert_eq!((&asked["why"], &asked["stage"]), (&json!(["cost"]), &json!("request")));
    assert!(asked["estimated_cost_usd"].as_f64().unwrap() > 1.0, "{asked}");
    let body = chat("hi", json!({ "max_tokens": 1100 }));
    let one = id(&config, "ann", CHAT, &body);
    assert_eq!(one, id(&config, "ann", CHAT, &body));
    let keyed = common::config(
        json!([{ "name": "p", "approval": { "service": "desk", "cost_over_usd": 1.0 } }]),
        json!({ "approvals": { "desk": { "cluster": "c" } }, "audit": { "key": "0123456789abcdef" },
                "models": { "prices": { "m": { "input": 1, "output": 1000 } } } }),
    );
    for other in [
        id(&config, "bob", CHAT, &body),
        id(&config, "ann", CHAT, &chat("hi", json!({ "max_tokens": 1101 }))),
        id(&config, "ann", CHAT, &chat("ho", json!({ "max_tokens": 1100 }))),
        id(&config, "ann", "/openai/v1/chat/completions", &body),
        id(&keyed, "ann", CHAT, &body),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn tools_and_skills_ask_by_name() {
    let config = tools();
    let arguments = json!({ "sql": "DROP TABLE users", "mail": "jane.doe@example.com", "id": 1 });
    for (name, asks) in
        [("db.drop", true), ("DB.drop", true), (" db.drop", true), ("d\u{ff42}.drop", true), ("get", false)]
    {
        let asked = question(&config, "ann", "/jira/mcp", &mcp(json!(1), name, &arguments));
        assert_eq!(asked.is_some(), asks, "{name}");
    }
    let asked = question(&config, "ann", "/jira/mcp", &mcp(json!(1), "db.drop", &arguments)).unwrap();
    assert_eq!((&asked["why"], &asked["server"]), (&json!(["tool"]), &json!("jira")));
    let call = &asked["calls"][0];
    let shown: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    // Code is shown: it is what the approver has to judge.
    assert_eq!(shown, json!({ "sql": "DROP TABLE users", "mail": "[EMAIL]", "id": 1 }));
    assert_eq!(call["bytes"], json!(arguments.to_string().len()));
    assert!(call["args_hash"]["sha256"].is_string());
    let long = json!({ "sql": "x".repeat(5000) });
    let asked = question(&config, "ann", "/jira/mcp", &mcp(json!(1), "db.drop", &long)).unwrap();
    assert_eq!(asked["calls"][0]["arguments"], Value::Null);
    // Hidden in a batch, and by the thousand.
    let one: Value = serde_json::from_slice(&mcp(json!(1), "get", &arguments)).unwrap();
    let two: Value = serde_json::from_slice(&mcp(json!(2), "db.drop", &arguments)).unwrap();
    let asked = question(&config, "ann", "/jira/mcp", json!([one, two]).to_string().as_bytes()).unwrap();
    assert_eq!(asked["calls"].as_array().unwrap().len(), 1);
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(!exchange.ask("ann", "/jira/mcp", Value::from(vec![two; 33]).to_string().as_bytes()));
    assert!(exchange.asked.is_none());
    assert_eq!(exchange.finish()["deny_reason"], json!("approval.required"));
    let skill = json!({ "jsonrpc": "2.0", "id": 1, "method": "message/send", "params": { "message": {
        "role": "user", "messageId": "a", "parts": [{ "kind": "text", "text": "hi" }], "metadata": { "skill": "db.drop" } } } });
    let asked = question(&config, "ann", "/a2a", skill.to_string().as_bytes()).unwrap();
    assert_eq!(asked["calls"][0]["name"], json!("db.drop"));
    let again = skill.to_string().replace("\"a\"", "\"b\"").replace("\"id\":1", "\"id\":\"x\"");
    assert_eq!(asked["id"], json!(id(&config, "ann", "/a2a", again.as_bytes())));
}

#[test]
fn a_call_that_is_tried_again_is_the_same_call() {
    let config = tools();
    let arguments = json!({ "id": 1 });
    let one = id(&config, "ann", "/jira/mcp", &mcp(json!(1), "db.drop", &arguments));
    assert_eq!(one, id(&config, "ann", "/jira/mcp", &mcp(json!("u-2"), "db.drop", &arguments)));
    for other in [
        id(&config, "bob", "/jira/mcp", &mcp(json!(1), "db.drop", &arguments)),
        id(&config, "ann", "/wiki/mcp", &mcp(json!(1), "db.drop", &arguments)),
        id(&config, "ann", "/jira/mcp", &mcp(json!(1), "db.add", &arguments)),
        id(&config, "ann", "/jira/mcp", &mcp(json!(1), "db.drop", &json!({ "id": 2 }))),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn where_a_call_goes_is_part_of_it_and_shown() {
    let config = tools();
    let body = mcp(json!(1), "db.drop", &json!({ "id": 1 }));
    let ask = |authority: &str, path: &str| -> Value {
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        let headers = [
            (":method", "POST"),
            (":path", path),
            (":authority", authority),
            ("x-agent-id", "ann"),
            ("content-type", "application/json"),
        ];
        assert!(
            !exchange.send(&headers, &[], Some(&body)) && exchange.reply.is_none(),
            "{:?}",
            exchange.reply
        );
        serde_json::from_str(&exchange.asked.take().unwrap().body).unwrap()
    };
    let one = ask("a.test:1", "/jira/mcp?tenant=test&n=1");
    assert_eq!((&one["host"], &one["path"]), (&json!("a.test:1"), &json!("/jira/mcp")));
    assert_eq!(one["id"], ask("a.test:1", "/jira/mcp?tenant=test&n=1")["id"]);
    for (authority, path) in [
        ("a.test:2", "/jira/mcp?tenant=test&n=1"),
        ("a.test", "/jira/mcp?tenant=test&n=1"),
        ("a.test:1", "/jira/mcp?tenant=prod&n=1"),
        ("a.test:1", "/jira/mcp"),
        ("a.test:1", "/x/jira/mcp?tenant=test&n=1"),
    ] {
        assert_ne!(one["id"], ask(authority, path)["id"], "{authority} {path}");
    }
    let asked = ask("jane.doe@example.com", "/u/jane.doe@example.com/mcp");
    assert_eq!((&asked["host"], &asked["path"]), (&json!("[EMAIL]"), &json!("[EMAIL]")));
    assert_eq!(ask("a.test", "/u/jane.doe%40example.com/mcp")["path"], json!("[EMAIL]"));
    let asked = ask("models.test", &format!("/{}/mcp", "x/".repeat(100)));
    assert_eq!(asked["path"].as_str().unwrap().len(), 128);
    let asked = {
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", "/v1/chat/completions?k=v", &chat("hi", json!({}))));
        exchange.answer("200", "application/json", &[&said(calls("db.drop", "{}"), (5, 5))]);
        serde_json::from_str::<Value>(&exchange.asked.take().unwrap().body).unwrap()
    };
    assert_eq!((&asked["host"], &asked["path"]), (&json!("models.test"), &json!("/v1/chat/completions")));
}

#[test]
fn names_that_hold_values_are_not_told() {
    let config = asking(json!({ "tools": ["*"] }), json!({}));
    let mut ids = Vec::new();
    for (name, shown) in [
        ("mail_jane.doe@example.com", "[EMAIL]"),
        ("mail_john.doe@example.com", "[EMAIL]"),
        ("mail jane.doe@example.com", "[EMAIL]"),
        ("jane.doe\u{ff20}example.com", "[EMAIL]"),
        ("get", "get"),
    ] {
        let asked = question(&config, "ann", "/jira/mcp", &mcp(json!(1), name, &json!({}))).unwrap();
        assert_eq!(asked["calls"][0]["name"], json!(shown), "{asked}");
        assert!(!ids.contains(&asked["id"]), "the id is of the name itself");
        ids.push(asked["id"].clone());
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({}))));
        exchange.answer("200", "application/json", &[&said(calls(name, "{}"), (5, 5))]);
        let asked: Value = serde_json::from_str(&exchange.asked.take().unwrap().body).unwrap();
        assert_eq!(asked["calls"][0]["name"], json!(shown), "{asked}");
    }
    let asked = question(&config, "ann", "/jane.doe@example.com/mcp", &mcp(json!(1), "get", &json!({})));
    assert_eq!(asked.unwrap()["server"], json!("[EMAIL]"));
    let long = format!("a{}", "\u{e9}".repeat(100));
    let asked = question(&config, "ann", "/jira/mcp", &mcp(json!(1), &long, &json!({}))).unwrap();
    assert_eq!(asked["calls"][0]["name"].as_str().unwrap().len(), 127, "cut at a character");
    let body = chat("hi", json!({ "model": "jane.doe@example.com", "max_tokens": 9 }));
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &body));
    exchange.answer("200", "application/json", &[&said(calls("get", "{}"), (5, 5))]);
    let asked: Value = serde_json::from_str(&exchange.asked.take().unwrap().body).unwrap();
    assert_eq!(asked["model"], json!("[EMAIL]"));
}

#[test]
fn what_becomes_of_each_answer() {
    for (service, status, word, code, sent) in [
        (json!({}), 200, "allow", "", true),
        (json!({}), 200, "deny", "approval.denied", false),
        (json!({}), 200, "pending", "approval.pending", false),
        (json!({}), 200, "maybe", "approval.unavailable", false),
        (json!({}), 503, "allow", "approval.unavailable", false),
        (json!({ "on_fault": "open" }), 503, "allow", "", true),
        (json!({ "on_fault": "open" }), 200, "deny", "approval.denied", false),
        (json!({ "on_fault": "open" }), 200, "pending", "approval.pending", false),
    ] {
        let config = asking(json!({ "cost_over_usd": 1.0 }), service.clone());
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(!exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 2000 }))));
        assert!(exchange.worker.cells.is_empty(), "nothing is held for a call that waits");
        let id = exchange.asked.take().unwrap().id;
        let said = answer(&id, word);
        assert_eq!(exchange.answered(Some((status, said.as_bytes()))), sent, "{service} {word}");
        assert_eq!(exchange.worker.cells.is_empty(), !sent);
        if !sent {
            let (got, rule) = exchange.refusal();
            assert_eq!((got, rule.as_str()), (if code == "approval.unavailable" { 503 } else { 403 }, code));
            let headers = &exchange.reply.as_ref().unwrap().headers;
            assert!(headers.contains(&("x-portcullis-approval", id.clone())), "{headers:?}");
            // Nobody waits any more.
            assert!(!exchange.answered(Some((200, answer(&id, "allow").as_bytes()))));
        }
        let record = exchange.finish();
        let line = &record["approval"][0];
        let fault = status != 200 || word == "maybe";
        assert_eq!(line["decision"], json!(if fault { "fault" } else { word }), "{record}");
        assert_eq!((&line["waited_us"], &line["id"]), (&json!(7), &json!(id)));
        let reason = if fault { Value::Null } else { json!("[EMAIL]") };
        assert_eq!(line["reason"], reason, "no value is in the record, whoever wrote it");
        assert_eq!(record["coverage"], json!(if sent && fault { "partial" } else { "full" }));
        assert_eq!(record["quota"].as_array().unwrap().len(), usize::from(sent));
    }
    // No answer at all, and a client that did not wait.
    let config = asking(json!({ "cost_over_usd": 1.0 }), json!({}));
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 2000 })));
    assert!(!exchange.answered(None));
    assert_eq!(exchange.finish()["deny_reason"], json!("approval.unavailable"));
    let mut exchange = Exchange::new(&mut worker, &config);
    exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 2000 })));
    let record = exchange.finish();
    assert_eq!(
        (&record["outcome"], &record["approval"][0]["decision"]),
        (&json!("aborted"), &json!("unanswered"))
    );
    assert!(!exchange.answered(Some((200, b"{}"))));
}

fn calls(name: &str, arguments: &str) -> Value {
    json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "c1", "type": "function", "function": { "name": name, "arguments": arguments } }] })
}

#[test]
fn an_answer_waits_whole_and_leaves_as_it_was_to_be() {
    let config = tools();
    let mut worker = Worker::default();
    let mut ids = Vec::new();
    for (decision, text) in [("pending", "hi"), ("allow", "otherwise"), ("deny", "hi")] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat(text, json!({}))));
        let body = said(calls("db.drop", r#"{"t":"a \"b\""}"#), (5, 5));
        exchange.answer("200", "application/json", &[&body]);
        let asked = exchange.asked.take().expect("asks");
        let question: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(question["stage"], json!("answer"));
        assert_eq!(question["calls"][0]["arguments"], json!(r#"{"t":"a \"b\""}"#));
        let passes = exchange.answered(Some((200, answer(&asked.id, decision).as_bytes())));
        assert_eq!(passes, decision == "allow");
        ids.push(asked.id);
        let record = exchange.finish();
        assert_eq!(record["outcome"], json!(if passes { "complete" } else { "refused" }), "{record}");
        assert_eq!(record["quota"][0]["charged"], json!(10), "the model has worked for it");
    }
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]), "whatever the conversation was");
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({}))));
    exchange.answer("200", "application/json", &[&said(calls("get", "{}"), (5, 5))]);
    assert!(exchange.asked.is_none());
}

/// Chunks of a stream that calls these tools, with their arguments cut in two.
fn stream(calls: &[(&str, &str)]) -> Vec<Vec<u8>> {
    let mut events = vec![json!({ "content": "Well then. " })];
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let call = |fields: Value| json!({ "tool_calls": [{ "index": index, "function": fields }] });
        let (one, two) = arguments.split_at(arguments.len() / 2);
        events.push(call(json!({ "name": name, "arguments": "" })));
        events.push(call(json!({ "arguments": one })));
        events.push(call(json!({ "arguments": two })));
    }
    deltas(&events, "tool_calls")
}

/// What the client gets, the questions and the record, where every answer
/// comes when `at` more chunks have.
fn streamed(
    config: &Rc<Config>,
    chunks: &[&[u8]],
    decision: &str,
    at: usize,
) -> (Vec<u8>, Vec<Value>, Value) {
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "stream": true }))));
    exchange.open("200", "text/event-stream");
    let (mut questions, mut due): (Vec<Value>, _) = (Vec::new(), None);
    for (i, chunk) in chunks.iter().enumerate() {
        exchange.chunk(chunk, i + 1 == chunks.len());
        if let Some(asked) = exchange.asked.take() {
            questions.push(serde_json::from_str(&asked.body).unwrap());
            due = Some((i + at, asked.id));
        }
        while let Some((_, id)) = due.take_if(|(when, _)| *when <= i || i + 1 == chunks.len()) {
            let sent = exchange.response.clone();
            let resumed = exchange.answered(Some((200, answer(&id, decision).as_bytes())));
            assert!(
                resumed == (i + 1 == chunks.len()) || exchange.asked.is_some(),
                "resumed at its end, and only there"
            );
            assert!(resumed || exchange.response == sent);
            if let Some(asked) = exchange.asked.take() {
                questions.push(serde_json::from_str(&asked.body).unwrap());
                due = Some((i, asked.id));
            }
        }
    }
    let record = exchange.finish();
    (exchange.response, questions, record)
}

#[test]
fn a_stream_waits_from_the_call_on() {
    let config = tools();
    let sql = r#"{"sql":"DROP TABLE users","mail":"jane.doe@example.com"}"#;
    for (calls, asked) in [
        (&[("get", "{}")][..], &[][..]),
        (&[("db.drop", sql)], &["db.drop"]),
        (&[("get", "{}"), ("DB.drop", sql), ("get", "{ }")], &["DB.drop"]),
        (&[("db.drop", sql), ("db.add", "{}")], &["db.drop", "db.add"]),
        (&[("db.drop", "")], &["db.drop"]),
    ] {
        let events = stream(calls);
        let body = events.concat();
        let cuts: [Vec<&[u8]>; 4] = [
            events.iter().map(Vec::as_slice).collect(),
            vec![&body],
            body.chunks(1).collect(),
            body.chunks(1).chain([&b""[..]]).collect(),
        ];
        for (chunks, at) in
            cuts.iter().flat_map(|chunks| [(chunks, 0), (chunks, 1), (chunks, 3), (chunks, 9999)])
        {
            let (passed, questions, record) = streamed(&config, chunks, "allow", at);
            assert_eq!(passed, body, "allowed, it is what it was: {calls:?}");
            let names = questions.iter().flat_map(|q| q["calls"].as_array().unwrap());
            assert_eq!(names.map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), asked);
            assert!(questions.len() <= 1, "{questions:?}");
            assert_eq!((&record["outcome"], &record["decision"]), (&json!("complete"), &json!("allow")));
            let (denied, _, record) = streamed(&config, chunks, "pending", at);
            let denied = String::from_utf8(denied).unwrap();
            if asked.is_empty() {
                continue;
            }
            assert!(denied.starts_with("data:") && denied.contains("Well then. "), "{denied}");
            assert!(!denied.to_lowercase().contains("db.drop") && !denied.contains("DROP"), "{denied}");
            assert!(
                denied.contains("approval.pending") && denied.trim_end().ends_with("data: [DONE]"),
                "{denied}"
            );
            assert!(denied.contains(record["approval"][0]["id"].as_str().unwrap()));
            assert_eq!(
                (&record["deny_reason"], &record["outcome"]),
                (&json!("approval.pending"), &json!("refused"))
            );
        }
    }
    // The same call is the same question, streamed or not.
    let (_, questions, _) = streamed(&config, &[&stream(&[("db.drop", sql)]).concat()], "allow", 0);
    assert_eq!(questions[0]["calls"][0]["arguments"], json!(sql.replace("jane.doe@example.com", "[EMAIL]")));
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({}))));
    exchange.answer("200", "application/json", &[&said(calls("db.drop", sql), (5, 5))]);
    assert_eq!(questions[0]["id"], json!(exchange.asked.take().unwrap().id));
}

#[test]
fn a_call_by_a_name_that_comes_in_parts_does_not_slip_through() {
    let config = tools();
    let call = |name: &str| json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": name, "arguments": "" } }] });
    let (passed, questions, _) =
        streamed(&config, &[&deltas(&[call("db"), call(".drop")], "tool_calls").concat()], "deny", 0);
    assert_eq!(questions[0]["calls"][0]["name"], json!("db.drop"));
    assert!(!String::from_utf8(passed).unwrap().contains(".drop"));
}

/// Names and arguments of all calls that are asked about.
fn told(questions: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = questions.iter().flat_map(|q| q["calls"].as_array().unwrap());
    calls.map(|c| (text(&c["name"]), text(&c["arguments"]))).collect()
}

/// Runs a stream of another API, allowed: what the client gets, the questions
/// and the record.
fn allowed(config: &Rc<Config>, path: &str, ask: &Value, body: &str) -> (String, Vec<Value>, Value) {
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, config);
    assert!(exchange.ask("ann", path, ask.to_string().as_bytes()), "{:?}", exchange.reply);
    exchange.open("200", if path == "/api/chat" { "application/x-ndjson" } else { "text/event-stream" });
    exchange.chunk(body.as_bytes(), false);
    exchange.chunk(b"", true);
    let mut questions = Vec::new();
    while let Some(asked) = exchange.asked.take() {
        questions.push(serde_json::from_str(&asked.body).unwrap());
        exchange.answered(Some((200, answer(&asked.id, "allow").as_bytes())));
    }
    let record = exchange.finish();
    (String::from_utf8(exchange.response).unwrap(), questions, record)
}

const GEMINI: &str = "/v1beta/models/m:streamGenerateContent";

fn gemini(parts: &Value) -> String {
    let part = json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": parts } }] });
    format!("data: {part}\n\n")
}

fn hi() -> Value {
    json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] })
}

#[test]
fn a_call_without_arguments_is_asked_about_before_the_next() {
    let config = tools();
    let body = gemini(
        &json!([{ "functionCall": { "name": "db.all" } }, { "functionCall": { "name": "db.read", "args": { "t": 1 } } }]),
    );
    let both = [("db.all".into(), String::new()), ("db.read".into(), "{\"t\":1}".into())];
    let (sent, questions, _) = allowed(&config, GEMINI, &hi(), &body);
    assert_eq!((told(&questions), sent), (both.to_vec(), body));
    let line = |call: Value| {
        format!(
            "{}\n",
            json!({ "model": "m", "message": { "role": "assistant", "content": "", "tool_calls": [{ "function": call }] }, "done": false })
        )
    };
    let body = line(json!({ "name": "db.all" }))
        + &line(json!({ "name": "db.read", "arguments": { "t": 1 } }))
        + "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}\n";
    let ask = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    let (_, questions, _) = allowed(&config, "/api/chat", &ask, &body);
    assert_eq!(told(&questions), both);
}

#[test]
fn a_second_name_behind_arguments_is_a_fault() {
    let config = tools();
    let delta = |call: Value| json!({ "tool_calls": [{ "index": 0, "function": call }] });
    for (one, two) in [("db.drop", "db.read"), ("db.drop", "db.drop"), ("db.drop", "get"), ("get", "db.drop")]
    {
        let deltas = deltas(
            &[
                delta(json!({ "name": one, "arguments": "" })),
                delta(json!({ "arguments": "{\"t\":1}" })),
                delta(json!({ "name": two, "arguments": "" })),
                delta(json!({ "arguments": " " })),
            ],
            "tool_calls",
        );
        let (sent, questions, record) = streamed(&config, &[&deltas.concat()], "allow", 0);
        let sent = String::from_utf8(sent).unwrap();
        assert!(questions.is_empty() && !sent.contains("db.drop"), "{one} {two} {sent}");
        let reason = if one == "get" { "policy.tool_arguments" } else { "stream.calls" };
        assert_eq!(record["deny_reason"], json!(reason), "{one} {two} {record}");
    }
}

#[test]
fn arguments_as_values_with_paths_are_not_consented_to() {
    let config = tools();
    let call = |fields: Value| json!([{ "functionCall": fields }]);
    for part in [
        json!({ "jsonPath": "$.usd", "numberValue": 7 }),
        json!({ "jsonPath": "$.to", "stringValue": "bob" }),
        json!({}),
    ] {
        let body = gemini(&call(json!({ "name": "db.pay", "willContinue": true })))
            + &gemini(&call(json!({ "partialArgs": [part], "willContinue": true })))
            + &gemini(&call(json!({})));
        let at_once = gemini(&call(json!({ "name": "db.pay", "partial_args": [part] })));
        let before = gemini(&call(json!({ "partialArgs": [part] })))
            + &gemini(&call(json!({ "name": "db.pay", "args": {} })));
        for body in [body, at_once, before] {
            let (sent, questions, record) = allowed(&config, GEMINI, &hi(), &body);
            assert!(questions.is_empty() && !sent.contains("db.pay"), "{sent}");
            // Text before its name is another fault.
            let codes = [json!("approval.required"), json!("policy.tool_arguments")];
            assert!(codes.contains(&record["deny_reason"]), "{record}");
            let (sent, _, _) = allowed(&config, GEMINI, &hi(), &body.replace("db.pay", "pay"));
            assert_eq!(sent, body.replace("db.pay", "pay"));
        }
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", "/v1beta/models/m:generateContent", hi().to_string().as_bytes()));
        let parts = call(json!({ "name": "db.pay", "partialArgs": [part] }));
        let body = json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": parts } }] });
        exchange.answer("200", "application/json", &[body.to_string().as_bytes()]);
        assert!(exchange.asked.is_none());
        assert_eq!(exchange.refusal().1, "approval.required");
    }
}

#[test]
fn equal_calls_are_as_many_calls() {
    let config = tools();
    let pay = |i: usize| json!({ "index": i, "id": format!("c{i}"), "function": { "name": "db.pay", "arguments": "{\"usd\":1}" } });
    let mut ids = Vec::new();
    for n in [1, 2, 32, 33] {
        let events: Vec<_> = (0..n).map(|i| json!({ "tool_calls": [pay(i)] })).collect();
        let (sent, questions, record) =
            streamed(&config, &[&deltas(&events, "tool_calls").concat()], "allow", 0);
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({}))));
        let calls: Vec<_> = (0..n).map(pay).collect();
        let body = said(json!({ "role": "assistant", "content": null, "tool_calls": calls }), (5, 5));
        exchange.answer("200", "application/json", &[&body]);
        if n == 33 {
            assert!(questions.is_empty() && exchange.asked.is_none());
            assert!(!String::from_utf8(sent).unwrap().contains("db.pay"));
            assert_eq!(exchange.refusal().1, "approval.required");
            assert_eq!(record["deny_reason"], json!("approval.required"));
            continue;
        }
        assert_eq!(told(&questions).len(), n);
        let id = exchange.asked.take().unwrap().id;
        assert_eq!(questions[0]["id"], json!(id), "streamed or not");
        assert!(!ids.contains(&id));
        ids.push(id);
    }
}

#[test]
fn a_call_told_again_is_one_call() {
    let config = tools();
    let event = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    let item = |arguments: &str| json!({ "type": "function_call", "id": "f", "call_id": "c", "name": "db.pay", "arguments": arguments });
    let all = "{\"usd\":1}";
    let begin = |i: usize| {
        event(json!({ "type": "response.output_item.added", "output_index": i, "item": item("") }))
    };
    let ended = |i: usize| {
        event(json!({ "type": "response.output_item.done", "output_index": i, "item": item(all) }))
    };
    let call = |i: usize| {
        begin(i)
            + &event(
                json!({ "type": "response.function_call_arguments.delta", "output_index": i, "item_id": "f", "delta": all }),
            )
            + &event(
                json!({ "type": "response.function_call_arguments.done", "output_index": i, "item_id": "f", "arguments": all }),
            )
            + &ended(i)
    };
    let thought = json!({ "type": "reasoning", "id": "r", "summary": [] });
    let end = |calls: usize| {
        let output: Vec<_> = [thought.clone()].into_iter().chain((0..calls).map(|_| item(all))).collect();
        event(
            json!({ "type": "response.completed", "response": { "id": "r", "status": "completed", "output": output } }),
        )
    };
    let ask = json!({ "model": "m", "stream": true, "input": "hi" });
    for (body, calls) in [
        (call(1) + &end(1), 1),
        (call(1) + &call(2) + &end(2), 2),
        (end(3), 3),
        (ended(1) + &ended(2) + &end(2), 2),
        (begin(1) + &end(1), 1),
        (call(1) + &end(2), 2),
    ] {
        let (sent, questions, _) = allowed(&config, "/v1/responses", &ask, &body);
        assert_eq!(told(&questions), vec![("db.pay".to_owned(), all.to_owned()); calls], "{body}");
        assert_eq!(sent, body);
    }
}

#[test]
fn a_name_in_equal_pieces_is_joined_too() {
    let delta = |name: &str| json!({ "tool_calls": [{ "index": 0, "function": { "name": name } }] });
    let body = deltas(&["s", "s", "n"].map(delta), "tool_calls").concat();
    let config = asking(json!({ "tools": ["ssn"] }), json!({}));
    let (_, questions, _) = streamed(&config, &[&body], "allow", 0);
    assert_eq!(told(&questions), [("ssn".to_owned(), String::new())]);
    let denying = common::config(json!([{ "name": "p", "tools": { "deny": ["ssn"] } }]), json!({}));
    let (_, _, record) = streamed(&denying, &[&body], "allow", 0);
    assert_eq!(record["deny_reason"], json!("policy.tool_called"));
    let (sent, _, record) = streamed(&denying, &[&deltas(&["s", "s"].map(delta), "stop").concat()], "", 0);
    assert!(sent.ends_with(b"[DONE]\n\n"), "{record}");
}

#[test]
fn names_in_pieces_have_a_limit() {
    let config = config(json!([{ "name": "p" }]), json!({}));
    let run = |names: &[String]| {
        let delta = |name: &String| json!({ "tool_calls": [{ "index": 0, "function": { "name": name } }] });
        let events: Vec<_> = names.iter().map(delta).collect();
        let (_, _, record) = streamed(&config, &[&deltas(&events, "tool_calls").concat()], "", 0);
        record
    };
    let long = run(&["x".repeat(1025)]);
    assert_eq!((&long["deny_reason"], &long["outcome"]), (&json!("stream.channels"), &json!("refused")));
    let pieces: Vec<_> = (0..300).map(|i| format!("n{i:03}")).collect();
    assert_eq!(run(&pieces[..256])["outcome"], json!("complete"));
    assert_eq!(run(&pieces[..257])["deny_reason"], json!("stream.channels"));
    // Upstreams that say the name with every piece of the arguments.
    assert_eq!(run(&vec!["get_weather".to_owned(); 300])["outcome"], json!("complete"));
    // Another API: every one of these is a call.
    let calls: Vec<_> =
        pieces.iter().map(|name| json!({ "functionCall": { "name": name, "args": {} } })).collect();
    let body = gemini(&Value::from(calls));
    let (sent, _, record) = allowed(&config, GEMINI, &hi(), &body);
    assert_eq!((sent, &record["outcome"]), (body, &json!("complete")));
}

#[test]
fn other_apis_wait_in_their_streams_too() {
    let config = tools();
    let anthropic = [
        json!({ "type": "message_start", "message": { "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "t", "name": "db.drop", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": "{\"t\":" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": "1}" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ];
    let body: String =
        anthropic.iter().map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap())).collect();
    let ask = json!({ "model": "m", "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    let calling = |args: Value| json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [{ "functionCall": { "name": "db.drop", "args": args } }] } }] });
    let gemini = format!("data: {}\n\ndata: {}\n\n", calling(json!({ "t": 1 })), calling(json!({ "t": 2 })));
    let prompt = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    for (path, ask, body, arguments, code) in [
        ("/v1/messages", ask, body, &["{\"t\":1}"][..], "permission_error"),
        (
            "/v1beta/models/m:streamGenerateContent",
            prompt,
            gemini,
            &["{\"t\":1}", "{\"t\":2}"],
            "PERMISSION_DENIED",
        ),
    ] {
        for decision in ["allow", "deny"] {
            let mut worker = Worker::default();
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask("ann", path, ask.to_string().as_bytes()));
            exchange.open("200", "text/event-stream");
            for byte in body.as_bytes().chunks(1) {
                exchange.chunk(byte, false);
            }
            exchange.chunk(b"", true);
            assert!(!String::from_utf8_lossy(&exchange.response).contains("db.drop"));
            let asked = exchange.asked.take().expect(path);
            let question: Value = serde_json::from_str(&asked.body).unwrap();
            let told: Vec<_> = question["calls"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["arguments"].as_str().unwrap())
                .collect();
            assert_eq!(told, arguments);
            assert!(exchange.answered(Some((200, answer(&asked.id, decision).as_bytes()))));
            let said = String::from_utf8(exchange.response.clone()).unwrap();
            match decision {
                "allow" => assert_eq!(said, body),
                _ => assert!(
                    !said.contains("db.drop") && said.contains(code) && said.contains("because"),
                    "{said}"
                ),
            }
        }
    }
}

#[test]
fn a_stream_that_ends_in_trailers_waits_there_or_is_cut() {
    let config = tools();
    let body = stream(&[("db.drop", "{}")]).concat();
    for decision in ["allow", "deny"] {
        let mut worker = Worker::default();
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "stream": true }))));
        exchange.open("200", "text/event-stream");
        // The chunk with the call leaves nothing to send, and is kept open.
        let at = body.windows(7).position(|w| w == b"db.drop").unwrap();
        let start = body[..at].windows(6).rposition(|w| w == b"data: ").unwrap();
        exchange.chunk(&body[..start], false);
        exchange.chunk(&body[start..], false);
        let asked = exchange.asked.take().unwrap();
        assert_eq!(exchange.trailers(), Flow::Hold);
        assert!(exchange.answered(Some((200, answer(&asked.id, decision).as_bytes()))));
        let said = String::from_utf8(exchange.response.clone()).unwrap();
        assert_eq!(said.as_bytes() == body, decision == "allow", "{said}");
        assert!(decision == "allow" || said.contains("approval.denied"));
    }
    // The last chunk has gone: there is no place for what waits.
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "stream": true }))));
    exchange.open("200", "text/event-stream");
    let cut = body.windows(6).rposition(|w| w == b"[DONE]").unwrap() - 6;
    exchange.chunk(&body[..cut], false);
    assert!(exchange.asked.is_none(), "more may come");
    exchange.trailers();
    assert!(exchange.reply.is_some() && exchange.asked.is_none());
    assert_eq!(exchange.finish()["deny_reason"], json!("approval.required"));
}

#[test]
fn monitor_mode_asks_nobody() {
    let quiet = config(
        json!([{ "name": "p", "monitor": true, "approval": { "service": "desk", "tools": ["db.*"] } }]),
        json!({ "approvals": { "desk": { "cluster": "c" } } }),
    );
    let mut worker = Worker::default();
    let mut exchange = Exchange::new(&mut worker, &quiet);
    assert!(exchange.ask("ann", "/jira/mcp", &mcp(json!(1), "db.drop", &json!({}))));
    assert!(exchange.asked.is_none());
    let record = exchange.finish();
    assert_eq!(record["would_deny"], json!("approval.required"));
    assert_eq!(record["approval"][0]["decision"], json!("monitor"));
}

#[test]
fn slips_in_the_configuration_are_refused_with_their_place() {
    let with = |service: Value, approval: Value| {
        refused(
            json!({ "approvals": { "desk": service }, "policies": [{ "name": "a", "approval": approval }] }),
        )
    };
    let (desk, tools) = (json!({ "cluster": "c" }), json!({ "service": "desk", "tools": ["a"] }));
    for (service, approval, error) in [
        (json!({}), tools.clone(), "approvals.desk.cluster: names no cluster"),
        (json!({ "cluster": "" }), tools.clone(), "approvals.desk.cluster: names no cluster"),
        (json!({ "cluster": "c", "path": "x" }), tools.clone(), "approvals.desk.path: starts with `/`"),
        (json!({ "cluster": "c", "path": "/a b" }), tools.clone(), "approvals.desk.path: starts with `/`"),
        (json!({ "cluster": "c", "authority": "" }), tools.clone(), "approvals.desk.authority: is printable"),
        (json!({ "cluster": "c d" }), tools.clone(), "approvals.desk.authority: is printable"),
        (
            json!({ "cluster": "c", "timeout_ms": 0 }),
            tools.clone(),
            "approvals.desk.timeout_ms: must be from 1",
        ),
        (
            json!({ "cluster": "c", "timeout_ms": 60001 }),
            tools.clone(),
            "approvals.desk.timeout_ms: must be from 1",
        ),
        (json!({ "cluster": "c", "retries": 1 }), tools, "approvals.desk"),
        (
            desk.clone(),
            json!({ "service": "disk" }),
            "policies[0].approval.service: no service \"disk\" in approvals; there are desk",
        ),
        (desk.clone(), json!({ "tools": ["a"] }), "policies[0].approval"),
        (
            desk.clone(),
            json!({ "service": "desk", "tools": ["ok", "a b"] }),
            "policies[0].approval.tools[1]: has white space",
        ),
        (
            desk.clone(),
            json!({ "service": "desk", "cost_over_usd": -1 }),
            "policies[0].approval.cost_over_usd: must not be negative",
        ),
        (
            desk,
            json!({ "service": "desk", "cost_over_usd": 1 }),
            "policies[0]: limits cost, but models.prices is empty",
        ),
    ] {
        let told = with(service.clone(), approval.clone());
        assert!(told.starts_with(error), "{service} {approval}: {told}");
    }
}
