//! Rows that were judged wrongly, a line of JSON for each: where it is, what was
//! missed and what was found. Never the text.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use portcullis::rules::Category;
use serde::Serialize;

use super::attacks::Judged;
use super::row::Row;
use super::{Found, meets, touched};

/// One row, as it is written.
#[derive(Serialize)]
struct Line<'a> {
    set: &'a str,
    /// From 1, as editors count lines.
    row: usize,
    label: &'a str,
    /// What nothing was found of: types of entities, or the label.
    missed: Vec<&'a str>,
    /// Rules that found what is not there.
    #[serde(rename = "false")]
    falsely: Vec<&'a str>,
    /// All rules that found something.
    found: Vec<&'a str>,
}

/// The file that was asked for.
pub(super) struct List {
    path: PathBuf,
    out: BufWriter<File>,
}

impl List {
    /// A new file: one that is there may be a set, under whatever name.
    pub(super) fn new(path: &Path) -> Result<List, String> {
        let fault = |e: std::io::Error| match e.kind() {
            ErrorKind::AlreadyExists => {
                format!("{}: is there already, and is not written over", path.display())
            }
            _ => format!("{}: {e}", path.display()),
        };
        let out = BufWriter::new(File::create_new(path).map_err(fault)?);
        Ok(List { path: path.to_owned(), out })
    }

    /// Writes a row, if it was judged wrongly.
    pub(super) fn tell(
        &mut self,
        set: &str,
        number: usize,
        row: &Row,
        found: &[Found],
        judged: Judged,
    ) -> Result<(), String> {
        let missed = missed(row, found, judged);
        let falsely = found.iter().filter(|f| is_false(row, f)).map(|f| f.rule.as_str()).collect();
        let all = found.iter().map(|f| f.rule.as_str()).collect();
        let [missed, falsely, found] = [missed, falsely, all].map(once);
        if missed.is_empty() && falsely.is_empty() {
            return Ok(());
        }
        let line = Line { set, row: number, label: &row.label, missed, falsely, found };
        let json = serde_json::to_string(&line).map_err(|e| e.to_string())?;
        writeln!(self.out, "{json}").map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// Writes what is left.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.out.flush().map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

fn missed<'a>(row: &'a Row, found: &[Found], judged: Judged) -> Vec<&'a str> {
    let whole = |hit: bool| if hit { Vec::new() } else { vec![row.label.as_str()] };
    match row.label.as_str() {
        "benign" => Vec::new(),
        "secret" => whole(touched(row, found)),
        "pii" => {
            let left = row.expected.iter().filter(|e| !found.iter().any(|f| meets(f, e)));
            left.map(|e| e.entity.as_str()).collect()
        }
        _ => whole(judged.found),
    }
}

/// A finding that a table counts against the rules.
fn is_false(row: &Row, found: &Found) -> bool {
    match row.label.as_str() {
        "benign" => true,
        "pii" => match found.category {
            Category::Pii => !row.expected.iter().any(|e| meets(found, e)),
            category => category == Category::Injection,
        },
        _ => false,
    }
}

/// Each once, in order.
fn once(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}
