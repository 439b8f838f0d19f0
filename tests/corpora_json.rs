//! JSONTestSuite and gateway cases of the corpora through the strict parser,
//! and every recorded stream through its framing. Skips with a printed reason
//! where the corpora are absent; `src/wire/json/tests.rs` and
//! `src/wire/framing/tests.rs` always run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::wire::json::{Doc, JsonErrorKind};
use portcullis::wire::{Frame, FrameError, Framer, Framing};
use serde::Deserialize;

/// The unpacked corpora, if `file` is there.
fn corpora(file: &str) -> Option<PathBuf> {
    let folder = match (std::env::var_os("PORTCULLIS_CORPORA"), std::env::var_os("XDG_CACHE_HOME")) {
        (Some(folder), _) => PathBuf::from(folder),
        (None, Some(cache)) => PathBuf::from(cache).join("portcullis/corpora"),
        (None, None) => PathBuf::from(std::env::var_os("HOME")?).join(".cache/portcullis/corpora"),
    };
    let found = folder.join(file).is_file();
    if !found {
        println!("skipped: no {file} in {} (set PORTCULLIS_CORPORA)", folder.display());
    }
    found.then_some(folder)
}

#[derive(Deserialize)]
struct Case {
    name: String,
    expected: String,
    b64: String,
}

/// Cases of the suite that a parser must accept by the RFC, and that we refuse:
/// two parsers may read two different values from them.
const REFUSED_ON_PURPOSE: &[&str] =
    &["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

#[test]
fn json_test_suite() {
    let Some(folder) = corpora("jsontestsuite.jsonl") else { return };
    let lines = std::fs::read_to_string(folder.join("jsontestsuite.jsonl")).unwrap();
    let (mut accepted, mut refused, mut open, mut wrong) = (0, 0, 0, Vec::new());
    for line in lines.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let body = STANDARD.decode(&case.b64).unwrap();
        let found = Doc::parse(&body).map(|_| ()).map_err(|e| e.kind);
        match (case.expected.as_str(), found) {
            ("accept", Err(JsonErrorKind::DuplicateKey)) if REFUSED_ON_PURPOSE.contains(&&*case.name) => {
                refused += 1;
            }
            ("accept", Ok(())) if !REFUSED_ON_PURPOSE.contains(&&*case.name) => accepted += 1,
            ("reject", Err(_)) => refused += 1,
            ("accept" | "reject", found) => wrong.push((case.name, found)),
            // Either is right by the RFC; what serde_json refuses may not pass.
            (_, Ok(())) => {
                open += 1;
                let other = serde_json::from_slice::<Box<serde_json::value::RawValue>>(&body);
                assert!(other.is_ok(), "{}", case.name);
            }
            (_, Err(_)) => open += 1,
        }
    }
    println!("{accepted} accepted, {refused} refused, {open} left open by the RFC");
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(accepted > 40 && refused > 90, "the suite is not whole");
}

#[derive(Deserialize)]
struct Row {
    file: String,
    kind: String,
    streaming: Option<String>,
    expect: Option<String>,
}

fn cut<'c>(
    framing: Framing,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Frame>, Result<(), FrameError>) {
    let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
    let pushed = chunks.into_iter().try_for_each(|chunk| framer.push(chunk, &mut frames));
    let end = pushed.and_then(|()| framer.finish(&mut frames));
    (frames, end)
}

/// Sizes of chunks from 1 to 64 bytes, the same ones in every run.
fn uneven(mut rest: &[u8]) -> Vec<&[u8]> {
    let (mut chunks, mut state) = (Vec::new(), 0x9E37_79B9_u32);
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (chunk, tail) = rest.split_at(rest.len().min(1 + (state >> 26) as usize));
        chunks.push(chunk);
        rest = tail;
    }
    chunks
}

#[test]
fn recorded_streams_are_cut_alike_however_they_arrive() {
    let Some(folder) = corpora("wire/manifest.json") else { return };
    let folder = folder.join("wire");
    let rows: Vec<Row> =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let (mut streams, mut documents, mut marks) = (0, 0, 0);
    for row in rows {
        let encoded_vector = row.kind == "eventstream_vector" && row.file.ends_with(".bin");
        let framing = match row.streaming.as_deref() {
            _ if row.kind != "response" && !encoded_vector => continue,
            Some("sse") => Framing::Sse,
            Some("ndjson") => Framing::Ndjson,
            Some("aws-eventstream") => Framing::EventStream,
            _ => continue,
        };
        let body = std::fs::read(folder.join(&row.file)).unwrap();
        let (frames, end) = cut(framing, [&body[..]]);
        assert_eq!(end.is_err(), row.expect.as_deref() == Some("reject"), "{} {end:?}", row.file);
        for chunks in [body.chunks(1).collect(), uneven(&body)] {
            let (again, same) = cut(framing, chunks);
            assert_eq!(same, end, "{}", row.file);
            let raw = |frames: &[Frame]| frames.iter().flat_map(|f| f.raw().to_vec()).collect::<Vec<u8>>();
            let with_doc = |frames: Vec<Frame>| -> Vec<Frame> {
                frames.into_iter().filter(|f| f.doc_bytes().is_some()).collect()
            };
            assert!(end.is_err() || raw(&again) == body, "{}", row.file);
            assert!(with_doc(again) == with_doc(frames.clone()), "{}", row.file);
        }
        streams += 1;
        for doc in frames.iter().filter_map(Frame::doc_bytes) {
            match Doc::parse(doc) {
                Ok(_) => documents += 1,
                Err(_) if doc == b"[DONE]" => marks += 1,
                Err(error) => println!("{}: {error}", row.file),
            }
        }
    }
    println!("{streams} streams, {documents} documents in them, {marks} end marks");
    assert!(streams > 150, "the corpus is not whole");
}
