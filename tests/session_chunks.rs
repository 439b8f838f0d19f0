//! The answers of all wire fixtures through whole sessions, cut in every way:
//! what goes to the client and what is recorded does not depend on it.
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
#[path = "common/requests.rs"]
mod requests;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use drive::*;
use portcullis::config::Config;
use portcullis::session::{Command, Event, ResponseMode, Scratch, Session};
use portcullis::wire::eventstream;
use requests::request_for;
use serde_json::{Value, json};

/// Streams up to this size are cut at every byte.
const SMALL: usize = 1500;

struct Fixture {
    name: String,
    method: String,
    path: String,
    status: String,
    content_type: String,
    body: Vec<u8>,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let list = |dir: &Path| -> Vec<PathBuf> {
        let mut found: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        found.sort();
        found
    };
    let files = list(&root).into_iter().filter(|p| p.is_dir()).flat_map(|dir| list(&dir));
    let http = files.filter(|p| p.extension().is_some_and(|e| e == "http"));
    http.filter_map(|file| {
        let text = std::fs::read_to_string(&file).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let words: Vec<&str> = head.splitn(4, ' ').collect();
        let [method, path, status, content_type] = words[..] else { return None };
        let body =
            if content_type.contains("eventstream") { messages(body) } else { body.as_bytes().to_vec() };
        Some(Fixture {
            name: file.strip_prefix(&root).unwrap().display().to_string(),
            method: method.to_owned(),
            path: path.to_owned(),
            status: status.to_owned(),
            content_type: content_type.to_owned(),
            body,
        })
    })
    .collect()
}

/// `name payload` a line, as messages of the binary framing.
fn messages(lines: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.lines() {
        let (name, payload) = line.split_once(' ').unwrap();
        let headers =
            [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        out.extend(eventstream::encode(&headers, payload.as_bytes()).unwrap());
    }
    out
}

fn config() -> Rc<Config> {
    config_with(
        json!({ "name": "p", "scan": {
            "request": { "pii": "tokenize", "secrets": "redact" },
            "response": { "pii": "redact", "secrets": "redact", "exfiltration": "flag", "injection": "flag", "code": "flag" },
        } }),
        json!({ "audit": { "key": "a key of sixteen bytes or more", "response": "none" } }),
    )
}

/// What goes to the client, and the record.
fn run(
    config: &Rc<Config>,
    scratch: &mut Scratch,
    fixture: &Fixture,
    body: &[u8],
    cuts: &[usize],
) -> Option<(Vec<u8>, Value)> {
    let mut session = Session::new(config.clone());
    let bytes = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
    };
    let headers = bytes(&[
        (":method", &fixture.method),
        (":path", &fixture.path),
        ("x-agent-id", "ann"),
        ("content-type", "application/json"),
    ]);
    let end = fixture.method == "GET";
    session.step(Event::RequestHeaders { headers: &headers, claims: &[], end }, 0, scratch);
    if !end {
        let asked = request_for(fixture.name.split('/').next().unwrap());
        session.step(Event::RequestEnd { body: asked.as_bytes() }, 0, scratch);
    }
    if session.is_refused() {
        let is_stream = ["stream", "ndjson"].iter().any(|word| fixture.content_type.contains(word));
        assert!(!is_stream, "{}: the request is refused", fixture.name);
        return None;
    }
    let headers = bytes(&[(":status", &fixture.status), ("content-type", &fixture.content_type)]);
    session.step(Event::ResponseHeaders { headers: &headers, end: false }, 0, scratch);
    if session.response_mode() != ResponseMode::Live {
        return None;
    }
    let mut out = Vec::new();
    let mut from = 0;
    for (i, to) in cuts.iter().copied().chain([body.len()]).enumerate() {
        let chunk = &body[from..to];
        let step = session.step(
            Event::ResponseChunk { bytes: chunk, end: to == body.len() && i == cuts.len() },
            0,
            scratch,
        );
        let replaced = step.commands.into_iter().find_map(|c| match c {
            Command::ReplaceResponseBody(body) => Some(body),
            _ => None,
        });
        out.extend(replaced.unwrap_or_else(|| chunk.to_vec()));
        from = to;
    }
    let step = session.step(Event::Done { status: 200, added_us: 0 }, 0, scratch);
    let line = step.commands.into_iter().find_map(|c| match c {
        Command::Audit(line) => Some(line),
        _ => None,
    });
    Some((out, serde_json::from_str(&line.unwrap()).unwrap()))
}

/// Ascending cuts of about `size` bytes, from a seed.
fn seeded(len: usize, size: usize, seed: u64) -> Vec<usize> {
    let (mut cuts, mut at, mut state) = (Vec::new(), 0, seed);
    loop {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at += 1 + (state >> 33) as usize % size;
        if at >= len {
            return cuts;
        }
        cuts.push(at);
    }
}

#[test]
fn no_way_of_cutting_a_stream_changes_it() {
    let (config, mut scratch) = (config(), Scratch::default());
    let (mut streams, mut runs, mut edited) = (0, 0, 0);
    for fixture in fixtures() {
        // The fixture as it is, and with values in place of its words.
        for body in [fixture.body.clone(), with_values(&fixture)] {
            let Some(whole) = run(&config, &mut scratch, &fixture, &body, &[]) else { continue };
            streams += 1;
            edited += usize::from(whole.0 != body);
            let mut check = |cuts: &[usize]| {
                let got = run(&config, &mut scratch, &fixture, &body, cuts).unwrap();
                assert!(
                    got.0 == whole.0,
                    "{} cut at {cuts:?}:\n{}\n{}",
                    fixture.name,
                    got.0.escape_ascii(),
                    whole.0.escape_ascii()
                );
                assert_eq!(got.1, whole.1, "{} cut at {cuts:?}", fixture.name);
                runs += 1;
            };
            check(&(1..body.len()).collect::<Vec<_>>());
            for (size, seed) in [(3, 1), (16, 2), (100, 3), (700, 4)] {
                check(&seeded(body.len(), size, seed));
            }
            if body.len() <= SMALL {
                (1..body.len()).for_each(|at| check(&[at]));
            } else {
                (1..body.len()).step_by(37).for_each(|at| check(&[at]));
            }
        }
    }
    assert!(streams >= 20 && runs > 5000 && edited >= 8, "{streams} streams, {runs} runs, {edited} edited");
}

/// The same stream, saying values. Words of two letters and more that are
/// texts become parts of a card number and an address, in turn.
fn with_values(fixture: &Fixture) -> Vec<u8> {
    if fixture.content_type.contains("eventstream") {
        return fixture.body.clone();
    }
    let text = std::str::from_utf8(&fixture.body).unwrap();
    let parts = [" 4111 1111", " 1111 1111 and ", "jane.doe", "@example.com "];
    let (mut out, mut rest, mut n) = (String::new(), text, 0);
    // Strings behind these names are texts in every dialect that streams.
    while let Some((at, len)) =
        ["\"text\":\"", "\"content\":\"", "\"delta\":\"", "\"response\":\"", "\"thinking\":\""]
            .iter()
            .filter_map(|key| Some((rest.find(key)?, key.len())))
            .min()
    {
        let (before, after) = rest.split_at(at + len);
        out.push_str(before);
        out.push_str(parts[n % parts.len()]);
        n += 1;
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}
