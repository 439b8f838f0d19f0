//! The native command line of Portcullis: the same core as the filter, off line.
// A command line prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod classify;
mod eval;
mod explain;
mod features;
mod look;
mod packs;
mod rules;
mod scan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXIT_STATUS: &str = "Exit status:
  0  all is well
  1  a finding (scan), a refusal (explain), a fault in what is checked (check, rules test)
  2  it could not do its work: wrong usage, a file that cannot be read or is of no use";

#[derive(Parser)]
#[command(
    name = "portcullisctl",
    version,
    about = "Check configurations, rules and texts with the core of the Portcullis filter",
    after_help = EXIT_STATUS
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Score texts from standard input with rules and classifier: a line each, such as
    /// {"kind":"user","text":"..."}.
    #[command(after_help = EXIT_STATUS)]
    Classify(classify::Args),
    /// Write the classifier's features of texts from standard input, a JSON string a line.
    /// They are binary, and go to no terminal.
    #[command(after_help = EXIT_STATUS)]
    Features(features::Args),
    /// Check rule packs.
    #[command(subcommand, after_help = EXIT_STATUS)]
    Rules(rules::Command),
    /// Measure the rules on a folder of labelled texts.
    #[command(after_help = EXIT_STATUS)]
    Eval(eval::Args),
    /// Load configurations of the filter and say what is in them.
    #[command(after_help = EXIT_STATUS)]
    Check(check::Args),
    /// Tell which policy a caller falls under, and what it means for a model.
    #[command(after_help = EXIT_STATUS)]
    Explain(explain::Args),
    /// Scan a text and tell what the rules find, without repeating it.
    #[command(after_help = EXIT_STATUS)]
    Scan(scan::Args),
}

/// What a subcommand says: fine or not, or why it could not do its work.
type Outcome = Result<ExitCode, String>;

/// What a file holds. The outer fault: it cannot be read. The inner one: what is
/// wrong in it, which is what some subcommands are asked.
type Loaded<T> = Result<Result<T, String>, String>;

fn main() -> ExitCode {
    end_with_the_reader();
    let outcome = match Cli::parse().command {
        Command::Classify(args) => classify::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Rules(command) => rules::run(&command),
        Command::Eval(args) => eval::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Scan(args) => scan::run(&args),
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("portcullisctl: {reason}");
        ExitCode::from(2)
    })
}

/// `portcullisctl scan FILE | head` ends when `head` does, without a word: what is printed
/// has no other way to say that nobody reads it.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or_default();
        if said.starts_with("failed printing to std") && said.contains("Broken pipe") {
            #[allow(clippy::exit)] // There is no way back from here.
            std::process::exit(2);
        }
        usual(panic);
    }));
}
