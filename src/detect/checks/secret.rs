//! `not_placeholder`, `classes>=n`, `letters>=n`: what a made-up secret lacks.

/// Stands in documentation in place of a secret: words such as `example`, runs
/// of one character, template syntax, keyboard walks. Holds for the others.
pub(super) fn not_placeholder(text: &str) -> bool {
    const WORDS: [&str; 28] = [
        "example",
        "placeholder",
        "changeme",
        "change_me",
        "change-me",
        "your_",
        "your-",
        "yourpass",
        "yourkey",
        "yoursecret",
        "insert_",
        "insert-",
        "replace_",
        "replace-",
        "dummy",
        "redacted",
        "sample",
        "foobar",
        "xxxx",
        "****",
        "....",
        "todo",
        "<your",
        "my_secret",
        "mysecret",
        "notreal",
        "not_real",
        "fake",
    ];
    const TEMPLATES: [&str; 6] = ["$(", "%(", "<%", "process.env", "os.environ", "getenv"];
    const WALKS: [&str; 5] = ["1234567890", "abcdefghij", "qwertyuiop", "0123456789", "aaaaaaaa"];
    let lower = text.to_ascii_lowercase();
    let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
    let bracketed = lower.starts_with('<') && lower.ends_with('>');
    let longest_run = lower.as_bytes().chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or(0);
    !(has(&WORDS) || has(&TEMPLATES) || has(&WALKS) || bracketed || has_template(&lower) || longest_run >= 6)
}

/// `${name}` or `{{ name }}`, closed: a password may hold such signs, too.
fn has_template(lower: &str) -> bool {
    let closed = |open: &str, close: &str| {
        lower.match_indices(open).any(|(at, _)| {
            let rest = lower.get(at + open.len()..).unwrap_or_default();
            let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || " _.-:".contains(c));
            name.len() < rest.len() && name.starts_with(close)
        })
    };
    closed("${", "}") || closed("{{", "}}")
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
