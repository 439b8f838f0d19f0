//! What is fuzzed, as plain functions over bytes. A target panics when a
//! promise is broken. Shared by the fuzzer (`src/main.rs`) and by the test that
//! replays seeds and regressions (`../fuzz_replay.rs`).
//!
//! A new target is a function and a line in [`TARGETS`]; so is a new dialect.

#[path = "../common/requests.rs"]
mod requests;

use std::ops::Range;
use std::rc::Rc;

use portcullis::baseline::{Kinds, Op, Outcome, Rule, What, cell};
use portcullis::config::Config;
use portcullis::limits::{
    BASELINE_CELL_BYTES, INFLATED_VIEW_BYTES, VIEW_BYTES_BASE, VIEW_BYTES_PER_FIRST_BYTE,
};
use portcullis::session::{Command, Event, ResponseMode, Scratch, Session};
use portcullis::text::escape;
use portcullis::text::{self, Encoding, Span};
use portcullis::wire::edit::{self, Edit};
use portcullis::wire::json::{Doc, JsonErrorKind, Kind, NodeId};
use portcullis::wire::{Frame, FrameError, Framer, Framing, Reason, Refusal, Skips};
use portcullis::wire::{by_id, by_route, ids, recognise};
use serde_json::Value;

/// Name and body of every target.
/// Panics on bytes that break a promise.
pub(crate) type Target = fn(&[u8]);

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("json", json),
    ("escape", escape_text),
    ("views", views),
    ("sse", |data| framing(Framing::Sse, data)),
    ("ndjson", |data| framing(Framing::Ndjson, data)),
    ("jsonarray", |data| framing(Framing::JsonArray, data)),
    ("eventstream", event_stream),
    ("refusal", refusal),
    ("live", live),
    ("baseline", baseline),
    ("dialect_a2a", |data| dialect("a2a", data)),
    ("dialect_anthropic", |data| dialect("anthropic", data)),
    ("dialect_azure_openai", |data| dialect("azure_openai", data)),
    ("dialect_bedrock_converse", |data| dialect("bedrock_converse", data)),
    ("dialect_bedrock_invoke", |data| dialect("bedrock_invoke", data)),
    ("dialect_cohere", |data| dialect("cohere", data)),
    ("dialect_cohere_v1", |data| dialect("cohere_v1", data)),
    ("dialect_gemini", |data| dialect("gemini", data)),
    ("dialect_gemini_interactions", |data| dialect("gemini_interactions", data)),
    ("dialect_json", |data| dialect("json", data)),
    ("dialect_mcp", |data| dialect("mcp", data)),
    ("dialect_ollama", |data| dialect("ollama", data)),
    ("dialect_openai_chat", |data| dialect("openai_chat", data)),
    ("dialect_openai_completions", |data| dialect("openai_completions", data)),
    ("dialect_openai_embeddings", |data| dialect("openai_embeddings", data)),
    ("dialect_openai_images", |data| dialect("openai_images", data)),
    ("dialect_openai_models", |data| dialect("openai_models", data)),
    ("dialect_openai_moderations", |data| dialect("openai_moderations", data)),
    ("dialect_openai_responses", |data| dialect("openai_responses", data)),
    ("dialect_vertex", |data| dialect("vertex", data)),
    ("dialect_vertex_anthropic", |data| dialect("vertex_anthropic", data)),
    ("dialect_vertex_mistral", |data| dialect("vertex_mistral", data)),
];

/// Folder of ordinary fixtures that serve a target as seeds, in `tests/fixtures`.
pub(crate) fn fixtures(target: &str) -> Option<String> {
    match target.strip_prefix("dialect_") {
        Some(id) => Some(format!("wire/{id}")),
        None => (target == "live").then(|| "wire".to_owned()),
    }
}

/// A cell whose check is right, whoever wrote it: read or refused, and what is
/// written is within the caps and read again.
fn baseline(data: &[u8]) {
    let (id, now) = ([7; 16], 20_000 * 24 * 3_600_000);
    let mut bytes = cell::sealed(data);
    let names: Vec<_> = (0..40).map(|n| format!("ctool-{n}")).collect();
    for what in [
        What::Arrive { names: names.clone(), least: [1, 10, 10], blocks: Kinds::default() },
        What::Settle { names, spent: [0, u64::MAX, 10] },
        What::Show,
        What::Reset,
    ] {
        let op = Op { id, rule: Rule::default(), what };
        let applied = portcullis::baseline::apply(Some(&bytes), &op, now);
        if let Outcome::Fault(_) = applied.outcome {
            assert!(applied.cell.is_none());
        }
        if let Some(next) = applied.cell {
            // What was too large before is refused, not shrunk.
            assert!(next.len() <= BASELINE_CELL_BYTES, "{}", next.len());
            assert!(cell::Cell::open(Some(&next), &id).is_ok());
            bytes = next;
        }
    }
}

