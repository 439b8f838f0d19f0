//! What the session keeps of the request headers.

use super::Headers;

/// Facts about the request, copied: the headers are gone later on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `:method`.
    pub method: String,
    /// `:path` without the query.
    pub path: String,
    /// `:path` as it is.
    pub target: String,
    /// `:authority` as it is.
    pub authority: Vec<u8>,
    /// `:authority` without the port, lower case.
    pub host: String,
    /// `content-type`, lower case.
    pub content_type: String,
    /// `content-encoding`, lower case.
    pub content_encoding: String,
    /// `content-length`, where it is one number.
    pub content_length: Option<usize>,
    /// Trace id of `traceparent`.
    pub trace_id: Option<String>,
    /// `x-request-id`.
    pub request_id: String,
    /// The client speaks Anthropic's API, as far as headers tell.
    pub anthropic: bool,
    /// Headers of MCP, by name in lower case.
    pub mcp: Vec<(String, Vec<u8>)>,
    /// A header that decides how the body is read occurs twice, or is not text.
    pub ambiguous: bool,
}

impl Facts {
    /// Read the headers once.
    pub fn of(headers: &Headers) -> Self {
        let mut facts = Facts::default();
        let mut seen_type = false;
        let mut seen_encoding = false;
        for (name, value) in headers {
            if (name.starts_with(b"mcp-") || name == b"last-event-id")
                && let Ok(name) = String::from_utf8(name.clone())
            {
                facts.mcp.push((name, value.clone()));
            }
            if name == b":authority" {
                facts.authority.clone_from(value);
            }
            let Ok(value) = std::str::from_utf8(value) else {
                facts.ambiguous |= is_decisive(name);
                continue;
            };
            match name.as_slice() {
                b":method" => facts.method = value.to_owned(),
                b":path" => {
                    facts.target = value.to_owned();
                    facts.path = value.split(['?', '#']).next().unwrap_or_default().to_owned();
                }
                b":authority" => facts.host = host(value),
                b"content-type" => {
                    facts.ambiguous |= std::mem::replace(&mut seen_type, true);
                    facts.content_type = value.trim().to_ascii_lowercase();
                }
                b"content-encoding" => {
                    facts.ambiguous |= std::mem::replace(&mut seen_encoding, true);
                    facts.content_encoding = value.trim().to_ascii_lowercase();
                }
                b"content-length" => facts.content_length = value.trim().parse().ok(),
                b"anthropic-version" => facts.anthropic = true,
                b"x-request-id" => facts.request_id = value.to_owned(),
                b"traceparent" => facts.trace_id = trace_id(value),
                _ => {}
            }
        }
        facts
    }

    /// The body is sent as it is.
    pub fn is_identity(&self) -> bool {
        matches!(self.content_encoding.as_str(), "" | "identity")
    }

    /// A charset other than UTF-8: parsers behind us might read other text.
    pub fn has_foreign_charset(&self) -> bool {
        let mut params = self.content_type.split(';').skip(1);
        params.any(|p| {
            p.trim()
                .strip_prefix("charset=")
                .is_some_and(|c| !matches!(c.trim_matches('"'), "utf-8" | "utf8"))
        })
    }

    /// Media type without parameters.
    pub fn media_type(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default().trim()
    }
}

fn is_decisive(name: &[u8]) -> bool {
    matches!(name, b":method" | b":path" | b"content-type" | b"content-encoding")
}

fn host(authority: &str) -> String {
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let host = authority.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(authority, |(h, _)| h);
    host.to_ascii_lowercase()
}

/// W3C Trace Context, `version-traceid-parentid-flags`: 32 hex digits.
fn trace_id(value: &str) -> Option<String> {
    let id = value.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &[u8])]) -> Facts {
        let headers: Vec<_> = pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.to_vec())).collect();
        Facts::of(&headers)
    }

    #[test]
    fn reads_what_it_needs() {
        let f = facts(&[
            (":path", b"/v1/x?key=1#f"),
            ("content-type", b"Application/JSON; charset=UTF-8"),
            ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("content-length", b"12"),
        ]);
        assert_eq!(
            (f.path.as_str(), f.media_type(), f.content_length),
            ("/v1/x", "application/json", Some(12))
        );
        assert_eq!(f.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(!f.ambiguous && !f.has_foreign_charset() && f.is_identity());
    }

    #[test]
    fn oddities_show() {
        assert!(facts(&[("content-type", b"a"), ("content-type", b"b")]).ambiguous);
        assert!(facts(&[("content-encoding", b"gzip"), ("content-encoding", b"identity")]).ambiguous);
        assert!(facts(&[(":path", b"/\xff")]).ambiguous);
        assert!(!facts(&[("x-other", b"\xff")]).ambiguous);
        assert!(facts(&[("content-type", b"application/json;charset=utf-16")]).has_foreign_charset());
        assert!(
            facts(&[("content-type", b"application/json; x=1; charset=\"utf-7\"")]).has_foreign_charset()
        );
    }
}
