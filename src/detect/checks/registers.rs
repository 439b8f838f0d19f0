//! Numbers of professions, insurances and companies: `de_kvnr`, `de_lanr`,
//! `de_plz`, `fi_ytunnus`, `icao`, `it_patente`, `kr_brn`, `se_orgnr`.

use super::digits::{digits, exactly, number, weighted};
use super::luhn::luhn;

/// Germany: Krankenversichertennummer, § 290 SGB V: the letter counts as two
/// digits; sums of digits with weights 1 and 2.
pub(super) fn kvnr(text: &str) -> bool {
    let Some(letter) = text.bytes().next().filter(u8::is_ascii_alphabetic) else { return false };
    let Some(rest) = exactly::<9>(text) else { return false };
    let letter = u32::from(letter.to_ascii_uppercase() - b'A') + 1;
    let body = [letter / 10, letter % 10].into_iter().chain(rest.into_iter().take(8));
    let sum: u32 = body.zip([1, 2].into_iter().cycle()).map(|(d, w)| d * w).map(|n| n / 10 + n % 10).sum();
    rest.last() == Some(&(sum % 10))
}

/// Germany: lebenslange Arztnummer, weights 4 and 9 over six digits that are
/// not all the same.
pub(super) fn lanr(text: &str) -> bool {
    let Some([a, b, c, d, e, f, check, ..]) = exactly::<9>(text) else { return false };
    let body = [a, b, c, d, e, f];
    let varied = body.iter().any(|&digit| digit != a);
    varied && (10 - weighted(&body, &[4, 9, 4, 9, 4, 9]) % 10) % 10 == check
}

/// Germany: postal codes run from 01001 to 99998.
pub(super) fn plz(text: &str) -> bool {
    exactly::<5>(text).is_some_and(|all| (1001..=99998).contains(&number(&all)))
}

/// Finland: Y-tunnus, modulus 11; a remainder of 1 is not given out.
pub(super) fn ytunnus(text: &str) -> bool {
    let Some(all) = exactly::<8>(text) else { return false };
    let check = match weighted(&all, &[7, 9, 10, 5, 8, 4, 2]) % 11 {
        0 => 0,
        1 => return false,
        rest => 11 - rest,
    };
    all.last() == Some(&check)
}

/// Numbers of travel documents with their check digit: ICAO 9303 part 3,
/// section 4.9, weights 7 3 1, letters from 10.
pub(super) fn icao(text: &str) -> bool {
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        _ => u32::from(b.to_ascii_uppercase().saturating_sub(b'A')) + 10,
    };
    let Some((last, body)) = text.as_bytes().split_last() else { return false };
    let sum: u32 = body.iter().zip([7, 3, 1].into_iter().cycle()).map(|(&b, w)| value(b) * w).sum();
    body.len() >= 8
        && body.iter().all(u8::is_ascii_alphanumeric)
        && u32::from(*last) == sum % 10 + u32::from(b'0')
}

/// Italy: driving licences of the central office (U1…) have no vowels and no Q.
pub(super) fn patente(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("U1").is_none_or(|rest| !rest.contains(['A', 'E', 'I', 'O', 'Q', 'U']))
}

/// South Korea: business registration number.
pub(super) fn brn(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [_, _, _, _, _, _, _, _, ninth, check] = all;
    let sum = weighted(&all, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + ninth * 5 / 10;
    (10 - sum % 10) % 10 == check
}

/// Sweden: organisationsnummer, Luhn; the third digit is 2 or more.
pub(super) fn orgnr(text: &str) -> bool {
    digits(text).count() == 10 && digits(text).nth(2) >= Some(2) && luhn(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn examples() {
        table("de_kvnr", &["A123456780", "B123456782"], &["A123456781", "1123456780", "A12345678"]);
        table("de_lanr", &["987654401", "234567701"], &["987654301", "555555501"]);
        table("de_plz", &["01001", "80331"], &["01000", "99999", "1234"]);
        table("fi_ytunnus", &["2077474-0"], &["2077474-1"]);
        table("icao", &["T220001293", "L898902C36"], &["T220001294", "é", "", "12"]);
        table("it_patente", &["U1K711J11M", "AA0123456B"], &["U1H00A000B"]);
        table("kr_brn", &["104-82-13138", "1048656659"], &["104-86-56658"]);
        table("se_orgnr", &["556703-7485", "212000-0142"], &["556703-7486", "191005-9801"]);
        single_digit_errors("kr_brn", "104-82-13138");
    }
}
