//! `eval`: recall and false positives of the rules on labelled texts.
//!
//! A folder holds sets, one `*.jsonl` each: rows with `text`, `label`
//! (`benign`, `secret`, `pii`, …), `category`, and `expected` spans in code
//! points. Rules are scored by set, never pooled over sets, and the output is
//! the same on every run.

mod attacks;
mod entity;
mod row;
mod table;
mod wrong;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis::rules::{CLASSIFIER, Category, Direction, Strictness};

use self::attacks::{Attacks, Judged};
use self::entity::entity_of;
use self::row::{Expected, Row};
use self::wrong::List;
use crate::look::Eye;
use crate::{Outcome, packs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of sets.
    dir: PathBuf,
    /// Sets to measure, by file name without `.jsonl`; all if none is given.
    #[arg(long = "set", value_delimiter = ',')]
    sets: Vec<String>,
    /// Rules up to this level look.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// A pack in place of the built-in ones. May be given more than once.
    #[arg(long = "pack", value_name = "FILE")]
    packs: Vec<PathBuf>,
    /// Write a line of JSON for each row that is missed or falsely found into a new file:
    /// set, row, label and rules, never the text.
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
}

/// What a folder should hold, to whom has something else in it.
const ROW: &str = r#"a set is a file NAME.jsonl with a row a line, such as {"text":"...","label":"benign"}"#;

pub(crate) fn run(args: &Args) -> Outcome {
    let mut set = packs::load(&args.packs, Strictness::Lenient)??;
    set.add_classifier();
    let files = files(&args.dir, &args.sets)?;
    let wrong = args.rows.as_ref().map(|path| List::new(path)).transpose()?;
    let mut meter = Meter { eye: Eye::new(set, None, args.level)?, wrong };
    let mut report = Report::default();
    for path in files {
        meter.file(&path, &mut report)?;
    }
    meter.wrong.map_or(Ok(()), List::end)?;
    if report.rows == 0 {
        return Err(format!("{}: no row has a `text` and a `label`: {ROW}", args.dir.display()));
    }
    if report.ignored > 0 {
        eprintln!("rows left out, without a `text` or a `label` that is known: {}", report.ignored);
    }
    print!("{}", table::markdown(&report, args.level));
    Ok(ExitCode::SUCCESS)
}

/// The sets to read, in order of their names.
fn files(dir: &Path, sets: &[String]) -> Result<Vec<PathBuf>, String> {
    let fault = |e: std::io::Error| format!("{}: {e}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = sets.is_empty() || sets.contains(&name);
        if wanted && path.extension().is_some_and(|e| e == "jsonl") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!("{}: no such set; {ROW}", dir.display()));
    }
    files.sort();
    Ok(files)
}

/// Hits among so many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) hits: usize,
    pub(crate) of: usize,
}

impl Share {
    fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }
}

/// Exact spans of one type of entity in one set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spans {
    /// Expected spans, of which found exactly.
    pub(crate) recall: Share,
    /// Spans found, of which expected exactly, or expected of another type.
    pub(crate) precision: Share,
}

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Benign rows with a finding, by set and category of the rule.
    pub(crate) false_positives: BTreeMap<(String, &'static str), Share>,
    /// Rows labelled `secret` with a finding that touches what is expected.
    pub(crate) secrets: BTreeMap<String, Share>,
    /// Exact spans by set and type.
    pub(crate) entities: BTreeMap<(String, String), Spans>,
    /// Rows of attacks, and harmless rows.
    pub(crate) attacks: Attacks,
    /// Rows whose scan ran out of budget.
    pub(crate) exhausted: usize,
    /// Rows that were measured.
    rows: usize,
    /// Rows of no use: no text, no label, or one that nobody knows.
    ignored: usize,
}

/// A span found, with its rule's id and category.
struct Found {
    start: usize,
    end: usize,
    rule: String,
    category: Category,
}

/// Labels that [`Meter::row`] measures.
const LABELS: [&str; 6] = ["benign", "secret", "pii", "injection", "jailbreak", "mcp_malicious_tool"];

struct Meter {
    eye: Eye<'static>,
    /// Where rows that were judged wrongly are told.
    wrong: Option<List>,
}

