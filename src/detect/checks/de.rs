//! `de_steuer_id`, `de_ausweis`, `de_rente`: numbers of Germany.

use super::digits::{MAX_DIGITS, digits, exactly, upper};

/// Identifikationsnummer, § 139b AO: ISO 7064 MOD 11,10; of the first ten
/// digits none stands more than thrice. That one of them stands twice or thrice
/// is not asked: numbers that people make up for forms have each digit once.
pub(super) fn steuer_id(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [first, body @ .., _] = all;
    let often = |digit: u32| body.iter().chain([&first]).filter(|d| **d == digit).count() > 3;
    first != 0 && !(0..=9).any(often) && mod_11_10(text)
}

/// ISO 7064 MOD 11,10: also Croatian OIB and others.
pub(super) fn mod_11_10(text: &str) -> bool {
    let count = digits(text).count();
    if !(2..=MAX_DIGITS).contains(&count) {
        return false;
    }
    let product = digits(text).take(count - 1).fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        2 * (if sum == 0 { 10 } else { sum }) % 11
    });
    digits(text).last() == Some((11 - product) % 10)
}

/// Number of an identity card or passport with its check digit: ICAO 9303,
/// weights 7 3 1, letters from 10.
pub(super) fn ausweis(text: &str) -> bool {
    let all = upper(text, 11);
    let ([body @ .., check @ b'0'..=b'9'], 10) = (all.as_slice(), all.len()) else { return false };
    icao_sum(body) % 10 == u32::from(check - b'0')
}

/// Weighted sum of ICAO 9303 part 3, section 4.9.
fn icao_sum(body: &[u8]) -> u32 {
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'Z' => u32::from(b - b'A') + 10,
        _ => 0,
    };
    body.iter().zip([7, 3, 1].into_iter().cycle()).map(|(b, weight)| value(*b) * weight).sum()
}

/// Rentenversicherungsnummer, § 147 SGB VI and VKVV § 4: area, birth date,
/// letter, serial, check digit.
pub(super) fn rente(text: &str) -> bool {
    let all = upper(text, 13);
    let (Some(head), Some(letter @ b'A'..=b'Z'), Some([d, e, check]), 12) =
        (all.get(..8), all.get(8), all.get(9..), all.len())
    else {
        return false;
    };
    if !head.iter().chain([d, e, check]).all(u8::is_ascii_digit) {
        return false;
    }
    let letter = letter - b'A' + 1;
    let expanded = head.iter().map(|b| b - b'0').chain([letter / 10, letter % 10, d - b'0', e - b'0']);
    let cross = |n: u32| n / 10 + n % 10;
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 = expanded.zip(weights).map(|(digit, weight)| cross(u32::from(digit) * weight)).sum();
    sum % 10 == u32::from(check - b'0')
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        // Test numbers of the Bundeszentralamt für Steuern.
        table(
            "de_steuer_id",
            &["86095742719", "47 036 892 816", "65929970489", "12345678903"],
            &["86095742718", "12345678901", "11112345678", "1"],
        );
        single_digit_errors("de_steuer_id", "86095742719");
        // Specimen of the old and the new card.
        table("de_ausweis", &["T220001293", "L01X00T471"], &["T220001294", "T22000129", ""]);
        // The usual worked example of the number.
        table("de_rente", &["15070649C103"], &["15070649C104", "15070649C1"]);
    }
}
