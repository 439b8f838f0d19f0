//! `date`: a day that exists, in any usual order of day, month and year;
//! `not_epoch`: no time in milliseconds.

use super::digits::{Few, digits};

/// Three numbers with separators (`31.12.1999`, `12/31/99`, `1999-12-31`), or
/// eight digits, that are a day in some order, in the years 1900 to 2099.
pub(super) fn date(text: &str) -> bool {
    // Four are too many already.
    let parts: Few<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty()).take(4).collect();
    let number = |part: &str| digits(part).take(5).fold(0, |n, d| n * 10 + d);
    match parts.as_slice() {
        [one] if one.len() == 8 => {
            let cut = |at: &[usize; 4]| {
                let get = |i: usize, j: usize| one.get(i..j).map_or(0, number);
                let [a, b, c, d] = *at;
                (get(a, b), get(b, c), get(c, d))
            };
            let (year, month, day) = cut(&[0, 4, 6, 8]);
            let (first, second, last) = cut(&[0, 2, 4, 8]);
            fits(year, month, day) || fits(last, second, first) || fits(last, first, second)
        }
        [a, b, c] if a.len() <= 4 && b.len() <= 2 && c.len() <= 4 => {
            let (first, second, last) = (number(a), number(b), number(c));
            if a.len() == 4 {
                fits(first, second, last)
            } else {
                fits(full_year(last, c), second, first) || fits(full_year(last, c), first, second)
            }
        }
        _ => false,
    }
}

/// No time of today's machines: milliseconds since 1970, from September 2020
/// to May 2033. Thirteen digits of logs and records are mostly that.
pub(super) fn not_epoch(text: &str) -> bool {
    let plain = text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit());
    !(plain && matches!(text.as_bytes(), [b'1', b'6'..=b'9', ..]))
}

fn full_year(year: u32, written: &str) -> u32 {
    if written.len() == 2 { 2000 + year } else { year }
}

fn fits(year: u32, month: u32, day: u32) -> bool {
    (1900..2100).contains(&year) && is_day(year, month, day)
}

/// Whether the Gregorian calendar has this day.
pub(super) fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn dates() {
        table(
            "date",
            &["31.12.1999", "12/31/99", "1999-12-31", "29-02-2000", "1/2/2003", "19991231", "31121999"],
            &[
                "32.12.1999",
                "29.02.1999",
                "1999-13-31",
                "1899-12-31",
                "1.2",
                "12345678",
                "1.2.3.4",
                "00/00/0000",
                "",
            ],
        );
        table(
            "not_epoch",
            &["1101700230708", "1580000000004", "1-7100-12345-67-1", "17123456789"],
            &["1712345678901", "1600000000000", "1999999999999"],
        );
    }
}
