//! Numbers of Asia: `cn_resident_id`, `hk_id`, `il_id`, `in_aadhaar`, `in_gstin`,
//! `in_pan`, `jp_my_number`, `kr_rrn`, `my_nric`, `sg_nric`, `th_id`, `tw_id`.

use super::date::is_day;
use super::digits::{Few, all_same, exactly, number, upper, weighted};
use super::{luhn, verhoeff};

/// China: GB 11643-1999, ISO 7064 MOD 11-2, with a birth date.
pub(super) fn resident_id(text: &str) -> bool {
    let all = upper(text, 20);
    let ([body @ .., check], 18) = (all.as_slice(), all.len()) else { return false };
    if !body.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let body: Few<u32> = body.iter().map(|b| u32::from(b - b'0')).collect();
    let date = |from: usize, to: usize| number(body.get(from..to).unwrap_or_default()) as u32;
    let plausible = (1800..2100).contains(&date(6, 10)) && is_day(date(6, 10), date(10, 12), date(12, 14));
    let sum = weighted(&body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    plausible && body.first() != Some(&0) && b"10X98765432".get((sum % 11) as usize) == Some(check)
}

/// Hong Kong: one or two letters, six digits, check digit or A.
pub(super) fn hk_id(text: &str) -> bool {
    let all = upper(text, 20);
    let (letters, rest) = match all.as_slice() {
        [a @ b'A'..=b'Z', rest @ ..] if rest.len() == 7 => ((36, u32::from(a - b'A') + 10), rest),
        [a @ b'A'..=b'Z', b @ b'A'..=b'Z', rest @ ..] if rest.len() == 7 => {
            ((u32::from(a - b'A') + 10, u32::from(b - b'A') + 10), rest)
        }
        _ => return false,
    };
    let [body @ .., check] = rest else { return false };
    let check = match check {
        b'0'..=b'9' => u32::from(check - b'0'),
        b'A' => 10,
        _ => return false,
    };
    let digits: u32 = body.iter().zip((2..=7).rev()).map(|(b, w)| u32::from(b.wrapping_sub(b'0')) * w).sum();
    body.iter().all(u8::is_ascii_digit) && (9 * letters.0 + 8 * letters.1 + digits + check).is_multiple_of(11)
}

/// Israel: mispar zehut, nine digits, Luhn.
pub(super) fn il_id(text: &str) -> bool {
    exactly::<9>(text).is_some_and(|all| !all_same(&all)) && luhn::luhn(text)
}

/// India: Aadhaar, twelve digits from 2 up, Verhoeff; no palindromes (UIDAI).
pub(super) fn aadhaar(text: &str) -> bool {
    let Some(all) = exactly::<12>(text) else { return false };
    let [first, ..] = all;
    first >= 2 && !all.iter().eq(all.iter().rev()) && verhoeff::verhoeff(text)
}

/// India: permanent account number; the fourth letter names the kind of holder.
pub(super) fn pan(text: &str) -> bool {
    let all = upper(text, 20);
    let [a, b, c, kind, name, digits @ .., check] = all.as_slice() else { return false };
    [a, b, c, name, check].iter().all(|l| l.is_ascii_alphabetic())
        && b"ABCFGHJLPT".contains(kind)
        && digits.len() == 4
        && digits.iter().all(u8::is_ascii_digit)
        && digits != b"0000"
}

/// India: GSTIN, state, PAN, entity, Z, check character by Luhn mod 36.
pub(super) fn gstin(text: &str) -> bool {
    let all = upper(text, 20);
    let value = |b: &u8| if b.is_ascii_digit() { u32::from(b - b'0') } else { u32::from(b - b'A') + 10 };
    let ([body @ .., check], 15) = (all.as_slice(), all.len()) else { return false };
    let sum: u32 = body
        .iter()
        .map(value)
        .enumerate()
        .map(|(i, v)| if i % 2 == 1 { 2 * v } else { v })
        .map(|v| v / 36 + v % 36)
        .sum();
    let state = body.get(..2).and_then(|s| std::str::from_utf8(s).ok()).and_then(|s| s.parse::<u32>().ok());
    let holder = body.get(2..12).and_then(|s| std::str::from_utf8(s).ok()).is_some_and(pan);
    matches!(state, Some(1..=38 | 97 | 99)) && holder && (36 - sum % 36) % 36 == value(check)
}

/// Japan: individual number (ordinance 85 of 2014), twelve digits.
pub(super) fn my_number(text: &str) -> bool {
    let Some(all) = exactly::<12>(text) else { return false };
    let [.., check] = all;
    let sum = weighted(&all, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let wanted = if sum <= 1 { 0 } else { 11 - sum };
    wanted == check && !all_same(&all)
}

/// South Korea: resident registration number: birth date and sex. Its checksum
/// holds only for numbers issued before October 2020, so it is not asked for.
pub(super) fn rrn(text: &str) -> bool {
    let Some([_, _, m, n, d, e, sex, ..]) = exactly::<13>(text) else { return false };
    is_day(2000, m * 10 + n, d * 10 + e) && sex <= 9
}

/// Malaysia: MyKad, birth date and a code of the place of birth.
pub(super) fn my_nric(text: &str) -> bool {
    let Some([_, _, m, n, d, e, p, q, ..]) = exactly::<12>(text) else { return false };
    let place = p * 10 + q;
    let placed = !matches!(place, 0 | 17..=20 | 69 | 70 | 73 | 80 | 81 | 94..=97);
    is_day(2000, m * 10 + n, d * 10 + e) && placed
}

/// Singapore: NRIC and FIN.
pub(super) fn nric(text: &str) -> bool {
    let all = upper(text, 20);
    let ([series, digits @ .., check], 9) = (all.as_slice(), all.len()) else { return false };
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = digits.iter().zip([2, 7, 6, 5, 4, 3, 2]).map(|(b, w)| u32::from(b - b'0') * w).sum();
    let (offset, letters) = match series {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return false,
    };
    letters.get(((sum + offset) % 11) as usize) == Some(check)
}

/// Thailand: thirteen digits, modulus 11.
pub(super) fn th_id(text: &str) -> bool {
    let Some(all) = exactly::<13>(text) else { return false };
    let [first, a, b, .., check] = all;
    // Provinces as the Department of Provincial Administration numbers them.
    let province = matches!(a * 10 + b, 10..=27 | 30..=49 | 50..=58 | 60..=67 | 70..=77 | 80..=86 | 90..=96);
    let sum = weighted(&all, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (1..=8).contains(&first) && province && (11 - sum % 11) % 10 == check && !all_same(&all)
}

/// Taiwan: a letter and nine digits.
pub(super) fn tw_id(text: &str) -> bool {
    const ORDER: &[u8; 26] = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let all = upper(text, 20);
    let ([letter, sex @ (b'1' | b'2' | b'8' | b'9'), rest @ ..], 10) = (all.as_slice(), all.len()) else {
        return false;
    };
    let Some(place) = ORDER.iter().position(|l| l == letter) else { return false };
    if !rest.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let place = place as u32 + 10;
    let digits = std::iter::once(sex).chain(rest).map(|b| u32::from(b - b'0'));
    let sum: u32 = digits.zip([8, 7, 6, 5, 4, 3, 2, 1, 1]).map(|(d, w)| d * w).sum();
    (place / 10 + 9 * (place % 10) + sum).is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        // The first is the example of GB 11643.
        table(
            "cn_resident_id",
            &["11010519491231002X", "360426199101010071"],
            &["110105194912310021", "110105194913310020"],
        );
        table("hk_id", &["A123456(3)", "AB987654(3)"], &["A123456(4)", "1234567"]);
        table("il_id", &["039337423", "03933742-3"], &["039337424", "000000000"]);
        table("in_aadhaar", &["2341 2341 2346"], &["2341 2341 2347", "123412341234", "222222222222"]);
        table("in_pan", &["ACUPA7085R"], &["ACUXA7085R", "ACUPA0000R", "ACUPA708R"]);
        table("in_gstin", &["27AAPFU0939F1ZV"], &["27AAPFU0939F1ZO", "00AAPFU0939F1ZV"]);
        table("jp_my_number", &["123456789018"], &["123456789019", "000000000000"]);
        table("kr_rrn", &["971013-9019902", "800101-1234567"], &["971313-9019902", "97101390199"]);
        table("my_nric", &["770305-02-1234"], &["771305-02-1234", "770305-17-1234"]);
        table(
            "sg_nric",
            &["S1234567D", "S0000001I", "F1234567N", "T1234567J"],
            &["S1234567E", "A1234567D", "S123456D"],
        );
        table("th_id", &["1-2345-45678-78-1"], &["1-2345-45678-78-2", "0000000000000", "1974567890124"]);
        table("tw_id", &["A123456789"], &["A123456788", "A323456789"]);
        single_digit_errors("cn_resident_id", "360426199101010071");
        single_digit_errors("in_aadhaar", "2341 2341 2346");
    }
}
