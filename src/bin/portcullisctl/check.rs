//! `check`: whether configurations load, and what is in them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis::config::Config;
use portcullis::config::written::Mode;
use portcullis::detect::self_test;
use portcullis::limits::MAX_CONFIG_BYTES;
use portcullis::policy::Source;
use portcullis::rules::{Category, PACK_NAMES};

use crate::{Loaded, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Configurations, in JSON as the filter takes them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Categories as policies name them.
pub(crate) const CATEGORIES: [(&str, Category); 5] = [
    ("injection", Category::Injection),
    ("pii", Category::Pii),
    ("secrets", Category::Secrets),
    ("exfiltration", Category::Exfiltration),
    ("code", Category::Code),
];

/// Fails if any of the files does, or a test of its own rules, after all were
/// looked at. One that cannot be read outweighs what is wrong in others.
pub(crate) fn run(args: &Args) -> Outcome {
    let (mut faults, mut unread) = (0, 0);
    for file in &args.files {
        match load(file) {
            Ok(Ok((config, text))) => faults += tell(&config, &text, file),
            Ok(Err(fault)) => {
                faults += 1;
                eprintln!("{fault}");
            }
            Err(fault) => {
                unread += 1;
                eprintln!("{fault}");
            }
        }
    }
    Ok(match (unread, faults) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    })
}

/// What is in a configuration that loads. How many tests of its own rules fail
/// comes back.
fn tell(config: &Config, text: &str, file: &Path) -> usize {
    let untrue = untrue(config, file);
    for id in off(config, text) {
        let why = "its level is above `rules.level`, or `rules.disable` names it";
        eprintln!("{}: rule {id}: is off: {why}", file.display());
    }
    let but = if untrue > 0 { ", but rules of its own do not do what their tests say" } else { "" };
    println!("{}: loads{but}\n{}", file.display(), describe(config));
    untrue
}

/// Tells which rules of the configuration's own do not do what their tests say.
/// The filter loads them all the same: how many there are comes back.
fn untrue(config: &Config, file: &Path) -> usize {
    let mut own = config.rules.clone();
    own.retain(|rule| !PACK_NAMES.contains(&rule.pack.as_str()));
    let failures = self_test(&own);
    for failure in &failures {
        eprintln!("{}: {failure}", file.display());
    }
    for (_, rule) in own.iter().filter(|(_, rule)| rule.tests.hit.is_empty()) {
        eprintln!(
            "{}: rule {}: has no tests: nothing shows that it finds what it should",
            file.display(),
            rule.id
        );
    }
    failures.len()
}

/// Rules of the configuration's own that are not in use.
fn off(config: &Config, text: &str) -> Vec<String> {
    let written: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let packs = written.pointer("/rules/custom").and_then(|packs| packs.as_array());
    let rules = packs.into_iter().flatten().filter_map(|pack| pack.get("rules")?.as_array()).flatten();
    let ids = rules.filter_map(|rule| rule.get("id")?.as_str());
    ids.filter(|id| config.rules.find(id).is_none()).map(str::to_owned).collect()
}

/// A configuration and its text, within the filter's own cap.
pub(crate) fn load(file: &Path) -> Loaded<(Config, String)> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| format!("{name}: {e}"))?;
    if text.len() > MAX_CONFIG_BYTES {
        return Ok(Err(format!("{name}: over {MAX_CONFIG_BYTES} bytes")));
    }
    Ok(Config::from_json(&text).map(|config| (config, text)).map_err(|e| format!("{name}: {e}")))
}

fn describe(config: &Config) -> String {
    let mode = match config.mode {
        Mode::Enforce => "enforce",
        Mode::Monitor => "monitor: nothing is refused or changed by policy",
    };
    let required = if config.identity_required { "required" } else { "not required" };
    let sources: Vec<_> = config.sources.iter().map(source).collect();
    let policies: Vec<_> = config
        .policies
        .iter()
        .map(|p| if p.enforced { p.name.clone() } else { format!("{} (monitor)", p.name) })
        .collect();
    let counts: Vec<_> = CATEGORIES
        .iter()
        .map(|(name, category)| {
            let on = config.rules.iter().filter(|(_, rule)| rule.category == *category).count();
            format!("{name} {on}")
        })
        .collect();
    let rules = config.rules.iter().count();
    let from = match sources.as_slice() {
        [] => "no source names anybody".to_owned(),
        known => format!("from {}", known.join(", ")),
    };
    let recording = match config.monitored.len() {
        0 => String::new(),
        some => format!("; {some} only record"),
    };
    let services: Vec<_> = config.approvals.iter().map(|(name, _)| name.clone()).collect();
    let watched: Vec<_> =
        config.policies.iter().filter(|p| p.habits.is_some()).map(|p| p.name.clone()).collect();
    let some = |names: &[String], before: &str| match names {
        [] => "none".to_owned(),
        names => format!("{before}{}", names.join(", ")),
    };
    let lines = [
        ("digest", config.digest.clone()),
        ("mode", mode.to_owned()),
        ("identity", format!("{required}; {from}")),
        ("policies", format!("{}; the first that matches applies", policies.join(", "))),
        ("rules on", format!("{rules}: {}{recording}", counts.join(", "))),
        ("aliases", config.aliases.len().to_string()),
        ("approvals", some(&services, "")),
        ("baselines", some(&watched, "in policies ")),
    ];
    lines.iter().fold(String::new(), |out, (name, value)| out + &format!("  {name:<9} {value}\n"))
}

fn source(source: &Source) -> String {
    match source {
        Source::Jwt { .. } => "a token".to_owned(),
        Source::Spiffe(_) | Source::Certificate(_) => "a certificate".to_owned(),
        Source::Header { name, .. } => format!("header {name}"),
    }
}

/// Names, or the word for none of them.
pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_what_matters() {
        // One small pack: compiling all takes long in a build for tests.
        let small = r#""version": 1, "rules": { "packs": ["code"] }"#;
        let text = include_str!("../../../envoy/config/demo.json").replacen(r#""version": 1"#, small, 1);
        let said = describe(&Config::from_json(&text).unwrap());
        for part in [
            "enforce",
            "required; from a token",
            "support, trial, research",
            "injection 0",
            "aliases   1",
            "baselines none",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        assert!(!said.contains("code 0"), "{said}");
    }
}
