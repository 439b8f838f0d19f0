//! Sixty-four bytes as vectors: which of them are of a class.
//!
//! Everything here is written out. Where code is compiled for size no loop is
//! unrolled, and a loop of four costs as much as what it does.

use wide::{u8x16, u16x8};

/// Bytes looked at together.
pub const BLOCK: usize = 64;
const LANES: usize = 16;

/// Vectors of a block.
#[derive(Clone, Copy, Debug)]
pub struct Lanes([u8x16; BLOCK / LANES]);

impl Lanes {
    /// The bytes of a block.
    #[inline(always)]
    pub fn new(block: &[u8; BLOCK]) -> Lanes {
        let lanes = |at: usize| {
            let lanes = block.get(at..at + LANES).and_then(<[u8]>::first_chunk);
            lanes.map_or(u8x16::splat(0), |lanes| u8x16::new(*lanes))
        };
        Lanes([lanes(0), lanes(LANES), lanes(2 * LANES), lanes(3 * LANES)])
    }

    /// Every vector changed.
    #[inline(always)]
    #[must_use]
    pub fn map(&self, f: impl Fn(u8x16) -> u8x16) -> Lanes {
        let [a, b, c, d] = self.0;
        Lanes([f(a), f(b), f(c), f(d)])
    }

    /// Two blocks, vector by vector.
    #[inline(always)]
    #[must_use]
    pub fn zip(&self, other: &Lanes, f: impl Fn(u8x16, u8x16) -> u8x16) -> Lanes {
        let ([a, b, c, d], [e, g, h, i]) = (self.0, other.0);
        Lanes([f(a, e), f(b, g), f(c, h), f(d, i)])
    }

    /// One bit for each byte for which `class` sets the highest bit.
    #[inline(always)]
    pub fn mask(&self, class: impl Fn(u8x16) -> u8x16) -> u64 {
        let bits = |v: u8x16| u32::from(class(v).move_mask() as u16);
        let [a, b, c, d] = self.0;
        let (low, high) = (bits(a) | bits(b) << LANES, bits(c) | bits(d) << LANES);
        u64::from(low) | u64::from(high) << (2 * LANES)
    }

    /// Some byte is of the class.
    #[inline(always)]
    pub fn any(&self, class: impl Fn(u8x16) -> u8x16) -> bool {
        let [a, b, c, d] = self.0;
        (class(a) | class(b) | class(c) | class(d)).move_mask() != 0
    }
}

impl Lanes {
    /// No byte is anything but zero.
    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        let [a, b, c, d] = self.0;
        (a | b | c | d).cmp_eq(u8x16::splat(0)).move_mask() == 0xFFFF
    }
}

/// Some of the ASCII bytes.
#[derive(Clone, Copy, Debug)]
pub struct AsciiSet {
    /// For each low half of a byte, a bit for each high half below 8.
    low: u8x16,
    high: u8x16,
}

impl AsciiSet {
    /// Those of `bytes` that are ASCII.
    pub fn new(bytes: impl Iterator<Item = u8>) -> AsciiSet {
        let (mut low, mut high) = ([0u8; 16], [0u8; 16]);
        for byte in bytes.filter(u8::is_ascii) {
            if let Some(bits) = low.get_mut(usize::from(byte & 0x0f)) {
                *bits |= 1 << (byte >> 4);
            }
        }
        for (half, bits) in high.iter_mut().enumerate().take(8) {
            *bits = 1 << half;
        }
        AsciiSet { low: u8x16::new(low), high: u8x16::new(high) }
    }

    /// The highest bit of each byte says if it is of the set.
    #[inline(always)]
    pub fn of(&self, v: u8x16) -> u8x16 {
        !is(both_halves(v, self.low, self.high), 0)
    }
}

/// Bytes that are `byte`.
#[inline(always)]
pub fn is(v: u8x16, byte: u8) -> u8x16 {
    v.cmp_eq(u8x16::splat(byte))
}

/// Bytes from `low` to `high`.
#[inline(always)]
pub fn within(v: u8x16, low: u8, high: u8) -> u8x16 {
    v.max(u8x16::splat(low)).min(u8x16::splat(high)).cmp_eq(v)
}

/// What a table has for the low half of each byte, and one for the high half:
/// the bits in both. A few instructions where the target shuffles bytes, as
/// `.cargo/config.toml` has it, and a loop over the bytes elsewhere.
#[inline(always)]
pub fn both_halves(v: u8x16, low: u8x16, high: u8x16) -> u8x16 {
    let half = u8x16::splat(0x0f);
    let shifted: u8x16 = bytemuck::cast(bytemuck::cast::<u8x16, u16x8>(v) >> 4);
    low.swizzle_relaxed(v & half) & high.swizzle_relaxed(shifted & half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_for_each_byte() {
        for at in 0..BLOCK {
            let mut block = [b'a'; BLOCK];
            if let Some(byte) = block.get_mut(at) {
                *byte = 0xC3;
            }
            let lanes = Lanes::new(&block);
            assert_eq!(lanes.mask(|v| is(v, 0xC3)), 1 << at);
            assert_eq!(lanes.mask(|v| within(v, b'a', b'z')), !(1 << at));
            assert!(lanes.any(|v| is(v, 0xC3)) && !lanes.any(|v| is(v, b'b')));
        }
    }

    #[test]
    fn sets_have_their_bytes() {
        let set = AsciiSet::new("\0 .Az~\u{7f}é".bytes());
        for from in [0, 64, 128, 192] {
            let mut block = [0; BLOCK];
            block.iter_mut().zip(from..=from + 63).for_each(|(to, byte)| *to = byte);
            let mask = Lanes::new(&block).mask(|v| set.of(v));
            for (i, byte) in block.iter().enumerate() {
                assert_eq!(mask >> i & 1 == 1, b"\0 .Az~\x7f".contains(byte), "{byte}");
            }
        }
    }

    #[test]
    fn tables_of_halves() {
        let mut table = [0; LANES];
        table[0x0A] = 1;
        let mut high = [0; LANES];
        high[0x06] = 1;
        let found = both_halves(u8x16::splat(0x6A), u8x16::new(table), u8x16::new(high));
        assert_eq!(found, u8x16::splat(1));
        let other = both_halves(u8x16::splat(0xA6), u8x16::new(table), u8x16::new(high));
        assert_eq!(other, u8x16::splat(0));
    }
}
