//! What each phase of an exchange costs on ordinary prose, and a whole one on prose
//! (`session`) and on tools, calls and results (`agent`), next to `memcpy`
//! and to bare Aho-Corasick passes over the same bytes: for ten words, and for the
//! literals of all rules, whose places are what `scan` starts from. The least of many
//! rounds.
//!
//! `phases [PHASE [KILOBYTES [ROUNDS]]]`. Runs natively, under callgrind, and
//! as wasm32-wasip1 in the V8 of Node: `./build.sh bench phases`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, clippy::string_slice)]

use std::collections::HashMap;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use portcullis::config::Config;
use portcullis::detect::classifier::{BUILTIN, Classifier, Scores};
use portcullis::detect::{self, Input, View};
use portcullis::quota::estimate::{Estimate, Family};
use portcullis::rules::{Direction, Start};
use portcullis::session::{Event, Scratch, Session};
use portcullis::text::{self, SpanKind};
use portcullis::wire::json::Doc;
use portcullis::wire::{self};
use serde_json::json;

const PROSE: &str = include_str!("prose.txt");

/// About `size` bytes of the sentences in an order of its own.
fn prose(size: usize) -> String {
    let lines: Vec<&str> = PROSE.lines().collect();
    let mut out = String::with_capacity(size + 128);
    let mut seed = 7_usize;
    while out.len() < size {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        out.push_str(lines[(seed >> 8) % lines.len()]);
        out.push(' ');
    }
    out.truncate(size);
    out
}

fn body(text: &str) -> Vec<u8> {
    let messages: Vec<_> = text
        .as_bytes()
        .chunks(4096)
        .map(|t| json!({ "role": "user", "content": std::str::from_utf8(t).unwrap() }))
        .collect();
    json!({ "model": "gpt-4o-mini", "messages": messages }).to_string().into_bytes()
}

/// The same size of what agents send: tools, calls and their results.
fn agent_body(size: usize) -> Vec<u8> {
    let tools: Vec<_> = ["get_order", "list_flights", "find_customer", "update_ticket"]
        .iter()
        .map(|name| {
            json!({ "type": "function", "function": {
                "name": name,
                "description": "Looks something up by its number or by a part of its name, and returns it as JSON.",
                "parameters": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string", "description": "The number of the order, e.g. ORD-10234." },
                    "city": { "type": "string", "description": "Only what is in this city." },
                    "limit": { "type": "integer" },
                } },
            } })
        })
        .collect();
    let mut messages =
        vec![json!({ "role": "system", "content": "You help the customers of a bicycle shop." })];
    let mut bytes = 2000;
    for call in 0_usize.. {
        if bytes >= size {
            break;
        }
        let orders: Vec<_> = (0..6)
            .map(|i| {
                let n = (call * 6 + i).wrapping_mul(2_654_435_761) % 90_000 + 10_000;
                json!({
                    "id": format!("ORD-{n}"), "status": "shipped", "amount": n as f64 / 100.0,
                    "created_at": format!("2024-{:02}-{:02}T{:02}:15:00Z", n % 12 + 1, n % 28 + 1, n % 24),
                    "customer": { "name": "Anna Meyer", "city": "Oslo", "address1": "Suite 12" },
                    "items": [{ "sku": format!("SKU{}", n % 900 + 100), "qty": n % 9 }],
                })
            })
            .collect();
        let (id, arguments) =
            (format!("call_{call}"), json!({ "id": format!("ORD-{call}"), "limit": 6 }).to_string());
        let result = serde_json::to_string(&orders).unwrap();
        bytes += result.len() * 5 / 4 + 500;
        messages.extend([
            json!({ "role": "user", "content": "Please look up my last orders and tell me when they will come." }),
            json!({ "role": "assistant", "content": null, "tool_calls": [
                { "id": &id, "type": "function", "function": { "name": "get_order", "arguments": arguments } },
            ] }),
            json!({ "role": "tool", "tool_call_id": &id, "content": result }),
        ]);
    }
    json!({ "model": "gpt-4o-mini", "messages": messages, "tools": tools }).to_string().into_bytes()
}

fn config() -> Rc<Config> {
    let scan = json!({ "injection": "block", "pii": "redact", "secrets": "redact", "exfiltration": "block", "code": "flag" });
    let text = json!({
        "version": 1,
        "identity": { "required": false },
        "policies": [{
            "name": "bench",
            "quotas": [{ "name": "day", "per": "subject", "unit": "tokens", "limit": 1_000_000_000_000_u64, "window": "1d" }],
            "scan": { "request": scan, "response": scan },
        }],
    });
    Rc::new(Config::from_json(&text.to_string()).unwrap())
}

