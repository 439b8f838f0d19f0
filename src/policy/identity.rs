//! Who calls: from claims, certificates or headers that something in front verified.

/// Who calls, and how that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Person, service or agent. Never empty.
    pub subject: String,
    /// Groups, in the order given.
    pub groups: Vec<String>,
    /// Who acts for the subject: the agent that calls, then those before it.
    pub actors: Vec<String>,
    /// Kind of source: `jwt`, `spiffe`, `certificate`, `header`.
    pub source: &'static str,
}

/// A value that the host looks up in Envoy for an identity source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Path of an Envoy attribute, one element a segment.
    pub path: Vec<String>,
}

/// A source of identity, resolved to what has to be looked up.
#[derive(Clone, Debug)]
pub enum Source {
    /// Claims in the metadata of `jwt_authn`. Indices into the looked-up claims.
    Jwt {
        /// Index of the subject.
        subject: usize,
        /// Index of the issuer, where it is part of the subject.
        issuer: Option<usize>,
        /// Index of the groups.
        groups: Option<usize>,
        /// Indices of those who act for the subject, the present one first.
        actors: Vec<usize>,
    },
    /// URI SAN of the peer certificate, if it is a SPIFFE id: index of the claim.
    Spiffe(usize),
    /// Another property of the peer certificate: index of the claim.
    Certificate(usize),
    /// Headers, in lower case.
    Header {
        /// Name of the subject's header.
        name: String,
        /// Name of the groups' header.
        groups: Option<String>,
    },
}

/// Longest subject or group that is an identity. Certificates' URI SANs reach
/// 2,048 bytes by RFC 3986 habit; records and counters need a bound.
const MAX_NAME_BYTES: usize = 2048;

/// Groups looked at. Directory services list thousands; policies name few.
const MAX_GROUPS: usize = 256;

impl Source {
    /// The identity this source yields, if any.
    ///
    /// A header that occurs twice yields none: which of the two a proxy in
    /// front has checked cannot be known.
    pub fn identify(&self, claims: &[Option<Vec<u8>>], headers: &[(Vec<u8>, Vec<u8>)]) -> Option<Identity> {
        match self {
            Source::Jwt { subject, issuer, groups, actors } => {
                let claim = |at: usize| name(claims.get(at)?.as_deref()?);
                let local = claim(*subject)?;
                Some(Identity {
                    subject: match issuer {
                        Some(at) => scoped(&claim(*at)?, &local)?,
                        None => local,
                    },
                    groups: groups
                        .and_then(|at| claims.get(at)?.as_deref())
                        .map(claim_list)
                        .unwrap_or_default(),
                    actors: actors.iter().filter_map(|at| claim(*at)).collect(),
                    source: "jwt",
                })
            }
            Source::Spiffe(at) => Some(Identity {
                subject: name(claims.get(*at)?.as_deref()?).filter(|id| id.starts_with("spiffe://"))?,
                source: "spiffe",
                ..Identity::default()
            }),
            Source::Certificate(at) => Some(Identity {
                subject: name(claims.get(*at)?.as_deref()?)?,
                source: "certificate",
                ..Identity::default()
            }),
            Source::Header { name: header, groups } => Some(Identity {
                subject: name(single(headers, header)?)?,
                groups: match groups {
                    Some(g) => comma_list(single(headers, g).unwrap_or_default()),
                    None => Vec::new(),
                },
                source: "header",
                ..Identity::default()
            }),
        }
    }

    /// Headers that this source reads.
    pub fn headers(&self) -> Vec<&str> {
        match self {
            Source::Header { name, groups } => {
                std::iter::once(name.as_str()).chain(groups.as_deref()).collect()
            }
            Source::Jwt { .. } | Source::Spiffe(_) | Source::Certificate(_) => Vec::new(),
        }
    }
}

/// A subject among several issuers: `https://issuer#subject`. An issuer with a
/// `#` of its own could pass for another and yields nobody.
fn scoped(issuer: &str, subject: &str) -> Option<String> {
    (!issuer.contains('#')).then(|| format!("{issuer}#{subject}"))
}

fn single<'h>(headers: &'h [(Vec<u8>, Vec<u8>)], name: &str) -> Option<&'h [u8]> {
    let mut found = headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(name.as_bytes()));
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.as_slice())
}

/// Bytes that are a usable name: UTF-8, no control characters, not empty.
fn name(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?.trim();
    let usable = !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control);
    usable.then(|| text.to_owned())
}

