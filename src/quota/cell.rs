//! The binary form of a cell: a header, then counters of 64 bytes.
//!
//! ```text
//! "PCQ" version:u8 check:u32 | id:[u8;16] expires:u64 index:u64 used:u64 held:u64 prev_used:u64 prev_held:u64 | …
//! ```
//!
//! Integers are little-endian; the check covers what follows it. It finds damage,
//! not forgery: only filters write these cells.
//! The version is in the cell's key too, so that two versions of the filter in
//! one Envoy never read each other's cells.

use crate::limits::QUOTA_SLOTS;

/// Version of this format.
pub const VERSION: u8 = 1;

const HEADER: usize = 8;
const SLOT: usize = 64;

/// Who a counter belongs to: a keyed hash, see [`super::key`].
pub type CounterId = [u8; 16];

/// One counter. What the fields mean depends on its meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Identity.
    pub id: CounterId,
    /// From this millisecond on, the slot may be given to another counter.
    pub expires: u64,
    /// Number of the window that `used` and `held` belong to.
    pub index: u64,
    /// Settled in the window.
    pub used: u64,
    /// Reserved in the window, not settled.
    pub held: u64,
    /// Settled in the window before.
    pub prev_used: u64,
    /// Reserved in the window before, not settled.
    pub prev_held: u64,
}

/// The cell is not one of ours, or it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Read a cell. None or no bytes: a new one. The host's "remove" leaves empty
/// bytes behind.
pub fn decode(bytes: Option<&[u8]>) -> Result<Vec<Slot>, Corrupt> {
    let bytes = bytes.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(Corrupt)?;
    if header != self::header(body) || body.len() % SLOT != 0 || body.len() / SLOT > QUOTA_SLOTS {
        return Err(Corrupt);
    }
    Ok(body.chunks_exact(SLOT).map(read_slot).collect())
}

/// Write a cell.
pub fn encode(slots: &[Slot]) -> Vec<u8> {
    let mut out = vec![0; HEADER];
    out.reserve_exact(slots.len() * SLOT);
    for slot in slots {
        out.extend_from_slice(&slot.id);
        let words = [slot.expires, slot.index, slot.used, slot.held, slot.prev_used, slot.prev_held];
        out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }
    if let Some((header, body)) = out.split_first_chunk_mut::<HEADER>() {
        *header = self::header(body);
    }
    out
}

fn header(body: &[u8]) -> [u8; HEADER] {
    let [a, b, c, d] = check(body).to_le_bytes();
    [b'P', b'C', b'Q', VERSION, a, b, c, d]
}

/// A multiply and a rotation for each word, both invertible, so that a change of
/// one word always shows in the 64 bits. Half of an update of a full cell was
/// spent on a CRC-32.
fn check(body: &[u8]) -> u32 {
    let (words, _) = body.as_chunks::<8>();
    let seed = u64::try_from(body.len()).unwrap_or(0);
    let hash = words.iter().fold(seed, |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    let [a, b, c, d, ..] = (hash ^ hash >> 32).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn read_slot(bytes: &[u8]) -> Slot {
    let mut id = CounterId::default();
    let (head, words) = bytes.split_at_checked(id.len()).unwrap_or_default();
    if head.len() == id.len() {
        id.copy_from_slice(head);
    }
    let mut words = words.chunks_exact(8).map(|w| w.try_into().map_or(0, u64::from_le_bytes));
    let mut word = || words.next().unwrap_or(0);
    Slot {
        id,
        expires: word(),
        index: word(),
        used: word(),
        held: word(),
        prev_used: word(),
        prev_held: word(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn sample() -> Vec<Slot> {
        (1..=QUOTA_SLOTS as u64)
            .map(|n| Slot {
                id: [n as u8; 16],
                expires: n << 40,
                index: n + 1,
                used: n + 2,
                held: n + 3,
                prev_used: u64::MAX - n,
                prev_held: n + 5,
            })
            .collect()
    }

    #[test]
    fn comes_back_as_it_went() {
        assert_eq!(decode(Some(&encode(&sample()))), Ok(sample()));
        assert_eq!(decode(Some(&encode(&[]))), Ok(vec![]));
        assert_eq!(decode(Some(b"")), Ok(vec![]));
        assert_eq!(decode(None), Ok(vec![]));
    }

    #[test]
    fn the_form_is_fixed() {
        // A change of these bytes needs a new VERSION.
        let bytes = encode(&sample()[..1]);
        assert_eq!(&bytes[..8], &[b'P', b'C', b'Q', 1, bytes[4], bytes[5], bytes[6], bytes[7]]);
        assert_eq!(bytes.len(), 72);
        assert_eq!(&bytes[8..24], &[1; 16]);
        assert_eq!(&bytes[24..40], &[0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn every_damaged_byte_and_length_is_seen() {
        let good = encode(&sample()[..3]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(decode(Some(&bad)), Err(Corrupt), "byte {at}");
            if at > 0 {
                assert_eq!(decode(Some(&good[..at])), Err(Corrupt), "cut at {at}");
            }
        }
        let mut many = sample();
        many.push(many[0]);
        assert_eq!(decode(Some(&encode(&many))), Err(Corrupt));
    }
}
