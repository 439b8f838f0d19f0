//! `features`: what the classifier sees of texts, for its trainer.
//!
//! Reads one JSON string a line. Writes, for each, a little-endian `u32` count
//! and so many `u32`: hashed features, [`BLOCK`] after each block of a text,
//! [`VIEW`] after the text as written and after each view of it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use portcullis::detect::classifier::export;
use portcullis::text::{Scratch, views};

use crate::Outcome;

/// Marks the end of a block. Marks are odd; features are made even, which
/// costs nothing: their lowest bit picks no weight.
const BLOCK: u32 = u32::MAX;
/// Marks the end of a view.
const VIEW: u32 = u32::MAX - 2;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Outcome {
    if io::stdout().is_terminal() {
        return Err("features are binary: send standard output to a file or a program".to_owned());
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut scratch = Scratch::default();
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let text = line
            .and_then(|line| serde_json::from_str::<String>(&line).map_err(io::Error::from))
            .map_err(|e| format!("standard input, line {}: {e}", number + 1))?;
        write(&mut out, &features(&text, &mut scratch)).map_err(|e| e.to_string())?;
    }
    out.flush().map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn features(text: &str, scratch: &mut Scratch) -> Vec<u32> {
    let mut all = Vec::new();
    add(text, &mut all);
    views(text, scratch, &mut |view| add(view.text, &mut all));
    all
}

fn add(text: &str, all: &mut Vec<u32>) {
    for block in export(text) {
        all.extend(block.iter().map(|feature| feature & !1));
        all.push(BLOCK);
    }
    all.push(VIEW);
}

fn write(out: &mut impl Write, features: &[u32]) -> io::Result<()> {
    let count = u32::try_from(features.len()).map_err(io::Error::other)?;
    out.write_all(&count.to_le_bytes())?;
    features.iter().try_for_each(|feature| out.write_all(&feature.to_le_bytes()))
}
