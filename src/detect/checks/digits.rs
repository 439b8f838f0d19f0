//! Digits of a match; `digits>=n`: how many different ones there are;
//! `digit_count>=n`: how many in all.

use arrayvec::ArrayVec;

/// Longest number of any check, in digits.
pub(super) const MAX_DIGITS: usize = 40;

/// A few digits or characters. Lists of numbers ask for those of each, and to allocate
/// them took longer than to check them.
pub(super) type Few<T> = ArrayVec<T, MAX_DIGITS>;

/// The values of the digits in a match; other characters are skipped.
pub(super) fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + Clone + '_ {
    text.bytes().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'))
}

/// The first digits, `most` or fewer.
pub(super) fn first(text: &str, most: usize) -> Few<u32> {
    digits(text).take(most.min(MAX_DIGITS)).collect()
}

/// The first letters and digits, `most` or fewer, in upper case.
pub(super) fn upper(text: &str, most: usize) -> Few<u8> {
    let all = text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase());
    all.take(most.min(MAX_DIGITS)).collect()
}

/// Exactly `N` digits, or none.
pub(super) fn exactly<const N: usize>(text: &str) -> Option<[u32; N]> {
    let (mut all, mut count) = ([0; N], 0);
    for byte in text.bytes().filter(u8::is_ascii_digit) {
        *all.get_mut(count)? = u32::from(byte - b'0');
        count += 1;
    }
    (count == N).then_some(all)
}

/// Sum of digits times weights, as long as both last.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| d * w).sum()
}

/// All digits are the same one: placeholders pass many checksums.
pub(super) fn all_same(digits: &[u32]) -> bool {
    digits.windows(2).all(|w| matches!(w, [a, b] if a == b))
}

/// The number that a run of digits writes.
pub(super) fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0u64, |n, &d| n.saturating_mul(10).saturating_add(u64::from(d)))
}

/// How many different digits a match holds.
pub(super) fn count(text: &str) -> f64 {
    f64::from(digits(text).fold(0u32, |seen, d| seen | 1 << d).count_ones())
}

/// How many digits a match holds.
pub(super) fn total(text: &str) -> f64 {
    digits(text).count() as f64
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;

    #[test]
    fn helpers() {
        assert_eq!(exactly::<3>("1-2 3"), Some([1, 2, 3]));
        assert_eq!(exactly::<3>("1234"), None);
        assert_eq!(exactly::<3>("12"), None);
        assert_eq!(number(&[0, 4, 2]), 42);
        table("digits>=3", &["1 2 3", "0123"], &["1212", "", "11a"]);
        table("digit_count>=3", &["1-11", "0 1 23"], &["12", "", "a1b1"]);
    }
}
