//! What is out of the ordinary for a subject, through whole exchanges: found,
//! refused, learned, shown to operators. The clock is the test's own.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

#[path = "common/drive.rs"]
mod drive;

use std::rc::Rc;

use drive::{Exchange, Worker, chat, config_with, stream};
use portcullis::config::Config;
use portcullis::session::{Command, Event, Scratch, Session};
use serde_json::{Value, json};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const CHAT: &str = "/v1/chat/completions";

fn numbers() -> Value {
    json!({
        "learn": "10m", "learn_requests": 5, "interval": "1m",
        "jump": { "intervals": 4, "min_requests": 5, "min_tokens": 300 },
        "admin": { "path": "/.well-known/portcullis/baseline", "subjects": ["ops-*"] },
    })
}

fn with(baseline: Value, more: Value) -> Rc<Config> {
    let mut all = json!({ "baseline": numbers(), "rules": { "packs": ["pii"] } });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config_with(json!({ "name": "p", "baseline": baseline }), all)
}

fn worker() -> Worker {
    Worker { now: 20_000 * DAY + 12 * 60 * MINUTE, ..Worker::default() }
}

fn offering(tools: &[&str]) -> Value {
    let tools: Vec<_> =
        tools.iter().map(|name| json!({ "type": "function", "function": { "name": name } })).collect();
    json!({ "tools": tools })
}

fn answer(model: &str, calls: &[&str], tokens: u64) -> Vec<u8> {
    let calls: Vec<_> = calls
        .iter()
        .map(|name| json!({ "id": "c", "type": "function", "function": { "name": name, "arguments": "{}" } }))
        .collect();
    let message = json!({ "role": "assistant", "content": "ok", "tool_calls": calls });
    json!({
        "model": model, "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens },
    })
    .to_string()
    .into_bytes()
}

/// A call that offers `search` and calls it; the record.
fn usual(worker: &mut Worker, config: &Rc<Config>, who: &str) -> Value {
    let mut exchange = Exchange::new(worker, config);
    assert!(exchange.ask_as(who, CHAT, &chat("hi", offering(&["search"]))));
    exchange.answer("200", "application/json", &[&answer("m-1", &["search"], 20)]);
    exchange.finish()
}

/// Both are known after this.
fn learn(worker: &mut Worker, config: &Rc<Config>) {
    for _ in 0..12 {
        for who in ["ann", "bob"] {
            assert_eq!(usual(worker, config, who)["anomalies"], Value::Null);
        }
        worker.now += MINUTE;
    }
}

fn kinds(record: &Value) -> Vec<&str> {
    let all = record["anomalies"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|a| a["kind"].as_str().unwrap()).collect()
}

/// A call for a model; the code of the refusal, and the record.
fn call(worker: &mut Worker, config: &Rc<Config>, who: &str, more: Value) -> (Option<String>, Value) {
    let mut exchange = Exchange::new(worker, config);
    if exchange.ask_as(who, CHAT, &chat("hi", more)) {
        exchange.answer("200", "application/json", &[&answer("m-1", &[], 20)]);
    }
    let refusal = exchange.reply.clone().map(|reply| {
        assert_eq!(reply.status, 403);
        serde_json::from_slice::<Value>(&reply.body).unwrap()["error"]["code"].as_str().unwrap().to_owned()
    });
    (refusal, exchange.finish())
}

#[test]
fn a_new_model_is_flagged_once_and_then_known() {
    let (config, mut worker) = (with(json!({}), json!({})), worker());
    learn(&mut worker, &config);
    let (refusal, record) = call(&mut worker, &config, "ann", json!({ "model": "m2" }));
    assert_eq!((refusal, &record["decision"]), (None, &json!("allow")));
    assert_eq!(record["anomalies"], json!([{ "kind": "anomaly.new_model", "name": "m2" }]));
    let finding = &record["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["category"], &finding["action"], &finding["where"]),
        (&json!("anomaly.new_model"), &json!("anomaly"), &json!("flag"), &json!("request:other"))
    );
    assert!(kinds(&call(&mut worker, &config, "ann", json!({ "model": "m2" })).1).is_empty());
    assert_eq!(kinds(&call(&mut worker, &config, "bob", json!({ "model": "m2" })).1), ["anomaly.new_model"]);
    assert!(kinds(&usual(&mut worker, &config, "bob")).is_empty());
}

