//! The fields of the record, in the order they are written.

use serde::Serialize;

use super::Digest;

/// Everything said about one request. Serialises to one line of JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// Version of this format.
    pub v: u32,
    /// Arrival, RFC 3339 in UTC with milliseconds.
    pub ts: String,
    /// Envoy's `x-request-id`.
    pub request_id: String,
    /// From `traceparent` (W3C Trace Context).
    pub trace_id: Option<String>,
    /// Who called; empty if nobody was identified.
    pub subject: String,
    /// Groups of the subject.
    pub groups: Vec<String>,
    /// Who acts for the subject: the agent that calls, then those before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// Address and port of the downstream connection.
    pub source_ip: String,
    /// Name of the policy that applied.
    pub policy: Option<String>,
    /// First 16 hex digits of the SHA-256 of the configuration.
    pub config_digest: String,
    /// `enforce` or `monitor`.
    pub mode: &'static str,
    /// Wire format.
    pub dialect: Option<&'static str>,
    /// OpenTelemetry `gen_ai.operation.name`.
    pub operation: Option<&'static str>,
    /// A streamed answer.
    pub stream: bool,
    /// Model in the request, before aliases.
    pub model_requested: Option<String>,
    /// Model in the answer, or the one sent upstream.
    pub model_served: Option<String>,
    /// The request body.
    pub prompt: PromptDigest,
    /// The response body.
    pub response: ResponseDigest,
    /// Tokens.
    pub usage: UsageLine,
    /// Cost by the price table.
    pub cost_usd: Option<f64>,
    /// Names of the tools offered to the model.
    pub tools_offered: Vec<String>,
    /// Tools the model, or an MCP client, called.
    pub tools_called: Vec<CalledTool>,
    /// MCP call.
    pub mcp: Option<Mcp>,
    /// What the rules found, by rule and place.
    pub findings: Vec<Finding>,
    /// What was out of the ordinary for the subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anomalies: Vec<AnomalyLine>,
    /// Whose baseline an operator asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_of: Option<String>,
    /// Values that placeholders stood for.
    #[serde(skip_serializing_if = "Placeholders::is_unused")]
    pub placeholders: Placeholders,
    /// `full`, `partial` or `none`: the worse of request and response.
    pub coverage: CoverageState,
    /// Why coverage is not full.
    pub coverage_reasons: Vec<&'static str>,
    /// What became of the request.
    pub decision: Decision,
    /// Code of the refusal.
    pub deny_reason: Option<String>,
    /// What monitor mode would have refused it for.
    pub would_deny: Option<String>,
    /// Quotas that were charged.
    pub quota: Vec<QuotaLine>,
    /// Consents that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval: Vec<ApprovalLine>,
    /// Status the client got.
    pub status: u16,
    /// Status of the upstream; absent if it was not asked.
    pub upstream_status: Option<u16>,
    /// How the exchange ended.
    pub outcome: Outcome,
    /// Time the filter spent, in microseconds.
    pub added_us: u64,
}

/// See [`Record::prompt`].
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct PromptDigest {
    #[serde(flatten)]
    pub digest: Option<Digest>,
    pub bytes: usize,
    pub messages: u32,
}

/// See [`Record::response`].
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct ResponseDigest {
    #[serde(flatten)]
    pub digest: Option<Digest>,
    pub finish: Option<String>,
    pub bytes: u64,
}

/// Tokens, and who counted them.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct UsageLine {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cached: Option<u64>,
    pub reasoning: Option<u64>,
    /// `provider` or `estimate`.
    pub source: Option<&'static str>,
}

/// A tool call.
#[derive(Clone, Debug, Serialize)]
pub struct CalledTool {
    /// Name of the tool.
    pub name: String,
    /// Hash of its raw arguments, where they were seen whole.
    pub args_hash: Option<Digest>,
}

