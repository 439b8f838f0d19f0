//! `us_ssn`, `us_itin`, `us_ein`, `us_aba`, `us_npi`, `us_dea`: numbers of the United States.

use super::digits::{all_same, exactly, number, weighted};
use super::luhn;

/// Social security number, as the SSA issues them since 2011: area not 000, 666
/// or 900 up, no part all zero; and not one of the two that were made void
/// because advertisements printed them.
pub(super) fn ssn(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [a, b, c, d, e, f, g, h, i] = all;
    let (area, group, serial) = (number(&[a, b, c]), number(&[d, e]), number(&[f, g, h, i]));
    let issued = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    issued && !all_same(&all) && !matches!(number(&all), 78_051_120 | 219_099_999)
}

/// Individual taxpayer identification number: starts with 9, middle part in the
/// ranges of IRS Publication 1915.
pub(super) fn itin(text: &str) -> bool {
    let Some([9, _, _, d, e, ..]) = exactly::<9>(text) else { return false };
    matches!(d * 10 + e, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Employer identification number: a prefix that a campus of the IRS assigns.
pub(super) fn ein(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [a, b, ..] = all;
    let unassigned =
        matches!(a * 10 + b, 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97);
    !unassigned && !all_same(&all)
}

/// Routing number of the American Bankers Association: ANSI X9.100-160.
pub(super) fn aba(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [a, b, ..] = all;
    let district = matches!(a * 10 + b, 1..=12 | 21..=32 | 61..=72 | 80);
    district && weighted(&all, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// National provider identifier: 45 CFR 162.406, Luhn with 80840 before it.
pub(super) fn npi(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [first, rest @ .., _] = all;
    let varied = rest.iter().any(|digit| *digit != first);
    varied && matches!(first, 1 | 2) && luhn::sum([8, 0, 8, 4, 0].into_iter().chain(all)).is_multiple_of(10)
}

/// Registration of the Drug Enforcement Administration: two letters (or a
/// letter and 9), six digits, check digit.
pub(super) fn dea(text: &str) -> bool {
    let mut letters = text.bytes();
    let head = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'9');
    let tail = exactly(text.get(2..).unwrap_or_default());
    let Some([a, b, c, d, e, f, check]) = tail else { return false };
    head && (a + c + e + 2 * (b + d + f)) % 10 == check
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table(
            "us_ssn",
            &["536-90-4399", "001 01 0001", "899-99-9999"],
            &[
                "000-12-3456",
                "666-12-3456",
                "900-12-3456",
                "123-00-4567",
                "123-45-0000",
                "078-05-1120",
                "1234",
            ],
        );
        table("us_itin", &["912-70-1234", "999-99-0000"], &["812-70-1234", "912-66-1234", "912-93-1234"]);
        table("us_ein", &["12-3456789", "95-1234567"], &["07-1234567", "00-0000000", "89-1234567"]);
        // Routing numbers that the banks print on their pages.
        table("us_aba", &["021000021", "011401533", "122105155"], &["021000022", "000000000", "991000021"]);
        // Example of the CMS document "Requirements for NPI and NPI check digit".
        table("us_npi", &["1234567893"], &["1234567890", "3234567893", "1111111112"]);
        table("us_dea", &["AB1234563", "F91234563"], &["AB1234564", "1B1234563", "éA1234563", ""]);
        single_digit_errors("us_aba", "021000021");
        single_digit_errors("us_npi", "1234567893");
    }
}
