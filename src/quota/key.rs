//! Which cell and which counter: keyed hashes of names, never the names.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::cell::{CounterId, VERSION};
use crate::limits::QUOTA_SHARDS;

/// HMAC-SHA-256 under a key of the operator, cut to 128 bits. Whoever reads the
/// cells cannot test guesses of a subject's name without the key; whoever
/// chooses names cannot aim at a cell. A new key forgets all counters.
#[derive(Clone)]
pub struct Hasher(Hmac<Sha256>);

impl Hasher {
    /// A key of any length; every worker must be given the same.
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0_u8; 64];
        for (to, from) in block.iter_mut().zip(Sha256::digest(key)) {
            *to = from;
        }
        Hasher(<Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into()))
    }

    /// Hash a tuple. Lengths are hashed too: ("ab", "c") is not ("a", "bc").
    pub fn id(&self, domain: &str, parts: &[&[u8]]) -> CounterId {
        let mut mac = self.0.clone();
        for part in std::iter::once(&domain.as_bytes()).chain(parts) {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            mac.update(part);
        }
        let mut id = CounterId::default();
        for (to, from) in id.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        id
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// The shared-data key of the cell that holds the counters of a scope.
pub fn shard_key(scope: &CounterId) -> String {
    format!("pcq{VERSION}/{:04x}", shard(scope))
}

/// Number of the cell of a scope.
pub fn shard(scope: &CounterId) -> u32 {
    let [a, b, c, d, ..] = *scope;
    u32::from_le_bytes([a, b, c, d]) % QUOTA_SHARDS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn tuples_keys_and_domains_differ() {
        let h = Hasher::new(b"k");
        let ids = [
            h.id("q", &[b"ab", b"c"]),
            h.id("q", &[b"a", b"bc"]),
            h.id("q", &[b"abc"]),
            h.id("qa", &[b"b", b"c"]),
            h.id("q", &[b"ab", b"c", b""]),
            Hasher::new(b"K").id("q", &[b"ab", b"c"]),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b), "{i}");
        }
        assert_eq!(ids[0], Hasher::new(b"k").id("q", &[b"ab", b"c"]));
    }

    #[test]
    fn cells_fill_evenly() {
        let h = Hasher::new(b"");
        let mut fill = vec![0_u32; QUOTA_SHARDS as usize];
        for n in 0..QUOTA_SHARDS * 2 {
            fill[shard(&h.id("s", &[&n.to_le_bytes()])) as usize] += 1;
        }
        // Poisson with mean 2: more than 16 has a chance of 1e-10 a cell.
        assert!(fill.iter().all(|&n| n <= 16), "{:?}", fill.iter().max());
        assert_eq!(shard_key(&[0xff; 16]), "pcq1/3fff");
    }
}
