//! Live streams: disguises, lists of tools, ends of JSON arrays, trailers.
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
use portcullis::session::{Event, Flow};
use serde_json::{Value, json};

/// An answer of `pieces`, one event each.
fn streamed(config: &Rc<Config>, worker: &mut Worker, pieces: &[&str]) -> (String, Value) {
    let mut exchange = Exchange::new(worker, config);
    assert!(exchange.ask("/v1/chat/completions", &chat("hi", json!({ "stream": true }))));
    exchange.answer("200", "text/event-stream", &[&stream(pieces)]);
    let record = exchange.finish();
    (said(&exchange.response), record)
}

fn cut(text: &str, size: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(size).map(|c| c.iter().collect()).collect()
}

#[test]
fn a_disguised_value_is_caught_in_a_stream() {
    let (config, mut worker) = (config(masking()), Worker::default());
    let wide: String = CARD
        .chars()
        .map(|c| if c == ' ' { c } else { char::from_u32(c as u32 - 0x30 + 0xFF10).unwrap() })
        .collect();
    let thin: String = CARD.replace(' ', "").chars().flat_map(|c| [c, '\u{200b}']).collect();
    let mail: String = EMAIL.chars().flat_map(|c| [c, '\u{200d}']).collect();
    for (value, label) in [(&wide, "[CARD-NUMBER]"), (&thin, "[CARD-NUMBER]"), (&mail, "[EMAIL]")] {
        let text = format!("Here it is: {value} and so on. Bye");
        for size in [1, 2, 3, 4, 5, 7, 10, 100] {
            let pieces = cut(&text, size);
            let (got, record) =
                streamed(&config, &mut worker, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            // What has no width may go with the value or stay.
            let got = got.replace(['\u{200b}', '\u{200d}'], "");
            assert_eq!(got, format!("Here it is: {label} and so on. Bye"), "events of {size}");
            assert_eq!(
                (&record["coverage"], &record["decision"]),
                (&json!("full"), &json!("redact")),
                "{record}"
            );
            assert!(!record["findings"][0]["transforms"].as_array().unwrap().is_empty());
        }
    }
}

#[test]
fn what_comes_to_light_too_late_shows_in_coverage() {
    let (config, mut worker) = (config(masking()), Worker::default());
    // Base64 of `my address is jane.doe@example.com, write soon`, and one letter at
    // a time: its start is ordinary text until more of it has come.
    let code = "bXkgYWRkcmVzcyBpcyBqYW5lLmRvZUBleGFtcGxlLmNvbSwgd3JpdGUgc29vbg==";
    for size in [1, 3, 8, 200] {
        let pieces = cut(&format!("See {code} ok"), size);
        let (got, record) =
            streamed(&config, &mut worker, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
        let caught =
            !got.contains("amFuZS5kb2VAZXhhbXBsZS5jb20") && !got.contains("qYW5lLmRvZUBleGFtcGxlLmNvb");
        let told = record["coverage_reasons"].as_array().unwrap().contains(&json!("response.disguised"));
        assert!(caught || told, "events of {size}: {got} {record}");
    }
}

#[test]
fn text_that_only_looks_disguised_is_not_held_for_ever() {
    let (config, mut worker) = (config(masking()), Worker::default());
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &chat("hi", json!({ "stream": true }))));
    let event = |text: &str| {
        let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": text } }] });
        format!("data: {event}\n\n").into_bytes()
    };
    let (mut sent, mut got, mut most) = (0, 0, 0usize);
    let mut first = true;
    for word in ["１", "\u{200b}", "é ", "Ünï ", "😀", "4\u{200b}", "=3D", "a.b."].iter().cycle().take(6000)
    {
        let event = event(word);
        sent += event.len();
        got += if std::mem::take(&mut first) {
            exchange.live("text/event-stream", &event).len()
        } else {
            let (_, replaced) = exchange.step(Event::ResponseChunk { bytes: &event, end: false });
            replaced.map_or(event.len(), |r| r.len())
        };
        most = most.max(sent - got.min(sent));
    }
    assert!(most < 200 * 1024, "{most} bytes were held back");
}

