//! Strips and deflates the rule packs for the module: tests, titles and reasons are for
//! people and for the native tools, and two thirds of the bytes.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Fields of a rule that no scan needs.
const FOR_PEOPLE: &[&str] = &["title", "since", "why", "references", "tests", "also"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=rules/packs");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
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
        let packed = miniz_oxide::deflate::compress_to_vec(serde_json::to_string(&pack)?.as_bytes(), 10);
        fs::write(Path::new(&out).join(name).with_extension("deflate"), packed)?;
    }
    Ok(())
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
