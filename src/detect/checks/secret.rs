//! `not_placeholder`, `classes>=n`, `letters>=n`: what a made-up secret lacks.

/// Stands in documentation in place of a secret: words such as `example`, runs
/// of one character, template syntax, keyboard walks. Holds for the others.
pub(super) fn not_placeholder(text: &str) -> bool {
    let bytes = text.as_bytes();
    let stands_at = |at: usize| {
        let begins = |word: &&str| {
            let here = bytes.get(at..at + word.len());
            here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
        };
        let first = bytes.get(at).map_or(0, u8::to_ascii_lowercase);
        starting_with(first).iter().any(begins)
    };
    let pairs = bytes.iter().zip(bytes.iter().skip(1)).enumerate();
    let mut starts = pairs.filter(|(_, (one, next))| may_start(**one, **next));
    let bracketed = text.starts_with('<') && text.ends_with('>');
    let longest_run = bytes.chunk_by(u8::eq_ignore_ascii_case).map(<[u8]>::len).max().unwrap_or(0);
    !(starts.any(|(at, _)| stands_at(at)) || bracketed || has_template(text) || longest_run >= 6)
}

/// By the lower bits of a word's first byte, a bit for those of its second: most
/// places of a value start none.
#[allow(clippy::indexing_slicing)] // Evaluated by the compiler, where a fault is an error.
const STARTS: [u32; 32] = {
    let (mut starts, mut first) = ([0u32; 32], 0);
    while first < 128 {
        let words = starting_with(first);
        let mut i = 0;
        while i < words.len() {
            starts[first as usize & 31] |= 1 << (words[i].as_bytes()[1] & 31);
            i += 1;
        }
        first += 1;
    }
    starts
};

#[inline(always)]
fn may_start(first: u8, second: u8) -> bool {
    STARTS.get(usize::from(first & 31)).is_some_and(|seconds| seconds >> (second & 31) & 1 == 1)
}

/// Words, template syntax and keyboard walks, by their first byte: a text of
/// assignments asks for each of their values, and one search a word took most
/// of the time of such a text.
const fn starting_with(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["abcdefghij", "aaaaaaaa"],
        b'c' => &["changeme", "change_me", "change-me"],
        b'd' => &["dummy"],
        b'e' => &["example"],
        b'f' => &["foobar", "fake"],
        b'g' => &["getenv"],
        b'i' => &["insert_", "insert-"],
        b'm' => &["my_secret", "mysecret"],
        b'n' => &["notreal", "not_real"],
        b'o' => &["os.environ"],
        b'p' => &["placeholder", "process.env"],
        b'q' => &["qwertyuiop"],
        b'r' => &["replace_", "replace-", "redacted"],
        b's' => &["sample"],
        b't' => &["todo"],
        b'x' => &["xxxx"],
        b'y' => &["your_", "your-", "yourpass", "yourkey", "yoursecret"],
        b'0' => &["0123456789"],
        b'1' => &["1234567890"],
        b'*' => &["****"],
        b'.' => &["...."],
        b'<' => &["<your", "<%"],
        b'$' => &["$("],
        b'%' => &["%("],
        _ => &[],
    }
}

/// `${name}` or `{{ name }}`, closed: a password may hold such signs, too.
fn has_template(text: &str) -> bool {
    let closed = |open: &str, close: &str| {
        text.match_indices(open).any(|(at, _)| {
            let rest = text.get(at + open.len()..).unwrap_or_default();
            let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || " _.-:".contains(c));
            name.len() < rest.len() && name.starts_with(close)
        })
    };
    text.as_bytes().contains(&b'{') && (closed("${", "}") || closed("{{", "}}"))
}

/// How many of lower case, upper case, digits and others there are.
pub(super) fn classes(text: &str) -> f64 {
    let class = |b: u8| match b {
        b'a'..=b'z' => 1u32,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 4,
        _ => 8,
    };
    f64::from(text.bytes().fold(0, |seen, b| seen | class(b)).count_ones())
}

/// How many different letters there are, case aside.
pub(super) fn letters(text: &str) -> f64 {
    let bit = |b: u8| 1u32 << (b.to_ascii_lowercase() - b'a');
    f64::from(text.bytes().filter(u8::is_ascii_alphabetic).fold(0, |seen, b| seen | bit(b)).count_ones())
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn tables() {
        table(
            "not_placeholder",
            &["f3Kx9Qz1LmP0", "hunter2", "Tr0ub4dor&3"],
            &[
                "YOUR_API_KEY",
                "xxxxxxxxxxxx",
                "${DB_PASSWORD}",
                "<secret>",
                "AKIAIOSFODNN7EXAMPLE",
                "1234567890ab",
                "------a",
            ],
        );
        table("classes>=3", &["aB1", "a1-"], &["ab1", "", "ABC"]);
        table("letters>=3", &["abc1", "aBc"], &["aAbB", "123", ""]);
    }
}