/// See [`Record::mcp`].
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Mcp {
    pub server: Option<String>,
    pub method: String,
    pub tool: Option<String>,
    /// Tools of a list, with what pins compare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_listed: Vec<ListedTool>,
    /// Tools and skills that policy kept out of lists.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden: u32,
}

/// See [`Mcp::tools_listed`].
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ListedTool {
    pub name: String,
    pub sha256: String,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Matches of one rule in one kind of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// Category of the rule.
    pub category: &'static str,
    /// Severity of the rule.
    pub severity: &'static str,
    /// What policy says of it.
    pub action: &'static str,
    /// Whether that was done, or only recorded.
    pub enforced: bool,
    /// `request` or `response`, and the kind of text: `request:tool.result`.
    #[serde(rename = "where")]
    pub place: String,
    /// How the text was disguised, if it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<&'static str>,
    /// What moved the injection classifier: ids of features, not text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// How often.
    pub count: u32,
}

/// See [`Record::anomalies`].
#[derive(Clone, Debug, Serialize)]
pub struct AnomalyLine {
    /// Id of the finding.
    pub kind: &'static str,
    /// What is new, or what jumped: `requests`, `tokens` or `cost_nano_usd`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its sum in the interval so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// The most that is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// See [`Record::placeholders`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placeholders {
    /// Different values the request was kept free of.
    pub made: usize,
    /// Placeholders turned back in the answer.
    pub restored: u64,
}

impl Placeholders {
    fn is_unused(&self) -> bool {
        *self == Placeholders::default()
    }
}

/// How much of the exchange was inspected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CoverageState {
    /// Every text.
    #[default]
    Full,
    /// All but what the reasons name.
    Partial,
    /// Nothing.
    None,
}

/// Collects reasons why coverage is not full.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    state: CoverageState,
    reasons: Vec<&'static str>,
}

impl Coverage {
    /// Coverage is at best `state`, because of `reason`.
    pub fn lower(&mut self, state: CoverageState, reason: &'static str) {
        self.state = self.state.max(state);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// State and reasons.
    pub fn parts(&self) -> (CoverageState, &[&'static str]) {
        (self.state, &self.reasons)
    }
}

/// What became of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Passed as it came.
    #[default]
    Allow,
    /// Passed with edits.
    Redact,
    /// Sent to the quarantine route.
    Quarantine,
    /// Refused.
    Deny,
}

/// How the exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The response came to its end.
    Complete,
    /// The client or the upstream went away before.
    #[default]
    Aborted,
    /// The filter answered in the upstream's place, or ended the stream.
    Refused,
}

/// A quota's part in a request.
#[derive(Clone, Debug, Serialize)]
pub struct QuotaLine {
    /// Name of the quota.
    pub name: String,
    /// Held at admission, in the quota's unit.
    pub reserved: u64,
    /// Charged in the end.
    pub charged: u64,
    /// Left in the window afterwards, as far as known.
    pub remaining: Option<u64>,
    /// Only of a quota that records: it would have refused.
    #[serde(skip_serializing_if = "is_false")]
    pub over: bool,
}

/// See [`Record::approval`].
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalLine {
    /// Equal for a call that is tried again.
    pub id: String,
    /// `allow`, `deny`, `pending`; `fault`: the service did not answer;
    /// `unanswered`: the client did not wait; `monitor`: it was not asked.
    pub decision: &'static str,
    /// `cost`, `tool`, `anomaly`.
    pub why: Vec<&'static str>,
    /// What the service said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time until the answer, in microseconds. Not part of `added_us`.
    pub waited_us: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let record = Record { subject: "a\nb\u{2028}".into(), ..Record::default() };
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert!(line.starts_with(r#"{"v":0,"ts":"#), "{line}");
    }

    #[test]
    fn coverage_only_gets_worse() {
        let mut coverage = Coverage::default();
        coverage.lower(CoverageState::None, "a");
        coverage.lower(CoverageState::Partial, "b");
        coverage.lower(CoverageState::Partial, "b");
        assert_eq!(coverage.parts(), (CoverageState::None, &["a", "b"][..]));
    }
}