#[test]
fn what_is_blocked_is_not_learned_by_being_tried() {
    let (config, mut worker) = (with(json!({ "action": "block" }), json!({})), worker());
    learn(&mut worker, &config);
    for _ in 0..3 {
        let (refusal, record) = call(&mut worker, &config, "ann", json!({ "model": "m2" }));
        assert_eq!(refusal.as_deref(), Some("anomaly.new_model"));
        assert_eq!(
            (&record["decision"], &record["deny_reason"]),
            (&json!("deny"), &json!("anomaly.new_model"))
        );
        let (refusal, _) = call(&mut worker, &config, "ann", offering(&["search", "delete"]));
        assert_eq!(refusal.as_deref(), Some("anomaly.new_tool"));
    }
    assert!(kinds(&usual(&mut worker, &config, "ann")).is_empty());
}

#[test]
fn what_the_upstream_refused_is_not_learned_either() {
    let (config, mut worker) = (with(json!({}), json!({})), worker());
    learn(&mut worker, &config);
    for _ in 0..2 {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as("ann", CHAT, &chat("hi", json!({ "model": "m2" }))));
        exchange.answer("404", "application/json", &[br#"{"error":{"message":"no such model"}}"#]);
        assert_eq!(kinds(&exchange.finish()), ["anomaly.new_model"]);
    }
}

#[test]
fn monitor_mode_blocks_nothing_and_goes_on_telling() {
    let config = with(json!({ "action": "block" }), json!({ "mode": "monitor" }));
    let mut worker = worker();
    learn(&mut worker, &config);
    for _ in 0..2 {
        let (refusal, record) = call(&mut worker, &config, "ann", json!({ "model": "m2" }));
        assert_eq!((refusal, kinds(&record)), (None, vec!["anomaly.new_model"]));
        assert_eq!(record["would_deny"], "anomaly.new_model");
        assert_eq!(record["findings"][0]["enforced"], false);
    }
}

/// A call that a model makes in its answer, whole or streamed.
#[test]
fn a_tool_called_for_the_first_time_does_not_reach_the_client() {
    let config = with(json!({ "per": { "new_tool": "block" } }), json!({}));
    let mut worker = worker();
    for _ in 0..12 {
        for who in ["ann", "bob"] {
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask_as(who, CHAT, &chat("hi", offering(&["search", "delete"]))));
            exchange.answer("200", "application/json", &[&answer("m-1", &["search"], 20)]);
            exchange.finish();
        }
        worker.now += MINUTE;
    }
    for tool in ["search", "delete"] {
        let fine = tool == "search";
        // Twice: what was refused stays new.
        for _ in 0..2 {
            let mut exchange = Exchange::new(&mut worker, &config);
            assert!(exchange.ask_as("ann", CHAT, &chat("hi", offering(&["search", "delete"]))), "{tool}");
            exchange.answer("200", "application/json", &[&answer("m-1", &[tool], 20)]);
            assert_eq!(exchange.reply.is_none(), fine, "{tool}");
            let record = exchange.finish();
            assert_eq!(record["deny_reason"] == "anomaly.new_tool", !fine, "{record}");
            assert_eq!(kinds(&record).is_empty(), fine);
        }
        let delta = json!({ "tool_calls": [{ "index": 0, "id": "c", "type": "function",
            "function": { "name": tool, "arguments": "{\"secret\":1}" } }] });
        let event = json!({ "model": "m-1", "choices": [{ "index": 0, "delta": delta }] });
        let body = [format!("data: {event}\n\n").into_bytes(), stream(&["bye"])].concat();
        let mut exchange = Exchange::new(&mut worker, &config);
        let asked = offering(&["search", "delete"]);
        let asked = json!({ "stream": true, "tools": asked["tools"] });
        assert!(exchange.ask_as("bob", CHAT, &chat("hi", asked)));
        exchange.answer("200", "text/event-stream", &[&body]);
        let said = String::from_utf8(exchange.response.clone()).unwrap();
        assert_eq!(said.contains("secret"), fine, "{said}");
        assert_eq!(said.contains("anomaly.new_tool"), !fine, "{said}");
        assert_eq!(exchange.finish()["decision"] == "deny", !fine);
    }
}

