//! Every configuration in `envoy/config/` and in the documents loads.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg(not(target_arch = "wasm32"))]

use std::path::{Path, PathBuf};

use portcullis::config::Config;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    let all = std::fs::read_dir(root().join("envoy/config")).unwrap().map(|entry| entry.unwrap().path());
    let mut json: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    json.sort();
    json
}

#[test]
fn every_shipped_configuration_loads() {
    let files = files();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if let Err(e) = Config::from_json(&text) {
            panic!("{}: {e}", file.display());
        }
    }
}

/// A block is a configuration if it says so in its first key.
#[test]
fn every_configuration_in_a_document_loads() {
    let mut seen = 0;
    for name in ["README.md", "envoy/README.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        for block in text.split("```json\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if block.trim_start().trim_start_matches('{').trim_start().starts_with("\"version\"") {
                seen += 1;
                if let Err(e) = Config::from_json(block) {
                    panic!("{name}: {e}\n{block}");
                }
            }
        }
    }
    assert!(seen >= 1, "no configuration found in the documents");
}
