//! Each dialect over small documents written for it. A fixture is a file
//! `tests/fixtures/wire/<dialect>/<name>.http`: a request line, for responses
//! with status and content type behind it, a blank line, the body. What the
//! dialect says of it stands beside it in `<name>.snap`, which
//! `UPDATE_SNAPSHOTS=1 cargo test --test wire_fixtures` writes anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/wire.rs"]
mod common;

use std::fmt::Write as _;
use std::path::PathBuf;

use portcullis::text::Span;
use portcullis::wire::edit::{self, Edit};
use portcullis::wire::json::{Doc, Kind};
use portcullis::wire::{
    Dialect, FieldEdit, Framer, Framing, Operation, Reason, Refusal, by_id, eventstream, ids, recognise,
};

fn fixtures() -> Vec<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wire");
    let mut found = Vec::new();
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "http") {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn dialects_say_what_the_snapshots_say() {
    let fixtures = fixtures();
    assert!(!fixtures.is_empty());
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut failed = Vec::new();
    for file in fixtures {
        let got = render(&file);
        let snap = file.with_extension("snap");
        if update {
            std::fs::write(&snap, got).unwrap();
        } else if std::fs::read_to_string(&snap).ok().as_deref() != Some(&got) {
            failed.push(format!("{}\n--- now says:\n{got}", snap.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A fixture that is a document: a request, or a whole response.
struct Document {
    file: PathBuf,
    dialect: &'static dyn Dialect,
    op: Operation,
    path: String,
    is_request: bool,
    body: Vec<u8>,
}

impl Document {
    fn all() -> Vec<Document> {
        fixtures().into_iter().filter_map(Document::read).collect()
    }

    fn read(file: PathBuf) -> Option<Document> {
        let text = std::fs::read_to_string(&file).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let words: Vec<&str> = head.splitn(4, ' ').collect();
        let (dialect, op) = recognise(words[0], words[1]).unwrap();
        let is_request = words.len() == 2;
        let whole = is_request || dialect.framing(op, words[3]) == Framing::Whole;
        let body = body.trim_end().as_bytes().to_vec();
        whole.then(|| Document { file, dialect, op, path: words[1].to_owned(), is_request, body })
    }

    /// Spans and echoes of a variant of the body; `None` if it is refused.
    fn spans(&self, body: &[u8]) -> Option<(Vec<Span>, Vec<std::ops::Range<usize>>)> {
        let doc = Doc::parse(body).unwrap();
        if self.is_request {
            self.dialect.request(self.op, &self.path, &doc).ok().map(|request| (request.spans, Vec::new()))
        } else {
            self.dialect.response(self.op, &doc).ok().map(|response| (response.spans, response.echoes))
        }
    }
}

/// A field that nobody knows, in every object of every fixture.
#[test]
fn a_field_added_tomorrow_is_scanned() {
    for document in Document::all() {
        let doc = Doc::parse(&document.body).unwrap();
        for id in doc.ids().filter(|&id| doc.kind(id) == Kind::Object) {
            let at = doc.range(id).start + 1;
            let comma = if doc.members(id).next().is_some() { "," } else { "" };
            let with = format!(r#""of_tomorrow":["two words",{{"deeper":"three more words"}}]{comma}"#);
            let body =
                edit::apply(&document.body, &mut [Edit { range: at..at, with: with.into_bytes() }]).unwrap();
            let Some((spans, echoes)) = document.spans(&body) else { continue };
            assert_eq!(
                common::forgotten(&body, &spans, &echoes),
                [""; 0],
                "{} at {at}",
                document.file.display()
            );
        }
    }
}

/// Prose in place of every string: an id, a signature, a picture, a role.
#[test]
fn prose_is_scanned_wherever_a_string_may_stand() {
    for document in Document::all() {
        let doc = Doc::parse(&document.body).unwrap();
        for id in doc.ids().filter(|&id| doc.kind(id) == Kind::String) {
            let range = doc.range(id);
            let with = br#""words \u0026 more words""#.to_vec();
            let body = edit::apply(&document.body, &mut [Edit { range: range.clone(), with }]).unwrap();
            let Some((spans, echoes)) = document.spans(&body) else { continue };
            let forgotten = common::forgotten(&body, &spans, &echoes);
            assert_eq!(forgotten, [""; 0], "{} at {range:?}", document.file.display());
        }
    }
}

/// Fields that policy writes are read back as written, and no text is lost.
#[test]
fn edited_fields_are_read_back() {
    let mut edited = 0;
    for document in Document::all().into_iter().filter(|document| document.is_request) {
        let Document { dialect, op, ref path, ref body, .. } = document;
        let doc = Doc::parse(body).unwrap();
        let Ok(before) = dialect.request(op, path, &doc) else { continue };
        let fields =
            [FieldEdit::Model("a \"model\""), FieldEdit::MaxOutputTokens(4242), FieldEdit::StreamUsage];
        for field in fields {
            let Some(mut edits) = dialect.edit_field(op, &doc, field) else { continue };
            let body = edit::apply(body, &mut edits).unwrap();
            let after = dialect.request(op, path, &Doc::parse(&body).unwrap()).unwrap();
            let name = document.file.display();
            match field {
                FieldEdit::Model(model) => assert_eq!(after.model.unwrap().value, model, "{name}"),
                FieldEdit::MaxOutputTokens(cap) => {
                    assert_eq!(after.max_output_tokens.map(|f| f.value), Some(cap), "{name}");
                }
                FieldEdit::StreamUsage => assert!(after.stream_usage, "{name}"),
            }
            // The model's name may have become a text, and numbers gone.
            assert!(after.spans.len() + 1 >= before.spans.len(), "{name}");
            edited += 1;
        }
    }
    assert!(edited > 30, "{edited}");
}

/// What every dialect answers when a message is refused.
#[test]
fn refusals_have_the_shape_of_the_dialect() {
    let mut out = String::new();
    for id in ids() {
        let with_ids = vec!["7".into(), r#""b""#.into()];
        if matches!(id, "mcp" | "a2a") {
            refusals_of(id, id, &with_ids, &mut out);
            refusals_of(id, &format!("{id}_without_ids"), &[], &mut out);
        } else {
            refusals_of(id, id, &[], &mut out);
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wire/refusals.snap");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(file, out).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(file).unwrap(), out);
    }
}

fn refusals_of(id: &str, name: &str, rpc_ids: &[String], out: &mut String) {
    let dialect = by_id(id).unwrap();
    for reason in [
        Reason::Malformed,
        Reason::Unauthenticated,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::TooLarge,
        Reason::RateLimited,
        Reason::BadUpstream,
        Reason::Unavailable,
    ] {
        let refusal = Refusal {
            reason,
            message: "Refused by \"policy\".".into(),
            code: "pii.card".into(),
            retry_after: (reason == Reason::RateLimited).then_some(30),
            rpc_ids: rpc_ids.to_vec(),
        };
        let reply = dialect.refusal(&refusal);
        Doc::parse(&reply.body).unwrap();
        writeln!(out, "{name} {reason:?} {} {:?}", reply.status, reply.headers).unwrap();
        writeln!(out, "  {}", String::from_utf8(reply.body).unwrap()).unwrap();
        for framing in [Framing::Sse, Framing::Ndjson, Framing::JsonArray, Framing::EventStream] {
            let event = dialect.refusal_event(framing, &refusal);
            if reason == Reason::Forbidden && !event.is_empty() {
                writeln!(out, "  {framing:?} {}", event.escape_ascii()).unwrap();
            }
        }
    }
}

fn render(file: &std::path::Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let (head, body) = text.split_once("\n\n").expect("a blank line after the head");
    let words: Vec<&str> = head.splitn(4, ' ').collect();
    let (dialect, op) = recognise(words[0], words[1]).unwrap_or_else(|| panic!("{head}: not recognised"));
    let folder = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert_eq!(dialect.id(), folder, "{}", file.display());
    let mut out = format!("{} {}\n", dialect.id(), op.as_str());
    if words.len() == 2 {
        request(&mut out, dialect, op, words[1], body);
    } else {
        let content_type = words[3];
        match dialect.framing(op, content_type) {
            Framing::Whole => response(&mut out, dialect, op, body),
            framing => events(&mut out, dialect, op, framing, body),
        }
    }
    out
}

fn request(out: &mut String, dialect: &dyn Dialect, op: Operation, path: &str, body: &str) {
    let body = body.trim_end().as_bytes();
    match dialect.request(op, path, &Doc::parse(body).unwrap()) {
        Ok(request) => {
            assert_eq!(common::forgotten(body, &request.spans, &[]), [""; 0]);
            out.push_str(&common::show_request(body, &request));
        }
        Err(error) => writeln!(out, "refused: {}", error.what).unwrap(),
    }
}

fn response(out: &mut String, dialect: &dyn Dialect, op: Operation, body: &str) {
    let body = body.trim_end().as_bytes();
    let response = dialect.response(op, &Doc::parse(body).unwrap()).unwrap();
    assert_eq!(common::forgotten(body, &response.spans, &response.echoes), [""; 0]);
    out.push_str(&common::show_response(body, &response));
}

/// Event-stream fixtures are written as lines of event type and payload.
fn event_stream(body: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        let (name, payload) = line.split_once(' ').unwrap();
        let headers =
            [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        out.extend(eventstream::encode(&headers, payload.as_bytes()).unwrap());
    }
    out
}

fn events(out: &mut String, dialect: &dyn Dialect, op: Operation, framing: Framing, body: &str) {
    writeln!(out, "{framing:?}").unwrap();
    let bytes = if framing == Framing::EventStream { event_stream(body) } else { body.as_bytes().to_vec() };
    let mut framer = Framer::new(framing);
    let mut frames = Vec::new();
    framer.push(&bytes, &mut frames).unwrap();
    framer.finish(&mut frames).unwrap();
    for frame in &frames {
        let Some(data) = frame.doc_bytes() else { continue };
        if dialect.is_end_mark(data) {
            writeln!(out, "# end mark").unwrap();
            continue;
        }
        let event = dialect.event(op, frame.name(), &Doc::parse(data).unwrap()).unwrap();
        let mut spans = event.spans.clone();
        spans.extend(event.pieces.iter().map(|piece| piece.span.clone()));
        assert_eq!(common::forgotten(data, &spans, &event.echoes), [""; 0]);
        writeln!(out, "# {}", frame.name()).unwrap();
        out.push_str(&common::show_event(data, &event));
    }
}
