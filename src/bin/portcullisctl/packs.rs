//! Loading of packs for all subcommands.

use std::path::PathBuf;

use portcullis::rules::{PACK_NAMES, RuleError, RuleSet, Strictness, pack_text};

/// The built-in packs, or the files given.
pub(crate) fn load(files: &[PathBuf], strict: Strictness) -> Result<RuleSet, String> {
    let mut set = RuleSet::default();
    let mut faults: Vec<RuleError> = Vec::new();
    if files.is_empty() {
        for name in PACK_NAMES {
            let json = &pack_text(name).unwrap_or_default();
            faults.extend(set.add_pack(name, json, strict).err().unwrap_or_default());
        }
    }
    for path in files {
        let json = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.display().to_string();
        faults.extend(set.add_pack(&name, &json, strict).err().unwrap_or_default());
    }
    if faults.is_empty() {
        return Ok(set);
    }
    let lines: Vec<String> = faults.iter().map(RuleError::to_string).collect();
    Err(format!("the packs have faults:\n{}", lines.join("\n")))
}