/// The parser and `serde_json` read the same tree, or ours refuses for a
/// reason that `serde_json` does not know.
fn json(data: &[u8]) {
    use JsonErrorKind as E;
    let other = serde_json::from_slice::<Value>(data);
    match (Doc::parse(data), other) {
        (Ok(doc), Ok(value)) => same(&doc, doc.root(), &value),
        // It reads numbers into 64 bits, and nests one level less.
        (Ok(_), Err(error)) => {
            let text = error.to_string();
            assert!(text.contains("out of range") || text.contains("recursion"), "{text}");
        }
        (Err(error), Ok(_)) => {
            let ours = [E::DuplicateKey, E::TooDeep, E::TooMany, E::TooLarge];
            assert!(ours.contains(&error.kind), "{error}");
        }
        (Err(error), Err(_)) => assert!(error.offset <= data.len(), "{error}"),
    }
}

fn same(doc: &Doc<'_>, id: NodeId, value: &Value) {
    let raw = &doc.bytes()[doc.range(id)];
    match value {
        Value::Null => assert_eq!(raw, b"null"),
        Value::Bool(truth) => assert_eq!(doc.bool(id), Some(*truth)),
        Value::Number(_) => {
            assert_eq!(doc.kind(id), Kind::Number);
            assert_eq!(serde_json::from_slice::<Value>(raw).ok().as_ref(), Some(value));
        }
        Value::String(text) => {
            assert_eq!(doc.str(id).as_deref(), Some(text.as_str()));
            assert_eq!(raw[1..raw.len() - 1], *doc.raw_str(id));
        }
        Value::Array(list) => {
            // Short scalars in arrays have no node.
            let mut children = doc.items(id);
            for item in list {
                if item.is_string() || item.is_array() || item.is_object() {
                    let child =
                        children.find(|c| !matches!(doc.kind(*c), Kind::Number | Kind::Bool | Kind::Null));
                    same(doc, child.expect("a node"), item);
                }
            }
        }
        Value::Object(map) => {
            assert_eq!(doc.members(id).count(), map.len());
            map.iter().for_each(|(key, item)| same(doc, doc.get(id, key).expect("a member"), item));
        }
    }
}

/// Views stay within their budget, and all of them lead back into the text.
fn views(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let outcome = text::views(text, &mut text::Scratch::default(), &mut |view| {
        let borders: Vec<usize> =
            (0..=view.text.len()).filter(|at| view.text.is_char_boundary(*at)).collect();
        let ranges: Vec<_> = borders.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let sources = view.source_ranges(&ranges);
        assert_eq!(sources.len(), ranges.len());
        assert!(sources.iter().all(|range| text.get(range.clone()).is_some()), "{:?}", view.transforms);
    });
    assert!(outcome.bytes <= VIEW_BYTES_BASE + INFLATED_VIEW_BYTES + VIEW_BYTES_PER_FIRST_BYTE * text.len());
}

/// Escapes decode as `serde_json` decodes them, and offsets lead back.
fn escape_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut escaped, mut back, mut strict, mut lenient) =
        (String::new(), String::new(), String::new(), String::new());
    escape::escape_json(text, &mut escaped);
    escape::unescape_json(escaped.as_bytes(), &mut back).expect("what we escape, we can read");
    assert_eq!(back, text);
    escape::unescape_lenient(text, &mut lenient);
    if escape::unescape_json(data, &mut strict).is_ok() {
        assert_eq!(strict, lenient);
        if !text.contains(['"']) && !text.bytes().any(|b| b < 0x20) {
            assert_eq!(serde_json::from_str::<String>(&format!("\"{text}\"")).ok(), Some(strict));
        }
    }
    let borders: Vec<usize> = (0..=lenient.len()).filter(|at| lenient.is_char_boundary(*at)).collect();
    let sources = escape::source_offsets_lenient(text, &borders);
    assert_eq!(sources.len(), borders.len());
    assert!(sources.is_sorted() && sources.last() == Some(&text.len()));
    // Text that waits for the rest of an escape decodes as it does whole.
    let ready = escape::whole_escapes(text);
    let mut parts = String::new();
    escape::unescape_lenient(&text[..ready], &mut parts);
    escape::unescape_lenient(&text[ready..], &mut parts);
    assert_eq!(parts, lenient);
}