#[test]
fn another_version_that_answers_is_found() {
    for (act, passes) in [("flag", true), ("block", false)] {
        let config = with(json!({ "per": { "new_served_model": act } }), json!({}));
        let mut worker = worker();
        learn(&mut worker, &config);
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as("ann", CHAT, &chat("hi", json!({}))));
        exchange.answer("200", "application/json", &[&answer("m-2", &[], 20)]);
        assert_eq!(exchange.reply.is_none(), passes);
        let record = exchange.finish();
        assert_eq!(record["anomalies"], json!([{ "kind": "anomaly.new_served_model", "name": "m-2" }]));
        assert!(kinds(&usual(&mut worker, &config, "bob")).is_empty());
        // In a stream every event names it; one line is enough.
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as("bob", CHAT, &chat("hi", json!({ "stream": true }))));
        let body = String::from_utf8(stream(&["a", "b"])).unwrap().replace("\"m\"", "\"m-3\"");
        exchange.answer("200", "text/event-stream", &[body.as_bytes()]);
        let record = exchange.finish();
        assert_eq!(kinds(&record), ["anomaly.new_served_model"]);
        assert_eq!(record["findings"][0]["count"], 1);
        assert_eq!(record["decision"] == "allow", passes);
        // The one that was asked for is no news.
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask_as("bob", CHAT, &chat("hi", json!({ "stream": true }))));
        exchange.answer("200", "text/event-stream", &[&stream(&["a"])]);
        assert!(kinds(&exchange.finish()).is_empty());
    }
}

