//! `crc32_base62`, `jwt`: tokens that prove themselves.

use base64::Engine as _;

/// Tokens of GitHub and npm (`ghp_…`, `npm_…`): after the prefix, six base62
/// digits of the CRC-32 of what stands between. GitHub blog, "Behind GitHub's
/// new authentication token formats", 2021.
pub(super) fn crc32_base62(text: &str) -> bool {
    let body = text.rsplit_once('_').map_or(text, |(_, body)| body);
    let Some((random, check)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at)) else {
        return false;
    };
    !random.is_empty() && base62(crc32fast::hash(random.as_bytes())) == check.as_bytes()
}

fn base62(mut number: u32) -> [u8; 6] {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; 6];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
    }
    text
}

/// RFC 7519: a first part that is base64url of a JSON object with `alg`.
pub(super) fn jwt(text: &str) -> bool {
    let head = text.split('.').next().unwrap_or_default();
    let Ok(json) = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head) else { return false };
    let json = std::str::from_utf8(&json).unwrap_or_default();
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.is_ok_and(|value| value.get("alg").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn tables() {
        // A void token often shown as an example of the format.
        table(
            "crc32_base62",
            &["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"],
            &["ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18", "ghp_", "", "ghp_éééééé"],
        );
        // Appendix A.1 of RFC 7515.
        table(
            "jwt",
            &["eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.x"],
            &["eyJ0eXAiOiJKV1QifQ.e.x", "eyJ.x", ""],
        );
    }
}
