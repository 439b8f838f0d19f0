//! `features`: what the classifier sees of texts, for its trainer.
//!
//! Reads one JSON string a line. Writes, for each, a little-endian `u32` count
//! and so many `u32`: hashed features, [`WORD`] after each word, [`VIEW`]
//! between the text as written and each cleaned or decoded view of it.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

#[cfg(doc)]
use portcullis::detect::classifier::WORD;
use portcullis::detect::classifier::export;
use portcullis::text::{Scratch, views};

use crate::Outcome;

/// Marks where the next view of a text starts; odd, as no feature is.
const VIEW: u32 = u32::MAX - 2;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Outcome {
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
    let mut all = export(text);
    views(text, scratch, &mut |view| {
        all.push(VIEW);
        all.extend(export(view.text));
    });
    all
}

fn write(out: &mut impl Write, features: &[u32]) -> io::Result<()> {
    let count = u32::try_from(features.len()).map_err(io::Error::other)?;
    out.write_all(&count.to_le_bytes())?;
    features.iter().try_for_each(|feature| out.write_all(&feature.to_le_bytes()))
}
