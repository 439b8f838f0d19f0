//! Budgets through the session: prices, leases, loops, streams that outgrow
//! what was reserved, and what clients are told.
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

use common::{Exchange, Worker, chat, config, deltas, refused, said};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const T0: u64 = 1_700_000_000_000;

fn worker() -> Worker {
    Worker { now: T0, ..Worker::default() }
}

fn with_quota(quota: Value) -> Value {
    json!([{ "name": "p", "quotas": [quota] }])
}

fn ok() -> Vec<u8> {
    said(json!({ "role": "assistant", "content": "ok" }), (30, 20))
}

#[test]
fn a_limit_on_cost_needs_prices() {
    let cost = json!({ "name": "c", "per": "subject", "unit": "cost_usd", "limit": 1, "window": "1d" });
    for policy in
        [json!({ "name": "a", "quotas": [cost] }), json!({ "name": "a", "limits": { "max_cost_usd": 0.5 } })]
    {
        let error = refused(json!({ "policies": [policy] }));
        assert!(error.starts_with("policies[0]: limits cost, but models.prices is empty"), "{error}");
    }
    let error = refused(json!({
        "policies": [{ "name": "a", "models": { "allow": ["o3", "gpt-4o"] }, "quotas": [cost] }],
        "models": { "prices": { "o*": { "input": 1 } } },
    }));
    assert!(error.starts_with("policies[0].models.allow[1]: \"gpt-4o\" has no price"), "{error}");

    let prices = json!({ "models": { "prices": { "m*": { "input": 1, "output": 2 } } } });
    let (config, mut worker) = (config(with_quota(cost), prices), worker());
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(!exchange.ask("ann", CHAT, &chat("hi", json!({ "model": "x" }))));
    assert_eq!(exchange.refusal(), (403, "price.missing".to_owned()));
    // The dated name that answers has no price of its own here: that of the
    // one asked for counts, not the dearest.
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "model": "m-1" }))));
    let answer = String::from_utf8(ok()).unwrap().replace("\"model\":\"m\"", "\"model\":\"other\"");
    exchange.answer("200", "application/json", &[answer.as_bytes()]);
    let record = exchange.finish();
    assert_eq!(record["quota"][0]["charged"], 30 * 1000 + 20 * 2000);
    // Tools have no price and need none.
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "t" } });
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", "/mcp", call.to_string().as_bytes()));
}

#[test]
fn a_failed_call_costs_nothing_whatever_its_error_says() {
    let (config, mut worker) = (
        config(
            with_quota(
                json!({ "name": "t", "per": "subject", "unit": "tokens", "limit": 5000, "window": "1h" }),
            ),
            json!({}),
        ),
        worker(),
    );
    let error = json!({ "error": { "message": "upstream connect error or disconnect before headers" } });
    for (status, content_type, body) in [
        ("503", "text/plain", b"upstream connect error or disconnect before headers".to_vec()),
        ("400", "application/json", error.to_string().into_bytes()),
        ("500", "application/json", b"{}".to_vec()),
    ] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 100 }))));
        exchange.answer(status, content_type, &[&body]);
        let record = exchange.finish();
        assert_eq!(
            (&record["quota"][0]["charged"], &record["usage"]["output"]),
            (&json!(0), &Value::Null),
            "{status}"
        );
    }
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 100 }))));
    exchange.answer("200", "application/json", &[&ok()]);
    assert_eq!(exchange.finish()["quota"][0]["charged"], 50);
}

