//! `scan`: what rules and classifier find in a text, as written and behind
//! disguises.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use portcullis::rules::{Direction, RuleIndex, Scope, Strictness};
use portcullis::text::SpanKind;

use crate::look::Eye;
use crate::{Outcome, check, packs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File to scan; standard input if none is given.
    file: Option<PathBuf>,
    /// Rules up to this level look: 1 safe everywhere to 4 paranoid.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// A pack in place of the built-in ones, and of the classifier. May be given more
    /// than once.
    #[arg(long = "pack", value_name = "FILE")]
    packs: Vec<PathBuf>,
    /// A configuration of the filter: its rules look, those of its own too, at its
    /// level. What its policies make of a finding is not asked.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["level", "packs"])]
    config: Option<PathBuf>,
    /// What the text is: many rules look only at answers, arguments or results of
    /// tools. Model's turns and arguments are looked at as in a response.
    #[arg(long = "as", value_name = "KIND", default_value = "user",
        value_parser = clap::builder::PossibleValuesParser::new(Scope::kinds()))]
    kind: String,
}

/// Prints byte range, rule, severity and title of each match, never the text.
/// Fails if there is one, of a rule that only records too.
pub(crate) fn run(args: &Args) -> Outcome {
    let (mut eye, monitored) = eye(args)?;
    let text = read(args.file.as_ref())?;
    let place = Scope::places().find(|(direction, kind)| {
        use SpanKind::{Assistant, Reasoning, ToolArguments};
        let is_answer = matches!(kind, Assistant | Reasoning | ToolArguments);
        kind.as_str() == args.kind && is_answer == (*direction == Direction::Response)
    });
    let (direction, kind) = place.unwrap_or((Direction::Request, SpanKind::User));
    let mut seen = eye.look(&text, direction, kind);
    seen.matches.sort_by_key(|found| (found.range.start, found.range.end));
    for found in &seen.matches {
        let Some(rule) = eye.rules.get(found.rule) else { continue };
        let severity = format!("{:?}", rule.severity).to_lowercase();
        let only = if monitored.contains(&found.rule) { "\tonly records" } else { "" };
        let (start, end) = (found.range.start, found.range.end);
        println!("{start}..{end}\t{}\t{severity}\t{}{only}", rule.id, rule.title);
    }
    if seen.exhausted {
        println!("engine.budget: the text took more work than allowed; matches may be missing");
    }
    let clean = seen.matches.is_empty() && !seen.exhausted;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rules that were asked for, and which of them only record.
fn eye(args: &Args) -> Result<(Eye<'static>, HashSet<RuleIndex>), String> {
    if let Some(file) = &args.config {
        let (config, _) = check::load(file)??;
        let monitored = config.monitored.clone();
        return Ok((Eye::of(config), monitored));
    }
    let mut set = packs::load(&args.packs, Strictness::Lenient)??;
    if args.packs.is_empty() {
        set.add_classifier();
    }
    Ok((Eye::new(set, None, args.level)?, HashSet::new()))
}

fn read(file: Option<&PathBuf>) -> Result<String, String> {
    match file {
        Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display())),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
            Ok(text)
        }
    }
}