fn mcp(worker: &mut Worker, config: &Rc<Config>, who: &str, server: &str, tool: &str) -> Value {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": {} } });
    let mut exchange = Exchange::new(worker, config);
    if exchange.ask_as(who, &format!("/mcp/{server}"), call.to_string().as_bytes()) {
        exchange.answer("200", "application/json", &[br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#]);
    }
    exchange.finish()
}

#[test]
fn mcp_servers_and_their_tools_are_told_apart() {
    let (config, mut worker) = (with(json!({ "action": "block" }), json!({})), worker());
    for _ in 0..12 {
        for who in ["ann", "bob"] {
            for (server, tool) in [("jira", "search"), ("wiki", "read")] {
                assert!(kinds(&mcp(&mut worker, &config, who, server, tool)).is_empty());
            }
        }
        worker.now += MINUTE;
    }
    assert!(kinds(&mcp(&mut worker, &config, "bob", "jira", "search")).is_empty());
    for (server, tool, found) in [
        ("jira", "delete", &["anomaly.new_tool"][..]),
        ("wiki", "search", &["anomaly.new_tool"]),
        ("evil", "search", &["anomaly.new_mcp_server", "anomaly.new_tool"]),
    ] {
        let record = mcp(&mut worker, &config, "ann", server, tool);
        assert_eq!((kinds(&record), &record["decision"]), (found.to_vec(), &json!("deny")), "{record}");
    }
}

#[test]
fn what_the_operator_knows_is_new_to_nobody() {
    let known = json!({ "models": ["m2*"], "tools": ["del*"], "servers": ["jira"] });
    let config = with(json!({ "action": "block", "known": known }), json!({}));
    let mut worker = worker();
    learn(&mut worker, &config);
    let asked = json!({ "model": "m2-large", "tools": offering(&["delete"])["tools"] });
    assert!(call(&mut worker, &config, "ann", asked).0.is_none());
    assert!(kinds(&mcp(&mut worker, &config, "ann", "jira", "del_x")).is_empty());
    assert_eq!(call(&mut worker, &config, "ann", json!({ "model": "m3" })).0.unwrap(), "anomaly.new_model");
}

#[test]
fn a_rate_and_a_spend_that_jump_are_refused() {
    let (config, mut worker) = (with(json!({ "action": "block" }), json!({})), worker());
    learn(&mut worker, &config);
    // One a minute is usual; the floor is 5.
    for n in 0..8 {
        let (refusal, record) = call(&mut worker, &config, "ann", json!({}));
        assert_eq!(refusal.as_deref(), (n >= 5).then_some("anomaly.rate"), "{n}");
        if n >= 5 {
            let line = json!({ "kind": "anomaly.rate", "name": "requests", "value": 6, "limit": 5 });
            assert_eq!(record["anomalies"], json!([line]));
        }
    }
    assert!(kinds(&usual(&mut worker, &config, "bob")).is_empty());
    worker.now += MINUTE;
    // What is spent shows at the end, and stops the next call.
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask_as("bob", CHAT, &chat("hi", json!({}))));
    exchange.answer("200", "application/json", &[&answer("m-1", &[], 301)]);
    let record = exchange.finish();
    assert_eq!((kinds(&record), &record["decision"]), (vec!["anomaly.spend"], &json!("allow")));
    assert_eq!(call(&mut worker, &config, "bob", json!({})).0.unwrap(), "anomaly.spend");
    assert!(call(&mut worker, &config, "ann", json!({})).0.is_none());
    worker.now += MINUTE;
    assert!(call(&mut worker, &config, "bob", json!({})).0.is_none());
    // A prompt that is too long by itself does not get that far.
    assert_eq!(
        call(
            &mut worker,
            &config,
            "bob",
            json!({ "messages": [{ "role": "user", "content": "word ".repeat(2000) }] })
        )
        .0
        .unwrap(),
        "anomaly.spend"
    );
}

#[test]
fn cost_jumps_where_models_have_prices() {
    let prices = json!({ "models": { "prices": {
        "m": { "input": 1, "output": 1 }, "gold": { "input": 10000, "output": 10000 } } } });
    let known = json!({ "models": ["gold"] });
    let config = with(json!({ "per": { "spend": "block" }, "known": known }), prices);
    let mut worker = worker();
    learn(&mut worker, &config);
    let (refusal, record) = call(&mut worker, &config, "ann", json!({ "model": "gold", "max_tokens": 1 }));
    assert_eq!(refusal, None, "{record}");
    // 20 tokens for 0.20 dollars, where 0.10 is the floor.
    assert_eq!(record["anomalies"][0]["name"], "cost_nano_usd");
    assert_eq!(call(&mut worker, &config, "ann", json!({})).0.unwrap(), "anomaly.spend");
    assert!(call(&mut worker, &config, "bob", json!({})).0.is_none());
}

#[test]
fn an_hour_without_requests_is_unusual() {
    let config = with(json!({ "per": { "unusual_hour": "block" } }), json!({}));
    let mut worker = worker();
    for _ in 0..30 {
        for who in ["ann", "bob"] {
            usual(&mut worker, &config, who);
        }
        worker.now += DAY;
    }
    worker.now += 8 * 60 * MINUTE;
    assert_eq!(call(&mut worker, &config, "ann", json!({})).0.unwrap(), "anomaly.unusual_hour");
    worker.now += 16 * 60 * MINUTE;
    assert!(call(&mut worker, &config, "ann", json!({})).0.is_none());
    assert!(kinds(&usual(&mut worker, &config, "bob")).is_empty());
}

#[test]
fn a_name_that_holds_a_value_is_kept_as_a_label() {
    let (config, mut worker) = (with(json!({}), json!({})), worker());
    learn(&mut worker, &config);
    let (_, record) = call(&mut worker, &config, "ann", json!({ "model": "jane.doe@example.com" }));
    assert_eq!(record["anomalies"], json!([{ "kind": "anomaly.new_model", "name": "[EMAIL]" }]));
    let kept = worker.cells.values().flatten().copied().collect::<Vec<u8>>();
    assert!(!kept.windows(8).any(|w| w == b"jane.doe") && kept.windows(7).any(|w| w == b"[EMAIL]"));
    assert!(!kept.windows(3).any(|w| w == b"ann"), "no subject in a cell");
}

#[test]
fn a_damaged_baseline_denies_where_it_is_relied_on() {
    for (act, on_fault, passes, coverage) in [
        ("flag", "closed", true, "partial"),
        ("block", "closed", false, "full"),
        ("block", "open", true, "partial"),
    ] {
        let config = with(json!({ "action": act }), json!({ "on_fault": on_fault }));
        let mut worker = worker();
        learn(&mut worker, &config);
        for cell in worker.cells.values_mut() {
            cell[12] ^= 1;
        }
        for who in ["ann", "bob"] {
            let mut exchange = Exchange::new(&mut worker, &config);
            let passed = exchange.ask_as(who, CHAT, &chat("hi", json!({})));
            assert_eq!(passed, passes, "{act} {on_fault}");
            if passed {
                exchange.answer("200", "application/json", &[&answer("m-1", &[], 20)]);
            }
            assert_eq!(exchange.reply.as_ref().map(|r| r.status), (!passes).then_some(503));
            let record = exchange.finish();
            assert_eq!(record["coverage"], coverage);
            let told = record["coverage_reasons"].as_array().unwrap().contains(&json!("fault.baseline"));
            assert_eq!(told, passes);
            assert_eq!(record["deny_reason"] == "baseline.unavailable", !passes);
        }
    }
}

/// What a human approves is learned, what he denies is not.
#[test]
fn a_human_is_asked_what_the_baseline_does_not_know() {
    let approving = |mode: &str| {
        let policy = json!({ "name": "p", "approval": { "service": "desk" },
            "baseline": { "action": "flag", "per": { "new_model": "approve", "new_served_model": "allow" } } });
        let more = json!({ "baseline": numbers(), "rules": { "packs": ["pii"] }, "mode": mode,
            "approvals": { "desk": { "cluster": "c" } } });
        config_with(policy, more)
    };
    let (config, mut worker) = (approving("enforce"), worker());
    learn(&mut worker, &config);
    for (decision, status) in [("deny", Some(403)), ("pending", Some(403)), ("allow", None)] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(!exchange.ask_as("ann", CHAT, &chat("hi", json!({ "model": "m2" }))), "{decision}");
        assert!(exchange.reply.is_none(), "it waits");
        let asked = exchange.asked.clone().expect("a question");
        let question: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!((&question["why"], &question["subject"]), (&json!(["anomaly"]), &json!("ann")));
        let said = json!({ "id": asked.id, "decision": decision }).to_string();
        exchange.step(Event::Answered { reply: Some((200, said.as_bytes())), waited_us: 5 });
        assert_eq!(exchange.reply.as_ref().map(|reply| reply.status), status, "{decision}");
        if status.is_none() {
            exchange.answer("200", "application/json", &[&answer("m2", &[], 20)]);
        }
        let record = exchange.finish();
        assert_eq!(kinds(&record), ["anomaly.new_model"]);
        assert_eq!(record["findings"][0]["action"], "approve");
        assert_eq!(record["approval"][0]["decision"], decision);
    }
    assert!(kinds(&call(&mut worker, &config, "ann", json!({ "model": "m2" })).1).is_empty());
    assert!(kinds(&usual(&mut worker, &config, "bob")).is_empty());
    let config = approving("monitor");
    for _ in 0..2 {
        let (refusal, record) = call(&mut worker, &config, "bob", json!({ "model": "m2" }));
        assert_eq!((refusal, &record["would_deny"]), (None, &json!("approval.required")));
    }
}

