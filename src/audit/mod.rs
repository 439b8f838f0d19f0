//! The audit record: one JSON line a request, without any matched text.

pub mod digest;
mod record;

pub use digest::{Digest, Hasher};
/// RFC 3339 in UTC with milliseconds; empty for a time out of range.
pub fn timestamp(unix_ms: u64) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    let nanos = i128::from(unix_ms).saturating_mul(1_000_000);
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(nanos);
    time.ok().and_then(|t| t.format(format).ok()).unwrap_or_default()
}

pub use record::{
    AnomalyLine, ApprovalLine, CalledTool, Coverage, CoverageState, Decision, Finding, ListedTool, Mcp,
    Outcome, PromptDigest, QuotaLine, Record, ResponseDigest, UsageLine,
};
