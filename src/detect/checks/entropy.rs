//! `entropy>=x`: Shannon entropy of the bytes of a match, in bits a byte.

const ROUNDING: f64 = 1e-12;

/// 0 for one repeated byte, up to 8. Random hex comes near 4, base64 near 6
/// where the text is long enough; 20 random base64 characters have about 4.
pub(super) fn bits_per_byte(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = text.len().max(1) as f64;
    // What stands once adds nothing, and that is most of a secret: no logarithm for it.
    // Each count is taken with its first byte; most of the 256 are none's.
    let mut repeated = 0.0;
    for byte in text.bytes() {
        let count = counts.get_mut(usize::from(byte)).map_or(0, std::mem::take);
        if count > 1 {
            repeated += f64::from(count) * f64::from(count).log2();
        }
    }
    // Rounding must not put what is exactly a rule's bound below it.
    (total.log2() - repeated / total + ROUNDING).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;

    #[test]
    fn values() {
        for (text, want) in
            [("", 0.0), ("aaaa", 0.0), ("abab", 1.0), ("abcd", 2.0), ("0123456789abcdef", 4.0)]
        {
            assert!((bits_per_byte(text) - want).abs() < 1e-9, "{text}");
        }
        table("entropy>=3", &["f3Kx9Qz1LmP0"], &["aaaaaaabbbbb", "xxxxxxxxxxxx"]);
        for times in 1..40 {
            table("entropy>=3", &[&"abcd1234".repeat(times)], &[&"abcd123".repeat(times)]);
        }
    }
}
