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

/// What loads without a word and is not what its author thinks is refused.
#[test]
fn what_would_mislead_is_refused() {
    let with = |quotas: &str, pack: &str| {
        let text = format!(
            r#"{{"version":1,"identity":{{"required":false}},"policies":[{{"name":"a","quotas":[{quotas}]}}],
            "rules":{{"custom":[{pack}]}}}}"#
        );
        Config::from_json(&text).map(|_| ()).map_err(|e| e.to_string())
    };
    let day = r#"{"name":"day","per":"subject","unit":"tokens","limit":100,"window":"1d"}"#;
    let calls = day.replace("tokens", "requests");
    assert_eq!(with(&format!("{day},{calls}"), ""), Ok(()));
    let error = with(&format!("{day},{calls},{day}"), "").unwrap_err();
    assert_eq!(error, "policies[0].quotas[2]: counts the same as quotas[0]");
    // However it is written.
    let listed = day.replace(r#""subject""#, r#"["subject"]"#).replace("100", "7");
    let error = with(&format!("{day},{listed}"), "").unwrap_err();
    assert_eq!(error, "policies[0].quotas[1]: counts the same as quotas[0]");
    let pack = |format: u8, name: &str, id: &str| {
        format!(
            r#"{{"format":{format},"pack":"{name}","title":"t","category":"secrets","rules":[{{"id":"{id}",
            "title":"t","level":1,"severity":"low","max_len":40,"pattern":"acme_live_[a-z]{{4}}","replace":"[X]"}}]}}"#
        )
    };
    assert_eq!(with(day, &pack(1, "mine", "mine.key")), Ok(()));
    for (format, name, id, want) in [
        (2, "mine", "mine.key", "format: must be 1"),
        (1, "Mine!", "mine.key", "pack: must be a name"),
        (1, "engine", "engine.budget", "begins the ids of the filter's own findings"),
        (1, "mine", "other.key", "must start with the name of its pack"),
    ] {
        let error = with(day, &pack(format, name, id)).unwrap_err();
        assert!(error.starts_with("rules.custom[0]") && error.contains(want), "{error}");
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
