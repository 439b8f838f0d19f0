//! From the configuration as written to the one in use. Every error names its path.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::written::{self, ActionSetting, Document};
use super::{Config, ConfigError, access, approvals, baseline, identity, path};
use crate::approval::Service;
use crate::audit::{self, digest::hex};
use crate::detect::{Engine, Injection};
use crate::limits::{MAX_BODY_BYTES_CEILING, MAX_QUOTAS};
use crate::policy::{Action, Actions, Glob, GlobSet, Limits, Policy, Ruling, Scan};
use crate::quota::{self, Quota};
use crate::rules::{Category, PACK_NAMES, RuleError, RuleIndex, RuleSet, Strictness, pack_text};

impl Config {
    /// Parse and check a configuration in JSON.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let document: Document = path::read(text)?;
        Config::resolve(document, text)
    }

    fn resolve(document: Document, text: &str) -> Result<Self, ConfigError> {
        if document.version != 1 {
            return Err(error("version", "only version 1 is known"));
        }
        let mut digest = hex(&Sha256::digest(text.as_bytes()));
        digest.truncate(16);
        let (sources, claims) = identity::resolve(&document.identity)?;
        let (rules, monitored, engine, injection) = rules(document.rules)?;
        let prices =
            quota::price::Table::new(&document.models.prices).map_err(|e| error("models.prices", e))?;
        // A number out of range is none to what ignores it.
        let tree = serde_json::from_str(text).map_err(|e| error("baseline", e))?;
        let approvals = approvals::services(&tree)?;
        let (baseline, operator) = baseline::read(&tree)?;
        let policies = policies(&document.policies, &approvals, &tree)?;
        priced(&document.policies, &policies, &prices)?;
        let key = document.audit.key.as_deref();
        check_placeholders(&document.policies, key)?;
        Ok(Config {
            digest,
            mode: document.mode,
            identity_required: document.identity.required,
            sources,
            claims,
            unrecognised: document.traffic.unrecognised,
            query_credentials: document.traffic.query_credentials,
            max_request_bytes: body_cap("traffic.max_request_bytes", document.traffic.max_request_bytes)?,
            max_response_bytes: body_cap("traffic.max_response_bytes", document.traffic.max_response_bytes)?,
            aliases: document.models.aliases,
            prices,
            baseline,
            operator,
            policies,
            engine,
            injection,
            rules,
            monitored,
            hasher: audit::Hasher::new(key),
            quota_hasher: quota::Hasher::new(key.unwrap_or_default().as_bytes()),
            hash_prompt: document.audit.prompt == written::Capture::Hash,
            hash_response: document.audit.response == written::Capture::Hash,
            approvals,
            on_fault: document.on_fault,
        })
    }
}

/// Shortest key of placeholders, in bytes. Whoever has a placeholder can try
/// keys on values he guesses.
const MIN_PLACEHOLDER_KEY: usize = 16;

/// Placeholders and hashes without a key are what anybody can compute: a provider would
/// find a mail address by trying a list of them, and the rest of a card of which the
/// first digits and the last are known.
fn check_placeholders(policies: &[written::Policy], key: Option<&str>) -> Result<(), ConfigError> {
    if key.is_some_and(|key| key.len() >= MIN_PLACEHOLDER_KEY) {
        return Ok(());
    }
    for (i, policy) in policies.iter().enumerate() {
        for (direction, scan) in [("request", &policy.scan.request), ("response", &policy.scan.response)] {
            let actions = actions(scan);
            for (category, name) in CATEGORIES {
                let action = match actions.get(category).action {
                    Action::Tokenize => "tokenize",
                    Action::Hash => "hash",
                    _ => continue,
                };
                return Err(error(
                    format!("policies[{i}].scan.{direction}.{name}"),
                    format!("{action} needs audit.key, of at least {MIN_PLACEHOLDER_KEY} bytes"),
                ));
            }
        }
    }
    Ok(())
}

const CATEGORIES: [(Category, &str); 5] = [
    (Category::Injection, "injection"),
    (Category::Pii, "pii"),
    (Category::Secrets, "secrets"),
    (Category::Exfiltration, "exfiltration"),
    (Category::Code, "code"),
];

