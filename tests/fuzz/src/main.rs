//! libFuzzer over one target, named by `PORTCULLIS_FUZZ_TARGET`.
#![no_main]

#[allow(dead_code)]
#[path = "../targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("PORTCULLIS_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(target, _)| *target == name);
    found.map(|(_, run)| *run).expect("PORTCULLIS_FUZZ_TARGET names a target of targets.rs")
});

fuzz_target!(|data: &[u8]| TARGET(data));
