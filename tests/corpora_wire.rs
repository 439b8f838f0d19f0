//! Every request and response of the recorded wire corpus through its dialect:
//! recognised, parsed, no text forgotten. Skips with a printed reason where the
//! corpora are absent. `cargo test --test corpora_wire -- --nocapture` prints
//! the table of tests/README.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice
)]

#[path = "common/wire.rs"]
mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use portcullis::wire::edit::{self, Edit};
use portcullis::wire::json::Doc;
use portcullis::wire::{Dialect, Frame, FrameError, Framer, Framing, Operation, by_id, recognise};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    file: String,
    provider: String,
    kind: String,
    api: String,
    method: Option<String>,
    url: Option<String>,
    content_type: Option<String>,
    status: Option<u16>,
    pair: Option<String>,
    expect: Option<String>,
    streaming: Option<String>,
}

fn corpora() -> Option<PathBuf> {
    let folder = match std::env::var_os("PORTCULLIS_CORPORA") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache/portcullis/corpora"),
    };
    let wire = folder.join("wire");
    wire.join("manifest.json").is_file().then_some(wire)
}

/// Past the capture of the test runner, for the totals of `scripts/tally.py`.
fn skipped() {
    use std::io::Write as _;
    let why =
        b"SKIPPED tests/corpora_wire.rs: no corpora in $PORTCULLIS_CORPORA or ~/.cache/portcullis/corpora\n";
    std::io::stderr().write_all(why).unwrap();
}

/// Method and path of rows that were recorded without a URL.
fn path_of(row: &Row) -> Option<(String, String)> {
    if let (Some(method), Some(url)) = (&row.method, &row.url) {
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let path = path.split(['?', '#']).next().unwrap();
        return Some((method.to_uppercase(), path.to_owned()));
    }
    let path = match row.api.as_str() {
        "openai.chat_completions" => "/v1/chat/completions",
        "openai.completions" => "/v1/completions",
        "openai.embeddings" | "voyage.embeddings" => "/v1/embeddings",
        "openai.moderations" => "/v1/moderations",
        "openai.responses" | "open_responses" | "xai.responses" => "/v1/responses",
        "azure_openai.responses" => "/openai/v1/responses",
        "anthropic.messages" | "ollama.v1.messages" => "/v1/messages",
        "anthropic.count_tokens" => "/v1/messages/count_tokens",
        // Recorded with each event inside an object that names it, like Nova's.
        "bedrock.converse" if row.streaming.is_some() => "/model/m/invoke-with-response-stream",
        "bedrock.converse" => "/model/m/converse",
        "bedrock.converse-stream" => "/model/m/converse-stream",
        "bedrock.invoke" => "/model/m/invoke",
        "bedrock.invoke-with-response-stream" => "/model/m/invoke-with-response-stream",
        "cohere.v2_chat" => "/v2/chat",
        "cohere.v2_embed" => "/v2/embed",
        "cohere.rerank" => "/v2/rerank",
        "gemini.generateContent" => "/v1beta/models/m:generateContent",
        "gemini.streamGenerateContent" => "/v1beta/models/m:streamGenerateContent",
        "gemini.interactions" => "/v1beta/interactions",
        "vertex.generateContent" => "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        "vertex.embeddings" => "/v1/projects/p/locations/l/publishers/google/models/m:predict",
        "mistral.embeddings" => "/v1/embeddings",
        "ollama.api.chat" => "/api/chat",
        // Examples of the documentation, answers all.
        "ollama.doc" | "ollama.api.generate" => "/api/generate",
        "ollama.api.embed" => "/api/embed",
        "ollama.v1.chat.completions" => "/v1/chat/completions",
        "ollama.v1.responses" => "/v1/responses",
        api if api.contains("chat_completions") => "/v1/chat/completions",
        api if api.starts_with("mcp.") => "/mcp",
        api if api.starts_with("a2a.") => "/a2a",
        _ => return None,
    };
    Some(("POST".to_owned(), path.to_owned()))
}

