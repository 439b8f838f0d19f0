//! `mod97`: ISO 7064 MOD 97-10. `iban`: ISO 13616, with the lengths of the SWIFT registry.

use super::digits::upper;

/// Letters count 10 to 35; the whole number leaves 1. Separators are skipped.
pub(super) fn mod97(text: &str) -> bool {
    remainder(alphanumerics(text)) == Some(1)
}

/// Country, check digits from 02 to 98, length of the country, MOD 97-10 with
/// the first four characters moved to the end.
pub(super) fn iban(text: &str) -> bool {
    let all = upper(text, 35);
    let [a, b, c, d, rest @ ..] = all.as_slice() else { return false };
    let wanted = LENGTHS.binary_search_by(|(country, _)| country.as_bytes().cmp(&[*a, *b]));
    let length = wanted.ok().and_then(|i| LENGTHS.get(i)).map(|(_, length)| usize::from(*length));
    if length != Some(all.len()) || !matches!((*c, *d), (b'0'..=b'9', b'0'..=b'9')) {
        return false;
    }
    let in_range = !matches!([*c, *d], [b'0', b'0' | b'1'] | [b'9', b'9']);
    in_range && remainder(rest.iter().copied().chain([*a, *b, *c, *d])) == Some(1)
}

fn alphanumerics(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_uppercase())
}

fn remainder(text: impl Iterator<Item = u8>) -> Option<u32> {
    text.take(128).try_fold(0u32, |sum, b| match b {
        b'0'..=b'9' => Some((sum * 10 + u32::from(b - b'0')) % 97),
        b'A'..=b'Z' => Some((sum * 100 + u32::from(b - b'A') + 10) % 97),
        _ => None,
    })
}

/// Length of an IBAN by country: SWIFT IBAN Registry, release 99.
const LENGTHS: &[(&str, u8)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};
    use super::*;

    /// Examples of the SWIFT registry.
    #[test]
    fn ibans() {
        table(
            "iban",
            &[
                "GB29 NWBK 6016 1331 9268 19",
                "DE89370400440532013000",
                "FR1420041010050500013M02606",
                "NL91ABNA0417164300",
                "CH93 0076 2011 6238 5295 7",
                "MT84MALT011000012345MTLCAST001S",
                "NO93 8601 1117 947",
            ],
            &["GB29 NWBK 6016 1331 9268 18", "DE8937040044053201300", "ZZ89370400440532013000", "DE", ""],
        );
        single_digit_errors("iban", "DE89370400440532013000");
        assert!(LENGTHS.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0)));
    }
}
