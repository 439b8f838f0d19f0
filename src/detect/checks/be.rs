//! `be_rrn`: national register number of Belgium (Royal Decree of 3 April 1984).

use super::digits::{exactly, number};

/// Birth date, serial, and 97 - n mod 97; births from 2000 count with a 2 before.
pub(super) fn rrn(text: &str) -> bool {
    let Some([a, b, c, d, e, f, g, h, i, x, y]) = exactly::<11>(text) else { return false };
    let n = number(&[a, b, c, d, e, f, g, h, i]);
    let check = number(&[x, y]);
    // Numbers of people without a residence add 20 or 40 to the month.
    let month = (c * 10 + d) % 20;
    let plausible = month <= 12 && c * 10 + d < 53 && e * 10 + f <= 31;
    plausible && n > 0 && (97 - n % 97 == check || 97 - (n + 2_000_000_000) % 97 == check)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn rrn() {
        table(
            "be_rrn",
            &["85.07.30-033 28", "17.07.30-033 84"],
            &["85.07.30-033 29", "85.73.30-033 28", "850730033"],
        );
        single_digit_errors("be_rrn", "85.07.30-033 28");
    }
}