/// The first byte is the size of the chunks, the rest the stream.
fn framing(framing: Framing, data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let (whole, end) = cut(framing, [stream]);
    let (frames, same_end) = cut(framing, stream.chunks(usize::from(*size).max(1)));
    assert_eq!(end, same_end);
    if end.is_ok() {
        assert_eq!(raw(&whole), stream);
        assert_eq!(raw(&frames), stream);
    }
    assert_eq!(with_doc(&whole), with_doc(&frames));
    for (at, frame) in frames.iter().enumerate() {
        edits_stay_in_the_frame(framing, frame, at == 0);
    }
}

/// Any bytes as they are, then again as fields of messages with right
/// checksums, which mutation alone would never find.
fn event_stream(data: &[u8]) {
    framing(Framing::EventStream, data);
    let Some((cut, rest)) = data.split_first() else { return };
    let (headers, payload) = rest.split_at(rest.len().min(usize::from(*cut)));
    let mut message = vec![*cut];
    let total = (16 + headers.len() + payload.len()) as u32;
    message.extend_from_slice(&total.to_be_bytes());
    message.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message[1..]).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message[1..]).to_be_bytes());
    framing(Framing::EventStream, &message);
    let name = std::str::from_utf8(headers).unwrap_or("chunk");
    for name in [name, "chunk"] {
        if let Some(valid) = portcullis::wire::eventstream::encode(&[(":event-type", name)], payload) {
            framing(Framing::EventStream, &[&[*cut][..], &valid].concat());
        }
    }
}

fn cut<'c>(
    framing: Framing,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Frame>, Result<(), FrameError>) {
    let (mut framer, mut frames) = (Framer::with_max(framing, 512), Vec::new());
    let pushed = chunks.into_iter().try_for_each(|chunk| framer.push(chunk, &mut frames));
    let end = pushed.and_then(|()| framer.finish(&mut frames));
    (frames, end)
}

fn raw(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::raw).copied().collect()
}

fn with_doc(frames: &[Frame]) -> Vec<&Frame> {
    frames.iter().filter(|frame| frame.doc_bytes().is_some()).collect()
}

/// A byte replaced by itself changes nothing; by another, nothing else.
fn edits_stay_in_the_frame(framing: Framing, frame: &Frame, first: bool) {
    let Some(doc) = frame.doc_bytes() else { return };
    let is_break = |at: &usize| matches!(doc[*at], b'\n' | b'\r' | b' ');
    let Some(at) = (0..doc.len()).rev().find(|at| !is_break(at)) else { return };
    let edit = |with: u8| frame.apply(&mut [Edit { range: at..at + 1, with: vec![with] }]);
    assert_eq!(edit(doc[at]).as_deref(), Ok(frame.raw()));
    if matches!(framing, Framing::Sse | Framing::Ndjson) && frame.is_terminated() {
        let mut wanted = doc.to_vec();
        wanted[at] = b'x';
        // A byte order mark means something in the first frame only.
        let before = if first { &b""[..] } else { b"\n" };
        let stream = [before, &edit(b'x').expect("fits")].concat();
        let (frames, end) = cut(framing, [&stream[..]]);
        let docs: Vec<_> = frames.iter().filter_map(Frame::doc_bytes).collect();
        assert!(end.is_err() || docs == [&wanted[..]]);
    }
}

/// `METHOD path [status content-type]`, a blank line, the body: a fixture of
/// `tests/fixtures/wire`.
struct Message<'t> {
    method: &'t str,
    path: &'t str,
    /// Status and content type.
    answer: Option<(&'t str, &'t str)>,
    body: &'t str,
}

impl<'t> Message<'t> {
    fn read(data: &'t [u8]) -> Option<Self> {
        let (head, body) = std::str::from_utf8(data).ok()?.split_once("\n\n")?;
        let words: Vec<&str> = head.splitn(4, ' ').collect();
        let [method, path, answer @ ..] = words.as_slice() else { return None };
        let answer = answer.first().and_then(|status| Some((*status, *answer.get(1)?)));
        Some(Message { method, path, answer, body })
    }
}

