//! Figures as Markdown.

use std::fmt::Write as _;

use super::{CATEGORIES, Report, Share};

/// All tables that have rows. Writing to a string cannot fail.
pub(super) fn markdown(report: &Report, level: u8) -> String {
    let mut out = format!("Rules up to level {level}.\n");
    report.attacks.markdown(&mut out);
    secrets(report, &mut out);
    entities(report, &mut out);
    false_positives(report, &mut out);
    let _ = writeln!(out, "\nScans out of budget: {}", report.exhausted);
    out
}

fn secrets(report: &Report, out: &mut String) {
    if report.secrets.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n## Secrets: rows with a finding that touches the secret\n\n| set | recall | rows |\n|---|---:|---:|"
    );
    for (set, share) in &report.secrets {
        let _ = writeln!(out, "| {set} | {} | {} |", percent(*share), share.of);
    }
}

fn entities(report: &Report, out: &mut String) {
    if report.entities.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n## Personal data: exact spans\n\n| set | entity | recall | expected | precision | found |\n|---|---|---:|---:|---:|---:|"
    );
    for ((set, entity), spans) in &report.entities {
        let (recall, precision) = (spans.recall, spans.precision);
        let _ = writeln!(
            out,
            "| {set} | {entity} | {} | {} | {} | {} |",
            percent(recall),
            recall.of,
            percent(precision),
            precision.of
        );
    }
}

fn false_positives(report: &Report, out: &mut String) {
    if report.false_positives.is_empty() {
        return;
    }
    let names: Vec<&str> = CATEGORIES.iter().map(|(_, name)| *name).collect();
    let _ = writeln!(
        out,
        "\n## Benign rows with a finding\n\n| set | rows | {} |\n|---|---:|{}",
        names.join(" | "),
        "---:|".repeat(names.len())
    );
    let sets: std::collections::BTreeSet<&String> =
        report.false_positives.keys().map(|(set, _)| set).collect();
    for set in sets {
        let share = |name: &'static str| {
            report.false_positives.get(&(set.clone(), name)).copied().unwrap_or_default()
        };
        let rows = names.first().map_or(0, |_| share("code").of);
        let cells: Vec<String> = CATEGORIES.iter().map(|(_, name)| percent(share(name))).collect();
        let _ = writeln!(out, "| {set} | {rows} | {} |", cells.join(" | "));
    }
}

/// One decimal place; a dash where there is nothing to count.
pub(super) fn percent(share: Share) -> String {
    if share.of == 0 {
        return "–".into();
    }
    format!("{:.1} %", 100.0 * share.hits as f64 / share.of as f64)
}