#[test]
fn lists_of_tools_show_what_may_be_used() {
    let mut policy = masking();
    policy["tools"] = json!({ "deny": ["shell_*"] });
    let (config, mut worker) = (config(policy), Worker::default());
    let tool = |name: &str| json!({ "name": name, "description": format!("mail {EMAIL}"), "inputSchema": { "type": "object" } });
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [tool("shell_run"), tool("look"), tool("shell_x")] } });
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let shown = |body: &[u8]| -> Vec<String> {
        let text = std::str::from_utf8(body).unwrap();
        let value: Value = serde_json::from_str(text.trim_start_matches("data: ").trim()).unwrap();
        assert!(!text.contains(EMAIL));
        value["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut whole = Exchange::new(&mut worker, &config);
    assert!(whole.ask("/mcp", ask.as_bytes()));
    whole.answer("200", "application/json", &[answer.to_string().as_bytes()]);
    assert_eq!(shown(&whole.response), ["look"]);
    let mut live = Exchange::new(&mut worker, &config);
    assert!(live.ask("/mcp", ask.as_bytes()));
    live.answer("200", "text/event-stream", &[format!("data: {answer}\n\n").as_bytes()]);
    assert_eq!(shown(&live.response), ["look"]);
}

#[test]
fn a_json_array_that_is_cut_is_still_an_array() {
    let mut policy = masking();
    policy["scan"]["response"]["pii"] = json!("block");
    let (config, mut worker) = (config(policy), Worker::default());
    let said = |text: &str| {
        json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] } }] }).to_string()
    };
    let path = "/v1beta/models/gemini-2.0-flash:streamGenerateContent";
    let ask = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] }).to_string();
    let bad = said(&format!("mail {EMAIL} now "));
    let good = said("All is well. And so on. ");
    for chunks in [
        vec![format!("[{bad}]")],
        vec![format!(" [\n{good}\n,\n{bad}\n]")],
        vec![format!("[{good}"), format!(",{bad}"), "]".to_owned()],
        vec![format!("[{good},"), bad.clone(), format!(",{good}]")],
        vec!["[".to_owned(), bad.clone(), "]".to_owned()],
    ] {
        let mut exchange = Exchange::new(&mut worker, &config);
        assert!(exchange.ask(path, ask.as_bytes()));
        exchange.answer("200", "application/json", &chunks.iter().map(String::as_bytes).collect::<Vec<_>>());
        let got: Value = serde_json::from_slice(&exchange.response)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&exchange.response)));
        let last = got.as_array().unwrap().last().unwrap();
        assert!(last["error"]["code"].is_number(), "{got}");
        assert!(!got.to_string().contains(EMAIL));
    }
}

#[test]
fn trailers_lose_no_text_in_silence() {
    let (config, mut worker) = (config(masking()), Worker::default());
    let event = |text: &str| {
        let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": text } }] });
        format!("data: {event}\n\n").into_bytes()
    };
    // The last chunk had nothing to send: it is open, and takes the rest.
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &chat("hi", json!({ "stream": true }))));
    assert!(exchange.live("text/event-stream", &event("Wor")).is_empty());
    let (flow, rest) = exchange.step(Event::ResponseTrailers);
    assert_eq!((flow, rest), (Flow::Continue, Some(event("Wor"))));
    let record = exchange.finish();
    assert_eq!((&record["outcome"], &record["coverage"]), (&json!("complete"), &json!("full")));
    // It had something to send: a reset.
    let mut exchange = Exchange::new(&mut worker, &config);
    assert!(exchange.ask("/v1/chat/completions", &chat("hi", json!({ "stream": true }))));
    assert!(!exchange.live("text/event-stream", &[event("Hello. "), event("Wor")].concat()).is_empty());
    let (_, rest) = exchange.step(Event::ResponseTrailers);
    assert!(rest.is_none() && exchange.reply.is_some());
    let record = exchange.finish();
    assert_eq!((&record["outcome"], &record["deny_reason"]), (&json!("refused"), &json!("stream.trailers")));
    assert_eq!(record["coverage_reasons"], json!(["stream.trailers"]));
}

