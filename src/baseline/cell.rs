//! The binary form of a cell: a header, then sketches, each behind its length.
//!
//! ```text
//! "PCB" version:u8 check:u32 | len:u16 id:[u8;16] last:u64 first:u64 requests:u64
//!   interval_ms:u64 index:u64 hours:[u8;24]
//!   3 × (current:u64 intervals:u64 mean:f64 variance:f64)
//!   count × (day:u16 len:u8 bytes) | …
//! ```
//!
//! Integers are little-endian. The check covers what follows it, and finds damage,
//! not forgery: only filters write these cells. Of a cell only the sketch that
//! is asked for is read; the others are copied as they are.

use super::series::Series;
use super::sketch::Sketch;
use crate::limits::{BASELINE_CELL_BYTES, BASELINE_NAMES, BASELINE_SKETCH_BYTES};
use crate::quota::cell::CounterId;

/// Version of this format, in the cell's key too.
pub const VERSION: u8 = 1;

const HEADER: usize = 8;

/// Bytes of a sketch without names, with its length.
pub const FIXED: usize = 2 + 16 + 5 * 8 + 24 + 3 * 32;

/// Bytes of a name in a sketch.
pub const fn name_bytes(name: &str) -> usize {
    3 + name.len()
}

/// The cell is not one of ours, or it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// A cell, open at one sketch.
#[derive(Debug, Default)]
pub struct Cell<'c> {
    /// The one asked for, if it is there.
    pub sketch: Option<Sketch>,
    /// The others, as they are, with their times of last use.
    others: Vec<(u64, &'c [u8])>,
}

impl<'c> Cell<'c> {
    /// Read a cell. None or no bytes: a new one.
    pub fn open(bytes: Option<&'c [u8]>, id: &CounterId) -> Result<Self, Corrupt> {
        let bytes = bytes.unwrap_or_default();
        let mut cell = Cell::default();
        if bytes.is_empty() {
            return Ok(cell);
        }
        let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or(Corrupt)?;
        if header != self::header(rest) || bytes.len() > BASELINE_CELL_BYTES {
            return Err(Corrupt);
        }
        while !rest.is_empty() {
            let mut reader = Reader(rest);
            let len = usize::from(u16::from_le_bytes(reader.take()?));
            let (entry, after) = rest.split_at_checked(len).ok_or(Corrupt)?;
            let mut reader = Reader(entry);
            let _: [u8; 2] = reader.take()?;
            let found: CounterId = reader.take()?;
            let last = reader.word()?;
            if found == *id {
                cell.sketch = Some(read(&mut reader, last)?);
            } else {
                cell.others.push((last, entry));
            }
            rest = after;
        }
        Ok(cell)
    }

    /// Leave out whom nobody has seen since `oldest`.
    pub fn forget(&mut self, oldest: u64) {
        self.others.retain(|(last, _)| *last >= oldest);
        self.sketch = self.sketch.take().filter(|sketch| sketch.last >= oldest);
    }

    /// Bytes that the sketch may have.
    pub fn room(&self) -> usize {
        let others: usize = self.others.iter().map(|(_, entry)| entry.len()).sum();
        BASELINE_CELL_BYTES.saturating_sub(HEADER + others).min(BASELINE_SKETCH_BYTES)
    }

    /// Write the cell, with the sketch as it is now.
    pub fn close(&self, id: &CounterId) -> Vec<u8> {
        let mut out = Vec::new();
        for (_, entry) in &self.others {
            out.extend_from_slice(entry);
        }
        if let Some(sketch) = &self.sketch {
            write(sketch, id, &mut out);
        }
        sealed(&out)
    }
}

/// A cell of these sketches.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    [header(body).as_slice(), body].concat()
}

/// Bytes of a sketch.
pub fn size(sketch: &Sketch) -> usize {
    FIXED + sketch.names.iter().map(|name| name_bytes(name)).sum::<usize>()
}

