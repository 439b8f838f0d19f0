//! Numbers of the Americas: `ar_cuit`, `br_cnpj`, `br_cpf`, `ca_sin`, `cl_rut`,
//! `co_nit`, `mx_curp`.

use super::digits::{Few, all_same, exactly, first, upper, weighted};
use super::luhn;

/// Argentina: CUIT and CUIL.
pub(super) fn cuit(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [a, b, .., check] = all;
    let kind = matches!(a * 10 + b, 20 | 23 | 24 | 27 | 30 | 33 | 34 | 50 | 51 | 55);
    let sum = weighted(&all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    kind && (11 - sum) % 11 == check
}

/// Brazil: CPF of persons.
pub(super) fn cpf(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [.., one, two] = all;
    let check = |weights: &[u32]| match weighted(&all, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    check(&[10, 9, 8, 7, 6, 5, 4, 3, 2]) == one
        && check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) == two
        && !all_same(&all)
}

/// Brazil: CNPJ of companies; letters since 2026 (Instrução Normativa RFB
/// 2.229/2024), a letter counting its ASCII code less 48.
pub(super) fn cnpj(text: &str) -> bool {
    let all: Few<u32> = upper(text, 15).into_iter().map(|b| u32::from(b) - 48).collect();
    let (14, [.., one, two]) = (all.len(), all.as_slice()) else { return false };
    let check = |weights: &[u32]| match weighted(&all, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    check(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == *one
        && check(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == *two
        && !all_same(&all)
}

/// Canada: social insurance number, Luhn; 0 and 8 are not issued to persons.
pub(super) fn sin(text: &str) -> bool {
    exactly::<9>(text).is_some_and(|all| !matches!(all, [8, ..]) && !all_same(&all)) && luhn::luhn(text)
}

/// Chile: RUT and RUN, seven or eight digits, check digit or K.
pub(super) fn rut(text: &str) -> bool {
    let mut all = upper(text, 10);
    let (8 | 9, Some(check)) = (all.len(), all.pop()) else { return false };
    if !all.iter().all(u8::is_ascii_digit) || all.windows(2).all(|w| matches!(w, [a, b] if a == b)) {
        return false;
    }
    let weights = [2u32, 3, 4, 5, 6, 7].into_iter().cycle();
    let sum: u32 = all.iter().rev().zip(weights).map(|(b, w)| u32::from(b - b'0') * w).sum();
    b"0123456789K".get(((11 - sum % 11) % 11) as usize) == Some(&check)
}

/// Colombia: NIT, eight to fifteen digits and a check digit.
pub(super) fn nit(text: &str) -> bool {
    let all = first(text, 17);
    let (9..=16, [body @ .., check]) = (all.len(), all.as_slice()) else { return false };
    let weights = [3, 7, 13, 17, 19, 23, 29, 37, 41, 43, 47, 53, 59, 67, 71];
    let sum: u32 = body.iter().rev().zip(weights).map(|(d, w)| d * w).sum();
    let wanted = if sum % 11 > 1 { 11 - sum % 11 } else { sum % 11 };
    wanted == *check && !all_same(&all)
}

/// Mexico: CURP, eighteen characters; the order of letters has Ñ after N.
pub(super) fn curp(text: &str) -> bool {
    let all: Few<u32> = text
        .bytes()
        .take(18)
        .map_while(|b| match b.to_ascii_uppercase() {
            d @ b'0'..=b'9' => Some(u32::from(d - b'0')),
            l @ b'A'..=b'N' => Some(u32::from(l - b'A') + 10),
            l @ b'O'..=b'Z' => Some(u32::from(l - b'A') + 11),
            _ => None,
        })
        .collect();
    let (18, 18, [body @ .., check]) = (all.len(), text.len(), all.as_slice()) else { return false };
    let sum: u32 = body.iter().zip((2..=18).rev()).map(|(v, w)| v * w).sum();
    (10 - sum % 10) % 10 == *check
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table("ar_cuit", &["20-05536168-2"], &["20-05536168-3", "99055361682"]);
        table("br_cpf", &["390.533.447-05", "11144477735"], &["390.533.447-06", "11111111111"]);
        // The second is the example of the Receita Federal for the new form.
        table(
            "br_cnpj",
            &["16.727.230/0001-97", "12.ABC.345/01DE-35"],
            &["16.727.230/0001-98", "00000000000000"],
        );
        // Example of most texts on the number; it is in no use.
        table("ca_sin", &["046 454 286"], &["046 454 287", "000000000", "846454286"]);
        table("cl_rut", &["76086428-5", "12.531.909-2", "10000013-K"], &["76086428-6", "11111111", "K1"]);
        table("co_nit", &["213123432-1"], &["213123432-2", "000000000"]);
        table("mx_curp", &["BOXW310820HNERXN09"], &["BOXW310820HNERXN08", "BOXW310820HNERXN0"]);
        single_digit_errors("ar_cuit", "20-05536168-2");
    }
}
