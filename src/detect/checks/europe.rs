//! Numbers of other European countries: `at_svnr`, `bg_egn`, `ch_ahv`, `cz_rc`,
//! `ee_ik`, `gr_amka`, `hr_oib`, `ie_pps`, `lv_pk`, `pt_nif`, `ro_cnp`, `ru_inn`,
//! `ru_snils`, `tr_id`, `ua_rnokpp`, `yu_jmbg`.

use super::date::is_day;
use super::digits::{Few, all_same, exactly, first, number, weighted};
use super::luhn;

/// Austria: Sozialversicherungsnummer, serial, check digit, birth date.
pub(super) fn svnr(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [first, _, _, check, a, b, c, d, ..] = all;
    // Months 13 to 15 stand for unknown birth dates.
    let plausible = first != 0 && (1..=31).contains(&(a * 10 + b)) && (1..=15).contains(&(c * 10 + d));
    plausible && weighted(&all, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == check
}

/// Bulgaria: EGN, birth date with the century in the month.
pub(super) fn egn(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [_, _, m, n, d, e, .., check] = all;
    let month = m * 10 + n;
    let plausible = matches!(month, 1..=12 | 21..=32 | 41..=52) && (1..=31).contains(&(d * 10 + e));
    plausible && weighted(&all, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == check
}

/// Switzerland: AHV number, an EAN-13 that starts with 756.
pub(super) fn ahv(text: &str) -> bool {
    let Some(all) = exactly::<13>(text) else { return false };
    let [7, 5, 6, ..] = all else { return false };
    weighted(&all, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Czechia and Slovakia: rodné číslo of ten digits (act 133/2000), a multiple
/// of 11. Women add 50 to the month, full series 20.
pub(super) fn rodne_cislo(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [a, b, c, d, e, f, g, h, i, check] = all;
    let month = c * 10 + d;
    let plausible = matches!(month, 1..=12 | 21..=32 | 51..=62 | 71..=82) && (1..=31).contains(&(e * 10 + f));
    plausible && number(&[a, b, c, d, e, f, g, h, i]) % 11 % 10 == u64::from(check)
}

/// Estonia and Lithuania: isikukood, asmens kodas.
pub(super) fn isikukood(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [century, _, _, m, n, d, e, .., check] = all;
    let first = weighted(&all, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(&all, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let sum = if first < 10 { first } else { second % 10 };
    (1..=8).contains(&century) && is_day(2000, m * 10 + n, d * 10 + e) && sum == check
}

/// Greece: AMKA, birth date, serial, Luhn.
pub(super) fn amka(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [a, b, c, d, ..] = all;
    is_day(2000, c * 10 + d, a * 10 + b) && luhn::luhn(text)
}

/// Croatia: OIB, eleven digits of ISO 7064 MOD 11,10.
pub(super) fn oib(text: &str) -> bool {
    exactly::<11>(text).is_some_and(|all| !all_same(&all)) && super::de::mod_11_10(text)
}

/// Ireland: PPS number, seven digits and one or two letters.
pub(super) fn pps(text: &str) -> bool {
    let Some(all) = exactly::<7>(text) else { return false };
    let letters: Few<u8> =
        text.bytes().filter(u8::is_ascii_alphabetic).map(|b| b.to_ascii_uppercase()).take(3).collect();
    let (check, second) = match letters.as_slice() {
        // W, T and X marked spouses until 2013 and do not count.
        [check] | [check, b'W' | b'T' | b'X'] => (*check, 0),
        [check, second @ b'A'..=b'I'] => (*check, u32::from(second - b'A') + 1),
        _ => return false,
    };
    let sum = weighted(&all, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second;
    b"WABCDEFGHIJKLMNOPQRSTUV".get((sum % 23) as usize) == Some(&check)
}

/// Latvia: personas kods with a birth date (those without start with 32).
pub(super) fn personas_kods(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [a, b, c, d, .., check] = all;
    let sum = 1 + weighted(&all, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9]);
    is_day(2000, c * 10 + d, a * 10 + b) && sum % 11 % 10 == check
}

/// Portugal: NIF.
pub(super) fn nif(text: &str) -> bool {
    let Some(all) = exactly::<9>(text) else { return false };
    let [first, .., check] = all;
    let sum = weighted(&all, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !matches!(first, 0 | 4) && (11 - sum % 11) % 11 % 10 == check && !all_same(&all)
}

/// Romania: CNP.
pub(super) fn cnp(text: &str) -> bool {
    let Some(all) = exactly::<13>(text) else { return false };
    let [sex, _, _, m, n, d, e, .., check] = all;
    let sum = weighted(&all, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check_wanted = if sum == 10 { 1 } else { sum };
    (1..=9).contains(&sex) && is_day(2000, m * 10 + n, d * 10 + e) && check_wanted == check
}

/// Russia: INN of persons (twelve digits) and companies (ten).
pub(super) fn inn(text: &str) -> bool {
    let all = first(text, 13);
    let check = |weights: &[u32]| weighted(&all, weights) % 11 % 10;
    let right = match all.as_slice() {
        [.., last] if all.len() == 10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]) == *last,
        [.., one, two] if all.len() == 12 => {
            check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == *one
                && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == *two
        }
        _ => false,
    };
    right && !all_same(&all)
}

/// Russia: SNILS.
pub(super) fn snils(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [.., x, y] = all;
    weighted(&all, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100 == x * 10 + y && !all_same(&all)
}

/// Turkey: T.C. kimlik numarası.
pub(super) fn tr_id(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [a, b, c, d, e, f, g, h, i, ten, eleven] = all;
    let (odd, even) = (a + c + e + g + i, b + d + f + h);
    a != 0 && (7 * odd + 10 * 9 - even) % 10 == ten && (odd + even + ten) % 10 == eleven
}

/// Ukraine: RNOKPP, taxpayers.
pub(super) fn rnokpp(text: &str) -> bool {
    let Some(all) = exactly::<10>(text) else { return false };
    let [.., check] = all;
    // The first weight is -1.
    let [first, rest @ ..] = all;
    let sum = weighted(&rest, &[5, 7, 9, 4, 6, 10, 5, 7]) + 10 * first;
    sum % 11 % 10 == check && !all_same(&all)
}

/// Countries of former Yugoslavia: JMBG, EMŠO.
pub(super) fn jmbg(text: &str) -> bool {
    let Some(all) = exactly::<13>(text) else { return false };
    let [a, b, c, d, .., check] = all;
    let sum = weighted(&all, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]);
    is_day(2000, c * 10 + d, a * 10 + b) && (11 - sum % 11) % 11 == check
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        table("at_svnr", &["1237 010180"], &["1238 010180", "0237010180"]);
        table("bg_egn", &["752316 926 3", "8032056031"], &["8032056030", "8013056031"]);
        table("ch_ahv", &["756.9217.0769.85"], &["756.9217.0769.84", "7579217076985"]);
        table("cz_rc", &["710319/2745"], &["710319/2746", "711319/2745"]);
        table("ee_ik", &["36805280109", "33309240064"], &["36805280108", "36813280109"]);
        table("gr_amka", &["01013099997"], &["01013099998", "32013099997"]);
        table("hr_oib", &["33392005961"], &["33392005962", "00000000000"]);
        table("ie_pps", &["6433435F", "6433435FT", "6433435FW"], &["6433435E", "6433435", "6433435ÉE"]);
        table("lv_pk", &["161175-19997"], &["161175-19996"]);
        table("pt_nif", &["501964843"], &["501964842", "000000000"]);
        table("ro_cnp", &["1630615123457"], &["1630615123458"]);
        table("ru_inn", &["500100732259", "7830002293"], &["500100732258", "7830002292", "0000000000"]);
        table("ru_snils", &["112-233-445 95"], &["112-233-445 96"]);
        table("tr_id", &["17291716060", "10000000146"], &["17291716061", "07291716060"]);
        table("ua_rnokpp", &["1759013776"], &["1759013775"]);
        table("yu_jmbg", &["0101006500006"], &["0101006500007"]);
        single_digit_errors("ch_ahv", "756.9217.0769.85");
        single_digit_errors("hr_oib", "33392005961");
        single_digit_errors("tr_id", "10000000146");
    }
}
