//! Tables of streams, each cut in every way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use super::*;
use crate::wire::eventstream::encode;

/// Name and document of every frame that has one.
type Docs = Vec<(String, String)>;

fn cut<'c>(
    framing: Framing,
    max: usize,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut framer = Framer::with_max(framing, max);
    let mut frames = Vec::new();
    for chunk in chunks {
        if let Err(error) = framer.push(chunk, &mut frames) {
            assert_eq!(framer.push(b"", &mut frames), Err(error), "an error stays");
            return (merged(frames), Err(error));
        }
    }
    let end = framer.finish(&mut frames);
    (merged(frames), end)
}

/// Frames without a document joined, as the contract allows.
fn merged(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in frames {
        match frame.body {
            Body::Opaque => push_opaque(&mut out, &frame.raw),
            _ => out.push(frame),
        }
    }
    out
}

fn docs(frames: &[Frame]) -> Docs {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    frames.iter().filter_map(|f| Some((f.name().to_string(), text(f.doc_bytes()?)))).collect()
}

/// Cut whole, into single bytes, at every place, at every two places, and for
/// short inputs in every way there is. What comes out is the same each time.
fn same_for_every_cut(framing: Framing, max: usize, input: &[u8]) -> (Vec<Frame>, Result<(), FrameError>) {
    let whole = cut(framing, max, [input]);
    if whole.1.is_ok() {
        let raw: Vec<u8> = whole.0.iter().flat_map(Frame::raw).copied().collect();
        assert_eq!(raw, input, "no byte is lost or moved");
    }
    let check = |chunks: &[&[u8]]| {
        let found = cut(framing, max, chunks.iter().copied());
        assert_eq!(found.1, whole.1, "{framing:?} {chunks:?}");
        let documents = |frames: &[Frame]| -> Vec<Frame> {
            frames.iter().filter(|f| f.doc_bytes().is_some()).cloned().collect()
        };
        match whole.1 {
            Ok(()) => assert_eq!(found.0, whole.0, "{framing:?} {chunks:?}"),
            // Opaque bytes before a fault may or may not have left.
            Err(_) => assert_eq!(documents(&found.0), documents(&whole.0), "{framing:?} {chunks:?}"),
        }
    };
    check(&input.chunks(1).collect::<Vec<_>>());
    let step = input.len() / 40 + 1;
    for a in 0..input.len() {
        check(&[&input[..a], &input[a..]]);
        for b in (a..input.len()).step_by(step) {
            check(&[&input[..a], &input[a..b], &input[b..]]);
        }
    }
    if (1..=10).contains(&input.len()) {
        for mask in 0u32..1 << (input.len() - 1) {
            let mut chunks = Vec::new();
            let mut from = 0;
            for at in (1..input.len()).filter(|at| mask >> (at - 1) & 1 == 1) {
                chunks.push(&input[from..at]);
                from = at;
            }
            chunks.push(&input[from..]);
            check(&chunks);
        }
    }
    whole
}

fn expect(framing: Framing, input: &[u8], wanted: &[(&str, &str)]) {
    let (frames, end) = same_for_every_cut(framing, 1000, input);
    assert_eq!(end, Ok(()), "{:?}", String::from_utf8_lossy(input));
    let wanted: Docs = wanted.iter().map(|(n, d)| (n.to_string(), d.to_string())).collect();
    assert_eq!(docs(&frames), wanted, "{:?}", String::from_utf8_lossy(input));
}

