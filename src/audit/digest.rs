//! Hashes of bodies for the record: SHA-256, or HMAC-SHA-256 under a key.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A hash under the name of its algorithm. Without a key, whoever guesses a
/// short prompt can confirm the guess; with one only its holder can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// Plain SHA-256, in hex.
    Sha256(String),
    /// HMAC-SHA-256 under `audit.key`, in hex.
    Hmac(String),
}

/// Hashes under the configured key.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    key: Option<Vec<u8>>,
}

impl Hasher {
    /// With `audit.key`, or without.
    pub fn new(key: Option<&str>) -> Self {
        Hasher { key: key.map(|k| k.as_bytes().to_vec()) }
    }

    /// Hash of a whole body.
    pub fn digest(&self, bytes: &[u8]) -> Digest {
        match self.keyed() {
            Some(mut mac) => {
                mac.update(bytes);
                Digest::Hmac(hex(&mac.finalize().into_bytes()))
            }
            None => Digest::Sha256(hex(&Sha256::digest(bytes))),
        }
    }

    /// The first 8 hex digits of the hash of a value that is replaced by it.
    pub fn short(&self, value: &str) -> String {
        let (Digest::Hmac(mut full) | Digest::Sha256(mut full)) = self.digest(value.as_bytes());
        full.truncate(8);
        full
    }

    /// HMAC over `parts`, each with its length in front, so that no two lists
    /// are the same bytes. `None` without a key.
    pub fn mac(&self, parts: &[&[u8]]) -> Option<Vec<u8>> {
        let mut mac = self.keyed()?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().to_vec())
    }

    fn keyed(&self) -> Option<Hmac<Sha256>> {
        Hmac::new_from_slice(self.key.as_deref()?).ok()
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // FIPS 180-4 "abc", and RFC 4231 test case 2.
        assert_eq!(
            Hasher::default().digest(b"abc"),
            Digest::Sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into())
        );
        assert_eq!(
            Hasher::new(Some("Jefe")).digest(b"what do ya want for nothing?"),
            Digest::Hmac("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843".into())
        );
    }
}
