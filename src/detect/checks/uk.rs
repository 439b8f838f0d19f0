//! `uk_nhs`, `uk_nino`, `uk_postcode`: numbers and postcodes of the United Kingdom.

use super::digits::{all_same, exactly, upper, weighted};

/// NHS number: NHS Data Dictionary, modulus 11 with weights 10 to 2.
pub(super) fn nhs(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [.., check] = all;
    let sum = weighted(&all, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (11 - sum % 11) % 11 == check && !all_same(&all)
}

/// National insurance number: HMRC manual NIM39110 on prefixes and suffixes.
pub(super) fn nino(text: &str) -> bool {
    let all = upper(text, 10);
    let [a, b, number @ .., suffix] = all.as_slice() else { return false };
    let letters = a.is_ascii_alphabetic() && b.is_ascii_alphabetic();
    let prefix = !b"DFIQUV".contains(a)
        && !b"DFIQUVO".contains(b)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[*a, *b]);
    let digits = number.len() == 6 && number.iter().all(u8::is_ascii_digit);
    letters && prefix && digits && b"ABCD".contains(suffix)
}

/// Postcode of an area of Royal Mail's, the Channel Islands or the Isle of Man.
/// `M1 8GB` has its shape and tells of a computer.
pub(super) fn postcode(text: &str) -> bool {
    const AREAS: &[u8] =
        b"AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT \
        DY E EC EH EN EX FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA \
        LD LE LL LN LS LU M ME MK ML N NE NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE \
        SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS WV \
        YO ZE";
    const UNITS: [&[u8]; 4] = [b"GB", b"TB", b"HZ", b"DB"];
    let text = text.as_bytes();
    let area = text.split(u8::is_ascii_digit).next().unwrap_or_default();
    AREAS.split(|b| *b == b' ').any(|known| known == area) && !UNITS.iter().any(|unit| text.ends_with(unit))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        // Example of the NHS Data Dictionary.
        table("uk_nhs", &["943 476 5919"], &["943 476 5918", "0000000000", "943476591"]);
        table("uk_postcode", &["SW1A 1AA", "M60 1NW"], &["VA1 1AA", "M1 8GB", "1AA", ""]);
        single_digit_errors("uk_nhs", "943 476 5919");
        // QQ is the prefix that official examples use because it is never issued.
        table(
            "uk_nino",
            &["AB123456C", "ab 12 34 56 d"],
            &["QQ123456C", "BG123456A", "AB123456E", "AO123456A", "AB12345C"],
        );
    }
}
