//! `nl_bsn`: burgerservicenummer of the Netherlands, the "elfproef".

use super::digits::{all_same, first};

/// Eight or nine digits, weights 9 to 2 and -1, a multiple of 11.
pub(super) fn bsn(text: &str) -> bool {
    let mut all = first(text, 10);
    if all.len() == 8 {
        all.insert(0, 0);
    }
    let (9, Some(check)) = (all.len(), all.last()) else { return false };
    let sum: u32 = all.iter().zip((2..=9).rev()).map(|(d, weight)| d * weight).sum();
    sum > 0 && sum % 11 == *check && !all_same(&all)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn bsn() {
        table(
            "nl_bsn",
            &["111222333", "1112.22.333", "123456782"],
            &["111252333", "000000000", "1234567", "123456789"],
        );
        single_digit_errors("nl_bsn", "111222333");
    }
}