/// Every document that the dialect reads is read in full, and can be edited.
fn dialect(id: &str, data: &[u8]) {
    let Some(Message { method, path, answer, body }) = Message::read(data) else { return };
    let Some((dialect, op)) = by_route(id, method, path) else { return };
    let Some((_, content_type)) = answer else {
        if let Ok(doc) = Doc::parse(body.as_bytes())
            && let Ok(request) = dialect.request(op, path, &doc)
        {
            nothing_forgotten(&doc, request.spans, &[], request.skipped);
        }
        return;
    };
    let framing = dialect.framing(op, content_type);
    let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
    let body = on_the_wire(framing, body);
    let _ = framer.push(&body, &mut frames).and_then(|()| framer.finish(&mut frames));
    for frame in &frames {
        let Some(doc) = frame.doc_bytes().and_then(|bytes| Doc::parse(bytes).ok()) else { continue };
        if framer.framing() == Framing::Whole {
            if let Ok(response) = dialect.response(op, &doc) {
                nothing_forgotten(&doc, response.spans, &response.echoes, response.skipped);
            }
        } else if let Ok(event) = dialect.event(op, frame.name(), &doc) {
            let spans = event.spans.into_iter().chain(event.pieces.into_iter().map(|piece| piece.span));
            nothing_forgotten(&doc, spans.collect(), &event.echoes, event.skipped);
        }
    }
}

/// Every string is a span, in an echo, or counted; and every span can be edited.
fn nothing_forgotten(doc: &Doc<'_>, mut spans: Vec<Span>, echoes: &[Range<usize>], skipped: Skips) {
    spans.sort_by_key(|span| span.range.start);
    let within =
        |outer: &Range<usize>, inner: &Range<usize>| outer.start <= inner.start && inner.end <= outer.end;
    let covered = |range: &Range<usize>| {
        spans.binary_search_by_key(&range.start, |span| span.range.start).is_ok()
            || echoes.iter().any(|echo| within(echo, range))
    };
    let strings = doc.ids().filter(|id| !doc.raw_str(*id).is_empty());
    let uncovered = strings.filter(|id| !covered(&doc.inner_range(*id))).count();
    let counted = skipped.tokens + skipped.media + skipped.opaque + skipped.echoes + skipped.remote;
    assert!(uncovered <= counted as usize, "{uncovered} strings forgotten, {counted} counted");
    let mut edits: Vec<Edit> = spans
        .iter()
        .map(|span| {
            let with = if span.encoding == Encoding::JsonNumber { "\"X\"" } else { "X" };
            Edit { range: span.range.clone(), with: with.into() }
        })
        .collect();
    let edited = edit::apply(doc.bytes(), &mut edits).expect("spans do not overlap");
    if let Err(error) = Doc::parse(&edited) {
        // Two keys that were text are now the same.
        assert_eq!(error.kind, JsonErrorKind::DuplicateKey);
    }
}

/// Whatever a rule or a path puts into a refusal, it is one well-formed reply.
fn refusal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (message, code) = text.split_once('\n').unwrap_or((text, "rule"));
    let refusal = Refusal {
        reason: Reason::Forbidden,
        message: message.to_owned(),
        code: code.to_owned(),
        retry_after: Some(text.len() as u64),
        rpc_ids: Vec::new(),
    };
    for dialect in ids().filter_map(by_id) {
        assert!(Doc::parse(&dialect.refusal(&refusal).body).is_ok(), "{}", dialect.id());
        for framing in [Framing::Sse, Framing::Ndjson] {
            let event = dialect.refusal_event(framing, &refusal);
            let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
            let end = framer.push(&event, &mut frames).and_then(|()| framer.finish(&mut frames));
            assert_eq!(end, Ok(()), "{}", dialect.id());
            for doc in frames.iter().filter_map(Frame::doc_bytes).filter(|doc| !dialect.is_end_mark(doc)) {
                assert!(Doc::parse(doc).is_ok(), "{} {framing:?}", dialect.id());
            }
        }
    }
}

