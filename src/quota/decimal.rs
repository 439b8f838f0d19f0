//! Decimal numbers of the configuration as integers: money never becomes a float.

/// `"0.15"` with scale 6 is 150,000. Refuses signs, more places than the scale
/// holds, and what does not fit 64 bits. An exponent is read: JSON writers
/// print small numbers as `1e-7`.
pub(super) fn scaled(text: &str, scale: u32) -> Result<u64, String> {
    let err = || format!("`{}` is not a number from 0 with at most {scale} decimal places", shorten(text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| err())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || text.len() > 40 || !digits.clone().all(|b| b.is_ascii_digit()) {
        return Err(err());
    }
    let value = digits.fold(0_u128, |n, b| n.saturating_mul(10).saturating_add(u128::from(b - b'0')));
    let places = i32::try_from(fraction.len()).map_err(|_| err())?;
    let scale = i32::try_from(scale).map_err(|_| err())?;
    let shift = scale.saturating_add(exponent).saturating_sub(places);
    let power = 10_u128.checked_pow(shift.unsigned_abs()).unwrap_or(u128::MAX);
    let value = match shift {
        _ if value == 0 => 0,
        0.. => value.checked_mul(power).ok_or_else(err)?,
        // Zeros at the end, as in `1.500`, are no lost places.
        _ if value % power == 0 => value / power,
        _ => return Err(err()),
    };
    u64::try_from(value).map_err(|_| err())
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, scale, value) in [
            ("0", 0, 0),
            ("1000000", 0, 1_000_000),
            ("1000000.0", 0, 1_000_000),
            ("0.15", 6, 150_000),
            ("0.0375", 6, 37_500),
            ("1e-6", 6, 1),
            ("1.5e3", 0, 1500),
            ("1.0500000000000", 6, 1_050_000),
            ("0e99", 6, 0),
            ("18446744073709551615", 0, u64::MAX),
        ] {
            assert_eq!(scaled(text, scale), Ok(value), "{text}");
        }
        for (text, scale) in [
            ("", 0),
            ("-1", 0),
            ("+1", 0),
            ("1.5", 0),
            ("0.1234567", 6),
            (".5", 6),
            ("1e99", 0),
            ("1e-99", 6),
            ("nan", 0),
            ("18446744073709551616", 0),
            ("1 ", 0),
            ("0x10", 0),
            ("1e", 0),
            ("1.2.3", 6),
            ("1e99999999999", 0),
            ("١", 0),
        ] {
            assert!(scaled(text, scale).is_err(), "{text}");
        }
    }
}
