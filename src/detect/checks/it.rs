//! `it_codice_fiscale`, `it_piva`: numbers of Italy (D.M. 12/03/1974 and 23/12/1976).

use super::digits::{Few, exactly};
use super::luhn;

/// Values of digits and letters on odd places, by their value on even ones.
const ODD: [u32; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/// Sixteen characters, the last a check letter.
pub(super) fn codice_fiscale(text: &str) -> bool {
    let all: Few<u8> = text.bytes().map(|b| b.to_ascii_uppercase()).take(17).collect();
    let ([body @ .., check], 16) = (all.as_slice(), all.len()) else { return false };
    let value = |b: u8| match b {
        b'0'..=b'9' => Some(usize::from(b - b'0')),
        b'A'..=b'Z' => Some(usize::from(b - b'A')),
        _ => None,
    };
    let sum = body.iter().enumerate().try_fold(0, |sum, (i, &b)| {
        let value = value(b)?;
        let odd = ODD.get(value).copied();
        // Places count from one.
        if i % 2 == 0 { odd.map(|odd| sum + odd) } else { Some(sum + value as u32) }
    });
    sum.is_some_and(|sum| u32::from(*check) == sum % 26 + u32::from(b'A'))
}

/// Partita IVA: eleven digits, Luhn.
pub(super) fn piva(text: &str) -> bool {
    exactly::<11>(text).is_some() && luhn::luhn(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table(
            "it_codice_fiscale",
            &["RSSMRA85T10A562S", "rccmnl83s18d969h"],
            &["RSSMRA85T10A562T", "RSSMRA85T10A562", "RSSMRA85T10A562SS", ""],
        );
        single_digit_errors("it_codice_fiscale", "RSSMRA85T10A562S");
        table("it_piva", &["00743110157"], &["00743110158", "00000000000"]);
    }
}
