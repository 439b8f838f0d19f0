//! Local replies by status, for dialects to put their error body in.

use super::{Refusal, Reply};

/// Bytes of a value built here.
pub(super) fn json(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Longest wait the SDKs of OpenAI and Anthropic honour before a retry; what
/// takes longer is not worth retrying.
const LONGEST_RETRY_SECONDS: u64 = 60;

/// A reply of status and headers by reason. `x-should-retry` stops the SDKs of
/// OpenAI and Anthropic from retrying what cannot succeed soon.
pub(super) fn by_status(refusal: &Refusal, body: Vec<u8>) -> Reply {
    let mut headers = Vec::new();
    if let Some(seconds) = refusal.retry_after {
        headers.push(("retry-after", seconds.to_string()));
    }
    if refusal.retry_after.is_none_or(|seconds| seconds > LONGEST_RETRY_SECONDS) {
        headers.push(("x-should-retry", "false".to_owned()));
    }
    Reply { status: refusal.reason.status(), content_type: "application/json", headers, body }
}

/// `content_type` names `media_type`, whatever its parameters.
pub(super) fn is_type(content_type: &str, media_type: &str) -> bool {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    bare.eq_ignore_ascii_case(media_type)
}

/// A refusal where no dialect is known: the shape most clients can show.
pub fn plain_refusal(refusal: &Refusal) -> Reply {
    let body = serde_json::json!({ "error": { "message": refusal.message, "code": refusal.code } });
    by_status(refusal, json(&body))
}