/// The operator's endpoint: status, body, record.
fn operate(
    worker: &mut Worker,
    config: &Rc<Config>,
    who: &str,
    method: &str,
    query: &str,
) -> (u16, Value, Value) {
    let path = format!("/.well-known/portcullis/baseline{query}");
    let headers = [(":method", method), (":path", path.as_str()), ("x-agent-id", who)];
    let headers: Vec<_> =
        headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
    let mut exchange = Exchange::new(worker, config);
    exchange.step(Event::RequestHeaders { headers: &headers, claims: &[], end: true });
    let reply = exchange.reply.clone().expect("never goes upstream");
    let body = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body, exchange.finish())
}

#[test]
fn an_operator_sees_what_is_known_and_has_it_forgotten() {
    for mode in ["enforce", "monitor"] {
        let config = with(json!({ "action": "block" }), json!({ "mode": mode }));
        let mut worker = worker();
        learn(&mut worker, &config);
        mcp(&mut worker, &config, "ann", "jira", "search");
        let (status, body, record) = operate(&mut worker, &config, "ops-1", "GET", "?subject=ann");
        assert_eq!((status, &body["subject"], &body["learned"]), (200, &json!("ann"), &json!(true)));
        assert_eq!((&body["models"], &body["models_served"]), (&json!(["m"]), &json!(["m-1"])));
        assert_eq!((&body["tools_called"], &body["tools_offered"]), (&json!(["search"]), &json!(["search"])));
        assert_eq!(body["per_interval"]["requests"]["mean"], 1);
        assert_eq!(body["hours_utc"].as_array().unwrap().len(), 24);
        assert_eq!(
            (&record["operation"], &record["baseline_of"], &record["decision"], &record["subject"]),
            (&json!("baseline_show"), &json!("ann"), &json!("allow"), &json!("ops-1"))
        );
        // What it shows as a policy is one.
        let mut policy = body["policy"].clone();
        policy["name"] = json!("ann");
        let strict = config_with(policy, json!({}));
        assert!(call(&mut worker, &strict, "ann", json!({})).0.is_none());
        assert_eq!(call(&mut worker, &strict, "ann", json!({ "model": "m2" })).0.unwrap(), "policy.model");

        for (who, method, query, refused) in [
            ("ann", "GET", "?subject=bob", 403),
            ("ann", "DELETE", "?subject=ann", 403),
            ("ops-1", "GET", "", 400),
            ("ops-1", "POST", "?subject=ann", 400),
            ("ops-1", "GET", "?subject=nobody", 404),
        ] {
            let (status, _, record) = operate(&mut worker, &config, who, method, query);
            assert_eq!((status, &record["decision"]), (refused, &json!("deny")), "{who} {method} {query}");
        }
        let (status, body, record) = operate(&mut worker, &config, "ops-1", "DELETE", "?subject=ann");
        assert_eq!((status, &body["models"]), (200, &json!(["m"])), "the last copy of it");
        assert_eq!((&record["operation"], &record["baseline_of"]), (&json!("baseline_reset"), &json!("ann")));
        assert_eq!(operate(&mut worker, &config, "ops-1", "GET", "?subject=ann").0, 404);
        // Ann is learned anew, Bob is known as before.
        assert!(kinds(&call(&mut worker, &config, "ann", json!({ "model": "m2" })).1).is_empty());
        assert_eq!(
            kinds(&call(&mut worker, &config, "bob", json!({ "model": "m2" })).1),
            ["anomaly.new_model"]
        );
    }
}