/// A body that the wire format itself does not carry: an example of one object
/// of a schema, a decoded test vector, a raw HTTP message.
fn is_fragment(row: &Row) -> bool {
    matches!(
        row.kind.as_str(),
        "schema_example" | "schema_reject" | "object" | "http_example" | "eventstream_vector"
    )
}

#[derive(Default)]
struct Tally {
    requests: u32,
    requests_ok: u32,
    responses: u32,
    responses_ok: u32,
    streams: u32,
    streams_ok: u32,
    generic: u32,
    usage: u32,
    strings: u32,
    unnamed: u32,
    forgotten: u32,
}

#[test]
fn the_recorded_corpus_is_read_whole() {
    let Some(folder) = corpora() else {
        return skipped();
    };
    let rows: Vec<Row> =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    // Requests that their provider refused need not parse here either.
    let refused: Vec<&str> = rows
        .iter()
        .filter(|r| r.status.is_some_and(|s| s >= 400))
        .filter_map(|r| r.pair.as_deref())
        .collect();
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut faults = Vec::new();
    for row in rows.iter().filter(|row| !is_fragment(row) && row.provider != "robustness") {
        if row.expect.as_deref() == Some("reject") {
            continue;
        }
        let is_request = matches!(row.kind.as_str(), "request" | "notification");
        let content_type = row.content_type.as_deref().unwrap_or_default();
        let body = std::fs::read(folder.join(&row.file)).unwrap();
        if body.is_empty() || !is_json(&body, content_type) {
            continue;
        }
        if is_request && row.pair.as_deref().is_some_and(|pair| refused.contains(&pair)) {
            continue;
        }
        let tally = tallies.entry(&row.provider).or_default();
        if let Err(fault) = check(row, is_request, &body, tally) {
            faults.push(format!("{}: {fault}", row.file));
        }
    }
    let table = table(&tallies);
    println!("{table}");
    if std::env::var_os("UPDATE_README").is_some() {
        write_readme(&table);
    }
    for fault in &faults {
        println!("fault: {fault}");
    }
    assert!(faults.is_empty(), "{} faults", faults.len());
}

/// Multipart forms, SDP, abbreviated documentation: nothing a JSON dialect
/// reads. The filter refuses them.
fn is_json(body: &[u8], content_type: &str) -> bool {
    content_type.contains("event") || body.starts_with(b"data:") || body.starts_with(b"event:") || {
        let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<serde::de::IgnoredAny>();
        stream.next().is_some_and(|first| first.is_ok())
    }
}

