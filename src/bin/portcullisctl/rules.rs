//! `rules test`: run the tests that rules carry.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use portcullis::detect::self_test;
use portcullis::rules::Strictness;

use crate::{EXIT_STATUS, Outcome, packs};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Load packs, and run every test of every rule in them.
    #[command(after_help = EXIT_STATUS)]
    Test {
        /// Packs to test; the built-in ones if none is given.
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(command: &Command) -> Outcome {
    let Command::Test { files } = command;
    let set = match packs::load(files, Strictness::Authored)? {
        Ok(set) => set,
        Err(faults) => {
            eprintln!("portcullisctl: {faults}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let failures = self_test(&set);
    for failure in &failures {
        println!("{failure}");
    }
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let above = set.rules().iter().filter(|rule| rule.level > 2).count();
    let said = many(set.rules().len(), "rule");
    println!("{said} ({above} above level 2, the default), {}", many(failures.len(), "failure"));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
