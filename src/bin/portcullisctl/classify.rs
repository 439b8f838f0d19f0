//! `classify`: scores of texts, and what rules and model say of them together.
//!
//! Reads one JSON object a line, `{"kind": "user", "text": "…"}`, and writes
//! one: `{"logit": -2.1, "rules": ["…"], "blocked": false}`. `rules` are those
//! that count, the classifier's own finding not among them.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use portcullis::detect::classifier::BUILTIN;
use portcullis::rules::{CLASSIFIER, Category, Direction, builtin};
use portcullis::text::SpanKind;
use serde::Deserialize;
use serde_json::json;

use crate::Outcome;
use crate::look::Eye;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file; the built-in model if not given.
    #[arg(long)]
    model: Option<std::path::PathBuf>,
    /// Level of rules and model, 1 to 4.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
}

#[derive(Deserialize)]
struct Line {
    kind: String,
    text: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let file = match &args.model {
        Some(path) => std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => BUILTIN.to_vec(),
    };
    let mut rules = builtin().map_err(|e| format!("built-in packs: {e:?}"))?;
    rules.add_classifier();
    rules.retain(|rule| rule.category == Category::Injection);
    let mut eye = Eye::new(rules, Some(&file), args.level)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let fault = |e: String| format!("standard input, line {}: {e}", number + 1);
        let line: Line = line
            .and_then(|line| serde_json::from_str(&line).map_err(io::Error::from))
            .map_err(|e| fault(e.to_string()))?;
        let kind = kind(&line.kind).ok_or_else(|| fault(format!("no kind {}", line.kind)))?;
        let seen = eye.look(&line.text, Direction::Request, kind);
        let mut rules: Vec<&str> = seen.matches.iter().map(|m| eye.id(m)).collect();
        rules.sort_unstable();
        rules.dedup();
        let blocked = !rules.is_empty();
        rules.retain(|id| *id != CLASSIFIER);
        writeln!(out, "{}", json!({ "logit": seen.logit, "rules": rules, "blocked": blocked }))
            .map_err(|e| e.to_string())?;
    }
    out.flush().map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn kind(name: &str) -> Option<SpanKind> {
    use SpanKind::{Document, Mcp, Other, System, ToolDefinition, ToolResult, User};
    [System, User, ToolDefinition, ToolResult, Document, Mcp, Other].into_iter().find(|k| k.as_str() == name)
}
