//! The configuration as an operator writes it. `envoy/README.md` explains it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::access::{A2aWritten, McpWritten, Tools};
use super::approvals::ApprovalWritten;
use crate::policy::Action;
use crate::rules;

/// The whole document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Version of this format: 1.
    pub version: u32,
    /// Whether decisions take effect, or are only recorded.
    #[serde(default)]
    pub mode: Mode,
    /// Who calls.
    #[serde(default)]
    pub identity: Identity,
    /// What passes at all.
    #[serde(default)]
    pub traffic: Traffic,
    /// Names and prices of models.
    #[serde(default)]
    pub models: Models,
    /// How subjects are learned: `super::baseline`.
    #[serde(default)]
    pub baseline: IgnoredAny,
    /// Services that are asked for consent, by name.
    #[serde(default)]
    pub approvals: IgnoredAny,
    /// First one that matches wins; none: denied.
    pub policies: Vec<Policy>,
    /// Which rules run.
    #[serde(default)]
    pub rules: Rules,
    /// What the record holds.
    #[serde(default)]
    pub audit: Audit,
    /// What happens when the filter itself is at fault.
    #[serde(default)]
    pub on_fault: OnFault,
}

/// `enforce` or `monitor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Mode {
    #[default]
    Enforce,
    Monitor,
}

/// Where identities come from, in order of trust.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Refuse requests without one. Default true.
    #[serde(default = "yes")]
    pub required: bool,
    /// The first source that yields a subject wins.
    #[serde(default)]
    pub sources: Vec<Source>,
}

impl Default for Identity {
    fn default() -> Self {
        Identity { required: true, sources: Vec::new() }
    }
}

/// One source of identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Claims that Envoy's `jwt_authn` filter verified.
    Jwt(Jwt),
    /// URI SAN of the client's certificate, a SPIFFE id.
    Spiffe(Empty),
    /// Another name in the client's certificate.
    Certificate(Certificate),
    /// A header that something trusted in front has set.
    Header(Header),
}

/// See [`Source::Jwt`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `payload_in_metadata` of the provider in `jwt_authn`; Istio uses `payload`.
    pub provider_key: String,
    /// Claim of the subject.
    #[serde(default = "sub")]
    pub subject: ClaimPath,
    /// Claim of the issuer: with it, subjects are `issuer#subject`. Wanted as
    /// soon as more than one issuer is trusted.
    #[serde(default)]
    pub issuer: Option<ClaimPath>,
    /// Claim of the groups, a string or a list.
    #[serde(default)]
    pub groups: Option<ClaimPath>,
    /// Claims of those who act for the subject, the present one first:
    /// `act.sub` (RFC 8693), `azp`.
    #[serde(default)]
    pub actors: Vec<ClaimPath>,
}

/// A claim: dots reach into objects. Names that have dots of their own are
/// written as a list: `["https://corp.test/groups"]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum ClaimPath {
    Dotted(String),
    Parts(Vec<String>),
}

impl ClaimPath {
    /// Its steps; `None` if one is empty.
    pub fn parts(&self) -> Option<Vec<String>> {
        let parts = match self {
            ClaimPath::Dotted(text) => text.split('.').map(str::to_owned).collect(),
            ClaimPath::Parts(parts) => parts.clone(),
        };
        // Envoy's attributes take NUL for the end of a step.
        let whole = !parts.is_empty() && parts.iter().all(|p| !p.is_empty() && !p.contains('\0'));
        whole.then_some(parts)
    }
}

/// See [`Source::Certificate`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Which of its names.
    pub from: CertificateName,
}

/// See [`Certificate`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// First URI among the alternative names.
    UriSan,
    /// First DNS name among the alternative names.
    DnsSan,
    /// Distinguished name, as in RFC 2253.
    Subject,
    /// SHA-256 of the certificate, in hex.
    Sha256,
}

/// See [`Source::Header`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Header of the subject.
    pub name: String,
    /// Header of the groups, separated by commas.
    #[serde(default)]
    pub groups: Option<String>,
    /// Must be true: says that no client can set this header.
    #[serde(default)]
    pub trusted: bool,
}

/// A source without settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// What passes at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    /// Requests and answers that no dialect recognises.
    pub unrecognised: Unrecognised,
    /// Keys and tokens in a query string, which every log on the way keeps.
    pub query_credentials: QueryCredentials,
    /// Body caps, in bytes.
    pub max_request_bytes: usize,
    /// Body caps, in bytes.
    pub max_response_bytes: usize,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            unrecognised: Unrecognised::Deny,
            query_credentials: QueryCredentials::Deny,
            max_request_bytes: crate::limits::MAX_BODY_BYTES,
            max_response_bytes: crate::limits::MAX_BODY_BYTES,
        }
    }
}

/// See [`Traffic::unrecognised`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Unrecognised {
    Deny,
    Flag,
    Allow,
}

/// See [`Traffic::query_credentials`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryCredentials {
    /// The request is refused.
    Deny,
    /// They do not go upstream.
    Strip,
    /// They go upstream.
    Allow,
}