pub(super) fn error(path: impl Into<String>, what: impl ToString) -> ConfigError {
    ConfigError { path: path.into(), what: what.to_string() }
}

fn body_cap(path: &str, bytes: usize) -> Result<usize, ConfigError> {
    match bytes {
        1..=MAX_BODY_BYTES_CEILING => Ok(bytes),
        _ => Err(error(path, format!("must be from 1 to {MAX_BODY_BYTES_CEILING}"))),
    }
}

type Rules = (RuleSet, HashSet<RuleIndex>, Engine, Option<Injection<'static>>);

fn rules(written: written::Rules) -> Result<Rules, ConfigError> {
    if !(1..=4).contains(&written.level) {
        return Err(error("rules.level", "must be from 1 to 4"));
    }
    let mut set = RuleSet::default();
    for (i, name) in written.packs.iter().enumerate() {
        let Some(json) = pack_text(name) else {
            let known = PACK_NAMES.join(", ");
            return Err(error(
                format!("rules.packs[{i}]"),
                format!("no pack of that name; there are {known}"),
            ));
        };
        set.add_pack(name, &json, Strictness::Lenient)
            .map_err(|e| first_fault(format!("rules.packs[{i}]"), &e))?;
    }
    if written.packs.iter().any(|name| name == "injection") {
        set.add_classifier();
    }
    for (i, pack) in written.custom.iter().enumerate() {
        let at = format!("rules.custom[{i}]");
        set.add("custom", pack, Strictness::Lenient).map_err(|e| first_fault(at, &e))?;
    }
    for (field, ids) in [("disable", &written.disable), ("monitor", &written.monitor)] {
        for (i, id) in ids.iter().enumerate() {
            if set.find(id).is_none() {
                return Err(error(
                    format!("rules.{field}[{i}]"),
                    "no rule of that id in the packs that are on",
                ));
            }
        }
    }
    set.retain(|rule| rule.level <= written.level && !written.disable.contains(&rule.id));
    let monitored = set.iter().filter(|(_, r)| written.monitor.contains(&r.id)).map(|(i, _)| i).collect();
    let engine = Engine::compile(&set).map_err(|e| first_fault("rules".to_owned(), &e))?;
    let injection = Injection::new(&set, written.level);
    Ok((set, monitored, engine, injection))
}

fn first_fault(path: String, errors: &[RuleError]) -> ConfigError {
    error(path, errors.first().map(ToString::to_string).unwrap_or_default())
}

fn policies(
    written: &[written::Policy],
    services: &[(String, Service)],
    tree: &serde_json::Value,
) -> Result<Vec<Policy>, ConfigError> {
    if written.is_empty() {
        return Err(error("policies", "is empty, so every request would be refused"));
    }
    let mut names = HashSet::new();
    let mut open: Option<&str> = None;
    let mut policies = Vec::new();
    for (i, policy) in written.iter().enumerate() {
        let at = format!("policies[{i}]");
        if policy.name.is_empty()
            || !policy.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return Err(error(format!("{at}.name"), "letters, digits, '-', '_' and '.' only, at least one"));
        }
        if !names.insert(policy.name.as_str()) {
            return Err(error(
                format!("{at}.name"),
                format!("\"{}\" is the name of an earlier policy", policy.name),
            ));
        }
        if let Some(first) = open {
            return Err(error(
                at,
                format!("can never apply: policy \"{first}\" before it matches everybody"),
            ));
        }
        let matches = &policy.matches;
        if matches.groups.is_empty() && matches.subjects.is_empty() && matches.actors.is_empty() {
            open = Some(&policy.name);
        }
        let mut policy = resolve_policy(policy, services, &at)?;
        policy.habits = baseline::habits(tree, i, policy.approval.is_some())?;
        policies.push(policy);
    }
    Ok(policies)
}

