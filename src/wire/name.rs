//! Which names, ids and enumerated values need no look: those that no value of
//! a rule fits into. The rest is read, keys as text, others as they stand.

/// Longest key that is a name; also the length from which on a run of small
/// letters is none.
const MAX_NAME: usize = 40;

/// Shortest random part of a credential.
const MIN_RANDOM: usize = 12;

/// Words run together without a capital are shorter.
const MAX_WORDS: usize = 24;

/// A name as programs write it, a UUID or a day: no room for a sentence, a mail
/// address, a number of four digits or a credential. Small letters alone are
/// taken for words.
pub fn is_plain(raw: &[u8]) -> bool {
    if raw.len() > MAX_NAME {
        return false;
    }
    let (mut digits, mut colons) = (0, 0);
    // Of the run of letters and digits: its length, capitals and digits.
    // And of small letters among them.
    let (mut run, mut capitals, mut numerals, mut small) = (0, 0, 0, 0);
    let mut letters = false;
    for (at, byte) in raw.iter().enumerate() {
        match byte {
            b'a'..=b'z' => {
                letters = true;
                small += 1;
            }
            b'A'..=b'Z' => {
                letters = true;
                small = 0;
                capitals += 1;
            }
            b'0'..=b'9' => {
                digits += 1;
                numerals += 1;
            }
            b'@' if at == 0 => {}
            b':' => colons += 1,
            b'_' | b'.' | b'/' | b'$' | b'-' => {}
            _ => return false,
        }
        if byte.is_ascii_alphanumeric() {
            run += 1;
            // Capitals are few in words: `maxOutputTokens`, not `hf_aBXfGh`.
            if run >= MIN_RANDOM && (numerals > 0 && letters || capitals * 3 > run) || small >= MAX_WORDS {
                return is_uuid(raw);
            }
        } else {
            (run, capitals, numerals, small) = (0, 0, 0, 0);
        }
    }
    let index = digits == raw.len() && digits < MIN_NUMBER_BYTES;
    digits < 4 && colons < 2 || index || is_uuid(raw) || is_day(raw)
}

/// Shortest bare number that can be an identifying one: a national id of 7
/// digits. Unix times in seconds have 10 and are scanned too; checksums decide.
pub(super) const MIN_NUMBER_BYTES: usize = 7;

/// A number where a time, a count or an id is expected: too short to tell of
/// anybody, a fraction, or Unix time in one of its units.
pub(super) fn is_plain_number(raw: &[u8]) -> bool {
    let digits = raw.strip_prefix(b"-").unwrap_or(raw);
    let whole = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    whole < MIN_NUMBER_BYTES || digits.starts_with(b"1") && matches!(whole, 10 | 13 | 16 | 19)
}

fn is_uuid(raw: &[u8]) -> bool {
    raw.len() == 36
        && raw.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// `2025-11-21`.
fn is_day(raw: &[u8]) -> bool {
    let [b'1' | b'2', rest @ ..] = raw else { return false };
    rest.len() == 9
        && rest.iter().enumerate().all(|(at, b)| match at {
            3 | 6 => *b == b'-',
            _ => b.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_are_plain() {
        for yes in [
            "",
            "messages",
            "cache_creation_input_tokens",
            "additionalProperties",
            "candidatesTokenCount",
            "automaticActivityDetection",
            "additionalModelRequestFields",
            "@type",
            "$ref",
            "image/png",
            "gpt-4o-mini",
            "sha256",
            "x-ms-client-id",
            "12345",
            "999999",
            "2025-11-21",
            "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        ] {
            assert!(is_plain(yes.as_bytes()), "{yes}");
        }
    }

    #[test]
    fn values_are_not() {
        for no in [
            "ann@example.com",
            "@ann@x",
            "1234567",
            "4111-1111-1111-1111",
            "+15550100",
            "DE89370400440532013000",
            "X1234567L",
            "ABCPE1234F",
            "10.11.12.13",
            "aa:bb:cc:dd:ee:ff",
            "AKIAIOSFODNNEXAMPLE",
            "ghp_aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgHiJ",
            "hf_abcdefghijklmnopqrstuvwxyzabcdef",
            "rzp_live_a1bcdefghijkl",
            "two words",
            "\\u0061",
            "é",
            "a_name_that_is_longer_than_names_of_fields_are",
        ] {
            assert!(!is_plain(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn times_and_counts_are_plain_numbers() {
        for yes in ["0", "200", "123456", "1763700000", "1763700000123", "1763700000.123", "-0.12345678901"] {
            assert!(is_plain_number(yes.as_bytes()), "{yes}");
        }
        for no in ["1234567", "4111111111111111", "5550100123", "-4111111111111111"] {
            assert!(!is_plain_number(no.as_bytes()), "{no}");
        }
    }
}