fn comma_list(raw: &[u8]) -> Vec<String> {
    raw.split(|b| *b == b',').filter_map(name).take(MAX_GROUPS).collect()
}

/// A claim that is a string, or a list as Envoy hands it over.
fn claim_list(raw: &[u8]) -> Vec<String> {
    match split_pairs(raw) {
        Some(pairs) => pairs.into_iter().filter_map(|(k, _)| name(k)).take(MAX_GROUPS).collect(),
        None => comma_list(raw),
    }
}

/// Decode the pairs format in which proxy-wasm hands over maps and lists: a
/// 32-bit count, 32-bit key and value lengths, then keys and values, each with
/// a NUL behind. A list is a map of its elements to nothing.
pub fn split_pairs(raw: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = raw.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let count = word(0)?;
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    if at > raw.len() {
        return None;
    }
    let mut pairs = Vec::with_capacity(count);
    for i in 0..count {
        let (key_len, value_len) = (word(4 + i * 8)?, word(8 + i * 8)?);
        let key = raw.get(at..at.checked_add(key_len)?)?;
        at = at + key_len + 1;
        let value = raw.get(at..at.checked_add(value_len)?)?;
        at = at + value_len + 1;
        pairs.push((key, value));
    }
    (at == raw.len()).then_some(pairs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.to_vec())).collect()
    }

    fn by_header() -> Source {
        Source::Header { name: "x-agent-id".into(), groups: Some("x-groups".into()) }
    }

    #[test]
    fn header_identity() {
        let found = by_header()
            .identify(&[], &headers(&[("x-agent-id", b"bot-7"), ("x-groups", b"finance, ops,,")]))
            .unwrap();
        assert_eq!(found.subject, "bot-7");
        assert_eq!(found.groups, ["finance", "ops"]);
    }

    #[test]
    fn repeated_binary_or_empty_headers_identify_nobody() {
        for bad in [
            headers(&[("x-agent-id", b"a"), ("X-Agent-Id", b"b")]),
            headers(&[("x-agent-id", b"\xff")]),
            headers(&[("x-agent-id", b" ")]),
            headers(&[("x-agent-id", b"a\tb")]),
            headers(&[]),
        ] {
            assert_eq!(by_header().identify(&[], &bad), None, "{bad:?}");
        }
    }

    #[test]
    fn claims_as_lists_and_strings() {
        let list = b"\x02\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0fin\0\0hr\0\0".to_vec();
        let source = Source::Jwt { subject: 0, issuer: None, groups: Some(1), actors: Vec::new() };
        let found = source.identify(&[Some(b"ann".to_vec()), Some(list)], &[]).unwrap();
        assert_eq!(found.groups, ["fin", "hr"]);
        let found = source.identify(&[Some(b"ann".to_vec()), Some(b"fin".to_vec())], &[]).unwrap();
        assert_eq!(found.groups, ["fin"]);
        assert_eq!(source.identify(&[None, None], &[]), None);
    }

    #[test]
    fn issuers_and_actors() {
        let source = Source::Jwt { subject: 0, issuer: Some(1), groups: None, actors: vec![2, 3] };
        let claim = |text: &str| Some(text.as_bytes().to_vec());
        let who = |issuer: &str| source.identify(&[claim("ann"), claim(issuer), claim("bot"), None], &[]);
        let found = who("https://a.test").unwrap();
        assert_eq!((found.subject.as_str(), found.actors), ("https://a.test#ann", vec!["bot".to_owned()]));
        assert_eq!(who("https://a.test#x"), None);
        assert_eq!(source.identify(&[claim("ann"), None, None, None], &[]), None);
    }

    #[test]
    fn only_a_spiffe_id_is_one() {
        let who = |uri: &str| Source::Spiffe(0).identify(&[Some(uri.as_bytes().to_vec())], &[]);
        assert_eq!(who("spiffe://corp/a").unwrap().subject, "spiffe://corp/a");
        assert_eq!(who("https://corp/a"), None);
    }

    #[test]
    fn cut_pairs_are_no_pairs() {
        let list = b"\x02\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0fin\0\0hr\0\0";
        for end in 0..list.len() {
            assert_eq!(split_pairs(&list[..end]), None, "{end}");
        }
        assert_eq!(split_pairs(b"\xff\xff\xff\xff"), None);
    }
}