fn resolve_policy(
    written: &written::Policy,
    services: &[(String, Service)],
    at: &str,
) -> Result<Policy, ConfigError> {
    let approval = written.approval.as_ref();
    if written.quotas.len() > MAX_QUOTAS {
        let reason = format!("{} quotas; a request can reserve {MAX_QUOTAS} at once", written.quotas.len());
        return Err(error(format!("{at}.quotas"), reason));
    }
    let mut quotas: Vec<Quota> = Vec::new();
    for (i, quota) in written.quotas.iter().enumerate() {
        let quota = quota.resolve().map_err(|e| error(format!("{at}.quotas[{i}]"), e))?;
        // One counter would be charged twice for each call.
        if let Some(first) = quotas.iter().position(|other| quota.shares_counters(other)) {
            return Err(error(format!("{at}.quotas[{i}]"), format!("counts the same as quotas[{first}]")));
        }
        quotas.push(quota);
    }
    Ok(Policy {
        name: written.name.clone(),
        enforced: !written.monitor,
        groups: written.matches.groups.clone(),
        subjects: globs(&written.matches.subjects, &format!("{at}.match.subjects"))?,
        actors: globs(&written.matches.actors, &format!("{at}.match.actors"))?,
        models: glob_set(&written.models, &format!("{at}.models"))?,
        access: access::resolve(written, at)?,
        limits: limits(&written.limits, at)?,
        quotas,
        scan: Scan { request: actions(&written.scan.request), response: actions(&written.scan.response) },
        habits: None,
        approval: approval.map(|a| approvals::resolve(a, services, at)).transpose()?,
    })
}

fn limits(written: &written::Limits, at: &str) -> Result<Limits, ConfigError> {
    let positive = |n: Option<f64>| n.is_none_or(|n| n >= 0.0 && n.is_finite());
    if !positive(written.max_temperature) || !positive(written.max_cost_usd) {
        return Err(error(format!("{at}.limits"), "must not be negative"));
    }
    if written.max_output_tokens == Some(0) || written.max_choices == Some(0) {
        return Err(error(format!("{at}.limits"), "0 allows nothing; use `operations` for that"));
    }
    Ok(Limits {
        max_output_tokens: written.max_output_tokens,
        max_cost_usd: written.max_cost_usd,
        max_temperature: written.max_temperature,
        max_choices: written.max_choices,
        max_request_bytes: written.max_request_bytes,
        max_messages: written.max_messages,
        max_tools: written.max_tools,
        max_media: written.max_media,
        stream: written.stream,
    })
}

/// A policy that limits cost needs prices: without one a call would be free.
fn priced(
    written: &[written::Policy],
    policies: &[Policy],
    prices: &quota::price::Table,
) -> Result<(), ConfigError> {
    for (i, (written, policy)) in written.iter().zip(policies).enumerate() {
        if !policy.limits_cost() {
            continue;
        }
        if prices.is_empty() {
            return Err(error(
                format!("policies[{i}]"),
                "limits cost, but models.prices is empty: every call would be free",
            ));
        }
        let named = |model: &&String| !model.contains(['*', '?']) && !prices.knows(model);
        if let Some((j, model)) = written.models.allow.iter().enumerate().find(|(_, m)| named(m)) {
            return Err(error(
                format!("policies[{i}].models.allow[{j}]"),
                format!("\"{model}\" has no price in models.prices, and this policy limits cost"),
            ));
        }
    }
    Ok(())
}

pub(super) fn globs(written: &[String], at: &str) -> Result<Vec<Glob>, ConfigError> {
    let checked =
        written.iter().enumerate().map(|(i, p)| Glob::new(p).map_err(|e| error(format!("{at}[{i}]"), e.0)));
    checked.collect()
}

pub(super) fn glob_set(written: &written::AllowDeny, at: &str) -> Result<GlobSet, ConfigError> {
    let allow = globs(&written.allow, &format!("{at}.allow"))?;
    globs(&written.deny, &format!("{at}.deny"))?;
    GlobSet::new(allow, &written.deny).map_err(|e| error(format!("{at}.deny"), e.0))
}

fn actions(written: &written::Actions) -> Actions {
    let mut actions = Actions::default();
    for (category, setting) in [
        (Category::Injection, written.injection),
        (Category::Pii, written.pii),
        (Category::Secrets, written.secrets),
        (Category::Exfiltration, written.exfiltration),
        (Category::Code, written.code),
    ] {
        let ruling = match setting {
            Some(ActionSetting::Plain(action)) => Ruling { action, enforced: true },
            Some(ActionSetting::Full(full)) => Ruling { action: full.action, enforced: !full.monitor },
            None => continue,
        };
        actions.set(category, ruling);
    }
    actions
}