/// An event stream, and the same with an address or a card beside its data.
const BESIDE: &str =
    ": OPENROUTER PROCESSING\n\n:\n\nid: 17\nevent: message\nretry: 3000\n: within\nnote: nothing\nDATA\n";

/// What comes of `stream` when it is cut into `chunks`.
fn beside(config: &Rc<Config>, worker: &mut Worker, chunks: &[&[u8]]) -> (Vec<u8>, Value) {
    let mut exchange = Exchange::new(worker, config);
    assert!(exchange.ask("/v1/chat/completions", &chat("hi", json!({ "stream": true }))));
    exchange.answer("200", "text/event-stream", chunks);
    let mut record = exchange.finish();
    record.as_object_mut().unwrap().retain(|key, _| key != "ts");
    (exchange.response.clone(), record)
}

#[test]
fn lines_beside_the_data_are_read_too() {
    let (masks, mut worker) = (config(masking()), Worker::default());
    let mut policy = masking();
    policy["scan"]["response"]["pii"] = json!("block");
    let blocks = config(policy);
    let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": "Hello. " } }] });
    let tail = format!("data: {event}\n\nid: last\n\n: bye\n\ndata: [DONE]\n\n");
    let plain = BESIDE.replace("DATA", "") + &tail;
    let (got, record) = beside(&masks, &mut worker, &[plain.as_bytes()]);
    assert_eq!(String::from_utf8(got).unwrap(), plain);
    assert_eq!((&record["decision"], &record["coverage"]), (&json!("allow"), &json!("full")));
    for place in
        ["OPENROUTER PROCESSING", "17", "message", "3000", "within", "nothing", "note", "last", "bye"]
    {
        for value in [EMAIL, CARD, "4111111111111111"] {
            let stream = plain.replacen(place, value, 1);
            assert!(stream.contains(value));
            let (whole, record) = beside(&masks, &mut worker, &[stream.as_bytes()]);
            let text = String::from_utf8(whole.clone()).unwrap();
            assert!(!text.contains(value) && text.contains(&event.to_string()), "{place}: {text}");
            assert_eq!(text.lines().count(), stream.lines().count(), "{place}: {text}");
            assert_eq!(record["decision"], json!("redact"), "{place}");
            let (cut, told) = beside(&blocks, &mut worker, &[stream.as_bytes()]);
            assert!(!String::from_utf8_lossy(&cut).contains(value));
            assert_eq!(told["outcome"], json!("refused"), "{place}");
            let bytes = stream.as_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(beside(&masks, &mut worker, &single).0, whole);
            assert_eq!(beside(&blocks, &mut worker, &single).0, cut, "{place}");
            for at in (1..bytes.len()).step_by(3) {
                let halves = [&bytes[..at], &bytes[at..]];
                assert_eq!(beside(&masks, &mut worker, &halves).0, whole, "{place} at {at}");
                assert_eq!(beside(&blocks, &mut worker, &halves).0, cut, "{place} at {at}");
            }
        }
    }
}

#[test]
fn a_byte_order_mark_hides_no_line() {
    let (config, mut worker) = (config(masking()), Worker::default());
    let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": EMAIL } }] });
    // Only the first one of a stream is none of a line.
    let stream =
        format!("\u{feff}data: {event}\n\n\u{feff}data: {event}\n\n\u{feff}: {EMAIL}\n\ndata: [DONE]\n\n");
    let (got, _) = beside(&config, &mut worker, &[stream.as_bytes()]);
    assert_eq!(String::from_utf8(got).unwrap(), stream.replace(EMAIL, "[EMAIL]"));
}
