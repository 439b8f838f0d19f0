//! Strips and deflates the rule packs for the module: tests, titles and reasons are for
//! people and for the native tools, and two thirds of the bytes.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Fields of a rule that no scan needs.
const FOR_PEOPLE: &[&str] = &["title", "since", "why", "references", "tests", "also"];

const ORDER: &[&str] = &[
    "id",
    "anchor",
    "pattern",
    "max_len",
    "context",
    "needs_support",
    "level",
    "severity",
    "check",
    "view",
    "replace",
    "scan",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=rules/packs");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    // By name, as `src/rules/builtin.rs` lists them.
    let mut packs = BTreeMap::new();
    for entry in fs::read_dir("rules/packs")? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "json")) else {
            continue;
        };
        let mut pack: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path)?)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        for rule in pack.get_mut("rules").and_then(|r| r.as_array_mut()).into_iter().flatten() {
            strip(rule);
        }
        packs.insert(name.to_owned(), one_line(pack)?);
    }
    // One stream, a pack a line: what they have in common is written once.
    let lines: Vec<String> = packs.into_values().collect();
    let packed = miniz_oxide::deflate::compress_to_vec(lines.join("\n").as_bytes(), 10);
    fs::write(Path::new(&out).join("packs.deflate"), packed)?;
    Ok(())
}

/// The pack with the fields of its rules in an order that deflates well.
fn one_line(mut pack: serde_json::Value) -> Result<String, Box<dyn Error>> {
    let rules = pack.as_object_mut().and_then(|fields| fields.remove("rules")).unwrap_or_default();
    let mut lines = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let fields = rule.as_object().into_iter().flatten();
        let mut written = Vec::new();
        for (name, value) in fields {
            let place = ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len());
            written
                .push((place, format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(value)?)));
        }
        written.sort();
        let fields: Vec<String> = written.into_iter().map(|(_, field)| field).collect();
        lines.push(format!("{{{}}}", fields.join(",")));
    }
    let head = serde_json::to_string(&pack)?;
    let head = head.strip_suffix('}').ok_or("a pack is no object")?;
    Ok(format!("{head},\"rules\":[{}]}}", lines.join(",")))
}

fn strip(rule: &mut serde_json::Value) {
    let Some(fields) = rule.as_object_mut() else { return };
    for field in FOR_PEOPLE {
        fields.remove(*field);
    }
    let parts = fields.get("pattern").and_then(|p| p.as_array());
    if let Some(joined) = parts.map(|p| p.iter().filter_map(|s| s.as_str()).collect::<String>()) {
        fields.insert("pattern".to_owned(), joined.into());
    }
}
