//! Speed on texts made to be slow: the files of `attacks/`, each a pattern of
//! text repeated with changing fillers.
//!
//! `attacks [NAME [KILOBYTES]]`. Runs natively, under callgrind, and as
//! wasm32-wasip1 in the V8 of Node: `./build.sh bench attacks`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use portcullis::config::Config;
use portcullis::detect::{self, Input, View};
use portcullis::rules::Direction;
use portcullis::session::{Event, Scratch, Session};
use portcullis::text::SpanKind;
use serde_json::json;

macro_rules! attacks {
    ($($name:literal),+ $(,)?) => {
        const ATTACKS: &[(&str, &str)] = &[$(($name, include_str!(concat!("attacks/", $name, ".txt")))),+];
    };
}

attacks!(
    "assignments",
    "at-signs",
    "base64",
    "base64-pieces",
    "checked-ids",
    "colons",
    "confusables",
    "context-words",
    "counters",
    "deflate",
    "entities",
    "escapes",
    "invisible",
    "literal-crowd",
    "multi-line-gap",
    "numbers-table",
    "override",
    "percent",
    "phone-list",
    "private-keys",
    "shuffled",
    "spaced",
    "spaces",
    "tags",
    "template-marks",
    "tokens",
    "unspaced",
);

const WORDS: &[&str] =
    &["the", "all", "your", "previous", "system", "data", "me", "of", "and", "key", "prompt", "now", "to"];

/// Xorshift64, Marsaglia 2003: the same text in each run.
struct Random(u64);

impl Random {
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        &from[(self.0 >> 11) as usize % from.len()]
    }
}

/// `size` bytes: the lines below the first of a file, with `{d}` a digit, `{a}`
/// a letter, `{A}` a letter of either case or a digit, `{w}` a word.
fn text(file: &str, size: usize) -> String {
    let (_, unit) = file.split_once('\n').unwrap();
    let unit = unit.strip_suffix('\n').unwrap();
    let letters: Vec<char> = ('a'..='z').collect();
    let digits: Vec<char> = ('0'..='9').collect();
    let any: Vec<char> = letters.iter().chain(&digits).copied().chain('A'..='Z').collect();
    let mut random = Random(88_172_645_463_325_252);
    let mut out = String::with_capacity(size + unit.len());
    while out.len() < size {
        let mut rest = unit;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            match &rest[at..at + 3] {
                "{d}" => out.push(*random.pick(&digits)),
                "{a}" => out.push(*random.pick(&letters)),
                "{A}" => out.push(*random.pick(&any)),
                "{w}" => {
                    let word: &&str = random.pick(WORDS);
                    out.push_str(word);
                }
                other => panic!("no such filler: {other}"),
            }
            rest = &rest[at + 3..];
        }
        out.push_str(rest);
    }
    out.truncate((0..=size).rev().find(|&at| out.is_char_boundary(at)).unwrap());
    out
}

fn config() -> Rc<Config> {
    // Nothing blocks: the whole text is worked through.
    let scan = json!({ "injection": "flag", "pii": "redact", "secrets": "redact", "exfiltration": "flag", "code": "flag" });
    let text = json!({
        "version": 1,
        "identity": { "required": false },
        "policies": [{ "name": "bench", "scan": { "request": scan, "response": scan } }],
    });
    Rc::new(Config::from_json(&text.to_string()).unwrap())
}

/// A request with the text through the session; its record.
fn exchange(config: &Rc<Config>, scratch: &mut Scratch, body: &[u8]) -> String {
    let headers: Vec<(Vec<u8>, Vec<u8>)> =
        [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")]
            .iter()
            .map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect();
    let mut session = Session::new(config.clone());
    session.step(Event::RequestHeaders { headers: &headers, claims: &[], end: false }, 1, scratch);
    session.step(Event::RequestEnd { body }, 1, scratch);
    let done = session.step(Event::Done { status: 200, added_us: 1 }, 1, scratch);
    format!("{:?}", done.commands)
}

/// Best of some runs: what else the machine does only adds.
fn best(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    let began = Instant::now();
    for round in 0..50 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        if round >= 2 && began.elapsed().as_secs_f64() > 0.5 {
            break;
        }
    }
    best
}

fn main() {
    let mut args = std::env::args().skip(1);
    let only = args.next().filter(|a| a != "all");
    let kilobytes: usize = args.next().map_or(64, |a| a.parse().unwrap());

    let config = config();
    let automaton = aho_corasick::AhoCorasick::builder()
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .build([
            "ignore",
            "password",
            "secret",
            "system",
            "instructions",
            "@",
            "http",
            "token",
            "key",
            "card",
        ])
        .unwrap();
    println!("{:<18}{:>10}{:>10}{:>10}{:>10}  ended", "attack", "scan", "session", "memcpy", "automaton");
    for (name, file) in ATTACKS {
        if only.as_deref().is_some_and(|o| o != *name) {
            continue;
        }
        let text = text(file, kilobytes * 1024);
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] }).to_string();
        let megabytes = text.len() as f64 / 1e6;
        let mut copy = vec![0_u8; text.len()];
        let memcpy = best(|| black_box(&mut copy).copy_from_slice(black_box(text.as_bytes())));
        let bare = best(|| _ = black_box(automaton.find_iter(black_box(&text)).count()));
        let (mut engine, mut matches, mut exhausted) = (detect::Scratch::default(), Vec::new(), false);
        let input = Input {
            text: &text,
            view: View::Raw,
            kind: SpanKind::User,
            direction: Direction::Request,
            at_end: true,
            skip_before: 0,
        };
        let scan = best(|| {
            matches.clear();
            exhausted |= config.engine.scan(black_box(&input), &mut engine, &mut matches).budget_exhausted;
        });
        let mut scratch = Scratch::default();
        let mut record = String::new();
        let session = best(|| record = exchange(&config, &mut scratch, black_box(body.as_bytes())));
        let ended = match (exhausted, record.contains("engine.budget")) {
            (false, false) => "whole",
            (true, _) => "budget",
            (false, true) => "budget of a view",
        };
        let speed = |seconds: f64| megabytes / seconds;
        println!(
            "{name:<18}{:>10.1}{:>10.1}{:>10.0}{:>10.0}  {ended}",
            speed(scan),
            speed(session),
            speed(memcpy),
            speed(bare)
        );
    }
}
