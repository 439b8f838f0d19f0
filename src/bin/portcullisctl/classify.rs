//! `classify`: scores of texts, and what rules and model say of them together.
//!
//! Reads one JSON object a line, `{"kind": "user", "text": "…"}`, and writes
//! one: `{"logit": -2.1, "rules": [{"id": "…", "level": 2, "stands": true}], "blocked": false}`.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use portcullis::detect::classifier::{BUILTIN, Classifier};
use portcullis::detect::{Engine, Input, Match, Scratch, View};
use portcullis::rules::{Category, Direction, RuleSet, builtin};
use portcullis::text::{self, SpanKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;

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
    let model = Classifier::load(&file).map_err(|e| format!("model: {}", e.what))?;
    let mut rules = builtin().map_err(|e| format!("built-in packs: {e:?}"))?;
    rules.retain(|rule| rule.category == Category::Injection && rule.level <= args.level);
    let engine = Engine::compile(&rules).map_err(|e| format!("built-in packs: {e:?}"))?;
    let mut judge = Judge { model, rules, engine, level: args.level, scratch: Scratch::new() };
    let mut views = text::Scratch::default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let fault = |e: String| format!("standard input, line {}: {e}", number + 1);
        let line: Line = line
            .and_then(|line| serde_json::from_str(&line).map_err(io::Error::from))
            .map_err(|e| fault(e.to_string()))?;
        let kind = kind(&line.kind).ok_or_else(|| fault(format!("no kind {}", line.kind)))?;
        let said = judge.text(&line.text, kind, &mut views);
        writeln!(out, "{said}").map_err(|e| e.to_string())?;
    }
    out.flush().map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn kind(name: &str) -> Option<SpanKind> {
    use SpanKind::{Document, Mcp, Other, System, ToolDefinition, ToolResult, User};
    [System, User, ToolDefinition, ToolResult, Document, Mcp, Other].into_iter().find(|k| k.as_str() == name)
}

struct Judge<'m> {
    model: Classifier<'m>,
    rules: RuleSet,
    engine: Engine,
    level: u8,
    scratch: Scratch,
}

impl Judge<'_> {
    /// What is found in a text and in every view of it.
    fn text(&mut self, text: &str, kind: SpanKind, views: &mut text::Scratch) -> Value {
        let (mut best, mut found) = (None, Vec::new());
        self.view(text, View::Raw, kind, &mut best, &mut found);
        text::views(text, views, &mut |view| self.view(view.text, View::Clean, kind, &mut best, &mut found));
        let stands = found.iter().any(|rule| rule["stands"] == json!(true));
        let high = best.is_some_and(|logit| logit >= self.model.threshold(kind, self.level));
        json!({ "logit": best, "rules": found, "blocked": stands || high })
    }

    fn view(
        &mut self,
        text: &str,
        view: View,
        kind: SpanKind,
        best: &mut Option<f32>,
        found: &mut Vec<Value>,
    ) {
        if let Some(hit) = self.model.score(text) {
            *best = Some(best.map_or(hit.logit, |so_far| so_far.max(hit.logit)));
        }
        let input = Input { text, view, kind, direction: Direction::Request, at_end: true, skip_before: 0 };
        let mut matches: Vec<Match> = Vec::new();
        self.engine.scan(&input, &mut self.scratch, &mut matches);
        for one in matches {
            let Some(rule) = self.rules.get(one.rule) else { continue };
            let stands = self.model.stands(text, kind, rule.level, &one.range);
            found.push(json!({ "id": rule.id, "level": rule.level, "stands": stands }));
        }
    }
}