/// As the check of a quota cell, over words of which the last may be short.
fn header(body: &[u8]) -> [u8; HEADER] {
    let seed = u64::try_from(body.len()).unwrap_or(0);
    let hash = body.chunks(8).fold(seed, |hash, bytes| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    let [a, b, c, d, ..] = (hash ^ hash >> 32).to_le_bytes();
    [b'P', b'C', b'B', VERSION, a, b, c, d]
}

fn write(sketch: &Sketch, id: &CounterId, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(size(sketch)).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(id);
    for word in [sketch.last, sketch.first, sketch.requests, sketch.interval_ms, sketch.index] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&sketch.hours);
    for series in &sketch.series {
        let (mean, variance) = (series.mean.to_bits(), series.variance.to_bits());
        for word in [series.current, series.intervals, mean, variance] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    for (name, day) in sketch.names.iter().zip(&sketch.days) {
        out.extend_from_slice(&day.to_le_bytes());
        out.push(u8::try_from(name.len()).unwrap_or(0));
        out.extend_from_slice(name.as_bytes());
    }
}

fn read(reader: &mut Reader<'_>, last: u64) -> Result<Sketch, Corrupt> {
    let mut sketch = Sketch {
        last,
        first: reader.word()?,
        requests: reader.word()?,
        interval_ms: reader.word()?,
        index: reader.word()?,
        ..Sketch::default()
    };
    sketch.hours = reader.take()?;
    for series in &mut sketch.series {
        *series = Series {
            current: reader.word()?,
            intervals: reader.word()?,
            mean: f64::from_bits(reader.word()?),
            variance: f64::from_bits(reader.word()?),
        };
        if !series.is_sound() {
            return Err(Corrupt);
        }
    }
    while !reader.0.is_empty() {
        let day = u16::from_le_bytes(reader.take()?);
        let [len] = reader.take()?;
        let text = std::str::from_utf8(reader.bytes(usize::from(len))?).map_err(|_| Corrupt)?;
        sketch.names.push(text.to_owned());
        sketch.days.push(day);
    }
    if sketch.names.len() > BASELINE_NAMES { Err(Corrupt) } else { Ok(sketch) }
}

struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn bytes(&mut self, len: usize) -> Result<&'r [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        self.bytes(N)?.try_into().map_err(|_| Corrupt)
    }

    #[inline(never)]
    fn word(&mut self) -> Result<u64, Corrupt> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn sample(n: u16) -> Sketch {
        let mut sketch = Sketch {
            first: 1 << 40,
            last: 2 << 40 | u64::from(n),
            requests: 77,
            interval_ms: 3_600_000,
            index: 480_000,
            hours: [u8::try_from(n).unwrap(); 24],
            ..Sketch::default()
        };
        sketch.series[1] = Series { current: 5, intervals: 9, mean: 12.5, variance: 0.1 };
        sketch.names = vec!["mgpt-4o".to_owned(), "mcaf\u{e9}".to_owned(), "x".repeat(129)];
        sketch.days = vec![20_000 + n; 3];
        sketch
    }

    fn cell(ids: std::ops::Range<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for id in ids {
            let mut cell = Cell::open(Some(&bytes), &[id; 16]).unwrap();
            cell.sketch = Some(sample(u16::from(id)));
            bytes = cell.close(&[id; 16]);
        }
        bytes
    }

    #[test]
    fn comes_back_as_it_went_and_leaves_others_alone() {
        let bytes = cell(1..5);
        assert_eq!(bytes.len(), HEADER + 4 * size(&sample(1)));
        for id in 1..5 {
            let opened = Cell::open(Some(&bytes), &[id; 16]).unwrap();
            assert_eq!(opened.sketch, Some(sample(u16::from(id))));
            assert_eq!(opened.others.len(), 3);
        }
        let mut opened = Cell::open(Some(&bytes), &[9; 16]).unwrap();
        assert_eq!((opened.sketch.as_ref(), opened.others.len()), (None, 4));
        assert_eq!(opened.close(&[9; 16]), bytes);
        opened.forget(2 << 40 | 3);
        assert_eq!(opened.others.len(), 2);
        for none in [None, Some(&b""[..])] {
            assert!(Cell::open(none, &[1; 16]).unwrap().sketch.is_none());
        }
    }

    #[test]
    fn the_form_is_fixed() {
        // A change of these bytes needs a new VERSION.
        let bytes = cell(7..8);
        assert_eq!(&bytes[..4], b"PCB\x01");
        assert_eq!(bytes[8..10], u16::try_from(size(&sample(7))).unwrap().to_le_bytes());
        assert_eq!(bytes[10..26], [7; 16]);
        assert_eq!(bytes[26..34], (2_u64 << 40 | 7).to_le_bytes());
        assert_eq!(FIXED, 178);
    }

    #[test]
    fn every_damaged_byte_and_length_is_seen() {
        let good = cell(1..3);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(Cell::open(Some(&bad), &[1; 16]).unwrap_err(), Corrupt, "byte {at}");
            if at > 0 {
                assert_eq!(Cell::open(Some(&good[..at]), &[1; 16]).unwrap_err(), Corrupt, "cut at {at}");
            }
        }
    }

    /// Whoever can compute the check can write what he likes: no panic, and
    /// nothing over the caps.
    #[test]
    fn forged_cells_are_read_or_refused() {
        let good = cell(1..3);
        let mut seed = 1_u64;
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut bad = good[HEADER..].to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(seed >> 33).unwrap() % bad.len();
                bad[at] = u8::try_from(seed >> 25 & 0xff).unwrap();
            }
            let bytes = sealed(&bad);
            match Cell::open(Some(&bytes), &[1; 16]) {
                Ok(cell) => {
                    assert!(cell.sketch.is_none_or(|s| s.series.iter().all(Series::is_sound)));
                    read += 1;
                }
                Err(Corrupt) => refused += 1,
            }
        }
        assert!(read > 100 && refused > 100, "{read} {refused}");
    }

    #[test]
    fn a_cell_over_its_cap_is_corrupt() {
        let mut body = cell(1..2)[HEADER..].to_vec();
        while body.len() < BASELINE_CELL_BYTES {
            body.extend_from_within(..size(&sample(1)));
        }
        let bytes = sealed(&body);
        assert_eq!(Cell::open(Some(&bytes), &[1; 16]).unwrap_err(), Corrupt);
    }
}
