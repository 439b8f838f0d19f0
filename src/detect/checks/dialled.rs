//! `phone_international`, `phone_national`: telephone numbers as people write
//! them. Looser than `e164`: free-phone and special numbers have other lengths
//! than a country's table says.

use super::digits::{Few, all_same, first, number};

/// Country codes of two digits, ITU-T E.164 annex; the others have three, save
/// 1 and 7.
const TWO_DIGITS: &[u64] = &[
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
    60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];
/// First two digits under which codes of three digits are assigned.
const THREE_DIGITS: &[u64] =
    &[21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99];

/// A plus, an assigned country code, and as many digits as numbers can have.
pub(super) fn phone_international(text: &str) -> bool {
    let all = first(text, 16);
    let code = number(all.get(..2).unwrap_or_default());
    let fits = match all.as_slice() {
        [1, area, ..] => all.len() == 11 && *area >= 2,
        [7, ..] => all.len() == 11,
        _ if TWO_DIGITS.contains(&code) => (8..=14).contains(&all.len()),
        _ => THREE_DIGITS.contains(&code) && (7..=15).contains(&all.len()),
    };
    let body = all.get(3..).unwrap_or_default();
    fits && !all_same(body) && balanced(text)
}

/// Six to thirteen digits in groups that are no date, no range of years and no
/// round number with thousands separators.
pub(super) fn phone_national(text: &str) -> bool {
    let all = first(text, 14);
    let groups = text.as_bytes().split(|b| !b.is_ascii_digit()).filter(|g| !g.is_empty());
    let lens: Few<usize> = groups.map(<[u8]>::len).take(8).collect();
    (6..=13).contains(&all.len())
        && !all_same(&all)
        && balanced(text)
        && !is_date(text, &lens)
        && !is_thousands(text, &lens)
        && !text.ends_with("00000")
        && !is_years(text, &lens)
}

/// As many brackets are opened as closed.
pub(super) fn balanced(text: &str) -> bool {
    let count = |bracket| text.bytes().filter(|byte| *byte == bracket).count();
    count(b'(') == count(b')')
}

fn is_date(text: &str, lens: &[usize]) -> bool {
    let shape = matches!(lens, [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 4] | [2, 2, 2]);
    shape && !text.contains([' ', '('])
}

fn is_thousands(text: &str, lens: &[usize]) -> bool {
    let grouped = matches!(lens, [1..=3, rest @ ..] if !rest.is_empty() && rest.iter().all(|&l| l == 3));
    grouped && text.ends_with("00") && !text.starts_with(['0', '('])
}

fn is_years(text: &str, lens: &[usize]) -> bool {
    matches!(lens, [4, 4]) && text.contains('-') && (text.starts_with("19") || text.starts_with("20"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn groups() {
        table(
            "phone_international",
            &["+1 415-555-0132", "+442071838750", "+46 (0)8 928 571 38", "+2908999", "+611800123456"],
            &[
                "+1000000",
                "+1 115 555 0132",
                "+12 3",
                "+999",
                "+0123456789",
                "+44 (20 7183 8750",
                "+44000000000",
            ],
        );
        table(
            "phone_national",
            &["415-555-0132", "(99) 645-791", "9472 7916", "083 564 9312", "01.84.17.61.18"],
            &[
                "2024-10-12",
                "12.10.2024",
                "100 000",
                "12345",
                "2019-2024",
                "10-12-24",
                "(12 3456",
                "000 0000",
                "2000000",
            ],
        );
    }
}
