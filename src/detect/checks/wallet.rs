//! `base58check`, `bech32`, `btc`: addresses of Bitcoin and its kin.

use sha2::{Digest, Sha256};

/// Longest text of either check: BIP 173.
const MAX_BYTES: usize = 112;

/// Base58 with four bytes of double SHA-256 at its end.
pub(super) fn base58check(text: &str) -> bool {
    let Some(bytes) = base58(text) else { return false };
    let Some((body, check)) = bytes.split_last_chunk::<4>() else { return false };
    let hash = Sha256::digest(Sha256::digest(body));
    !body.is_empty() && hash.get(..4) == Some(check)
}

fn base58(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if text.len() > MAX_BYTES {
        return None;
    }
    // Little-endian bytes of the number.
    let mut number: Vec<u8> = Vec::new();
    for byte in text.bytes() {
        let mut carry = ALPHABET.iter().position(|a| *a == byte)? as u32;
        for digit in &mut number {
            carry += u32::from(*digit) * 58;
            *digit = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
    }
    number.extend(text.bytes().take_while(|b| *b == b'1').map(|_| 0));
    number.reverse();
    Some(number)
}

/// BIP 173 and BIP 350: a name, `1`, and data with a BCH checksum.
pub(super) fn bech32(text: &str) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let mixed = text.bytes().any(|b| b.is_ascii_uppercase()) && text.bytes().any(|b| b.is_ascii_lowercase());
    if text.len() > MAX_BYTES || mixed || !text.is_ascii() {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let Some((name, data)) = lower.rsplit_once('1') else { return false };
    if name.is_empty() || data.len() < 6 {
        return false;
    }
    let Some(data) = data.bytes().map(|b| ALPHABET.iter().position(|a| *a == b)).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let high = name.bytes().map(|b| u32::from(b >> 5));
    let low = name.bytes().map(|b| u32::from(b & 31));
    let values = high.chain([0]).chain(low).chain(data.into_iter().map(|v| v as u32));
    // 1 for Bech32, the other for Bech32m.
    matches!(polymod(values), 1 | 0x2bc8_30a3)
}

fn polymod(values: impl Iterator<Item = u32>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x01ff_ffff) << 5 ^ value;
        GENERATOR.iter().enumerate().fold(next, |n, (i, g)| if top >> i & 1 == 1 { n ^ g } else { n })
    })
}

/// A Bitcoin address of any kind.
pub(super) fn btc(text: &str) -> bool {
    match text.as_bytes() {
        [b'1' | b'3', ..] => base58(text).is_some_and(|b| b.len() == 25) && base58check(text),
        [b'b' | b'B', b'c' | b'C', b'1', ..] => bech32(text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn tables() {
        // The address of the genesis block; examples of BIP 13, 173 and 350.
        table(
            "btc",
            &[
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
                "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
                "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            ],
            &[
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
                "bc1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                "1",
                "bc1",
                "",
            ],
        );
        table("bech32", &["A12UEL5L", "a1lqfn3a"], &["A12UEL5M", "1qzzfhee", "é1lqfn3a"]);
        table("base58check", &["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"], &["0", "1111", ""]);
    }
}
