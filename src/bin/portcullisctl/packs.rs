//! Loading of packs for all subcommands.

use std::path::PathBuf;

use portcullis::config;
use portcullis::detect::checks::Check;
use portcullis::rules::{PACK_NAMES, Pack, RuleError, RuleSet, Strictness, pack_text};

use crate::Loaded;

/// The built-in packs, or the files given.
pub(crate) fn load(files: &[PathBuf], strict: Strictness) -> Loaded<RuleSet> {
    let mut set = RuleSet::default();
    let mut faults: Vec<String> = Vec::new();
    let told = |outcome: Result<(), Vec<RuleError>>| {
        outcome.err().unwrap_or_default().iter().map(RuleError::to_string).collect::<Vec<_>>()
    };
    if files.is_empty() {
        for name in PACK_NAMES {
            let json = &pack_text(name).unwrap_or_default();
            faults.extend(told(set.add_pack(name, json, strict)));
        }
    }
    for path in files {
        let json = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.display().to_string();
        match config::read::<Pack>(&json) {
            Ok(_) => {
                let before = set.rules().len();
                faults.extend(told(set.add_pack(&name, &json, strict)));
                // The engine would find these, too, and does not know the file.
                for rule in set.rules().iter().skip(before) {
                    let unknown = rule.checks.iter().filter_map(|check| Check::parse(check).err());
                    faults.extend(unknown.map(|e| format!("{name}: rule {}: check: {e}", rule.id)));
                }
            }
            // With its place in the file, which the loader does not know.
            Err(e) => faults.push(format!("{name}: {e}")),
        }
    }
    if faults.is_empty() {
        return Ok(Ok(set));
    }
    Ok(Err(format!("the packs have faults:\n{}", faults.join("\n"))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_form_name_their_place() {
        let rule = r#""id": "m.a", "level": 1, "severity": "low", "pattern": "acme[0-9]", "max_len": 5, "replace": "[A]""#;
        for (rules, part) in [
            (format!("{{{rule}, \"patern\": 1}}"), "m.json: rules[0].patern: unknown field"),
            (format!("{{{rule}}}, {{\"id\": \"m.b\"}}"), "m.json: rules[1]: missing field"),
            (format!("{{{rule}, \"since\": 1}}"), "m.json: rules[0].since: invalid type"),
            (format!("{{{rule}, \"level\": 2}}"), "m.json: "),
            (String::new(), "m.json: rules: is empty"),
            (format!("{{{rule}, \"scan\": [\"requset\"]}}"), "response, system, user"),
            (
                format!("{{{rule}, \"check\": [\"luhnn\"]}}"),
                "m.json: rule m.a: check: no check \"luhnn\"; there is luhn",
            ),
            (format!("{{{rule}, \"check\": [\"entropy>3\"]}}"), "a bound is written entropy>=NUMBER"),
            (format!("{{{rule}}}, {{{rule}}}"), "rule m.a: id: used before, by a rule of pack \"m\""),
        ] {
            let json = format!(
                r#"{{"format": 1, "pack": "m", "category": "code", "title": "t", "rules": [{rules}]}}"#
            );
            let file = tempfile(&json);
            let said = load(std::slice::from_ref(&file), Strictness::Lenient).unwrap().unwrap_err();
            std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
    }

    /// A file of that name, in a folder of this process.
    fn tempfile(text: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("portcullisctl-packs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("m.json");
        std::fs::write(&path, text).unwrap();
        path
    }
}