#[test]
fn clients_are_told_where_they_stand() {
    let quotas = json!([{ "name": "p", "quotas": [
        { "name": "n", "per": "subject", "unit": "requests", "limit": 2, "window": "1h" },
        { "name": "t", "per": "subject", "unit": "tokens", "limit": 5000, "window": "1h" },
    ] }]);
    let (config, mut worker) = (config(quotas, json!({})), worker());
    for left in ["1", "0"] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 100 }))));
        exchange.answer("200", "application/json", &[&ok()]);
        let headers = &exchange.response_headers;
        assert_eq!(headers["x-ratelimit-limit-requests"], "2");
        assert_eq!(headers["x-ratelimit-remaining-requests"], left);
        assert_eq!(headers["x-ratelimit-limit-tokens"], "5000");
        assert!(headers["x-ratelimit-reset-tokens"].ends_with('s'));
        exchange.finish();
    }
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(!exchange.ask("ann", CHAT, &chat("hi", json!({ "max_tokens": 100 }))));
    let reply = exchange.reply.clone().unwrap();
    let header = |name: &str| reply.headers.iter().find(|(k, _)| *k == name).map(|(_, v)| v.as_str());
    assert_eq!((reply.status, header("x-ratelimit-remaining-requests")), (429, Some("0")));
    assert!(header("retry-after").unwrap().parse::<u64>().unwrap() <= 3600);

    let body = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("bob", "/v1/messages", body.to_string().as_bytes()));
    exchange.open("200", "application/json");
    assert_eq!(exchange.response_headers["anthropic-ratelimit-requests-remaining"], "1");
    assert!(exchange.response_headers["anthropic-ratelimit-tokens-reset"].ends_with('Z'));
    assert!(!exchange.response_headers.contains_key("x-ratelimit-limit-requests"));
}

#[test]
fn a_loop_is_stopped_and_a_conversation_is_not() {
    let quota = json!({ "name": "loop", "per": "subject", "unit": "repeats", "limit": 3, "window": "10m" });
    let (config, mut worker) = (config(with_quota(quota), json!({})), worker());
    let mut ask = |who: &str, history: usize, text: &str| {
        // The history grows with each turn of a loop; the newest message counts.
        let mut messages: Vec<_> = (0..history)
            .map(|n| json!({ "role": "assistant", "content": format!("turn {n} of it") }))
            .collect();
        messages.push(json!({ "role": "user", "content": text }));
        let mut exchange = Exchange::new(&mut worker, &config);
        let sent = exchange.ask(who, CHAT, &chat("", json!({ "messages": messages })));
        (sent, exchange.finish()["deny_reason"].as_str().map(str::to_owned))
    };
    let failed = "The command failed with exit code 17 at 12:31:05, please try to run it again";
    for n in 0..3 {
        assert!(ask("ann", n, failed).0, "{n}");
    }
    assert_eq!(ask("ann", 9, &failed.replace("17", "18")), (false, Some("quota.loop".into())));
    assert!(ask("bob", 0, failed).0, "another's loop");
    for text in ["What is the weather like in Bern?", "Book a table for two tonight", "Thanks a lot for this"]
    {
        assert!(ask("ann", 4, text).0, "{text}");
    }
}

#[test]
fn a_lease_is_renewed_while_a_stream_runs() {
    let quota = json!({ "name": "c", "per": "subject", "unit": "concurrent", "limit": 1, "window": "1m" });
    let (config, mut worker) = (config(with_quota(quota), json!({})), worker());
    let body = chat("hi", json!({ "stream": true }));
    let events = deltas(&vec![json!({ "content": "word " }); 20], "stop");
    let other = |worker: &mut Worker| Exchange::new(worker, &config).ask("ann", CHAT, &body);
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &body));
    exchange.open("200", "text/event-stream");
    for (n, event) in events.iter().enumerate() {
        exchange.chunk(event, n + 1 == events.len());
        exchange.worker.now += 20_000;
        // Ten leases later it is still counted.
        assert!(!other(exchange.worker), "{n}");
    }
    exchange.finish();
    assert!(other(&mut worker));
}

