//! Does a value look like a secret: `basic_auth`, `not_hex`, `password_like`,
//! `password_weak`, `scattered`, `secret_like`.
//!
//! These guard rules that know a value by the name beside it only. What they
//! let through is random enough to be a key, or mixed enough to be a password;
//! what they stop is code, words and samples.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Kinds of letters and digits change at every fourth character or oftener, as
/// they do in random base62 and not in names.
pub(super) fn scattered(text: &str) -> bool {
    let kinds = || text.bytes().filter(u8::is_ascii_alphanumeric).map(kind);
    let (len, changes) =
        (kinds().count(), kinds().zip(kinds().skip(1)).filter(|(one, next)| one != next).count());
    len > 0 && changes * 4 >= len
}

/// Some character is no hexadecimal digit.
pub(super) fn not_hex(text: &str) -> bool {
    !text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Random: not mostly words, and with digits, mixed case or odd signs in it.
pub(super) fn secret_like(text: &str) -> bool {
    let odd = |b: &u8| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/'));
    let odd = text.bytes().filter(odd).count();
    let random = text.bytes().any(|b| b.is_ascii_digit()) || scattered(text) || odd >= 2;
    let bcrypt = text.starts_with("$2");
    distinct(text.as_bytes()) >= 6
        && has_letter(text)
        && random
        && !is_wordy(text)
        && (bcrypt || !text.starts_with(['/', '.', '$', '%', '{', '(']))
        && !is_code(text)
        && !text.as_bytes().windows(2).any(|pair| matches!(pair, [b'(', b')']))
}

/// Words that stand where passwords do.
const NO_PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "passw0rd",
    "password1",
    "required",
    "undefined",
    "null",
    "none",
    "true",
    "false",
    "string",
    "secret",
    "token",
];

/// Mixed as people are told to mix passwords.
pub(super) fn password_like(text: &str) -> bool {
    let text = if text.len() > 6 { text.trim_end_matches(['.', ',', ':', '!', '?']) } else { text };
    if !is_no_word_or_path(text) || !has_letter(text) {
        return false;
    }
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or(text);
    let sign = inner.bytes().any(is_sign);
    let digit = text.bytes().any(|b| b.is_ascii_digit());
    if !sign && !digit {
        return text.len() >= 10 && scattered(text) && !is_wordy(text);
    }
    if sign {
        return true;
    }
    if is_call(text) {
        return false;
    }
    let both_cases =
        text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().any(|b| b.is_ascii_uppercase());
    !is_wordy(text) || (both_cases && !text.contains(['_', '.', '/', '-']))
}

/// Letters and a digit or sign; for values in quotes after `password`.
pub(super) fn password_weak(text: &str) -> bool {
    let mixed = text.bytes().any(|b| b.is_ascii_digit() || is_sign(b));
    is_no_word_or_path(text)
        && !text.starts_with(['#'])
        && has_letter(text)
        && mixed
        && !(is_wordy(text) && text.contains(['_', '.', '/', ':', '-']))
}

/// Base64 of `user:password` in printable ASCII. RFC 7617.
pub(super) fn basic_auth(text: &str) -> bool {
    let plain = STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    plain.is_ok_and(|plain| plain.contains(&b':') && plain.iter().all(|b| (0x20..0x7f).contains(b)))
}

fn is_no_word_or_path(text: &str) -> bool {
    !NO_PASSWORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        && distinct(text.as_bytes()) >= 4
        && !text.starts_with(['/', '.', '$', '%', '{', '(', '<', '@', '~', '-', '\\'])
        && !is_code(text)
}

fn is_code(text: &str) -> bool {
    // A search of the library's costs more to prepare than to look at a short value.
    let (pairs, triples) = (text.as_bytes().windows(2), text.as_bytes().windows(3));
    pairs.into_iter().any(|pair| matches!(pair, [b':', b':'] | [b'-', b'>']))
        || triples.into_iter().any(|triple| matches!(triple, [b':', b'/', b'/']))
}

/// A name, then a dot, a bracket or an equals sign: code, not a password.
fn is_call(text: &str) -> bool {
    let name = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && text.as_bytes().get(name).is_some_and(|b| matches!(b, b'.' | b'(' | b'[' | b'='))
}

/// More than half of the value are words of four letters and more.
fn is_wordy(text: &str) -> bool {
    let (mut in_words, mut word) = (0, Word::default());
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_alphabetic() {
            continue;
        }
        word.add(byte);
        let next = bytes.get(at + 1);
        let camel = byte.is_ascii_lowercase() && next.is_some_and(u8::is_ascii_uppercase);
        // `HTTPServer`: the last capital belongs to the word that follows.
        let acronym = byte.is_ascii_uppercase()
            && next.is_some_and(u8::is_ascii_uppercase)
            && bytes.get(at + 2).is_some_and(u8::is_ascii_lowercase);
        if camel || acronym || !next.is_some_and(u8::is_ascii_alphabetic) {
            in_words += if word.is_speakable() { word.letters } else { 0 };
            word = Word::default();
        }
    }
    in_words * 2 > bytes.len()
}

/// Letters in a row.
#[derive(Default)]
struct Word {
    letters: usize,
    vowels: usize,
    /// Consonants since the last vowel, and the most there were.
    consonants: usize,
    most: usize,
}

impl Word {
    fn add(&mut self, letter: u8) {
        self.letters += 1;
        if matches!(letter | 0x20, b'a' | b'e' | b'i' | b'o' | b'u' | b'y') {
            self.vowels += 1;
            self.consonants = 0;
        } else {
            self.consonants += 1;
            self.most = self.most.max(self.consonants);
        }
    }

    /// A fair share of vowels, and no five consonants in a row.
    const fn is_speakable(&self) -> bool {
        self.letters >= 4
            && self.vowels * 20 >= self.letters * 3
            && self.vowels * 3 <= self.letters * 2
            && self.most < 5
    }
}

/// What people put into passwords.
const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'=' | b'~' | b'?' | b'|')
}

fn has_letter(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphabetic())
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    }
}

fn distinct(bytes: &[u8]) -> u32 {
    let mut seen = [0u64; 2];
    for byte in bytes {
        if let Some(half) = seen.get_mut(usize::from(byte >> 6 & 1)) {
            *half |= 1 << (byte & 63);
        }
    }
    seen.iter().map(|half| half.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn guards() {
        table("scattered", &["Rb3sSJI4TjRM5DMF"], &["authorizationDependency", "abcdefgh", "", "---"]);
        table("not_hex", &["0x12", "g1"], &["deadbeef", ""]);
        table("basic_auth", &["dXNlcjpwYXNzd29yZA==", "YTpi"], &["bm9jb2xvbg==", "!!", ""]);
    }

    #[test]
    fn secrets() {
        table(
            "secret_like",
            &["jd7he5z3rssgzj8wy0cu", "Zk9!q7HsLd2e"],
            &[
                "string_or_callable",
                "data_args.max_seq_length",
                "TOGETHER_API_KEY",
                "file.path.to.something",
                "application/json",
                "https://h/x1",
                "authorization/v1/handlers",
                "12345678901234",
                "aaaa1111",
            ],
        );
        table(
            "password_like",
            &["Sjdn43ss@!", "nCzx8A8#!", "securePass123.", "yqDVtkqPECriaLRi"],
            &[
                "required",
                "hunters",
                "/home/ada1",
                "None",
                "reset",
                "config.get(1)",
                "login_password_1",
                "12/12",
            ],
        );
        table("password_weak", &["dkajco1", "cackle!"], &["password", "user_password_1", "field", "#fff1a"]);
    }
}