/// Names that are patterns in a policy: exported as names, never as a policy.
#[test]
fn a_name_with_a_star_allows_nothing_else() {
    let (config, mut worker) = (with(json!({}), json!({})), worker());
    for model in ["*", "gpt-4o", "a b"] {
        call(&mut worker, &config, "ann", json!({ "model": model }));
    }
    let (_, body, _) = operate(&mut worker, &config, "ops-1", "GET", "?subject=ann");
    assert_eq!(body["models"], json!(["*", "gpt-4o", "a b"]));
    assert_eq!(body["policy"]["models"]["allow"], json!(["gpt-4o"]));
}

#[test]
fn a_policy_without_a_baseline_asks_no_cell() {
    let config = config_with(json!({ "name": "p" }), json!({ "baseline": numbers() }));
    let (mut session, mut scratch) = (Session::new(config), Scratch::default());
    let headers: Vec<_> =
        [(":method", "POST"), (":path", CHAT), ("x-agent-id", "ann"), ("content-type", "application/json")]
            .iter()
            .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
    session.step(Event::RequestHeaders { headers: &headers, claims: &[], end: false }, 0, &mut scratch);
    let step = session.step(Event::RequestEnd { body: &chat("hi", json!({})) }, 0, &mut scratch);
    assert!(step.update.is_none());
    let step = session.step(Event::Done { status: 200, added_us: 1 }, 0, &mut scratch);
    assert!(step.update.is_none() && step.commands.iter().any(|c| matches!(c, Command::Audit(_))));
}