#[test]
fn sse() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("\n\r\n\r", &[]),
        ("data: {}\n\n", &[("", "{}")]),
        ("data:{}\n\n", &[("", "{}")]),
        ("data:  {}\n\n", &[("", " {}")]),
        ("data: 1\r\n\r\ndata: 2\r\n\r\n", &[("", "1"), ("", "2")]),
        ("data: 1\r\rdata: 2\r\r", &[("", "1"), ("", "2")]),
        ("data: 1\n\r\ndata: 2\r\n\n", &[("", "1"), ("", "2")]),
        ("data:1\r\n\n\r\n", &[("", "1")]),
        ("data:1\r\r\n", &[("", "1")]),
        ("\u{feff}data: 1\n\n", &[("", "1")]),
        ("\u{feff}\ndata: 1\n\n", &[("", "1")]),
        ("data: 1\n\n\u{feff}data: 2\n\n", &[("", "1")]),
        ("event: ping\ndata: {}\n\n", &[("ping", "{}")]),
        ("event: a\nevent:b\ndata: {}\n\ndata: 2\n\n", &[("b", "{}"), ("", "2")]),
        (": hi\n\ndata: 1\n: in it\n\n:\n", &[("", "1")]),
        ("data: {\ndata: }\n\n", &[("", "{\n}")]),
        ("data: [\nid: 7\ndata\n: c\ndata:]\n\n", &[("", "[\n\n]")]),
        ("data\n\ndata:\n\ndata: \n\nevent: x\n\n", &[]),
        ("data: [DONE]\n\n", &[("", "[DONE]")]),
        ("Data: 1\ndata : 2\n data: 3\ndatum\n\n", &[]),
        ("data: 1", &[("", "1")]),
        ("data: 1\n", &[("", "1")]),
        ("data: 1\r", &[("", "1")]),
        ("data: 1\r\n\r", &[("", "1")]),
        ("data: é😀\u{2028}\u{85}x\n\n", &[("", "é😀\u{2028}\u{85}x")]),
        ("retry: 1\nid\n\nfoo\n\ndata:x:y: z\n\n", &[("", "x:y: z")]),
    ];
    for (input, wanted) in table {
        expect(Framing::Sse, input.as_bytes(), wanted);
    }
}

#[test]
fn ndjson() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("{}\n", &[("", "{}")]),
        ("{\"a\":1}\n{\"b\":\"\\n\"}\n", &[("", "{\"a\":1}"), ("", "{\"b\":\"\\n\"}")]),
        ("{}\r\n[]\r\n", &[("", "{}"), ("", "[]")]),
        ("\n \n\r\n{}\n\n", &[("", "{}")]),
        ("1\n2", &[("", "1"), ("", "2")]),
        (" {} \n", &[("", "{}")]),
        ("{}\r{}\n", &[("", "{}\r{}")]),
        ("\u{feff}{}\n", &[("", "\u{feff}{}")]),
    ];
    for (input, wanted) in table {
        expect(Framing::Ndjson, input.as_bytes(), wanted);
    }
}

#[test]
fn json_array() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("[]", &[]),
        (" [ ] \n", &[]),
        ("[{}]", &[("", "{}")]),
        ("[{\"a\":1}\n,\r\n{\"b\":[2]}]\n", &[("", "{\"a\":1}"), ("", "{\"b\":[2]}")]),
        (
            r#"["]","\"","\\",{"}":"]\\"}]"#,
            &[("", r#""]""#), ("", r#""\"""#), ("", r#""\\""#), ("", r#"{"}":"]\\"}"#)],
        ),
        ("[1,true , -2.5e3,[[]]]", &[("", "1"), ("", "true"), ("", "-2.5e3"), ("", "[[]]")]),
        ("{\"error\":{\"code\":[400]}}\n", &[("", "{\"error\":{\"code\":[400]}}")]),
        ("[{\"a\":\"cut", &[("", "{\"a\":\"cut")]),
        ("[{},", &[("", "{}")]),
    ];
    for (input, wanted) in table {
        expect(Framing::JsonArray, input.as_bytes(), wanted);
    }
}

#[test]
fn json_array_elements_do_not_wait_for_what_follows() {
    let mut framer = Framer::new(Framing::JsonArray);
    let mut frames = Vec::new();
    framer.push(b"[{\"a\":1}", &mut frames).unwrap();
    assert_eq!(frames.iter().map(Frame::raw).collect::<Vec<_>>(), [&b"["[..], b"{\"a\":1}"]);
}

#[test]
fn sse_comments_leave_at_once_and_a_last_cr_waits() {
    let mut framer = Framer::new(Framing::Sse);
    let mut frames = Vec::new();
    framer.push(b": keep-alive\n", &mut frames).unwrap();
    assert_eq!(frames.len(), 1);
    framer.push(b"data: 1\r\n\r", &mut frames).unwrap();
    assert_eq!(frames.len(), 1);
    framer.push(b"\ndata", &mut frames).unwrap();
    assert_eq!(frames[1].raw(), b"data: 1\r\n\r\n");
    assert!(frames[1].is_terminated());
    framer.push(b": 2\n", &mut frames).unwrap();
    framer.finish(&mut frames).unwrap();
    assert_eq!(frames[2].doc_bytes(), Some(&b"2"[..]));
    assert!(!frames[2].is_terminated());
}

