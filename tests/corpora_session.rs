//! The recorded chat completions through whole exchanges: where no rule edits,
//! bytes arrive as they came. Skips with a printed reason without the corpora.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice
)]

#[path = "common/drive.rs"]
mod drive;

use std::path::PathBuf;

use drive::*;
use portcullis::session::ResponseMode;
use serde_json::{Value, json};

fn corpora() -> Option<PathBuf> {
    let folder = match std::env::var_os("PORTCULLIS_CORPORA") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache/portcullis/corpora"),
    };
    let wire = folder.join("wire");
    wire.join("manifest.json").is_file().then_some(wire)
}

/// Bytes that `edited` has beyond those of `body`, if it only has some in one place.
fn inserted(body: &[u8], edited: &[u8]) -> Option<usize> {
    let before = body.iter().zip(edited).take_while(|(a, b)| a == b).count();
    let after = body[before..].iter().rev().zip(edited.iter().rev()).take_while(|(a, b)| a == b).count();
    (before + after == body.len()).then(|| edited.len() - body.len())
}

#[test]
fn what_is_not_edited_is_not_touched() {
    let Some(folder) = corpora() else {
        use std::io::Write as _;
        let why = b"SKIPPED tests/corpora_session.rs: no corpora in $PORTCULLIS_CORPORA or ~/.cache/portcullis/corpora\n";
        return std::io::stderr().write_all(why).unwrap();
    };
    let rows: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let config = config(json!({ "name": "p" }));
    let mut worker = Worker::default();
    let (mut requests, mut with_usage, mut answers, mut streams) = (0, 0, 0, 0);
    for row in &rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        if !text("api").ends_with("chat_completions")
            || text("expect") == "reject"
            || row["status"].as_u64() >= Some(400)
        {
            continue;
        }
        let body = std::fs::read(folder.join(text("file"))).unwrap();
        let live = body.starts_with(b"data:") || body.starts_with(b":");
        if !live && serde_json::from_slice::<Value>(&body).is_err() {
            continue;
        }
        let mut exchange = Exchange::new(&mut worker, &config);
        if text("kind") == "request" {
            let sent = exchange.ask("/v1/chat/completions", &body);
            assert!(sent, "{}: refused", text("file"));
            requests += 1;
            let sent = exchange.request.take().unwrap();
            if sent != body {
                // Usage in the stream is asked for where the client did not.
                let more = inserted(&body, &sent);
                assert!(more.is_some_and(|n| n < 50), "{}: more than an insertion", text("file"));
                with_usage += 1;
            }
        } else if text("kind").starts_with("response") || live {
            let asked = chat("hi", json!({ "stream": live, "stream_options": { "include_usage": true } }));
            assert!(exchange.ask("/v1/chat/completions", &asked));
            let kind = if live { "text/event-stream" } else { "application/json" };
            exchange.answer("200", kind, &[&body]);
            if exchange.session.response_mode() == ResponseMode::Live {
                streams += 1;
            } else {
                answers += 1;
            }
            if exchange.reply.is_none() {
                assert!(exchange.response == body, "{}: answer changed", text("file"));
            }
        }
    }
    println!("{requests} requests ({with_usage} with usage asked for), {answers} answers, {streams} streams");
    assert!(requests > 20 && answers > 20 && streams > 5, "too few rows to tell anything");
}
