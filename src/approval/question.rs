//! What the service is asked.

use serde::Serialize;

use crate::audit::{Digest, Hasher};

/// The body of the POST. `envoy/approvals/README.md` is its documentation.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Question<'a> {
    pub v: u32,
    pub id: &'a str,
    pub why: &'a [&'static str],
    /// `request`: before it goes upstream. `answer`: before the client has it.
    pub stage: &'static str,
    pub subject: &'a str,
    pub groups: &'a [String],
    pub chain: &'a [String],
    pub policy: Option<&'a str>,
    pub dialect: Option<&'static str>,
    pub operation: Option<&'static str>,
    pub model: Option<&'a str>,
    pub server: Option<&'a str>,
    pub host: &'a str,
    pub path: &'a str,
    pub estimated_cost_usd: f64,
    pub calls: &'a [Call],
}

/// A call that needs consent.
#[derive(Debug, Serialize)]
pub struct Call {
    /// Tool or skill.
    pub name: String,
    /// Hash of the arguments as the audit record has it.
    pub args_hash: Option<Digest>,
    /// Bytes of the arguments: those not shown show here.
    pub bytes: usize,
    /// The arguments without what rules found in them, where the policy says so.
    pub arguments: Option<String>,
}

/// The id of what is asked: equal for a call that is tried again, of this
/// subject, and for no other call. Under `audit.key`, if there is one.
pub fn id(hasher: &Hasher, parts: &[&[u8]]) -> String {
    let mut joined = b"portcullis approval 1".to_vec();
    for part in parts {
        // With lengths, so that no two lists are the same bytes.
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    let (Digest::Hmac(mut id) | Digest::Sha256(mut id)) = hasher.digest(&joined);
    id.truncate(32);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_all_parts_and_of_the_key() {
        let plain = Hasher::default();
        let one = id(&plain, &[b"ann", b"x"]);
        assert_eq!((one.len(), &one), (32, &id(&plain, &[b"ann", b"x"])));
        for other in [
            id(&plain, &[b"annx", b""]),
            id(&plain, &[b"ann", b"x", b""]),
            id(&plain, &[b"x", b"ann"]),
            id(&Hasher::new(Some("key")), &[b"ann", b"x"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
