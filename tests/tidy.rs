//! The habits of this repository as tests: what a program can check of
//! ARCHITECTURE.md is checked here.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may use. What is not listed may use nothing.
const EDGES: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("order", &[]),
    ("lanes", &[]),
    ("text", &["limits", "order", "lanes"]),
    ("wire", &["lanes", "limits", "order", "text"]),
    ("rules", &["limits", "order", "text"]),
    ("detect", &["limits", "order", "lanes", "text", "rules"]),
    ("quota", &["limits", "order", "lanes"]),
    ("baseline", &["limits", "order", "quota"]),
    ("audit", &["limits"]),
    ("approval", &["limits", "wire", "audit"]),
    ("policy", &["limits", "rules", "quota", "baseline"]),
    (
        "config",
        &["limits", "text", "wire", "rules", "detect", "quota", "baseline", "audit", "approval", "policy"],
    ),
    (
        "session",
        &[
            "limits", "order", "text", "wire", "rules", "detect", "quota", "baseline", "audit", "approval",
            "policy", "config",
        ],
    ),
    ("host", &["limits", "config", "policy", "session"]),
];

/// Words that have no place in the library, and why.
const BANNED: &[(&str, &str)] = &[
    ("println!", "a filter has no standard output"),
    ("SystemTime", "time comes in as an argument"),
    ("Instant::now", "time comes in as an argument"),
    ("from_utf8_lossy", "bytes that are not text are refused, not guessed"),
    ("thread_rng", "results do not depend on chance"),
    ("todo!", "unfinished work does not land"),
];

const MAX_FILE_LINES: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir()
                && !name.starts_with('.')
                && !["target", "node_modules", "dist"].contains(&name.as_str())
            {
                open.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// A source file up to its tests, and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text.split("#[cfg(test)]\n#[allow").next().unwrap().split("#[cfg(test)]\nmod").next().unwrap();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with("tests.rs") || name.ends_with("_test.rs")
}

fn library() -> impl Iterator<Item = PathBuf> {
    let all = files("src", ".rs");
    assert!(all.len() > 50, "the library is somewhere else");
    all.into_iter().filter(|p| !p.starts_with(root().join("src/bin")))
}

#[test]
fn only_the_host_names_proxy_wasm() {
    let bad: Vec<_> = library()
        .filter(|p| !p.starts_with(root().join("src/host")) && code(p).contains("proxy_wasm"))
        .map(|p| shown(&p))
        .collect();
    assert!(bad.is_empty(), "proxy_wasm outside src/host: {bad:?}");
}

#[test]
fn modules_use_each_other_one_way() {
    let edges: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut bad = Vec::new();
    for path in library().filter(|p| !is_test_file(p)) {
        let relative = shown(&path).replace("src/", "");
        let module = relative.split(['/', '.']).next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let allowed =
            edges.get(module.as_str()).unwrap_or_else(|| panic!("{module} is not in the table of modules"));
        let text = code(&path);
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if used != module && edges.contains_key(used.as_str()) && !allowed.contains(&used.as_str()) {
                bad.push(format!("{} uses {used}", shown(&path)));
            }
        }
    }
    assert!(bad.is_empty(), "edges that ARCHITECTURE.md does not have: {bad:#?}");
}