/// One request through the session, with its cells in a map.
fn exchange(config: &Rc<Config>, cells: &mut HashMap<String, Vec<u8>>, scratch: &mut Scratch, body: &[u8]) {
    let mut session = Session::new(config.clone());
    let headers: Vec<(Vec<u8>, Vec<u8>)> =
        [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")]
            .iter()
            .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
    let now = 1_000_000;
    let mut event = Event::RequestHeaders { headers: &headers, claims: &[], end: false };
    let mut asked = false;
    loop {
        let step = session.step(event, now, scratch);
        event = match step.update {
            Some((key, update)) => {
                let (cell, answer) = update.apply(cells.get(&key).map(Vec::as_slice), now);
                if let Some(cell) = cell {
                    cells.insert(key, cell);
                }
                Event::Updated(answer)
            }
            None if !asked => {
                asked = true;
                Event::RequestEnd { body }
            }
            None => break,
        };
    }
    black_box(session.step(Event::Done { status: 200, added_us: 1 }, now, scratch));
}

fn input(text: &str, view: View) -> Input<'_> {
    Input { text, view, kind: SpanKind::User, direction: Direction::Request, at_end: true, skip_before: 0 }
}

type Phase<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let only = args.next().filter(|a| a != "all");
    let kilobytes: usize = args.next().map_or(16, |a| a.parse().unwrap());
    let rounds: Option<usize> = args.next().map(|a| a.parse().unwrap());

    let text = prose(kilobytes * 1024);
    let (body, agent) = (body(&text), agent_body(text.len()));
    let config = config();
    let (mut cells, mut agent_cells, mut agent_scratch) =
        (HashMap::new(), HashMap::new(), Scratch::default());
    let (mut session_scratch, mut engine, mut views) =
        (Scratch::default(), detect::Scratch::default(), text::Scratch::default());
    let (classifier, mut scores) = (Classifier::load(BUILTIN).unwrap(), Scores::default());
    let mut matches = Vec::new();
    let mut copy = vec![0_u8; body.len()];
    let words =
        ["ignore", "password", "secret", "system", "instructions", "@", "http", "token", "key", "card"];
    let automaton = aho_corasick::AhoCorasick::builder()
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .build(words)
        .unwrap();

    let rules = portcullis::rules::builtin().unwrap();
    let literals = rules.rules().iter().filter_map(|rule| match &rule.start {
        Start::Literals(texts) => Some(texts),
        Start::Anchor(_) | Start::Model => None,
    });
    let all = aho_corasick::AhoCorasick::builder()
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .build(literals.flatten())
        .unwrap();

    let phases: Vec<Phase<'_>> = vec![
        ("memcpy", Box::new(|| black_box(&mut copy).copy_from_slice(black_box(&body)))),
        ("aho_corasick", Box::new(|| _ = black_box(automaton.find_iter(black_box(&text)).count()))),
        ("all_literals", Box::new(|| _ = black_box(all.find_overlapping_iter(black_box(&text)).count()))),
        ("json", Box::new(|| drop(black_box(Doc::parse(black_box(&body)).unwrap())))),
        (
            "read",
            Box::new(|| {
                let doc = Doc::parse(black_box(&body)).unwrap();
                let (dialect, op) = wire::recognise_for("POST", "/v1/chat/completions", false).unwrap();
                drop(black_box(dialect.request(op, "/v1/chat/completions", &doc)));
            }),
        ),
        ("classify", Box::new(|| _ = black_box(text::classify(black_box(&text))))),
        ("views", Box::new(|| _ = black_box(text::views(black_box(&text), &mut views, &mut |_| {})))),
        (
            "scan",
            Box::new(|| {
                matches.clear();
                black_box(config.engine.scan(&input(black_box(&text), View::Raw), &mut engine, &mut matches));
            }),
        ),
        ("score", Box::new(|| classifier.score(black_box(&text), black_box(&mut scores)))),
        (
            "estimate",
            Box::new(|| {
                let mut estimate = Estimate::new(Family::of_model("gpt-4o-mini"));
                estimate.text(black_box(text.as_bytes()));
                black_box(estimate.total());
            }),
        ),
        ("hash", Box::new(|| drop(black_box(config.hasher.digest(black_box(&body)))))),
        ("session", Box::new(|| exchange(&config, &mut cells, &mut session_scratch, black_box(&body)))),
        ("agent", Box::new(|| exchange(&config, &mut agent_cells, &mut agent_scratch, black_box(&agent)))),
    ];

    println!("{:<14}{:>10}{:>12}{:>12}", "phase", "rounds", "µs", "MB/s");
    for (name, mut run) in phases {
        if only.as_deref().is_some_and(|o| o != name) {
            continue;
        }
        run();
        let rounds = rounds.unwrap_or_else(|| {
            let start = Instant::now();
            run();
            // About half a second in all.
            (0.5 / start.elapsed().as_secs_f64().max(1e-7)).clamp(3.0, 100_000.0) as usize
        });
        // The least: what else the machine does only adds.
        let mut least = f64::MAX;
        for _ in 0..rounds {
            let start = Instant::now();
            run();
            least = least.min(start.elapsed().as_secs_f64());
        }
        let bytes = if name == "agent" { agent.len() } else { body.len() };
        println!("{name:<14}{rounds:>10}{:>12.1}{:>12.0}", least * 1e6, bytes as f64 / least / 1e6);
    }
}
