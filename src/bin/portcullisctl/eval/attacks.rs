//! Injections and jailbreaks: recall by set and category, by encoding, and
//! false positives, at the level asked for and at a fixed rate of the latter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::row::Row;
use super::{Share, table};

/// The rate of false positives at which sets are compared.
const RATE: f64 = 0.01;
/// Smaller sets cannot show such a rate; they have no say in the threshold.
const MIN_ROWS: usize = 60;

/// What was made of one text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// A rule or the classifier found an injection.
    pub(super) found: bool,
    /// A rule did.
    pub(super) by_rules: bool,
    /// The classifier's score.
    pub(super) logit: Option<f32>,
}

impl Judged {
    fn at(&self, threshold: f32) -> bool {
        self.by_rules || self.logit.is_some_and(|logit| logit >= threshold)
    }
}

/// All rows so far.
#[derive(Debug, Default)]
pub(crate) struct Attacks {
    attacks: BTreeMap<String, BTreeMap<String, Vec<Judged>>>,
    /// By set; whether its texts look like attacks.
    harmless: BTreeMap<String, (bool, Vec<Judged>)>,
    /// By encoding: encoded, plain.
    encoded: BTreeMap<String, Vec<(bool, bool)>>,
}

impl Attacks {
    pub(super) fn attack(&mut self, set: &str, row: &Row, judged: Judged, plain: Option<Judged>) {
        let of_set = self.attacks.entry(set.to_owned()).or_default();
        of_set.entry(row.category.clone()).or_default().push(judged);
        if let Some(plain) = plain {
            self.encoded.entry(row.category.clone()).or_default().push((judged.found, plain.found));
        }
    }

    pub(super) fn harmless(&mut self, set: &str, row: &Row, judged: Judged) {
        let hard = row.category.starts_with("hard_benign");
        self.harmless.entry(set.to_owned()).or_insert((hard, Vec::new())).1.push(judged);
    }

    /// Least score at which the sets' false positives, rules included, are
    /// [`RATE`] on average.
    fn threshold(&self) -> f32 {
        let sets: Vec<_> =
            self.harmless.values().map(|(_, rows)| rows).filter(|r| r.len() >= MIN_ROWS).collect();
        let rate = |t: f32| {
            let shares = sets.iter().map(|rows| part(rows.iter().filter(|r| r.at(t)).count(), rows.len()));
            shares.sum::<f64>() / sets.len().max(1) as f64
        };
        (-800..2000i16)
            .map(|step| f32::from(step) / 100.0)
            .find(|t| rate(*t) <= RATE)
            .unwrap_or(f32::INFINITY)
    }

    pub(super) fn markdown(&self, out: &mut String) {
        if self.attacks.is_empty() && self.harmless.is_empty() {
            return;
        }
        let threshold = self.threshold();
        let _ = writeln!(
            out,
            "\nThe classifier was trained on rows like these: `./build.sh eval` has figures for unseen ones."
        );
        self.attack_table(threshold, out);
        self.harmless_table(threshold, out);
        self.encoded_table(out);
    }

    fn attack_table(&self, threshold: f32, out: &mut String) {
        if self.attacks.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n## Attacks found\n\n| set | category | rows | rules | rules and classifier | at 1 % false positives |\n|---|---|---:|---:|---:|---:|"
        );
        let mut means = [0.0; 3];
        for (set, categories) in &self.attacks {
            for (category, rows) in categories {
                line(set, category, rows, threshold, out);
            }
            let all: Vec<Judged> = categories.values().flatten().copied().collect();
            for (mean, share) in means.iter_mut().zip(line(set, "**all**", &all, threshold, out)) {
                *mean += share / self.attacks.len() as f64;
            }
        }
        let [rules, both, at] = means.map(|m| format!("{:.1} %", 100.0 * m));
        let _ = writeln!(out, "| **mean of sets** | | | {rules} | {both} | {at} |");
    }

    fn harmless_table(&self, threshold: f32, out: &mut String) {
        if self.harmless.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n## Harmless rows taken for attacks\n\n| set | | rows | rules | rules and classifier | at 1 % |\n|---|---|---:|---:|---:|---:|"
        );
        for (set, (hard, rows)) in &self.harmless {
            line(set, if *hard { "hard" } else { "ordinary" }, rows, threshold, out);
        }
    }

    fn encoded_table(&self, out: &mut String) {
        if self.encoded.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n## Encoded attacks against the same in plain text\n\n| encoding | rows | encoded | plain | ratio |\n|---|---:|---:|---:|---:|"
        );
        let all: Vec<(bool, bool)> = self.encoded.values().flatten().copied().collect();
        let encodings = self.encoded.iter().map(|(name, rows)| (name.as_str(), rows));
        for (name, rows) in encodings.chain([("**all**", &all)]) {
            let (encoded, plain) = (rows.iter().filter(|r| r.0).count(), rows.iter().filter(|r| r.1).count());
            let of = rows.len();
            let _ = writeln!(
                out,
                "| {name} | {of} | {} | {} | {} |",
                table::percent(Share { hits: encoded, of }),
                table::percent(Share { hits: plain, of }),
                table::percent(Share { hits: encoded, of: plain })
            );
        }
    }
}

/// Writes a row; its shares.
fn line(set: &str, name: &str, rows: &[Judged], threshold: f32, out: &mut String) -> [f64; 3] {
    let of = rows.len();
    let counts = [
        rows.iter().filter(|r| r.by_rules).count(),
        rows.iter().filter(|r| r.found).count(),
        rows.iter().filter(|r| r.at(threshold)).count(),
    ];
    let [rules, both, at] = counts.map(|hits| table::percent(Share { hits, of }));
    let _ = writeln!(out, "| {set} | {name} | {of} | {rules} | {both} | {at} |");
    counts.map(|hits| part(hits, of))
}

fn part(hits: usize, of: usize) -> f64 {
    hits as f64 / of.max(1) as f64
}
