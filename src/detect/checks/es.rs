//! `es_dni`, `es_nie`, `es_cif`: numbers of Spain (Ministerio del Interior; Orden EHA/451/2008).

use super::digits::{exactly, number, upper};

const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Eight digits, of which a leading zero may be left out, and the letter of
/// their remainder by 23.
pub(super) fn dni(text: &str) -> bool {
    let value = exactly::<8>(text).map(|all| number(&all));
    let value = value.or_else(|| exactly::<7>(text).map(|all| number(&all)));
    value.is_some_and(|value| ends_with_letter(text, value))
}

/// Foreigners: X, Y or Z stands for a leading 0, 1 or 2.
pub(super) fn nie(text: &str) -> bool {
    let head = match text.bytes().next().map(|b| b.to_ascii_uppercase()) {
        Some(b'X') => 0,
        Some(b'Y') => 1,
        Some(b'Z') => 2,
        _ => return false,
    };
    exactly::<7>(text).is_some_and(|all| ends_with_letter(text, head * 10_000_000 + number(&all)))
}

fn ends_with_letter(text: &str, number: u64) -> bool {
    let letter = LETTERS.get((number % 23) as usize);
    text.bytes().last().map(|b| b.to_ascii_uppercase()).as_ref() == letter
}

/// Companies: a letter, seven digits, a check digit or letter.
pub(super) fn cif(text: &str) -> bool {
    let all = upper(text, 10);
    let [kind, body @ .., check] = all.as_slice() else { return false };
    if !b"ABCDEFGHJNPQRSUVW".contains(kind) || body.len() != 7 || !body.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 = body
        .iter()
        .map(|b| u32::from(b - b'0'))
        .enumerate()
        .map(|(i, d)| if i % 2 == 1 { d } else { 2 * d / 10 + 2 * d % 10 })
        .sum();
    let digit = (10 - sum % 10) % 10;
    match check {
        b'0'..=b'9' => u32::from(check - b'0') == digit && !b"NPQRSW".contains(kind),
        _ => b"JABCDEFGHI".get(digit as usize) == Some(check) && !b"ABEH".contains(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table(
            "es_dni",
            &["12345678Z", "12345678-z", "54362315K", "1111111G"],
            &["12345678A", "1234567Z", "123456Z", ""],
        );
        table("es_nie", &["X1234567L", "x-2482300-w"], &["X1234567A", "W1234567L", ""]);
        table("es_cif", &["A58818501", "J99216582", "B99286320"], &["A58818502", "Z58818501", "A5881850"]);
        single_digit_errors("es_dni", "12345678Z");
    }
}