#[test]
fn what_is_written_wrongly_is_refused_with_its_path() {
    let base = |top: Value, policy: Value| {
        let text = json!({ "version": 1, "identity": { "required": false }, "rules": { "packs": [] }, "baseline": top,
            "policies": [{ "name": "p", "baseline": policy }] });
        Config::from_json(&text.to_string()).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(base(json!({}), json!({})), Ok(()));
    for (top, policy, path) in [
        (json!({ "learn": "1month" }), json!({}), "baseline.learn: "),
        (json!({ "interval": "0s" }), json!({}), "baseline.interval: "),
        (json!({ "forget": "7d" }), json!({}), "baseline.forget: "),
        (json!({ "jump": { "times": 0.5 } }), json!({}), "baseline.jump.times: "),
        (json!({ "jump": { "time": 5 } }), json!({}), "baseline.jump.time: unknown field"),
        (json!({ "jump": 5 }), json!({}), "baseline.jump: must be an object"),
        (json!({ "learnt": "7d" }), json!({}), "baseline.learnt: unknown field"),
        (json!({ "learn": 7 }), json!({}), "baseline.learn: must be a string"),
        (json!({ "jump": { "sigmas": -1 } }), json!({}), "baseline.jump.sigmas: "),
        (json!({ "jump": { "intervals": 1 } }), json!({}), "baseline.jump.intervals: "),
        (json!({ "jump": { "min_cost_usd": -1 } }), json!({}), "baseline.jump.min_cost_usd: "),
        (json!({ "admin": { "path": "x", "subjects": ["a"] } }), json!({}), "baseline.admin.path: "),
        (json!({ "admin": { "path": "/x?y", "subjects": ["a"] } }), json!({}), "baseline.admin.path: "),
        (json!({ "admin": { "path": "/x" } }), json!({}), "baseline.admin.subjects: "),
        (
            json!({ "admin": { "path": "/x", "subjects": [1] } }),
            json!({}),
            "baseline.admin.subjects: must be a list",
        ),
        (
            json!({ "admin": { "path": "/x", "subjects": ["a"], "x": 1 } }),
            json!({}),
            "baseline.admin.x: unknown",
        ),
        (json!({}), json!("block"), "policies[0].baseline: must be an object"),
        (
            json!({ "admin": { "path": "/x", "subjects": ["[a]"] } }),
            json!({}),
            "baseline.admin.subjects[0]: ",
        ),
        (
            json!({}),
            json!({ "per": { "new_thing": "flag" } }),
            "policies[0].baseline.per.new_thing: unknown field",
        ),
        (json!({}), json!({ "action": "deny" }), "policies[0].baseline.action: "),
        (
            json!({}),
            json!({ "per": { "rate": "approve" } }),
            "policies[0].baseline: `approve` needs `approval`",
        ),
        (json!({}), json!({ "known": { "tools": ["{a}"] } }), "policies[0].baseline.known.tools[0]: "),
    ] {
        let said = base(top, policy).unwrap_err();
        assert!(said.starts_with(path), "{said}");
    }
}
