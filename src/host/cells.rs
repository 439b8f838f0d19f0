//! Cells in Envoy's shared data: one map for all workers, with compare-and-swap.

use super::hostcalls;
use crate::session::{Answer, Update};

/// Swaps tried before the cell counts as out of order. Each failure means that
/// another worker got through, so 64 workers at most fail 63 times in a row;
/// more is a fault of the host.
const MAX_TRIES: u32 = 10_000;

/// A version no value has in practice. For a key that is not there yet the
/// host ignores the version; should another worker create it meanwhile, this
/// one does not match and nothing is lost. Zero would overwrite.
const ABSENT: u32 = u32::MAX;

/// Apply `update` to the cell at `key`, exactly once.
pub(super) fn update(key: &str, update: &Update, now_ms: u64) -> Answer {
    for _ in 0..MAX_TRIES {
        let held = hostcalls::shared(key);
        let (bytes, version) = match &held {
            Some((bytes, version)) => (Some(bytes.as_slice()), *version),
            None => (None, ABSENT),
        };
        let (new, answer) = update.apply(bytes, now_ms);
        let Some(new) = new else { return answer };
        match hostcalls::set_shared(key, &new, version) {
            Ok(true) => return answer,
            Ok(false) => continue,
            Err(_) => break,
        }
    }
    update.failed()
}
