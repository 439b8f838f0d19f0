//! How a dialect is found where the path does not tell, and what faults do.
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
use portcullis::session::{Command, Event, Flow, Scratch, Session};
use serde_json::{Value, json};

/// A request whose route's metadata names `dialect`, or nothing. The commands
/// and the flow of its end.
fn send(
    config: &Rc<Config>,
    path: &str,
    media_type: &str,
    dialect: Option<&str>,
    body: &[u8],
) -> (Flow, Value) {
    let (mut session, mut scratch) = (Session::new(config.clone()), Scratch::default());
    let headers = [(":method", "POST"), (":path", path), ("x-agent-id", "ann"), ("content-type", media_type)];
    let headers: Vec<_> =
        headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
    let claims = [None, None, dialect.map(|d| d.as_bytes().to_vec())];
    let step = session.step(
        Event::RequestHeaders { headers: &headers, claims: &claims, end: false },
        0,
        &mut scratch,
    );
    let mut flow = step.flow;
    if flow == Flow::Hold && !session.is_refused() {
        flow = session.step(Event::RequestEnd { body }, 0, &mut scratch).flow;
    }
    let step = session.step(Event::Done { status: 0, added_us: 0 }, 0, &mut scratch);
    let line = step.commands.into_iter().find_map(|c| match c {
        Command::Audit(line) => Some(line),
        _ => None,
    });
    (flow, serde_json::from_str(&line.unwrap()).unwrap())
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"to":"jane.doe@example.com"}}}"#;

#[test]
fn json_rpc_is_known_by_its_body() {
    let config = config(masking());
    let (flow, record) = send(&config, "/jira", "application/json", None, CALL.as_bytes());
    assert_eq!(
        (flow, &record["dialect"], &record["decision"]),
        (Flow::Continue, &json!("mcp"), &json!("redact"))
    );
    for (media_type, body) in [("application/json", "{}"), ("application/json", "{"), ("text/plain", CALL)] {
        let (flow, record) = send(&config, "/jira", media_type, None, body.as_bytes());
        assert_eq!(
            (flow, &record["deny_reason"]),
            (Flow::Hold, &json!("traffic.unrecognised")),
            "{media_type}"
        );
    }
}

#[test]
fn other_traffic_passes_where_it_may() {
    let config = config_with(masking(), json!({ "traffic": { "unrecognised": "allow" } }));
    for (media_type, body) in [("application/json", "{}"), ("application/json", "{"), ("text/plain", CALL)] {
        let (flow, record) = send(&config, "/jira", media_type, None, body.as_bytes());
        assert_eq!((flow, &record["coverage"]), (Flow::Continue, &json!("none")), "{media_type} {body}");
        assert_eq!(record["coverage_reasons"], json!(["unrecognised"]));
    }
    let (_, record) = send(&config, "/jira", "application/json", None, CALL.as_bytes());
    assert_eq!((&record["dialect"], &record["decision"]), (&json!("mcp"), &json!("redact")));
}

#[test]
fn a_route_names_the_dialect() {
    let config = config(masking());
    let body = chat(EMAIL, json!({}));
    for (dialect, path, want) in [
        (Some("openai_chat"), "/llm/ask", json!("openai_chat")),
        (Some("json"), "/v1/chat/completions", json!("json")),
        (None, "/v1/chat/completions", json!("openai_chat")),
    ] {
        let (flow, record) = send(&config, path, "application/json", dialect, &body);
        assert_eq!(
            (flow, &record["dialect"], &record["decision"]),
            (Flow::Continue, &want, &json!("redact"))
        );
    }
    // A word that names no dialect is no licence to guess.
    let (flow, record) = send(&config, "/v1/chat/completions", "application/json", Some("opnai"), &body);
    assert_eq!((flow, &record["deny_reason"]), (Flow::Hold, &json!("traffic.unrecognised")));
}

#[test]
fn token_numbers_lower_coverage() {
    let config = config(masking());
    let body = json!({ "model": "m", "prompt": [1, 2, 3] }).to_string();
    let (_, record) = send(&config, "/v1/completions", "application/json", None, body.as_bytes());
    assert_eq!(
        (&record["coverage"], &record["coverage_reasons"]),
        (&json!("partial"), &json!(["request.token_ids"]))
    );
}

#[test]
fn a_quota_that_cannot_be_metered_passes_only_where_faults_may() {
    let mut policy = masking();
    policy["quotas"] =
        json!([{ "name": "t", "per": "subject", "unit": "tokens", "limit": 1000, "window": "1d" }]);
    for (on_fault, passes) in [("closed", false), ("open", true)] {
        let config = config_with(policy.clone(), json!({ "on_fault": on_fault }));
        let (mut session, mut scratch) = (Session::new(config), Scratch::default());
        let headers: Vec<_> = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("x-agent-id", "ann"),
            ("content-type", "application/json"),
        ]
        .iter()
        .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
        .collect();
        session.step(Event::RequestHeaders { headers: &headers, claims: &[], end: false }, 0, &mut scratch);
        let body = chat("hi", json!({}));
        let mut step = session.step(Event::RequestEnd { body: &body }, 0, &mut scratch);
        while let Some((_, update)) = step.update {
            step = session.step(Event::Updated(update.failed()), 0, &mut scratch);
        }
        assert_eq!(step.flow == Flow::Continue, passes, "{on_fault}");
        assert_eq!(session.host_fault(), passes);
        let mut step = session.step(Event::Done { status: 0, added_us: 0 }, 0, &mut scratch);
        while let Some((_, update)) = step.update {
            step = session.step(Event::Updated(update.failed()), 0, &mut scratch);
        }
        let line = step.commands.into_iter().find_map(|c| match c {
            Command::Audit(line) => Some(line),
            _ => None,
        });
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(record["coverage_reasons"] == json!(["fault.quota", "fault.host"]), passes, "{record}");
    }
}

/// Aliases that lead to each other or to themselves are names like others: none
/// is followed twice.
#[test]
fn an_alias_is_followed_once() {
    let aliases = json!({ "a": "b", "b": "a", "c": "c", "d": "a" });
    let mut policy = masking();
    policy["models"] = json!({ "allow": ["b", "c"] });
    let config = config_with(policy, json!({ "models": { "aliases": aliases } }));
    let mut worker = Worker::default();
    for (asked, sent, passes) in
        [("a", "b", true), ("b", "a", false), ("c", "c", true), ("d", "a", false), ("e", "e", false)]
    {
        let mut exchange = Exchange::new(&mut worker, &config);
        let passed = exchange.ask("/v1/chat/completions", &chat("hi", json!({ "model": asked })));
        assert_eq!(passed, passes, "{asked}");
        if passed {
            let body: Value = serde_json::from_slice(exchange.request.as_ref().unwrap()).unwrap();
            assert_eq!(body["model"], sent, "{asked}");
        }
        let record = exchange.finish();
        assert_eq!((&record["model_requested"], &record["model_served"]), (&json!(asked), &json!(sent)));
    }
}
