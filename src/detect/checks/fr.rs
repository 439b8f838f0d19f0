//! `fr_nir`, `fr_siren`, `fr_siret`: numbers of France (INSEE).

use super::digits::{Few, exactly, upper};
use super::luhn;

/// Numéro d'inscription au répertoire: 13 characters and the key 97 - n mod 97.
/// Corsica writes 2A and 2B for its departments, counted as 19 and 18.
pub(super) fn nir(text: &str) -> bool {
    let all = upper(text, 16);
    let (Some(body), Some(key), 15) = (all.get(..13), all.get(13..), all.len()) else { return false };
    let mut body: Few<u8> = body.iter().copied().collect();
    if let Some([two, letter]) = body.get_mut(5..7) {
        match letter {
            b'A' => (*two, *letter) = (b'1', b'9'),
            b'B' => (*two, *letter) = (b'1', b'8'),
            _ => {}
        }
    }
    let number = |bytes: &[u8]| {
        bytes.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
    };
    let (Some(n), Some(key)) = (number(&body), number(key)) else { return false };
    let [sex, _, _, month_tens, month_ones, ..] = body.as_slice() else { return false };
    let month = u32::from(month_tens - b'0') * 10 + u32::from(month_ones - b'0');
    // Months from 20 are given where the true one is not known.
    let plausible = matches!(sex, b'1'..=b'4' | b'7' | b'8') && matches!(month, 1..=12 | 20..=42 | 50..=99);
    plausible && 97 - n % 97 == key
}

/// Company: nine digits, Luhn.
pub(super) fn siren(text: &str) -> bool {
    exactly::<9>(text).is_some() && luhn::luhn(text)
}

/// Establishment: fourteen digits, Luhn.
pub(super) fn siret(text: &str) -> bool {
    exactly::<14>(text).is_some() && luhn::luhn(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table(
            "fr_nir",
            &["2 55 08 14 168 025 38", "295109912611193"],
            &["2 55 08 14 168 025 39", "255081416802", "2A"],
        );
        single_digit_errors("fr_nir", "2 55 08 14 168 025 38");
        table("fr_siren", &["732 829 320"], &["732 829 321", "000000000"]);
        table("fr_siret", &["73282932000074"], &["73282932000075"]);
    }
}