impl Meter {
    fn file(&mut self, path: &Path, report: &mut Report) -> Result<(), String> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for (number, line) in text.lines().enumerate() {
            let row = row::parse(line).map_err(|e| format!("{}:{}: {e}", path.display(), number + 1))?;
            match row {
                Some(row) if LABELS.contains(&row.label.as_str()) => {
                    report.rows += 1;
                    let (found, judged) = self.row(&name, &row, report);
                    if let Some(list) = &mut self.wrong {
                        list.tell(&name, number + 1, &row, &found, judged)?;
                    }
                }
                _ => report.ignored += 1,
            }
        }
        Ok(())
    }

    fn row(&mut self, set: &str, row: &Row, report: &mut Report) -> (Vec<Found>, Judged) {
        let (found, judged) = self.find(set, row, &row.text, report);
        match row.label.as_str() {
            "benign" => {
                benign(set, row, &found, report);
                report.attacks.harmless(set, row, judged);
            }
            "secret" => report.secrets.entry(set.to_owned()).or_default().add(touched(row, &found)),
            "pii" => {
                pii(set, row, &found, report);
                report.attacks.harmless(set, row, judged);
            }
            "injection" | "jailbreak" | "mcp_malicious_tool" => {
                let plain = row.plain.as_ref().map(|plain| self.find(set, row, plain, report).1);
                report.attacks.attack(set, row, judged, plain);
            }
            _ => {}
        }
        (found, judged)
    }

    /// Looks at a text as the filter does.
    fn find(&mut self, set: &str, row: &Row, text: &str, report: &mut Report) -> (Vec<Found>, Judged) {
        let seen = self.eye.look(text, Direction::Request, row.kind(set));
        report.exhausted += usize::from(seen.exhausted);
        let found = seen.matches.into_iter().filter_map(|found| {
            let rule = self.eye.rules.get(found.rule)?;
            let range = found.range;
            Some(Found { start: range.start, end: range.end, rule: rule.id.clone(), category: rule.category })
        });
        let found: Vec<Found> = found.collect();
        let injection = || found.iter().filter(|f| f.category == Category::Injection);
        let judged = Judged {
            found: injection().next().is_some(),
            by_rules: injection().any(|f| f.rule != CLASSIFIER),
            logit: seen.logit,
        };
        (outermost(found), judged)
    }
}

fn benign(set: &str, row: &Row, found: &[Found], report: &mut Report) {
    for (category, name) in CATEGORIES {
        let hit = found.iter().any(|f| f.category == category);
        report.false_positives.entry((set.to_owned(), name)).or_default().add(hit);
    }
    // What a test of one entity gives as its negative is no negative of
    // the others; its spans still count against the entity's precision.
    for found in found.iter().filter(|f| f.category == Category::Pii) {
        let entity = entity_of(&found.rule);
        if row.category.ends_with(&format!("negative_{entity}")) {
            report.entities.entry((set.to_owned(), entity.to_owned())).or_default().precision.add(false);
        }
    }
}

/// A secret was found where one is.
fn touched(row: &Row, found: &[Found]) -> bool {
    let touches = |f: &Found| {
        row.expected.is_empty() || row.expected.iter().any(|e| e.start < f.end && f.start < e.end)
    };
    found.iter().any(|f| f.category == Category::Secrets && touches(f))
}

/// Without what lies inside a longer finding of the same category: an edit
/// takes both away as one.
fn outermost(found: Vec<Found>) -> Vec<Found> {
    let inside = |a: &Found, b: &Found| {
        a.category == b.category && b.start <= a.start && a.end <= b.end && b.end - b.start > a.end - a.start
    };
    let keep: Vec<bool> = found.iter().map(|a| !found.iter().any(|b| inside(a, b))).collect();
    found.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(found, _)| found).collect()
}

/// What is expected was found: at its exact place, or anywhere under its name
/// if no place is known.
fn meets(found: &Found, expected: &Expected) -> bool {
    if expected.anywhere {
        return entity_of(&found.rule) == expected.entity;
    }
    (found.start, found.end) == (expected.start, expected.end)
}

/// Categories whose false positives are told.
pub(crate) const CATEGORIES: [(Category, &str); 5] = [
    (Category::Code, "code"),
    (Category::Exfiltration, "exfiltration"),
    (Category::Injection, "injection"),
    (Category::Pii, "pii"),
    (Category::Secrets, "secrets"),
];

/// Exact spans of each type. A type of the set that no rule is for counts too:
/// its recall is 0.
fn pii(set: &str, row: &Row, found: &[Found], report: &mut Report) {
    let exact = |f: &Found| row.expected.iter().any(|e| meets(f, e));
    for expected in &row.expected {
        let hit = found.iter().any(|f| meets(f, expected));
        let key = (set.to_owned(), expected.entity.clone());
        report.entities.entry(key).or_default().recall.add(hit);
    }
    let mut spans: Vec<&Found> = found.iter().filter(|f| f.category == Category::Pii).collect();
    spans.sort_by_key(|f| (f.start, f.end, entity_of(&f.rule)));
    spans.dedup_by_key(|f| (f.start, f.end, entity_of(&f.rule)));
    for found in spans {
        let key = (set.to_owned(), entity_of(&found.rule).to_owned());
        report.entities.entry(key).or_default().precision.add(exact(found));
    }
}
