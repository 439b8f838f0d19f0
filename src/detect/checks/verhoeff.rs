//! `verhoeff`: J. Verhoeff, Error Detecting Decimal Codes, 1969; Indian Aadhaar.

use super::digits::{MAX_DIGITS, digits};

/// Multiplication of the dihedral group of order 10.
const MULTIPLY: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// Powers of the permutation (1 5 8 9 4 2 7 0)(3 6).
const PERMUTE: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// The last digit is the check digit of those before it.
pub(super) fn verhoeff(text: &str) -> bool {
    if !(2..=MAX_DIGITS).contains(&digits(text).count()) {
        return false;
    }
    let look_up = |table: &[[u8; 10]], row: usize, column: usize| {
        table.get(row).and_then(|r| r.get(column)).map_or(0, |&v| usize::from(v))
    };
    let sum = digits(text)
        .rev()
        .enumerate()
        .fold(0, |sum, (i, digit)| look_up(&MULTIPLY, sum, look_up(&PERMUTE, i % 8, digit as usize)));
    sum == 0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{single_digit_errors, table};

    /// 236 with check digit 3 is the worked example of most texts on the code.
    #[test]
    fn examples() {
        table("verhoeff", &["2363", "123451", "84736430954837284567892"], &["2364", "2336", "1", ""]);
        single_digit_errors("verhoeff", "2363");
    }
}
