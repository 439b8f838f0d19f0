//! Every seed and every regression of the fuzzer through its target, and some
//! thousand mutations of each that are the same in every run.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout
)]

#[path = "fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use targets::{TARGETS, fixtures};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Seeds, regressions and fixtures of a target, in order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found = Vec::new();
    files(&tests.join("fuzz/seeds").join(target), &mut found);
    files(&tests.join("fuzz/regressions").join(target), &mut found);
    if let Some(folder) = fixtures(target) {
        files(&tests.join("fixtures").join(folder), &mut found);
    }
    found.sort();
    found
}

/// Runs `input`; names the file if the target panics.
fn run(target: fn(&[u8]), input: &[u8], what: &dyn Fn() -> String) {
    if let Err(fault) = std::panic::catch_unwind(|| target(input)) {
        println!("{}: input {:?}", what(), input.escape_ascii().to_string());
        std::panic::resume_unwind(fault);
    }
}

#[test]
fn seeds_and_regressions_hold() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "no seed for {name}");
        for file in inputs {
            run(*target, &std::fs::read(&file).unwrap(), &|| file.display().to_string());
        }
    }
}

#[test]
fn every_dialect_is_fuzzed() {
    for id in portcullis::wire::ids() {
        assert!(TARGETS.iter().any(|(target, _)| *target == format!("dialect_{id}")), "{id}");
    }
}

#[test]
fn every_regression_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for kind in ["seeds", "regressions"] {
        let Ok(entries) = std::fs::read_dir(folder.join(kind)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(TARGETS.iter().any(|(target, _)| *target == name), "{}", path.display());
        }
    }
}

#[test]
fn mutated_seeds_hold() {
    // A whole exchange costs a hundred times what a parser does.
    let rounds = |name: &str| match name {
        "live" => 100,
        name if name.starts_with("dialect_") => 500,
        _ => 4000,
    };
    for (name, target) in TARGETS {
        let seeds: Vec<Vec<u8>> = inputs(name).iter().map(|file| std::fs::read(file).unwrap()).collect();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for round in 0..rounds(name) {
            let mut input = seeds[random.below(seeds.len())].clone();
            for _ in 0..1 + random.below(4) {
                mutate(&mut input, &seeds, &mut random);
            }
            input.truncate(8192);
            run(*target, &input, &|| format!("{name}, round {round}"));
        }
    }
}

/// Bytes that mean something to one of the formats.
const TOKENS: &[&str] = &[
    "\"",
    "\\",
    "\\u0061",
    "\\ud800",
    "\\udc00",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "data:",
    "event: ",
    "\u{feff}",
    "0",
    "-1e5",
    "12345678",
    "null",
    "\"a\":1",
    "é",
    "\0",
    "[DONE]",
    "{\"a\":[\"b c\"]}",
];

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let len = random.below(16).min(input.len() - at);
    match random.below(6) {
        0 => drop(input.drain(at..at + len)),
        1 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
        2 => drop(input.splice(at..at + len, TOKENS[random.below(TOKENS.len())].bytes())),
        3 if at < input.len() => input[at] ^= 1 << random.below(8),
        4 => {
            let copy = input[at..at + len].to_vec();
            let to = random.below(input.len() + 1);
            drop(input.splice(to..to, copy));
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let len = random.below(64).min(other.len() - from);
            drop(input.splice(at..at, other[from..from + len].iter().copied()));
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}
