//! The packs that come with Portcullis.
//!
//! The native tools and tests carry them whole. The module, whose size is
//! start-up time, carries them without what is for people, and compressed:
//! `build.rs` makes that copy.

use std::borrow::Cow;

use super::{RuleError, RuleSet, Strictness};

macro_rules! packs {
    ($($name:literal),+ $(,)?) => {
        /// Names of the packs, in the order of `rules/packs/`.
        pub const NAMES: &[&str] = &[$($name),+];

        /// The packs as their files have them.
        #[cfg(any(not(target_arch = "wasm32"), feature = "no-abi"))]
        const TEXTS: &[&str] = &[$(include_str!(concat!("../../rules/packs/", $name, ".json"))),+];
    };
}

packs!("code", "exfiltration", "injection", "jailbreak", "pii", "secrets");

/// The JSON text of a pack, if there is one of that name.
#[cfg(any(not(target_arch = "wasm32"), feature = "no-abi"))]
pub fn text(name: &str) -> Option<Cow<'static, str>> {
    let (_, text) = NAMES.iter().zip(TEXTS).find(|(known, _)| **known == name)?;
    Some(Cow::Borrowed(text))
}

/// The JSON text of a pack, if there is one of that name.
#[cfg(all(target_arch = "wasm32", not(feature = "no-abi")))]
pub fn text(name: &str) -> Option<Cow<'static, str>> {
    /// The packs stripped, a line each, deflated (RFC 1951).
    const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/packs.deflate"));
    let at = NAMES.iter().position(|known| *known == name)?;
    let bytes = miniz_oxide::inflate::decompress_to_vec(PACKED).ok()?;
    let line = bytes.split(|b| *b == b'\n').nth(at)?;
    String::from_utf8(line.to_vec()).ok().map(Cow::Owned)
}

/// All built-in packs. Their faults are found by the tests of this crate.
pub fn builtin() -> Result<RuleSet, Vec<RuleError>> {
    let mut set = RuleSet::default();
    for name in NAMES {
        set.add_pack(name, &text(name).unwrap_or_default(), Strictness::Lenient)?;
    }
    Ok(set)
}