#[test]
fn a_stream_that_outgrows_its_reservation_asks_for_more_until_there_is_none() {
    let quota = json!({ "name": "t", "per": "subject", "unit": "tokens", "limit": 4000, "window": "1d" });
    let (config, mut worker) = (config(with_quota(quota), json!({})), worker());
    let body = chat("hi", json!({ "stream": true }));
    let events = deltas(&vec![json!({ "content": "four" }); 5000], "stop");
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &body));
    exchange.open("200", "text/event-stream");
    for (n, event) in events.iter().enumerate() {
        exchange.chunk(event, n + 1 == events.len());
    }
    let text = String::from_utf8(exchange.response.clone()).unwrap();
    assert!(text.contains("quota.t") && text.contains("rate_limit_error"), "{}", &text[text.len() - 400..]);
    assert!(text.ends_with("data: [DONE]\n\n"));
    let record = exchange.finish();
    assert_eq!((&record["decision"], &record["deny_reason"]), (&json!("deny"), &json!("quota.t")));
    let charged = record["quota"][0]["charged"].as_u64().unwrap();
    // 1024 at first, then steps of as much while they fit.
    assert!((3000..=4000).contains(&charged), "{charged}");
    assert_eq!(record["quota"][0]["remaining"].as_u64().unwrap(), 4000 - charged);

    // With room enough it is not cut, and what was not used is given back.
    let events = deltas(&vec![json!({ "content": "four" }); 1500], "stop");
    let mut exchange = Exchange::new(&mut worker, &config);
    exchange.worker.now += 86_400_000;
    assert!(exchange.ask("ann", CHAT, &body));
    let chunks: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    exchange.answer("200", "text/event-stream", &chunks);
    assert_eq!(exchange.response, events.concat());
    let record = exchange.finish();
    assert!(record["quota"][0]["reserved"].as_u64().unwrap() > 2048);
    let charged = record["quota"][0]["charged"].as_u64().unwrap();
    assert!((1500..1600).contains(&charged), "{charged}");
    assert_eq!(record["quota"][0]["remaining"].as_u64().unwrap(), 4000 - charged);
}

/// One stream of 120 events; the text and the usage it ends with.
fn capped_stream(piece: &str, told: u64) -> (Vec<Vec<u8>>, Value, Value) {
    let quota =
        json!({ "name": "t", "per": "subject", "unit": "output_tokens", "limit": 130, "window": "1d" });
    let (config, mut worker) = (config(with_quota(quota), json!({})), worker());
    let body =
        chat("hi", json!({ "stream": true, "max_tokens": 120, "stream_options": { "include_usage": true } }));
    let mut events = deltas(&vec![json!({ "content": piece }); 120], "length");
    let usage = json!({ "id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [],
        "usage": { "prompt_tokens": 1, "completion_tokens": told, "total_tokens": 1 + told } });
    events.insert(events.len() - 1, format!("data: {usage}\n\n").into_bytes());
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("ann", CHAT, &body));
    exchange.open("200", "text/event-stream");
    for (n, event) in events.iter().enumerate() {
        exchange.chunk(event, n + 1 == events.len());
    }
    let response = String::from_utf8(exchange.response.clone()).unwrap();
    let record = exchange.finish();
    (events, Value::from(response), record)
}

/// Found under load: the last token of a capped answer filled its reservation,
/// no more was left for others, and a complete answer ended in an error.
#[test]
fn an_answer_that_fills_its_cap_is_not_cut() {
    // One token an event, then six bytes a token: both keep to the cap.
    for piece in ["for ", "longer"] {
        let (events, response, record) = capped_stream(piece, 120);
        assert_eq!(response, String::from_utf8(events.concat()).unwrap());
        assert_eq!(record["decision"], "allow", "{piece}");
        let line = &record["quota"][0];
        // Nothing beyond the cap was taken from others, not even for a while.
        assert_eq!((&line["reserved"], &line["charged"]), (&json!(120), &json!(120)));
    }
    // A provider that ignores the cap is cut where no budget is left.
    let (_, response, record) = capped_stream("a dozen byte", 360);
    assert!(response.as_str().unwrap().contains("quota.t"));
    assert_eq!((&record["decision"], &record["deny_reason"]), (&json!("deny"), &json!("quota.t")));
}

#[test]
fn a_quota_that_only_records_says_what_it_would_have_done() {
    let quota = json!({ "name": "n", "per": "subject", "unit": "requests", "limit": 1, "window": "1d", "monitor": true });
    let (config, mut worker) = (config(with_quota(quota), json!({})), worker());
    for (over, would) in [(Value::Null, Value::Null), (json!(true), json!("quota.n"))] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask("ann", CHAT, &chat("hi", json!({}))));
        exchange.answer("200", "application/json", &[&ok()]);
        let record = exchange.finish();
        assert_eq!((&record["quota"][0]["over"], &record["would_deny"]), (&over, &would));
        assert_eq!(record["decision"], "allow");
    }
}
