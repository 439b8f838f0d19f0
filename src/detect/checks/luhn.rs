//! `luhn`: ISO/IEC 7812-1 annex B, payment cards, IMEI, Canadian SIN and more.

use super::digits::{MAX_DIGITS, digits};

/// The Luhn sum over all digits is a multiple of ten. Not all of them are zero.
pub(super) fn luhn(text: &str) -> bool {
    let count = digits(text).count();
    if !(2..=MAX_DIGITS).contains(&count) || digits(text).all(|d| d == 0) {
        return false;
    }
    sum(digits(text)).is_multiple_of(10)
}

/// The Luhn sum of digits, the last being the check digit.
pub(super) fn sum(digits: impl DoubleEndedIterator<Item = u32>) -> u32 {
    let doubled = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
    digits.rev().enumerate().map(|(i, d)| if i % 2 == 1 { doubled(d) } else { d }).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    /// Test numbers that Visa, Mastercard, American Express and others publish.
    #[test]
    fn cards() {
        table(
            "luhn",
            &[
                "4111 1111 1111 1111",
                "5555555555554444",
                "3782-822463-10005",
                "6011111111111117",
                "79927398713",
            ],
            &["4111 1111 1111 1112", "79927398710", "0000000000000000", "0", ""],
        );
        single_digit_errors("luhn", "4111 1111 1111 1111");
    }
}