/// Streams that are broken must not pass as anything else.
#[test]
fn broken_streams_are_refused() {
    let Some(folder) = corpora() else {
        return skipped();
    };
    let rows: Vec<Row> =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let mut seen = 0;
    for row in rows.iter().filter(|row| row.kind == "eventstream_vector" && row.file.ends_with(".bin")) {
        let body = std::fs::read(folder.join(&row.file)).unwrap();
        let accepted = cut(Framing::EventStream, [body.as_slice()]).is_ok();
        assert_eq!(accepted, row.expect.as_deref() == Some("accept"), "{}", row.file);
        seen += 1;
    }
    for row in rows.iter().filter(|row| row.provider == "robustness" && row.api == "mixed") {
        let body = std::fs::read(folder.join(&row.file)).unwrap();
        let framing = if row.file.ends_with(".sse") { Framing::Sse } else { Framing::Whole };
        let frames = cut(framing, [body.as_slice()]).unwrap();
        let bad = frames.iter().filter_map(Frame::doc_bytes).any(|data| Doc::parse(data).is_err());
        assert!(bad, "{}", row.file);
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

fn check(row: &Row, is_request: bool, body: &[u8], tally: &mut Tally) -> Result<(), String> {
    let found = path_of(row).and_then(|(method, path)| Some((recognise(&method, &path)?, path)));
    let ((dialect, op), path) = found.unwrap_or_else(|| {
        tally.generic += 1;
        if std::env::var_os("SHOW_UNNAMED").is_some() {
            println!("generic: {} {:?}", row.api, row.url);
        }
        ((by_id("json").unwrap_or_else(|| by_id("openai_chat").unwrap()), Operation::Other), String::new())
    });
    if is_request {
        tally.requests += 1;
        request(dialect, op, &path, body, tally)?;
        tally.requests_ok += 1;
        return Ok(());
    }
    let content_type = match (row.streaming.as_deref(), row.content_type.as_deref()) {
        (Some("sse"), None) => "text/event-stream",
        (Some("ndjson" | "chunks-jsonl"), None) => "application/x-ndjson",
        (Some("aws-eventstream"), _) => "application/vnd.amazon.eventstream",
        (_, content_type) => content_type.unwrap_or("application/json"),
    };
    let framing = match dialect.framing(op, content_type) {
        // Events written down one a line, without their framing.
        _ if row.streaming.as_deref() == Some("chunks-jsonl") => Framing::Ndjson,
        framing => framing,
    };
    match framing {
        Framing::Whole => {
            tally.responses += 1;
            response(dialect, op, body, tally)?;
            tally.responses_ok += 1;
        }
        framing => {
            tally.streams += 1;
            stream(dialect, op, framing, body, tally)?;
            tally.streams_ok += 1;
        }
    }
    Ok(())
}

fn request(
    dialect: &dyn Dialect,
    op: Operation,
    path: &str,
    body: &[u8],
    tally: &mut Tally,
) -> Result<(), String> {
    let doc = Doc::parse(body).map_err(|e| e.to_string())?;
    let request = dialect.request(op, path, &doc).map_err(|e| format!("{}: {}", dialect.id(), e.what))?;
    count(tally, body, &request.spans, &[])
}

fn response(dialect: &dyn Dialect, op: Operation, body: &[u8], tally: &mut Tally) -> Result<(), String> {
    let doc = Doc::parse(body).map_err(|e| e.to_string())?;
    let response = dialect.response(op, &doc).map_err(|e| format!("{}: {}", dialect.id(), e.what))?;
    tally.usage += u32::from(response.usage.is_some_and(|u| u.input.is_some() || u.output.is_some()));
    count(tally, body, &response.spans, &response.echoes)
}

fn stream(
    dialect: &dyn Dialect,
    op: Operation,
    framing: Framing,
    body: &[u8],
    tally: &mut Tally,
) -> Result<(), String> {
    let frames = cut(framing, [body]).map_err(|e| e.to_string())?;
    let raw: Vec<u8> = frames.iter().flat_map(Frame::raw).copied().collect();
    if raw != body {
        return Err("the frames are not the input".into());
    }
    same_for_every_cut(framing, body, &frames)?;
    let mut usage = false;
    for frame in &frames {
        let Some(data) = frame.doc_bytes() else { continue };
        if dialect.is_end_mark(data) {
            continue;
        }
        let doc = Doc::parse(data).map_err(|e| format!("{e}"))?;
        let event =
            dialect.event(op, frame.name(), &doc).map_err(|e| format!("{}: {}", dialect.id(), e.what))?;
        usage |= event.usage.is_some_and(|u| u.input.is_some() || u.output.is_some());
        let mut spans = event.spans;
        spans.extend(event.pieces.into_iter().map(|piece| piece.span));
        count(tally, data, &spans, &event.echoes)?;
        if frame.apply(&mut same(data, &spans)).ok().as_deref() != Some(frame.raw()) {
            return Err("an event changes when its texts are put back".into());
        }
    }
    tally.usage += u32::from(usage);
    Ok(())
}

fn cut<'c>(framing: Framing, chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Vec<Frame>, FrameError> {
    let mut framer = Framer::new(framing);
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk, &mut frames)?;
    }
    framer.finish(&mut frames)?;
    Ok(frames)
}

/// Files up to this size are cut at every byte; all in single bytes and in
/// chunks of seeded lengths.
const SMALL: usize = 4096;