/// The body of a fixture as it is sent: `name payload` a line becomes messages
/// of the binary framing.
fn on_the_wire(framing: Framing, body: &str) -> Vec<u8> {
    if framing != Framing::EventStream {
        return body.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    for line in body.lines() {
        let (name, payload) = line.split_once(' ').unwrap_or((line, ""));
        let headers =
            [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        out.extend(portcullis::wire::eventstream::encode(&headers, payload.as_bytes()).unwrap_or_default());
    }
    out
}

thread_local! {
    static CONFIG: Rc<Config> = Rc::new(
        Config::from_json(
            r#"{ "version": 1, "identity": { "required": false },
                "audit": { "key": "a key of sixteen bytes or more", "response": "none" },
                "policies": [{ "name": "p", "scan": {
                    "request": { "pii": "tokenize", "secrets": "redact" },
                    "response": { "pii": "redact", "secrets": "redact", "exfiltration": "redact" } } }] }"#,
        )
        .expect("a configuration"),
    );
}

/// The answer to a request with a placeholder, as a fixture; its checksum is the
/// size of the chunks, so that fixtures are seeds as they are. Cut or not, the client gets the same and
/// the record says the same; what was read to its end is well-formed.
fn live(data: &[u8]) {
    let Some(message) = Message::read(data) else { return };
    let size = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let Some((status, content_type)) = message.answer else { return };
    let Some((dialect, op)) = recognise(message.method, message.path) else { return };
    let framing = dialect.framing(op, content_type);
    let body = on_the_wire(framing, message.body);
    CONFIG.with(|config| {
        let mut scratch = Scratch::default();
        let asked =
            Asked { dialect: dialect.id(), method: message.method, path: message.path, status, content_type };
        let Some((whole, record)) = exchange(config, &mut scratch, &asked, &[&body]) else { return };
        let mut chunks: Vec<&[u8]> = body.chunks(usize::from(size).max(1)).collect();
        if chunks.is_empty() {
            // The end comes in a chunk of its own, as from Envoy.
            chunks.push(&[]);
        }
        let (cut, same) = exchange(config, &mut scratch, &asked, &chunks).expect("the same request passes");
        assert_eq!(whole.escape_ascii().to_string(), cut.escape_ascii().to_string());
        assert_eq!(record, same);
        if record["outcome"] == "complete" && framing != Framing::Whole {
            let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
            framer.push(&whole, &mut frames).and_then(|()| framer.finish(&mut frames)).expect("still framed");
            for doc in frames.iter().filter_map(Frame::doc_bytes).filter(|doc| !dialect.is_end_mark(doc)) {
                assert!(Doc::parse(doc).is_ok(), "{}", doc.escape_ascii());
            }
        }
    });
}

struct Asked<'t> {
    dialect: &'t str,
    method: &'t str,
    path: &'t str,
    status: &'t str,
    content_type: &'t str,
}

/// What the client gets, and the record. `None`: the request is refused.
fn exchange(
    config: &Rc<Config>,
    scratch: &mut Scratch,
    asked: &Asked<'_>,
    chunks: &[&[u8]],
) -> Option<(Vec<u8>, Value)> {
    let mut session = Session::new(config.clone());
    let bytes = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
    };
    let headers =
        bytes(&[(":method", asked.method), (":path", asked.path), ("content-type", "application/json")]);
    let end = asked.method == "GET";
    session.step(Event::RequestHeaders { headers: &headers, claims: &[], end }, 0, scratch);
    if !end {
        let body = requests::request_for(asked.dialect);
        session.step(Event::RequestEnd { body: body.as_bytes() }, 0, scratch);
    }
    if session.is_refused() {
        return None;
    }
    let headers = bytes(&[(":status", asked.status), ("content-type", asked.content_type)]);
    session.step(Event::ResponseHeaders { headers: &headers, end: false }, 0, scratch);
    let mut out = Vec::new();
    let mut took = |step: portcullis::session::Step, came: &[u8]| {
        let replaced = step.commands.into_iter().find_map(|c| match c {
            Command::ReplaceResponseBody(body) => Some(body),
            _ => None,
        });
        out.extend(replaced.unwrap_or_else(|| came.to_vec()));
    };
    match session.response_mode() {
        ResponseMode::Live => {
            for (at, bytes) in chunks.iter().enumerate() {
                let end = at + 1 == chunks.len();
                took(session.step(Event::ResponseChunk { bytes, end }, 0, scratch), bytes);
            }
        }
        ResponseMode::Held => {
            let body = chunks.concat();
            took(session.step(Event::ResponseEnd { body: &body }, 0, scratch), &body);
        }
        ResponseMode::Pass => {}
    }
    let step = session.step(Event::Done { status: 200, added_us: 0 }, 0, scratch);
    let line = step.commands.into_iter().find_map(|c| match c {
        Command::Audit(line) => Some(line),
        _ => None,
    });
    Some((out, serde_json::from_str(&line.expect("a record")).expect("of JSON")))
}