#[test]
fn blank_lines_do_not_multiply_frames() {
    for framing in [Framing::Sse, Framing::Ndjson] {
        let mut frames = Vec::new();
        Framer::new(framing).push(&b"\n".repeat(100_000), &mut frames).unwrap();
        assert_eq!(frames.len(), 1, "{framing:?}");
    }
}

#[test]
fn faults() {
    use FrameError as E;
    let message = encode(&[(":event-type", "e")], b"{}").unwrap();
    let mut bad_prelude = message.clone();
    bad_prelude[3] ^= 1;
    let mut bad_body = message.clone();
    let brace = bad_body.len() - 5;
    bad_body[brace] ^= 1;
    let twice = encode(&[(":event-type", "e"), (":event-type", "f")], b"{}").unwrap();
    let two_names = encode(&[(":event-type", "e"), (":exception-type", "f")], b"{}").unwrap();
    let nameless = encode(&[("", "e")], b"{}").unwrap();
    let wrapped = |payload: &str| encode(&[(":event-type", "chunk")], payload.as_bytes()).unwrap();
    let table: Vec<(Framing, Vec<u8>, FrameError)> = vec![
        (Framing::Sse, b"data: 1\n\ndata: 2345678901234567890\n\n".to_vec(), E::TooLarge),
        (Framing::Sse, b"data: 12345678901234567".to_vec(), E::TooLarge),
        (Framing::Sse, b"data\n".repeat(5), E::TooLarge),
        (Framing::Sse, b":12345678901234567890\n".to_vec(), E::TooLarge),
        (Framing::Ndjson, b"1\n123456789012345678901\n".to_vec(), E::TooLarge),
        (Framing::JsonArray, br#"["1","12345678901234567890"]"#.to_vec(), E::TooLarge),
        (Framing::JsonArray, b"x".to_vec(), E::Malformed),
        (Framing::JsonArray, b"\xef\xbb\xbf[]".to_vec(), E::Malformed),
        (Framing::JsonArray, b"[1 2]".to_vec(), E::Malformed),
        (Framing::JsonArray, b"[1,]".to_vec(), E::Malformed),
        (Framing::JsonArray, b"[,1]".to_vec(), E::Malformed),
        (Framing::JsonArray, b"[1]]".to_vec(), E::Malformed),
        (Framing::JsonArray, b"[] []".to_vec(), E::Malformed),
        (Framing::JsonArray, b"{}{}".to_vec(), E::Malformed),
        (Framing::EventStream, bad_prelude, E::Checksum),
        (Framing::EventStream, message[..message.len() - 1].to_vec(), E::Truncated),
    ];
    for (framing, input, error) in table {
        let max = if framing == Framing::EventStream { 1000 } else { 20 };
        assert_eq!(same_for_every_cut(framing, max, &input).1, Err(error), "{framing:?} {input:?}");
    }
    for (input, error) in [
        (bad_body, E::Checksum),
        (twice, E::Malformed),
        (two_names, E::Malformed),
        (nameless, E::Malformed),
        (wrapped(r#"{"bytes":"e30=","text":"not padding"}"#), E::Malformed),
        (wrapped(r#"{"bytes":"e30"}"#), E::Malformed),
    ] {
        assert_eq!(same_for_every_cut(Framing::EventStream, 1000, &input).1, Err(error), "{input:?}");
    }
    assert_eq!(same_for_every_cut(Framing::EventStream, 20, &message).1, Err(E::TooLarge));
    let deep = "[".repeat(crate::limits::MAX_JSON_DEPTH + 2);
    assert_eq!(cut(Framing::JsonArray, 1000, [deep.as_bytes()]).1, Err(E::Malformed));
}

/// A message with a header of every type.
fn all_header_types(payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let values: [(u8, &[u8]); 10] = [
        (0, b""),
        (1, b""),
        (2, b"\x01"),
        (3, b"\x01\x02"),
        (4, b"\x01\x02\x03\x04"),
        (5, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        (6, b"\x00\x03abc"),
        (7, b"\x00\x02xy"),
        (8, b"\x00\x00\x01\x8f\x00\x00\x00\x00"),
        (9, b"0123456789abcdef"),
    ];
    for (kind, value) in values {
        headers.extend_from_slice(&[2, b'h', b'0' + kind, kind]);
        headers.extend_from_slice(value);
    }
    headers.extend_from_slice(b"\x0b:event-type\x07\x00\x04last");
    let mut out = ((16 + headers.len() + payload.len()) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

#[test]
fn event_stream() {
    let mut input =
        encode(&[(":event-type", "messageStart"), (":message-type", "event")], b"{\"role\":1}").unwrap();
    input.extend(all_header_types(b"{\"a\":[]}"));
    input.extend(encode(&[(":exception-type", "throttlingException")], b"{}").unwrap());
    input.extend(encode(&[(":event-type", "initial")], b"").unwrap());
    let chunk = r#"{"bytes":"eyJkZWx0YSI6ImhpIn0=","p":"abcd"}"#;
    input.extend(encode(&[(":event-type", "chunk")], chunk.as_bytes()).unwrap());
    input.extend(encode(&[(":event-type", "chunk")], b"{\"x\":1}").unwrap());
    expect(
        Framing::EventStream,
        &input,
        &[
            ("messageStart", "{\"role\":1}"),
            ("last", "{\"a\":[]}"),
            ("throttlingException", "{}"),
            ("chunk", "{\"delta\":\"hi\"}"),
            ("chunk", "{\"x\":1}"),
        ],
    );
}

/// The checksums of the empty message that AWS publishes as a test vector.
#[test]
fn event_stream_vector() {
    let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
    assert_eq!(encode(&[], b"").unwrap(), empty);
    assert_eq!(cut(Framing::EventStream, 100, [&empty[..]]).1, Ok(()));
}

#[test]
fn whole_bodies_come_in_one_frame() {
    expect(Framing::Whole, b"{\"a\": 1}", &[("", "{\"a\": 1}")]);
    expect(Framing::Whole, b"", &[]);
    assert_eq!(cut(Framing::Whole, 3, [&b"ab"[..], b"cd"]).1, Err(FrameError::TooLarge));
}

/// Replace `from` in the document by `to`.
fn edited(frame: &Frame, from: &str, to: &str) -> Result<Vec<u8>, Overlap> {
    let doc = std::str::from_utf8(frame.doc_bytes().unwrap()).unwrap();
    let start = doc.find(from).unwrap();
    frame.apply(&mut [Edit { range: start..start + from.len(), with: to.as_bytes().to_vec() }])
}

fn one(framing: Framing, input: &[u8]) -> Frame {
    let mut frames = cut(framing, 1000, [input]).0;
    frames.retain(|f| f.doc_bytes().is_some());
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn edits_keep_all_other_bytes() {
    let table: &[(Framing, &str, &str, &str, &str)] = &[
        (
            Framing::Sse,
            "id: secret\r\ndata: {\"t\":\"secret\"}\r\n: c\r\n\r\n",
            "secret",
            "*",
            "id: secret\r\ndata: {\"t\":\"*\"}\r\n: c\r\n\r\n",
        ),
        (
            Framing::Sse,
            "data: {\nid: 1\ndata:\"t\":\"secret\"\ndata: }\n\n",
            "secret",
            "longer text",
            "data: {\nid: 1\ndata:\"t\":\"longer text\"\ndata: }\n\n",
        ),
        (Framing::Ndjson, "\n  {\"t\":\"secret\"} \r\n", "secret", "", "  {\"t\":\"\"} \r\n"),
        (Framing::JsonArray, "[ {\"t\":\"secret\"} ]", "secret", "x", "{\"t\":\"x\"}"),
        (Framing::Whole, "{\"t\":\n\"secret\"}", "secret", "x", "{\"t\":\n\"x\"}"),
    ];
    for (framing, input, from, to, wanted) in table {
        let out = edited(&one(*framing, input.as_bytes()), from, to).unwrap();
        assert_eq!(std::str::from_utf8(&out).unwrap(), *wanted);
    }
}

#[test]
fn edits_of_event_stream_messages_make_valid_messages() {
    let chunk = br#"{"p":"abcdef","bytes":"eyJ0Ijoic2VjcmV0In0="}"#;
    for message in
        [all_header_types(br#"{"t":"secret"}"#), encode(&[(":event-type", "chunk")], chunk).unwrap()]
    {
        let frame = one(Framing::EventStream, &message);
        assert_eq!(
            edited(&frame, "secret", "secret").unwrap(),
            message,
            "the same text gives the same bytes"
        );
        for with in ["", "a much longer text than before"] {
            let out = edited(&frame, "secret", with).unwrap();
            let again = one(Framing::EventStream, &out);
            assert_eq!(again.doc_bytes().unwrap(), format!("{{\"t\":\"{with}\"}}").as_bytes());
            assert_eq!(again.name(), frame.name());
        }
    }
}

#[test]
fn edits_that_cannot_be_placed_are_errors() {
    let lines = one(Framing::Sse, b"data: [\"a\",\ndata: \"b\"]\n\n");
    assert_eq!(edited(&lines, ",\n\"", "x"), Err(Overlap), "over the border of two lines");
    let line = one(Framing::Sse, b"data: {\"a\":1}\n\n");
    for with in ["\n\ndata: forged\n\n", "\r"] {
        assert_eq!(edited(&line, "1", with), Err(Overlap), "{with:?}");
    }
    let edit = |start, end| Edit { range: start..end, with: Vec::new() };
    assert_eq!(line.apply(&mut [edit(5, 8)]), Err(Overlap), "outside");
    assert_eq!(line.apply(&mut [edit(0, 3), edit(2, 4)]), Err(Overlap), "overlapping");
    assert_eq!(line.apply(&mut [edit(usize::MAX, usize::MAX)]), Err(Overlap));
    assert_eq!(line.apply(&mut []).unwrap(), line.raw());
    let opaque = Frame::new(b": c\n".to_vec(), 0..0, Body::Opaque, true);
    assert_eq!(opaque.apply(&mut [edit(0, 0)]), Err(Overlap));
    assert_eq!(opaque.apply(&mut []).unwrap(), b": c\n");
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    /// The steps of the standard, one after the other over the whole text.
    fn events_by_the_standard(text: &str) -> Docs {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        // Unlike the standard, an event without its blank line counts.
        let (mut docs, mut name, mut data) = (Vec::new(), String::new(), None::<String>);
        for line in text.split('\n').chain([""]) {
            if line.is_empty() {
                if let Some(data) = data.take().filter(|d| !d.trim().is_empty()) {
                    docs.push((name, data));
                }
                name = String::new();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_string(),
                "data" => data = Some(data.map_or(value.to_string(), |d| d + "\n" + value)),
                _ => {}
            }
        }
        docs
    }

    proptest! {
        #[test]
        fn sse_is_the_standard(
            tokens in prop::collection::vec(
                prop::sample::select(vec!["data", "event", "id", ":", ": ", " ", "\r", "\n", "\r\n", "x", "{}", "\u{feff}", "é"]),
                0..40,
            ),
            size in 1usize..8,
        ) {
            let text = tokens.concat();
            let (frames, end) = cut(Framing::Sse, 1000, [text.as_bytes()]);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(docs(&frames), events_by_the_standard(&text));
            prop_assert_eq!(cut(Framing::Sse, 1000, text.as_bytes().chunks(size)).0, frames);
        }

        #[test]
        fn json_array_elements_are_those_of_serde_json(
            values in prop::collection::vec(
                prop_oneof![any::<i32>().prop_map(serde_json::Value::from), ".*".prop_map(Into::into),
                    (".*", ".*").prop_map(|(k, v)| serde_json::json!({k: [v, {}], "n": null}))],
                0..6,
            ),
            pretty: bool,
        ) {
            let list = serde_json::Value::from(values.clone());
            let text = if pretty { serde_json::to_string_pretty(&list).unwrap() } else { list.to_string() };
            let frames = cut(Framing::JsonArray, 100_000, text.as_bytes().chunks(7)).0;
            let found: Vec<serde_json::Value> =
                frames.iter().filter_map(|f| Some(serde_json::from_slice(f.doc_bytes()?).unwrap())).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn any_bytes_cut_alike_and_never_panic(
            input in prop::collection::vec(prop::sample::select(b"[]{}\",\\:\r\n d\x00\x10\xff".to_vec()), 0..40),
            size in 1usize..8,
        ) {
            for framing in [Framing::Sse, Framing::Ndjson, Framing::JsonArray, Framing::EventStream] {
                let (frames, end) = cut(framing, 30, [&input[..]]);
                let (again, same) = cut(framing, 30, input.chunks(size));
                prop_assert_eq!(end, same);
                if end.is_ok() {
                    prop_assert_eq!(frames, again);
                }
            }
        }
    }
}
