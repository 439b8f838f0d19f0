//! `pl_pesel`, `pl_nip`, `pl_regon`: numbers of Poland.

use super::digits::{all_same, exactly, weighted};

/// PESEL: act of 24 September 2010 on population records. Birth date with the
/// century in the month, serial, check digit.
pub(super) fn pesel(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [_, _, m, n, d, e, .., check] = all;
    let varied = all.iter().take(10).any(|digit| digit != &d);
    let plausible = matches!((m * 10 + n) % 20, 1..=12) && matches!(d * 10 + e, 1..=31);
    plausible && varied && (10 - weighted(&all, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10 == check
}

/// NIP: taxpayers, act of 13 October 1995.
pub(super) fn nip(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [.., check] = all;
    weighted(&all, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == check && !all_same(&all)
}

/// REGON of nine digits: businesses.
pub(super) fn regon(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [.., check] = all;
    weighted(&all, &[8, 9, 2, 3, 4, 5, 6, 7]) % 11 % 10 == check && !all_same(&all)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table("pl_pesel", &["44051401359"], &["44051401358", "44991401359", "00000000000", "11111111116"]);
        table("pl_nip", &["123-456-32-18"], &["123-456-32-19", "0000000000"]);
        table("pl_regon", &["123456785"], &["123456786"]);
        single_digit_errors("pl_pesel", "44051401359");
        single_digit_errors("pl_nip", "123-456-32-18");
    }
}
