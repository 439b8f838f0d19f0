//! What must not travel on: identity headers that nobody vouched for, and
//! credentials in query strings.

use super::{Command, Headers, Session};
use crate::config::written::QueryCredentials;
use crate::wire::Reason;

/// Names of parameters that hold credentials, in lower case, `-` as `_`.
const CREDENTIALS: &[&str] = &[
    "key",
    "api_key",
    "apikey",
    "x_api_key",
    "x_goog_api_key",
    "subscription_key",
    "access_token",
    "accesstoken",
    "auth_token",
    "id_token",
    "refresh_token",
    "token",
    "bearer",
    "auth",
    "authorization",
    "client_secret",
    "secret",
    "password",
    "jwt",
];

impl Session {
    /// A header that may name a subject is believed by what stands behind us
    /// as well. Where another source said who calls, it says nothing.
    pub(super) fn strip_identity_headers(&mut self, headers: &Headers) {
        if self.who.as_ref().is_none_or(|who| who.source == "header") {
            return;
        }
        let config = self.config.clone();
        for name in config.sources.iter().flat_map(|source| source.headers()) {
            if headers.iter().any(|(k, _)| k.eq_ignore_ascii_case(name.as_bytes())) {
                self.out.push(Command::RemoveRequestHeader(name.to_owned()));
            }
        }
    }

    /// Keys and tokens in the query. True if refused.
    pub(super) fn check_query(&mut self, headers: &Headers) -> bool {
        let path = headers.iter().find(|(k, _)| k == b":path").map(|(_, v)| v.as_slice());
        let Some(path) = path.and_then(|path| std::str::from_utf8(path).ok()) else { return false };
        let Some(clean) = without_credentials(path) else { return false };
        match self.config.query_credentials {
            QueryCredentials::Allow => false,
            QueryCredentials::Strip => {
                self.out.push(Command::SetRequestHeader(":path".into(), clean));
                false
            }
            QueryCredentials::Deny => self.deny(
                Reason::Malformed,
                "request.query_credentials",
                "keys and tokens do not belong in the query, where logs keep them; send a header".to_owned(),
            ),
        }
    }
}

/// The path without its credentials; `None` if there are none.
fn without_credentials(path: &str) -> Option<String> {
    let (bare, query) = path.split_once('?')?;
    // Servers differ on whether `;` separates.
    let kept: Vec<&str> = query.split(['&', ';']).filter(|pair| !is_credential(pair)).collect();
    if kept.len() == query.split(['&', ';']).count() {
        return None;
    }
    Some(if kept.is_empty() { bare.to_owned() } else { format!("{bare}?{}", kept.join("&")) })
}

fn is_credential(pair: &str) -> bool {
    let raw = pair.split('=').next().unwrap_or_default();
    let mut name = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let mut ahead = bytes.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                name.push(u8::try_from(high * 16 + low).unwrap_or_default());
                bytes = ahead;
            }
            (b'-' | b'.', ..) => name.push(b'_'),
            _ => name.push(byte.to_ascii_lowercase()),
        }
    }
    name.make_ascii_lowercase();
    let name: Vec<u8> = name.iter().map(|b| if *b == b'-' { b'_' } else { *b }).collect();
    CREDENTIALS.iter().any(|known| known.as_bytes() == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_query() {
        for (path, clean) in [
            ("/v1/x", None),
            ("/v1/x?alt=sse&keys=1&monkey=2", None),
            ("/v1/x?key=AIza", Some("/v1/x")),
            ("/v1/x?alt=sse&key=AIza&a=1", Some("/v1/x?alt=sse&a=1")),
            ("/v1/x?a=1;Api-Key=2", Some("/v1/x?a=1")),
            ("/v1/x?%6bey=2", Some("/v1/x")),
            ("/v1/x?%6Bey", Some("/v1/x")),
            ("/v1/x?a=?key=2", None),
            ("/v1/x?a=1&access%5Ftoken=2", Some("/v1/x?a=1")),
            ("/v1/x?a=1&access%2Dtoken=2", Some("/v1/x?a=1")),
            ("/v1/x?%", None),
        ] {
            assert_eq!(without_credentials(path).as_deref(), clean, "{path}");
        }
    }
}
