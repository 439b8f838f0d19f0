//! The hashes of [`grams`](super::super::grams()), four at a time.

use wide::{i32x4, u32x4};

use super::super::grams::{FINISH, MIXER, PRIME};

/// Lanes of a vector.
pub(super) const FOUR: usize = 4;

/// Four products are one instruction, and not four with the lanes taken apart
/// and put together again: then [`grams`](super::super::grams()) is quicker.
pub(in super::super) const HAS_PRODUCT: bool =
    cfg!(any(target_feature = "simd128", target_feature = "sse4.1", target_arch = "aarch64"));

/// Written out: `u32x4::splat` is a loop of four stores where code is compiled for size.
#[inline(always)]
pub(super) const fn all(x: u32) -> u32x4 {
    u32x4::new([x, x, x, x])
}

/// One bit for each lane that is all ones.
#[inline(always)]
pub(super) fn bits(lanes: u32x4) -> u32 {
    bytemuck::cast::<u32x4, i32x4>(lanes).move_mask() as u32
}

#[inline(always)]
pub(super) fn turned(v: u32x4, by: u32) -> u32x4 {
    v << by | v >> (32 - by)
}

/// `step` of four.
#[inline(always)]
pub(super) fn step4(hash: u32x4, byte: u32x4) -> u32x4 {
    (hash ^ byte) * all(PRIME)
}

/// `mix` of four.
#[inline(always)]
pub(super) fn mix4(a: u32x4, b: u32x4) -> u32x4 {
    finish4(turned(a * all(MIXER.0), MIXER.1) ^ b)
}

/// `finish` of four.
#[inline(always)]
pub(super) fn finish4(hash: u32x4) -> u32x4 {
    let hash = (hash ^ hash >> 16) * all(FINISH.0);
    (hash ^ hash >> 13) * all(FINISH.1)
}
