//! The model file, and the sums it gives.
//!
//! Little-endian: magic `PCLF`, `u16` version 1, `u16` log2 of the number of
//! weights; then `f32`: scale of a weight, bias, and for user turns and for
//! untrusted text each the thresholds of levels 1 to 4 and the threshold that a
//! rule's match needs; then the weights, an `i8` each.

use super::grams::Family;
use crate::text::SpanKind;

/// Strictness levels of the rules, 1 to 4; each has a threshold.
pub const LEVELS: usize = 4;

const MAGIC: &[u8; 4] = b"PCLF";
const VERSION: u16 = 1;
/// Larger tables fall out of the processor's cache.
const MAX_BITS: u16 = 18;

/// A file that is no model this version can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelError {
    /// What is wrong with it.
    pub what: &'static str,
}

/// A loaded model.
#[derive(Clone, Debug)]
pub struct Classifier<'m> {
    /// Two's complement `i8`.
    weights: &'m [u8],
    /// Keeps the top bits of a hash.
    shift: u32,
    scale: f32,
    bias: f32,
    user: Calibration,
    untrusted: Calibration,
}

#[derive(Clone, Copy, Debug)]
struct Calibration {
    thresholds: [f32; LEVELS],
    support: f32,
}

impl<'m> Classifier<'m> {
    /// Reads a model file; weights stay where they are.
    pub fn load(file: &'m [u8]) -> Result<Classifier<'m>, ModelError> {
        let mut rest = file;
        if take::<4>(&mut rest)? != *MAGIC {
            return Err(ModelError { what: "not a model file" });
        }
        if u16::from_le_bytes(take(&mut rest)?) != VERSION {
            return Err(ModelError { what: "a version this build cannot read" });
        }
        let bits = u16::from_le_bytes(take(&mut rest)?);
        if !(8..=MAX_BITS).contains(&bits) {
            return Err(ModelError { what: "a table of a size this build cannot use" });
        }
        let (scale, bias) = (float(&mut rest)?, float(&mut rest)?);
        let (user, untrusted) = (Calibration::read(&mut rest)?, Calibration::read(&mut rest)?);
        if rest.len() != 1 << bits {
            return Err(ModelError { what: "cut short, or too long" });
        }
        Ok(Classifier { weights: rest, shift: 32 - u32::from(bits), scale, bias, user, untrusted })
    }

    /// The logit above which a text of this kind is an injection at `level`
    /// (1 to 4; others count as the nearest).
    pub fn threshold(&self, kind: SpanKind, level: u8) -> f32 {
        let level = usize::from(level.clamp(1, LEVELS as u8)) - 1;
        self.calibration(kind).thresholds.get(level).copied().unwrap_or(f32::INFINITY)
    }

    /// The logit that a segment needs for a rule's match in it to stand.
    /// Writing about attacks quotes them, and scores below it.
    pub fn support(&self, kind: SpanKind) -> f32 {
        self.calibration(kind).support
    }

    /// Weight of one feature.
    #[inline]
    pub(super) fn weight(&self, family: Family, hash: u32) -> i32 {
        self.weight_at(salted(family, hash))
    }

    /// Weight of a feature by its salted hash.
    #[inline]
    pub(super) fn weight_at(&self, salted: u32) -> i32 {
        i32::from(self.weights.get((salted >> self.shift) as usize).copied().unwrap_or(0) as i8)
    }

    /// The sum of the weights in these places.
    #[inline(never)]
    pub(super) fn sum(&self, places: &[u32]) -> i32 {
        let weight = |place: u32| i32::from(self.weights.get(place as usize).copied().unwrap_or(0) as i8);
        let mut sum = 0;
        let (fours, rest) = places.as_chunks();
        for [a, b, c, d] in fours {
            sum += weight(*a) + weight(*b) + (weight(*c) + weight(*d));
        }
        for place in rest {
            sum += weight(*place);
        }
        sum
    }

    /// Bits by which a salted hash is longer than a place.
    pub(super) const fn shift(&self) -> u32 {
        self.shift
    }

    /// Where the weight of a feature stands: its name in explanations.
    pub(super) fn bucket(&self, family: Family, hash: u32) -> u32 {
        salted(family, hash) >> self.shift
    }

    /// What weights of `sum` add to the logit of a segment of `count` features.
    pub(super) fn share(&self, sum: i32, count: u32) -> f32 {
        self.scale * sum as f32 / (count as f32 + DAMPING).sqrt()
    }

    /// The logit of a segment of `count` features with weights of `sum`.
    pub(super) fn logit(&self, sum: i32, count: u32) -> f32 {
        self.share(sum, count) + self.bias
    }

    fn calibration(&self, kind: SpanKind) -> &Calibration {
        if kind.is_untrusted() { &self.untrusted } else { &self.user }
    }
}

/// Keeps a text of very few words from reaching a high score by one of them.
const DAMPING: f32 = 8.0;

/// The hash of a feature as tables and the trainer see it.
#[inline]
pub(super) const fn salted(family: Family, hash: u32) -> u32 {
    hash ^ salt(family)
}

pub(super) const fn salt(family: Family) -> u32 {
    (family as u32).wrapping_mul(0x9E37_79B9)
}

impl Calibration {
    fn read(rest: &mut &[u8]) -> Result<Calibration, ModelError> {
        let mut thresholds = [0.0; LEVELS];
        for threshold in &mut thresholds {
            *threshold = float(rest)?;
        }
        Ok(Calibration { thresholds, support: float(rest)? })
    }
}

fn float(rest: &mut &[u8]) -> Result<f32, ModelError> {
    let value = f32::from_le_bytes(take(rest)?);
    if value.is_finite() { Ok(value) } else { Err(ModelError { what: "a number that is none" }) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ModelError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ModelError { what: "cut short" })?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::detect::classifier::BUILTIN;

    #[test]
    fn refuses_what_is_no_model() {
        let mut other = BUILTIN.to_vec();
        other[4] = 9;
        let mut endless = BUILTIN.to_vec();
        endless[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        let mut huge = BUILTIN.to_vec();
        huge[6] = 31;
        let longer = [BUILTIN, b"x"].concat();
        let shorter = &BUILTIN[..BUILTIN.len() - 1];
        for bad in [&b""[..], b"PCL", b"PNG\0\0\0\0\0", &other, &endless, &huge, &longer, shorter] {
            assert!(Classifier::load(bad).is_err(), "{:?}", bad.get(..8));
        }
    }

    #[test]
    fn stricter_levels_have_lower_thresholds() {
        let model = Classifier::load(BUILTIN).unwrap();
        for kind in [SpanKind::User, SpanKind::ToolResult] {
            let thresholds: Vec<f32> = (1..=4).map(|level| model.threshold(kind, level)).collect();
            assert!(thresholds.is_sorted_by(|a, b| a >= b), "{kind:?}: {thresholds:?}");
            assert!(model.support(kind) < model.threshold(kind, 2));
            assert_eq!(model.threshold(kind, 0), model.threshold(kind, 1));
            assert_eq!(model.threshold(kind, 9), model.threshold(kind, 4));
        }
    }

    #[test]
    fn fits_its_budget() {
        assert!(BUILTIN.len() <= 256 * 1024, "{} bytes", BUILTIN.len());
    }
}
