//! `scan`: what the rules find in a text.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use portcullis::detect::{Engine, Input, Scratch, View};
use portcullis::rules::{Direction, Strictness};
use portcullis::text::SpanKind;

use crate::{Outcome, packs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File to scan; standard input if none is given.
    file: Option<PathBuf>,
    /// Rules up to this level look: 1 safe everywhere to 4 paranoid.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// A pack in place of the built-in ones. May be given more than once.
    #[arg(long = "pack", value_name = "FILE")]
    packs: Vec<PathBuf>,
}

/// Prints byte range, rule, severity and title of each match, never the text.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut set = packs::load(&args.packs, Strictness::Lenient)?;
    set.retain(|rule| rule.level <= args.level);
    let engine = Engine::compile(&set)
        .map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let text = read(args.file.as_ref())?;
    let input = Input {
        text: &text,
        view: View::Raw,
        kind: SpanKind::User,
        direction: Direction::Request,
        at_end: true,
        skip_before: 0,
    };
    let mut matches = Vec::new();
    let outcome = engine.scan(&input, &mut Scratch::new(), &mut matches);
    for found in &matches {
        let Some(rule) = set.get(found.rule) else { continue };
        println!(
            "{}..{}\t{}\t{:?}\t{}",
            found.range.start, found.range.end, rule.id, rule.severity, rule.title
        );
    }
    if outcome.budget_exhausted {
        println!("engine.budget: the text took more work than allowed; matches may be missing");
    }
    let clean = matches.is_empty() && !outcome.budget_exhausted;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