/// Names and prices of models.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Name in requests → name sent upstream.
    pub aliases: BTreeMap<String, String>,
    /// Glob of a model → USD per million tokens.
    pub prices: BTreeMap<String, crate::quota::price::PriceWritten>,
}

/// One policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name in records and headers.
    pub name: String,
    /// Record decisions, enforce none.
    #[serde(default)]
    pub monitor: bool,
    /// Whom it is for; absent: everybody.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Models allowed; absent: all.
    #[serde(default)]
    pub models: AllowDeny,
    /// Wire formats allowed, by id; absent: all.
    #[serde(default)]
    pub dialects: Vec<String>,
    /// Operations allowed: `chat`, `embeddings` …; absent: all.
    #[serde(default)]
    pub operations: Vec<String>,
    /// Tools allowed, offered or called; absent: all.
    #[serde(default)]
    pub tools: Tools,
    /// What may be done with MCP servers.
    #[serde(default)]
    pub mcp: McpWritten,
    /// What may be asked of agents.
    #[serde(default)]
    pub a2a: A2aWritten,
    /// Caps on single requests.
    #[serde(default)]
    pub limits: Limits,
    /// Budgets over time.
    #[serde(default)]
    pub quotas: Vec<crate::quota::QuotaWritten>,
    /// What happens on findings.
    #[serde(default)]
    pub scan: Scan,
    /// What happens where a subject does what it never did: `super::baseline`.
    #[serde(default)]
    pub baseline: IgnoredAny,
    /// Which calls need consent; absent: none.
    #[serde(default)]
    pub approval: Option<ApprovalWritten>,
}

/// Conditions of a policy. A list that is empty does not restrict; all that
/// are not must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Exact names of groups; one is enough.
    pub groups: Vec<String>,
    /// Globs of subjects; one is enough.
    pub subjects: Vec<String>,
    /// Globs of agents that act for the subject; one is enough.
    pub actors: Vec<String>,
}

/// Globs. Deny wins; an empty allow list allows all that is not denied.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct AllowDeny {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
}

/// Caps on one request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Limits {
    pub max_output_tokens: Option<u64>,
    pub max_cost_usd: Option<f64>,
    pub max_temperature: Option<f64>,
    /// Answers to one request: `n`, `candidateCount`.
    pub max_choices: Option<u32>,
    pub max_request_bytes: Option<usize>,
    pub max_messages: Option<u32>,
    pub max_tools: Option<usize>,
    /// Images and other media.
    pub max_media: Option<u32>,
    /// False: no streamed answers. True: no others.
    pub stream: Option<bool>,
}

/// Actions by direction.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Scan {
    pub request: Actions,
    pub response: Actions,
}

/// Action by category of rule; absent: `flag`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Actions {
    pub injection: Option<ActionSetting>,
    pub pii: Option<ActionSetting>,
    pub secrets: Option<ActionSetting>,
    pub exfiltration: Option<ActionSetting>,
    pub code: Option<ActionSetting>,
}

/// `"block"`, or `{ "action": "block", "monitor": true }`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum ActionSetting {
    Plain(Action),
    Full(FullAction),
}

/// By hand, because serde reports an untagged enum at its parent, and without
/// the actions that exist.
impl<'de> Deserialize<'de> for ActionSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = ActionSetting;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an action, or an object with an action and monitor")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<ActionSetting, E> {
        Action::deserialize(name.into_deserializer()).map(ActionSetting::Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActionSetting, A::Error> {
        FullAction::deserialize(MapAccessDeserializer::new(map)).map(ActionSetting::Full)
    }
}

/// See [`ActionSetting`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct FullAction {
    pub action: Action,
    #[serde(default)]
    pub monitor: bool,
}

/// Which rules run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Built-in packs.
    pub packs: Vec<String>,
    /// Highest level of rule that runs, 1 to 4.
    pub level: u8,
    /// Ids of rules that do not run.
    pub disable: Vec<String>,
    /// Ids of rules that only record.
    pub monitor: Vec<String>,
    /// Packs of the operator's own.
    pub custom: Vec<rules::Pack>,
}

/// Rules of levels 1 and 2 run by default.
const DEFAULT_LEVEL: u8 = 2;

impl Default for Rules {
    fn default() -> Self {
        Rules {
            packs: rules::PACK_NAMES.iter().map(|name| (*name).to_owned()).collect(),
            level: DEFAULT_LEVEL,
            disable: Vec::new(),
            monitor: Vec::new(),
            custom: Vec::new(),
        }
    }
}

/// What the record holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Of the request: `none` or `hash` (default).
    pub prompt: Capture,
    /// Of the response: the same.
    pub response: Capture,
    /// Key of the hashes: with it they are HMAC-SHA-256, without SHA-256.
    pub key: Option<String>,
}

/// See [`Audit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// Sizes only.
    None,
    /// Sizes and a hash.
    #[default]
    #[serde(alias = "summary")]
    Hash,
}

/// What happens when the filter itself is at fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The request is refused with 503.
    #[default]
    Closed,
    /// The request passes, and the record says so.
    Open,
}

fn yes() -> bool {
    true
}

fn sub() -> ClaimPath {
    ClaimPath::Dotted("sub".to_owned())
}
