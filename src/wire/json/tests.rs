//! Tables; the JSONTestSuite and the corpora run in `tests/corpora_json.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

#[test]
fn ranges_are_exact() {
    let text = br#" {"a":[{"b":"x\ny"},12,1234567],"c\u0064":{"e":null,"f":true}, "g":-1.5e3} "#;
    let doc = Doc::parse(text).unwrap();
    let root = doc.root();
    let list: Vec<_> = doc.items(doc.get(root, "a").unwrap()).collect();
    assert_eq!(list.len(), 2, "short numbers in arrays have no node");
    assert_eq!(doc.str(doc.get(list[0], "b").unwrap()).unwrap(), "x\ny");
    assert_eq!(doc.raw_str(doc.get(list[0], "b").unwrap()), b"x\\ny");
    assert_eq!(doc.u64(list[1]), Some(1_234_567));
    assert_eq!(doc.bool(doc.at(root, &["cd", "f"]).unwrap()), Some(true));
    assert_eq!(doc.kind(doc.at(root, &["cd", "e"]).unwrap()), Kind::Null);
    assert_eq!(doc.f64(doc.get(root, "g").unwrap()), Some(-1500.0));
    assert_eq!(doc.raw(doc.get(root, "cd").unwrap()), br#"{"e":null,"f":true}"#);
    let keys: Vec<_> = doc.members(root).map(|(k, _)| k.into_owned()).collect();
    assert_eq!(keys, ["a", "cd", "g"]);
    assert_eq!(doc.subtree(doc.get(root, "cd").unwrap()).count(), 3);
}

#[test]
fn refusals() {
    use JsonErrorKind as E;
    let deep = "[".repeat(200);
    let dense = format!("[{}\"\"]", "\"\",".repeat(20_000));
    for (text, kind) in [
        (&b""[..], E::Eof),
        (b" ", E::Eof),
        (b"{", E::Eof),
        (b"[1,", E::Eof),
        (b"\"abc", E::Eof),
        (b"tru", E::Eof),
        (b"[1,]", E::Syntax),
        (b"{\"a\":1,}", E::Syntax),
        (b"{,}", E::Syntax),
        (b"[,1]", E::Syntax),
        (b"[1 2]", E::Syntax),
        (b"{\"a\" 1}", E::Syntax),
        (b"{1:2}", E::Syntax),
        (b"'a'", E::Syntax),
        (b"nul1", E::Syntax),
        (b"01", E::Trailing),
        (b"1.", E::Eof),
        (b"[-]", E::Number),
        (b"[1e]", E::Number),
        (b"[+1]", E::Syntax),
        (b"[NaN]", E::Syntax),
        (b"{} x", E::Trailing),
        (b"{}{}", E::Trailing),
        (b"\"a\nb\"", E::Control),
        (b"\"\\x\"", E::Escape),
        (b"\"\\u12g4\"", E::Escape),
        (b"\"\\ud800\"", E::LoneSurrogate),
        (b"\"\\udc00\"", E::LoneSurrogate),
        (b"\"\\ud800\\u0041\"", E::LoneSurrogate),
        (b"\xef\xbb\xbf{}", E::ByteOrderMark),
        (b"\"\xff\"", E::Utf8),
        (b"{\"a\":1,\"a\":2}", E::DuplicateKey),
        (b"{\"a\":1,\"\\u0061\":2}", E::DuplicateKey),
        (b"[{\"x\":{\"b\":1,\"b\":1}}]", E::DuplicateKey),
        (deep.as_bytes(), E::TooDeep),
        (dense.as_bytes(), E::TooMany),
    ] {
        let found = Doc::parse(text).map(|_| ()).map_err(|e| e.kind);
        assert_eq!(found, Err(kind), "{:?}", String::from_utf8_lossy(&text[..text.len().min(40)]));
    }
}

#[test]
fn accepted() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "0",
        "-0",
        "1E400",
        "\"\\ud83d\\ude00\"",
        "[[],{},\"\"]",
        "{\"\":{\"\":0}}",
        "\"\u{7f}\"",
    ] {
        assert!(Doc::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn many_keys_stay_linear_enough() {
    // 50,000 keys: a quadratic comparison would take 1.25e9 steps.
    let body: Vec<String> = (0..50_000).map(|i| format!("\"some-key-{i:05}\":0")).collect();
    assert!(Doc::parse(format!("{{{}}}", body.join(",")).as_bytes()).is_ok());
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn same(doc: &Doc<'_>, id: NodeId, value: &serde_json::Value) {
        match value {
            serde_json::Value::Null => assert_eq!(doc.kind(id), Kind::Null),
            serde_json::Value::Bool(b) => assert_eq!(doc.bool(id), Some(*b)),
            serde_json::Value::Number(n) => assert_eq!(doc.raw(id), n.to_string().as_bytes()),
            serde_json::Value::String(s) => assert_eq!(doc.str(id).unwrap(), s.as_str()),
            serde_json::Value::Array(list) => {
                let scalar = |v: &&serde_json::Value| {
                    v.is_string() || v.is_array() || v.is_object() || v.to_string().len() >= 7
                };
                let kept: Vec<_> = list.iter().filter(scalar).collect();
                let found: Vec<_> = doc.items(id).collect();
                assert_eq!(found.len(), kept.len());
                found.into_iter().zip(kept).for_each(|(id, v)| same(doc, id, v));
            }
            serde_json::Value::Object(map) => {
                assert_eq!(doc.members(id).count(), map.len());
                map.iter().for_each(|(k, v)| same(doc, doc.get(id, k).unwrap(), v));
            }
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC*".prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(v in value()) {
            let text = v.to_string();
            let doc = Doc::parse(text.as_bytes()).unwrap();
            same(&doc, doc.root(), &v);
        }

        #[test]
        fn accepts_nothing_that_serde_json_refuses(text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\ud8 ]{0,24}") {
            if Doc::parse(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}

#[test]
fn control_characters_are_refused_wherever_they_stand() {
    for at in 0..200 {
        for byte in [0x00, 0x0A, 0x1F, 0x20, 0x7F] {
            let mut text = vec![b'a'; 202];
            (text[0], text[201], text[1 + at]) = (b'"', b'"', byte);
            let refused = Doc::parse(&text).err().map(|e| (e.offset, e.kind));
            assert_eq!(
                refused,
                (byte < 0x20).then_some((1 + at, JsonErrorKind::Control)),
                "{byte:#x} at {at}"
            );
        }
    }
}
