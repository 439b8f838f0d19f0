//! `imei`, `vin`, `plate`: numbers of telephones and vehicles.

use super::digits::exactly;
use super::luhn;

/// 3GPP TS 23.003 section 6.2: fifteen digits, Luhn; GSMA TS.06 on what a
/// reporting body can be.
pub(super) fn imei(text: &str) -> bool {
    let Some([a, b, ..]) = exactly::<15>(text) else { return false };
    matches!(a * 10 + b, 1 | 10 | 30 | 33 | 35 | 44 | 45 | 49..=54 | 86 | 91 | 98 | 99) && luhn::luhn(text)
}

/// 49 CFR 565.15: seventeen characters, check digit at the ninth. North America
/// and China keep it; vehicles of Europe need not.
pub(super) fn vin(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |b: u8| match b.to_ascii_uppercase() {
        d @ b'0'..=b'9' => Some(u32::from(d - b'0')),
        l @ b'A'..=b'H' => Some(u32::from(l - b'A') + 1),
        l @ (b'J'..=b'N' | b'P' | b'R') => Some(u32::from(l - b'J') + 1),
        l @ b'S'..=b'Z' => Some(u32::from(l - b'S') + 2),
        _ => None,
    };
    let sum = text.bytes().zip(WEIGHTS).try_fold(0, |sum, (b, weight)| Some(sum + value(b)? * weight));
    let check = sum.and_then(|sum| b"0123456789X".get((sum % 11) as usize));
    text.len() == 17
        && check.is_some()
        && text.as_bytes().get(8).map(u8::to_ascii_uppercase).as_ref() == check
}

/// Letters of a licence plate: dates and times of day have its shape.
pub(super) fn plate(text: &str) -> bool {
    const OTHERS: &[u8] = b"AM PM JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC";
    let mut words = text.as_bytes().split(|b| !b.is_ascii_alphabetic()).filter(|word| word.len() > 1);
    !words.any(|word| OTHERS.split(|b| *b == b' ').any(|other| other.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table("imei", &["490154203237518", "35-209900-176148-1"], &["490154203237519", "770154203237518"]);
        // The second is the usual number for tests: all weights at once.
        table(
            "vin",
            &["1M8GDM9AXKP042788", "11111111111111111"],
            &["1M8GDM9A1KP042788", "1M8GDM9AXKP04278", "IM8GDM9AXKP042788"],
        );
        table("plate", &["34 ABC 123", "B-AB-1234"], &["10 MAR 2024", "I am 25", "12pm30"]);
        single_digit_errors("vin", "11111111111111111");
    }
}
