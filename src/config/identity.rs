//! Sources of identity, resolved to the attributes that Envoy is asked for.

use super::resolve::error;
use super::written::{self, CertificateName, ClaimPath};
use super::{ConfigError, FIRST_IDENTITY_CLAIM};
use crate::policy::Source;

/// Attributes to look up, and what the sources need of them.
struct Claims(Vec<Vec<String>>);

impl Claims {
    /// Look up `path`. The index counts from [`FIRST_IDENTITY_CLAIM`].
    fn add(&mut self, path: &[&str], more: Vec<String>) -> usize {
        self.0.push(path.iter().map(|p| (*p).to_owned()).chain(more).collect());
        self.0.len() - 1 - FIRST_IDENTITY_CLAIM
    }
}

/// Sources, and the attributes they need.
pub(super) fn resolve(written: &written::Identity) -> Result<(Vec<Source>, Vec<Vec<String>>), ConfigError> {
    let path = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let mut claims = Claims(vec![
        path(&["source", "address"]),
        path(&["xds", "route_metadata", "filter_metadata", "portcullis", "policy"]),
        path(&["xds", "route_metadata", "filter_metadata", "portcullis", "dialect"]),
    ]);
    let mut sources = Vec::new();
    for (i, source) in written.sources.iter().enumerate() {
        sources.push(resolve_source(source, &format!("identity.sources[{i}]"), &mut claims)?);
    }
    if written.required && sources.is_empty() {
        return Err(error(
            "identity.sources",
            "is empty, so every request would be refused; name a source, or set identity.required to false",
        ));
    }
    Ok((sources, claims.0))
}

fn resolve_source(written: &written::Source, at: &str, claims: &mut Claims) -> Result<Source, ConfigError> {
    Ok(match written {
        written::Source::Jwt(jwt) => jwt_source(jwt, &format!("{at}.jwt"), claims)?,
        written::Source::Spiffe(_) => {
            Source::Spiffe(claims.add(&["connection", "uri_san_peer_certificate"], Vec::new()))
        }
        written::Source::Certificate(certificate) => {
            let attribute = match certificate.from {
                CertificateName::UriSan => "uri_san_peer_certificate",
                CertificateName::DnsSan => "dns_san_peer_certificate",
                CertificateName::Subject => "subject_peer_certificate",
                CertificateName::Sha256 => "sha256_peer_certificate_digest",
            };
            Source::Certificate(claims.add(&["connection", attribute], Vec::new()))
        }
        written::Source::Header(header) => {
            if !header.trusted {
                return Err(error(
                    format!("{at}.header.trusted"),
                    "must be true: any client can send this header unless something in front sets it",
                ));
            }
            if header.name.is_empty() {
                return Err(error(format!("{at}.header.name"), "must not be empty"));
            }
            let lower = |s: &String| s.to_ascii_lowercase();
            Source::Header { name: lower(&header.name), groups: header.groups.as_ref().map(lower) }
        }
    })
}

fn jwt_source(jwt: &written::Jwt, at: &str, claims: &mut Claims) -> Result<Source, ConfigError> {
    if jwt.provider_key.is_empty() {
        return Err(error(format!("{at}.provider_key"), "must not be empty"));
    }
    let root = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", &jwt.provider_key];
    let mut add = |claim: &ClaimPath, field: &str| match claim.parts() {
        Some(parts) => Ok(claims.add(&root, parts)),
        None => {
            Err(error(format!("{at}.{field}"), "a claim is `sub`, `act.sub` or [\"https://corp.test/sub\"]"))
        }
    };
    let subject = add(&jwt.subject, "subject")?;
    let issuer = jwt.issuer.as_ref().map(|c| add(c, "issuer")).transpose()?;
    let groups = jwt.groups.as_ref().map(|c| add(c, "groups")).transpose()?;
    let actors = jwt.actors.iter().enumerate().map(|(i, c)| add(c, &format!("actors[{i}]")));
    Ok(Source::Jwt { subject, issuer, groups, actors: actors.collect::<Result<_, _>>()? })
}
