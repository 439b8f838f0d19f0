//! `e164`, `nanp`, `phone`: telephone numbers (ITU-T E.164, NANPA).

use super::dialled::balanced;
use super::digits::{all_same, first, number};

/// Assigned country codes and the lengths of the national numbers after them:
/// ITU Operational Bulletin 1114 annex; lengths as the countries' plans say.
const COUNTRIES: &[(u32, u8, u8)] = &[
    (1, 10, 10),
    (7, 10, 10),
    (20, 8, 10),
    (27, 9, 9),
    (30, 10, 10),
    (31, 9, 9),
    (32, 8, 9),
    (33, 9, 9),
    (34, 9, 9),
    (36, 8, 9),
    (39, 6, 11),
    (40, 9, 9),
    (41, 9, 9),
    (43, 4, 13),
    (44, 7, 10),
    (45, 8, 8),
    (46, 6, 10),
    (47, 8, 8),
    (48, 9, 9),
    (49, 5, 12),
    (51, 8, 9),
    (52, 10, 10),
    (53, 6, 8),
    (54, 10, 11),
    (55, 10, 11),
    (56, 9, 9),
    (57, 8, 10),
    (58, 10, 10),
    (60, 7, 10),
    (61, 9, 9),
    (62, 7, 12),
    (63, 8, 10),
    (64, 8, 10),
    (65, 8, 8),
    (66, 8, 9),
    (81, 9, 10),
    (82, 8, 10),
    (84, 9, 10),
    (86, 7, 11),
    (90, 10, 10),
    (91, 10, 10),
    (92, 9, 10),
    (93, 9, 9),
    (94, 9, 9),
    (95, 7, 10),
    (98, 10, 10),
];

/// A plus and an assigned country code with a number of its length.
pub(super) fn e164(text: &str) -> bool {
    let all = first(text, 16);
    text.trim_start().starts_with(['+', '(']) && international(&all)
}

fn international(all: &[u32]) -> bool {
    if !(7..=15).contains(&all.len()) {
        return false;
    }
    let by_table = COUNTRIES.iter().any(|(code, min, max)| {
        let width = if *code < 10 { 1 } else { 2 };
        let national = all.get(width..).unwrap_or_default();
        // A trunk zero is often written after the code: +49 (0) 30 …
        let trunk = usize::from(national.first() == Some(&0) && *code != 39);
        let length = national.len() - trunk;
        let fits = (usize::from(*min)..=usize::from(*max)).contains(&length);
        let here = all.get(..width).is_some_and(|head| number(head) == u64::from(*code));
        here && fits && (*code != 1 || nanp_digits(national))
    });
    let three = number(all.get(..3).unwrap_or_default());
    // The other codes have three digits.
    let other = matches!(three, 211..=299 | 350..=389 | 420..=423 | 500..=509 | 590..=599)
        || matches!(three, 670..=692 | 800..=888 | 960..=998);
    (by_table || (other && all.len() >= 8)) && !all_same(all.get(3..).unwrap_or_default())
}

/// North American numbering plan: area and exchange start with 2 to 9, and are
/// no service code (N11). A leading 1 is allowed.
pub(super) fn nanp(text: &str) -> bool {
    let all = first(text, 12);
    match all.as_slice() {
        [1, rest @ ..] if rest.len() == 10 => nanp_digits(rest),
        rest => nanp_digits(rest),
    }
}

fn nanp_digits(all: &[u32]) -> bool {
    let &[a, b, c, d, e, f, ..] = all else { return false };
    let area = a >= 2 && b != 9 && !(b == 1 && c == 1);
    let exchange = d >= 2 && !(e == 1 && f == 1);
    all.len() == 10 && area && exchange && !all_same(all)
}

/// Any of the above, or a national number: seven to fifteen digits that look
/// dialled: a trunk zero or separators, balanced brackets, no digit throughout.
pub(super) fn phone(text: &str) -> bool {
    let all = first(text, 16);
    if e164(text) || nanp(text) {
        return true;
    }
    let national = !text.contains('+')
        && (all.first() == Some(&0)
            || text.bytes().any(|b| matches!(b, b'(' | b')' | b' ' | b'.' | b'-' | b'/')));
    (7..=15).contains(&all.len()) && national && balanced(text) && !all_same(&all)
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    /// Numbers that regulators keep free for use in fiction (Ofcom, NANPA, ACMA,
    /// Bundesnetzagentur).
    #[test]
    fn tables() {
        table(
            "e164",
            &[
                "+44 20 7946 0958",
                "+1 212 555 0123",
                "+49 (0)30 23125 014",
                "+61 491 570 006",
                "+358 9 1234567",
                "+39 06 1234567",
            ],
            &[
                "44 20 7946 0958",
                "+0 123 456 789",
                "+1 112 555 0123",
                "+44 20",
                "+11111111111",
                "+1234567890123456",
            ],
        );
        table(
            "nanp",
            &["(212) 555-0123", "1-212-555-0123", "2125550123"],
            &["(112) 555-0123", "212-155-0123", "911-555-0123", "212-555-012"],
        );
        table(
            "phone",
            &["030 23125 014", "(212) 555-0123", "+44 20 7946 0958", "01632 960 001"],
            &["12345678", "000 000 0000", "12-34", "030 (23125 014"],
        );
    }
}
