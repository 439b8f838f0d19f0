//! A refusal, and the reply that a dialect makes of it.

/// Why a message is refused. Decides status and error type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 400: not parsable, or not this dialect.
    Malformed,
    /// 401: no identity.
    Unauthenticated,
    /// 403: policy or a finding.
    Forbidden,
    /// 404: no such route or model.
    NotFound,
    /// 413: over a size cap.
    TooLarge,
    /// 429: quota or rate.
    RateLimited,
    /// 502: the upstream's answer cannot be inspected, or was refused.
    BadUpstream,
    /// 503: a fault on our side, or a callout that failed.
    Unavailable,
}

impl Reason {
    /// HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Reason::Malformed => 400,
            Reason::Unauthenticated => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::TooLarge => 413,
            Reason::RateLimited => 429,
            Reason::BadUpstream => 502,
            Reason::Unavailable => 503,
        }
    }
}

/// A refusal, before a dialect gives it its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status and error type.
    pub reason: Reason,
    /// For the caller. Names rules and fields, never matched text.
    pub message: String,
    /// Stable code for programs: a rule id or `quota.day`.
    pub code: String,
    /// Seconds until a retry can succeed.
    pub retry_after: Option<u64>,
    /// JSON-RPC ids to answer, as raw JSON; empty for other dialects.
    pub rpc_ids: Vec<String>,
}

/// A local reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Content type of the body.
    pub content_type: &'static str,
    /// Further headers the dialect's SDKs look at.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}