fn same_for_every_cut(framing: Framing, body: &[u8], whole: &[Frame]) -> Result<(), String> {
    let documents = |frames: &[Frame]| -> Vec<(String, Option<Vec<u8>>, Vec<u8>)> {
        let with_document = frames.iter().filter(|frame| frame.doc_bytes().is_some());
        with_document
            .map(|f| (f.name().to_owned(), f.doc_bytes().map(<[u8]>::to_vec), f.raw().to_vec()))
            .collect()
    };
    let wanted = documents(whole);
    let check = |what: &str, chunks: &mut dyn Iterator<Item = &[u8]>| {
        let frames = cut(framing, chunks).map_err(|e| format!("{what}: {e}"))?;
        if documents(&frames) == wanted { Ok(()) } else { Err(format!("{what}: other frames")) }
    };
    check("single bytes", &mut body.chunks(1))?;
    for at in 0..if body.len() <= SMALL { body.len() } else { 0 } {
        check("in two", &mut [&body[..at], &body[at..]].into_iter())?;
    }
    let mut seed = 0x9e37_79b9_u32;
    for _ in 0..3 {
        let mut rest = body;
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (chunk, tail) = rest.split_at((seed >> 24) as usize % 61 % rest.len() + 1);
            chunks.push(chunk);
            rest = tail;
        }
        check("seeded chunks", &mut chunks.into_iter())?;
    }
    Ok(())
}

/// An edit of every text that puts the same bytes back.
fn same(body: &[u8], spans: &[portcullis::text::Span]) -> Vec<Edit> {
    spans
        .iter()
        .map(|span| Edit { range: span.range.clone(), with: body[span.range.clone()].to_vec() })
        .collect()
}

fn count(
    tally: &mut Tally,
    body: &[u8],
    spans: &[portcullis::text::Span],
    echoes: &[std::ops::Range<usize>],
) -> Result<(), String> {
    tally.strings += u32::try_from(spans.len()).unwrap();
    for span in spans.iter().filter(|span| span.kind == portcullis::text::SpanKind::Other) {
        tally.unnamed += 1;
        if std::env::var_os("SHOW_UNNAMED").is_some() {
            let start = span.range.start.saturating_sub(40);
            let end = (span.range.end).min(span.range.start + 60);
            println!("unnamed: {}", String::from_utf8_lossy(&body[start..end]).replace('\n', " "));
        }
    }
    if *edit::apply(body, &mut same(body, spans)).map_err(|_| "texts overlap")? != *body {
        return Err("the body changes when its texts are put back".into());
    }
    let forgotten = common::forgotten(body, spans, echoes);
    tally.forgotten += u32::try_from(forgotten.len()).unwrap();
    if forgotten.is_empty() {
        Ok(())
    } else {
        Err(format!("{} texts forgotten: {forgotten:?}", forgotten.len()))
    }
}

fn table(tallies: &BTreeMap<&str, Tally>) -> String {
    let mut out = String::from(
        "| provider | requests | responses | streams | of these by `json` | with usage | spans | of unknown fields | forgotten |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (provider, t) in tallies {
        writeln!(
            out,
            "| {provider} | {}/{} | {}/{} | {}/{} | {} | {} | {} | {} | {} |",
            t.requests_ok,
            t.requests,
            t.responses_ok,
            t.responses,
            t.streams_ok,
            t.streams,
            t.generic,
            t.usage,
            t.strings,
            t.unnamed,
            t.forgotten
        )
        .unwrap();
    }
    out
}

const BEGIN: &str = "<!-- wire corpus: written by UPDATE_README=1 cargo test --test corpora_wire -->\n";
const END: &str = "<!-- end of wire corpus -->\n";

fn write_readme(table: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the marker of the table");
    let (_, after) = rest.split_once(END).expect("the marker of its end");
    std::fs::write(file, [before, BEGIN, table, END, after].concat()).unwrap();
}
