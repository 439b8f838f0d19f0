//! The configuration: as written, then resolved into what the data path uses.

pub mod access;
mod approvals;
mod baseline;
mod fields;
mod identity;
mod path;
mod resolve;
pub mod written;

pub use path::read;

use std::collections::{BTreeMap, HashSet};

use crate::approval::Service;
use crate::audit::Hasher;
use crate::detect::{Engine, Injection};
use crate::policy::{Glob, Policy, Source};
use crate::quota;
use crate::rules::{RuleIndex, RuleSet};

use written::{Mode, OnFault, QueryCredentials, Unrecognised};

/// Everything the data path needs, checked and compiled.
#[derive(Debug)]
pub struct Config {
    /// First 16 hex digits of the SHA-256 of the configuration text.
    pub digest: String,
    /// Enforce or monitor.
    pub mode: Mode,
    /// Refuse who is not identified.
    pub identity_required: bool,
    /// Sources of identity, in order.
    pub sources: Vec<Source>,
    /// Attributes to look up for each request, in order: see the constants.
    pub claims: Vec<Vec<String>>,
    /// What to do with unknown formats.
    pub unrecognised: Unrecognised,
    /// What to do with credentials in query strings.
    pub query_credentials: QueryCredentials,
    /// Cap on request bodies.
    pub max_request_bytes: usize,
    /// Cap on response bodies.
    pub max_response_bytes: usize,
    /// Model asked for → model sent.
    pub aliases: BTreeMap<String, String>,
    /// Prices of models.
    pub prices: quota::price::Table,
    /// How subjects are learned.
    pub baseline: crate::baseline::Rule,
    /// Who may see and forget what is known of a subject.
    pub operator: Option<Operator>,
    /// Policies in order.
    pub policies: Vec<Policy>,
    /// Compiled rules.
    pub engine: Engine,
    /// The injection classifier, if its pack is on.
    pub injection: Option<Injection<'static>>,
    /// The rules behind the engine.
    pub rules: RuleSet,
    /// Rules that only record.
    pub monitored: HashSet<RuleIndex>,
    /// Hashes for the record and for hashed redaction.
    pub hasher: Hasher,
    /// Hashes for counters' names.
    pub quota_hasher: quota::Hasher,
    /// Put a hash of the request into the record.
    pub hash_prompt: bool,
    /// Put a hash of the response into the record.
    pub hash_response: bool,
    /// Services that are asked for consent, by name.
    pub approvals: Vec<(String, Service)>,
    /// On a fault of ours.
    pub on_fault: OnFault,
}

/// Index in [`Config::claims`] of the downstream address.
pub const CLAIM_SOURCE_ADDRESS: usize = 0;
/// Index of the policy that the route's metadata names.
pub const CLAIM_ROUTE_POLICY: usize = 1;
/// Index of the dialect that the route's metadata names.
pub const CLAIM_ROUTE_DIALECT: usize = 2;
/// Index of the first attribute that identity sources refer to. They count
/// from here.
pub const FIRST_IDENTITY_CLAIM: usize = 3;

impl Config {
    /// An approval service by name.
    pub fn approval_service(&self, name: &str) -> Option<&Service> {
        self.approvals.iter().find(|(known, _)| known == name).map(|(_, service)| service)
    }
}

/// The operators' endpoint.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Path, exactly.
    pub path: String,
    /// Subjects that may use it.
    pub subjects: Vec<Glob>,
}

/// Why a configuration is refused: where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the field: `policies[2].models.allow[0]`.
    pub path: String,
    /// The fault, for an operator.
    pub what: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" | "." => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

impl std::error::Error for ConfigError {}
