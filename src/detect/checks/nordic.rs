//! `se_personnummer`, `fi_hetu`, `dk_cpr`, `no_fnr`: personal numbers of the Nordic countries.

use super::date::is_day;
use super::digits::{exactly, first, weighted};
use super::luhn;

/// Sweden, SFS 1991:481: six or eight digits of birth date, three of serial,
/// Luhn over ten digits. Coordination numbers add 60 to the day.
pub(super) fn personnummer(text: &str) -> bool {
    let all = first(text, 13);
    let ten = match all.len() {
        10 => all.as_slice(),
        12 => all.get(2..).unwrap_or_default(),
        _ => return false,
    };
    let &[_, _, m, n, d, e, ..] = ten else { return false };
    let (month, day) = (m * 10 + n, d * 10 + e);
    let day = if day > 60 { day - 60 } else { day };
    is_day(2000, month, day) && luhn::sum(ten.iter().copied()) % 10 == 0
}

/// Finland, decree 128/2010: birth date, century sign, serial, check character.
pub(super) fn hetu(text: &str) -> bool {
    const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let bytes = text.as_bytes();
    let (Some(date), Some(sign), Some(serial), Some(check), 11) =
        (text.get(..6), bytes.get(6), text.get(7..10), bytes.get(10), bytes.len())
    else {
        return false;
    };
    let (Some([a, b, c, d, e, f]), Some([g, h, i])) = (exactly::<6>(date), exactly::<3>(serial)) else {
        return false;
    };
    let n = super::digits::number(&[a, b, c, d, e, f, g, h, i]);
    let century = b"-+ABCDEFUVWXY".contains(&sign.to_ascii_uppercase());
    century
        && is_day(2000, c * 10 + d, a * 10 + b)
        && n % 1000 >= 2
        && CHECK.get((n % 31) as usize) == Some(&check.to_ascii_uppercase())
}

/// Denmark: birth date and four digits. Their checksum is given up since 2007,
/// so the date is all there is to check.
pub(super) fn cpr(text: &str) -> bool {
    exactly::<10>(text).is_some_and(|[a, b, c, d, ..]| is_day(2000, c * 10 + d, a * 10 + b))
}

/// Norway: birth date, serial, two check digits of modulus 11. D-numbers add 40
/// to the day, synthetic test numbers 40 or 80 to the month.
pub(super) fn fnr(text: &str) -> bool {
    let Some(all) = exactly::<11>(text) else { return false };
    let [a, b, c, d, .., one, two] = all;
    let (day, month) = ((a * 10 + b) % 40, (c * 10 + d) % 40);
    let check = |weights: &[u32]| (11 - weighted(&all, weights) % 11) % 11;
    is_day(2000, month, day)
        && check(&[3, 7, 6, 1, 8, 9, 4, 5, 2]) == one
        && check(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) == two
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    #[test]
    fn tables() {
        // Example of Skatteverket.
        table(
            "se_personnummer",
            &["811228-9874", "19811228-9874", "670919-9530"],
            &["811228-9873", "811328-9874", "8112289"],
        );
        single_digit_errors("se_personnummer", "811228-9874");
        // Example of the Digital and Population Data Services Agency.
        table(
            "fi_hetu",
            &["131052-308T", "131052a308t"],
            &["131052-308U", "321052-308T", "131052 308T", "é1052-308T"],
        );
        table("dk_cpr", &["070761-4285"], &["320761-4285", "071361-4285", "07076142"]);
        table("no_fnr", &["151086 95088"], &["151086 95089", "551386 95088"]);
        single_digit_errors("no_fnr", "15108695088");
    }
}