#[test]
fn banned_words() {
    let mut bad = Vec::new();
    for path in library().filter(|p| !is_test_file(p)) {
        let text = code(&path);
        for (word, why) in BANNED {
            if text.contains(word) {
                bad.push(format!("{}: {word}: {why}", shown(&path)));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_source_file_says_what_it_is() {
    let bad: Vec<_> = files("src", ".rs")
        .into_iter()
        .filter(|p| !fs::read_to_string(p).unwrap().trim_start().starts_with("//!"))
        .map(|p| shown(&p))
        .collect();
    assert!(bad.is_empty(), "no `//!` at the top: {bad:?}");
}

#[test]
fn files_fit_a_head() {
    let bad: Vec<_> = library()
        .filter(|p| !is_test_file(p) && !shown(p).contains("table"))
        .map(|p| (shown(&p), code(&p).lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .collect();
    assert!(bad.is_empty(), "over {MAX_FILE_LINES} lines of code: {bad:?}");
}

#[test]
fn paths_named_in_documents_exist() {
    let mut bad = Vec::new();
    for path in files(".", ".md") {
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let word = word.trim_end_matches('/');
            let named = word.strip_prefix("./").unwrap_or(word);
            let top = named.split('/').next().unwrap_or_default();
            let is_path =
                named.contains('/') && ["src", "tests", "rules", "envoy", "scripts", ".ci"].contains(&top);
            let plain = named.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let beside = path.parent().unwrap().join(named);
            if is_path && plain && !root().join(named).exists() && !beside.exists() {
                bad.push(format!("{}: {named}", shown(&path)));
            }
        }
    }
    assert!(bad.is_empty(), "documents name what is not there: {bad:#?}");
}

/// Words in code type in the first cells of a section's tables.
fn tabled(path: &str, after: &str, before: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let section = text.split(after).nth(1).unwrap_or_default().split(before).next().unwrap().to_owned();
    let cells =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next().map(str::to_owned));
    let mut words: Vec<_> =
        cells.flat_map(|c| c.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect();
    words.sort();
    words
}

#[test]
fn documents_list_every_check_kind_and_transform() {
    let source = fs::read_to_string(root().join("src/detect/checks/mod.rs")).unwrap();
    let mut checks: Vec<String> = source
        .lines()
        .filter_map(|l| l.strip_prefix("    (\"")?.split_once("\", Kind::").map(|(name, _)| name.to_owned()))
        .collect();
    checks.sort();
    assert!(checks.len() > 100, "the checks are somewhere else");
    assert_eq!(tabled("rules/README.md", "\n## Checks\n", "\n## "), checks);

    let mut transforms: Vec<_> =
        portcullis::text::Transforms::ALL.iter().map(|(_, name)| (*name).to_owned()).collect();
    transforms.sort();
    assert_eq!(tabled("envoy/README.md", "Names of `transforms`", "\n\nA request"), transforms);

    let rules = fs::read_to_string(root().join("rules/README.md")).unwrap();
    let row = rules.lines().find(|l| l.starts_with("| `scan` |")).unwrap();
    let kinds: Vec<_> = row.split("Kinds: ").nth(1).unwrap().split('`').skip(1).step_by(2).collect();
    assert_eq!(kinds, portcullis::rules::Scope::kinds());
}

#[test]
fn every_pack_is_built_in() {
    for path in files("rules/packs", ".json") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            portcullis::rules::PACK_NAMES.contains(&name.as_str()),
            "{name} is not in src/rules/builtin.rs"
        );
    }
}

/// Names and versions of a lock file's packages, and what ours needs by name.
fn locked(path: &str) -> (Vec<(String, String)>, Vec<String>) {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let (mut packages, mut ours) = (Vec::new(), Vec::new());
    for block in text.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = block.lines().find_map(|l| l.strip_prefix(&format!("{name} = \"")));
            line.map(|l| l.trim_end_matches('"').to_owned()).unwrap_or_default()
        };
        let name = field("name");
        if name == "portcullis" {
            let needs = block.split("dependencies = [").nth(1).unwrap_or_default();
            ours = needs.split('"').skip(1).step_by(2).map(|n| n.split(' ').next().unwrap().into()).collect();
        }
        packages.push((name, field("version")));
    }
    (packages, ours)
}

/// The fuzzer is built with `--locked`, in CI only: a dependency added here and
/// not there would be noticed late.
#[test]
fn the_fuzzer_is_locked_to_the_same_dependencies() {
    let (all, ours) = locked("Cargo.lock");
    let (there, needed) = locked("tests/fuzz/Cargo.lock");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let direct: Vec<&str> =
        table.lines().filter_map(|l| l.split([' ', '=']).next()).filter(|n| !n.is_empty()).collect();
    assert!(direct.len() > 8 && direct.iter().all(|n| ours.iter().any(|o| o == n)), "{direct:?}");
    let bad: Vec<_> = direct
        .iter()
        .filter(|name| {
            let same = all.iter().any(|p| p.0 == **name && there.contains(p));
            !same || !needed.iter().any(|n| n == *name)
        })
        .collect();
    assert!(bad.is_empty(), "run `cargo update --workspace` in tests/fuzz for {bad:?}");

    // One that is gone makes the lock file as stale as one that came.
    let tables = manifest.split("\n[").filter(|table| {
        let title = table.split(']').next().unwrap_or_default();
        title.ends_with("dependencies") && !title.ends_with("dev-dependencies")
    });
    let known: Vec<&str> =
        tables.flat_map(|table| table.lines().skip(1).filter_map(|l| l.split([' ', '=']).next())).collect();
    let gone: Vec<_> = needed.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(
        gone.is_empty(),
        "run `cargo update --workspace` in tests/fuzz: {gone:?} is no dependency any more"
    );
}

#[test]
fn the_project_speaks_of_itself_only() {
    // Put together here, so that this file does not name them.
    let words = [
        ["crates", ".io"].concat(),
        ["registry.npm", "js"].concat(),
        ["/work", "/main"].concat(),
        ["py", "pi.org"].concat(),
    ];
    let mut bad = Vec::new();
    for ending in [".rs", ".md", ".sh", ".py", ".json", ".yaml", ".toml"] {
        for path in files(".", ending) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            for word in &words {
                // A rule names the host that a credential is for.
                let is_rule =
                    shown(&path).starts_with("rules/packs/") || shown(&path).starts_with("./rules/packs/");
                if text.contains(word.as_str()) && !is_rule {
                    bad.push(format!("{}: {word}", shown(&path)));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
