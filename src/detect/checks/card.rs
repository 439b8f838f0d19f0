//! `card`: a payment card number of a known issuer.

use super::digits::{first, number};
use super::luhn::luhn;

/// Issuer's prefix with a length it uses, and Luhn. Prefixes as the networks
/// publish them under ISO/IEC 7812.
pub(super) fn card(text: &str) -> bool {
    let all = first(text, 20);
    has_issuer(&all) && luhn(text)
}

fn has_issuer(all: &[u32]) -> bool {
    let head = |n: usize| number(all.get(..n).unwrap_or_default());
    let (two, three, four) = (head(2), head(3), head(4));
    match all.len() {
        13 | 16 | 19 if head(1) == 4 => true,
        16 if matches!(two, 51..=55) || matches!(four, 2221..=2720) => true,
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131),
        14 if matches!(two, 36 | 38 | 39) || matches!(three, 300..=305) || four == 3095 => true,
        // Discover, JCB, UnionPay, Mir, RuPay, Diners.
        16..=19 if matches!(two, 36 | 38 | 39 | 62 | 65 | 81) || matches!(three, 644..=649) => true,
        16..=19 if four == 6011 || matches!(four, 3528..=3589 | 2200..=2204) => true,
        // Maestro and others of the 50 and 60 ranges.
        13..=19 => matches!(two, 60 | 63 | 67) || matches!(four, 5018 | 5020 | 5038 | 5893),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn cards() {
        table(
            "card",
            &[
                "4012-8888-8888-1881",
                "371449635398431",
                "30569309025904",
                "6011000400000000",
                "4917300800000000",
            ],
            &[
                "4012-8888-8888-1882",
                "1234567890123452",
                "0000 0000 0000 0000",
                "49927398716",
                "9999999999999995",
            ],
        );
        single_digit_errors("card", "4012 8888 8888 1881");
    }
}
