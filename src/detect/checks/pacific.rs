//! Numbers of Australia, New Zealand and South Africa: `au_abn`, `au_acn`,
//! `au_medicare`, `au_tfn`, `nz_ird`, `za_id`.

use super::date::is_day;
use super::digits::{all_same, exactly, first, weighted};
use super::luhn;

/// Australian business number: first digit less one, modulus 89 (ABR).
pub(super) fn abn(text: &str) -> bool {
    let Some(mut all) = exactly::<11>(text) else { return false };
    let [first, ..] = &mut all;
    if *first == 0 {
        return false;
    }
    *first -= 1;
    weighted(&all, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]).is_multiple_of(89)
}

/// Australian company number (ASIC).
pub(super) fn acn(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [.., check] = all;
    (10 - weighted(&all, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10 == check && !all_same(&all)
}

/// Medicare card: eight digits from 2 to 6 up, check digit, issue, and possibly
/// the person's place on the card.
pub(super) fn medicare(text: &str) -> bool {
    let all = first(text, 12);
    let (10 | 11, [first @ 2..=6, ..]) = (all.len(), all.as_slice()) else { return false };
    let issue = all.get(9) != Some(&0);
    *first > 1 && issue && Some(&(weighted(&all, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10)) == all.get(8)
}

/// Tax file number: nine digits, modulus 11 (ATO).
pub(super) fn tfn(text: &str) -> bool {
    exactly::<9>(text).is_some_and(|all| {
        !all_same(&all) && weighted(&all, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
    })
}

/// New Zealand: IRD number, eight or nine digits (Inland Revenue).
pub(super) fn ird(text: &str) -> bool {
    let mut all = first(text, 10);
    if all.len() == 8 {
        all.insert(0, 0);
    }
    let (9, Some(check)) = (all.len(), all.last()) else { return false };
    let wanted = |weights: &[u32]| (11 - weighted(&all, weights) % 11) % 11;
    let wanted = match wanted(&[3, 2, 7, 6, 5, 4, 3, 2]) {
        10 => wanted(&[7, 4, 3, 2, 5, 2, 7, 6]),
        sum => sum,
    };
    let number = super::digits::number(&all);
    (10_000_000..150_000_000).contains(&number) && wanted == *check && !all_same(&all)
}

/// South Africa: birth date, serial, citizenship, Luhn.
pub(super) fn za_id(text: &str) -> bool {
    let Some([_, _, m, n, d, e, .., citizen, _, _]) = exactly::<13>(text) else { return false };
    is_day(2000, m * 10 + n, d * 10 + e) && citizen <= 2 && luhn::luhn(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        // The ATO's own number; ASIC's example.
        table("au_abn", &["51 824 753 556"], &["51 824 753 557", "00000000000"]);
        table("au_acn", &["004 085 616", "010 499 966"], &["004 085 617", "000000000"]);
        table("au_medicare", &["2123 45670 1", "2123456701"], &["2123 45671 1", "1123 45670 1"]);
        table("au_tfn", &["123 456 782"], &["123 456 783", "000000000"]);
        // Examples of Inland Revenue's specification.
        table("nz_ird", &["49-091-850", "136410132", "35901981"], &["49-091-851", "9125568"]);
        table("za_id", &["7503305044089"], &["7503305044088", "7513305044089"]);
        single_digit_errors("au_abn", "51 824 753 556");
        single_digit_errors("au_tfn", "123 456 782");
    }
}
