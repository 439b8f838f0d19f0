//! Least privilege as written in a policy, and resolved.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;
use super::resolve::{error, glob_set, globs};
use super::written::{AllowDeny, Policy};
use crate::policy::access::{Access, Argument, Mcp, Pattern, Pins, Unpinned, pointer};
use crate::policy::{Glob, GlobSet};
use crate::wire::{self, Operation};

/// Tools by name, and what they may be called with.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Tools {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub arguments: Vec<ArgumentWritten>,
}

/// A rule for an argument: at `pointer`, all of the value matches `allow` and
/// no part of it `deny`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentWritten {
    /// Glob of the tools it is for.
    pub tool: String,
    /// JSON pointer into the arguments; `*` stands for every element.
    pub pointer: String,
    /// Regular expression.
    #[serde(default)]
    pub allow: Option<String>,
    /// Regular expression.
    #[serde(default)]
    pub deny: Option<String>,
    /// The argument may be absent.
    #[serde(default)]
    pub optional: bool,
}

/// What may be done with MCP servers. Lists that are empty do not restrict.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct McpWritten {
    pub servers: Vec<String>,
    pub methods: AllowDeny,
    pub tools: AllowDeny,
    pub resources: AllowDeny,
    pub prompts: AllowDeny,
    pub pins: PinsWritten,
}

/// Tools pinned by hash.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PinsWritten {
    /// `server/tool` → SHA-256 of the tool, as the record of a `tools/list` shows it.
    pub tools: BTreeMap<String, String>,
    /// What happens to a tool that differs from its pin.
    pub changed: OnChange,
    /// What happens to a tool without a pin.
    pub unpinned: OnUnpinned,
}

/// See [`PinsWritten::changed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum OnChange {
    Flag,
    #[default]
    Block,
}

/// See [`PinsWritten::unpinned`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum OnUnpinned {
    #[default]
    Allow,
    Flag,
    Block,
}

/// Agents that speak A2A.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct A2aWritten {
    /// Ids of skills.
    pub skills: AllowDeny,
}

pub(super) fn resolve(written: &Policy, at: &str) -> Result<Access, ConfigError> {
    let known: Vec<_> = wire::ids().collect();
    words(&written.dialects, &known, &format!("{at}.dialects"))?;
    words(&written.operations, Operation::NAMES, &format!("{at}.operations"))?;
    let tools = &written.tools;
    let by_name = AllowDeny { allow: tools.allow.clone(), deny: tools.deny.clone() };
    let mut arguments = Vec::new();
    for (i, rule) in tools.arguments.iter().enumerate() {
        arguments.push(argument(rule, &format!("{at}.tools.arguments[{i}]"))?);
    }
    let mcp = &written.mcp;
    let set = |names: &AllowDeny, field: &str| glob_set(names, &format!("{at}.mcp.{field}"));
    Ok(Access {
        dialects: written.dialects.clone(),
        operations: written.operations.clone(),
        tools: glob_set(&by_name, &format!("{at}.tools"))?,
        arguments,
        mcp: Mcp {
            servers: GlobSet::new(globs(&mcp.servers, &format!("{at}.mcp.servers"))?, &[])
                .map_err(|e| error(format!("{at}.mcp.servers"), e.0))?,
            methods: set(&mcp.methods, "methods")?,
            tools: set(&mcp.tools, "tools")?,
            resources: set(&mcp.resources, "resources")?,
            prompts: set(&mcp.prompts, "prompts")?,
            pins: pins(&mcp.pins, &format!("{at}.mcp.pins"))?,
        },
        skills: glob_set(&written.a2a.skills, &format!("{at}.a2a.skills"))?,
    })
}

fn words(written: &[String], known: &[&str], at: &str) -> Result<(), ConfigError> {
    match written.iter().position(|word| !known.contains(&word.as_str())) {
        Some(i) => Err(error(format!("{at}[{i}]"), format!("there are {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn argument(written: &ArgumentWritten, at: &str) -> Result<Argument, ConfigError> {
    let pattern = |text: &Option<String>, field: &str, whole| {
        let compile = |text: &String| Pattern::new(text, whole);
        text.as_ref().map(compile).transpose().map_err(|e| error(format!("{at}.{field}"), e))
    };
    if written.allow.is_none() && written.deny.is_none() {
        return Err(error(at, "needs `allow` or `deny`, or it would say nothing"));
    }
    Ok(Argument {
        tool: Glob::new(&written.tool).map_err(|e| error(format!("{at}.tool"), e.0))?,
        pointer: pointer(&written.pointer).map_err(|e| error(format!("{at}.pointer"), e))?,
        allow: pattern(&written.allow, "allow", true)?,
        deny: pattern(&written.deny, "deny", false)?,
        optional: written.optional,
    })
}

fn pins(written: &PinsWritten, at: &str) -> Result<Pins, ConfigError> {
    let mut tools = BTreeMap::new();
    for (name, hash) in &written.tools {
        let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hash || !name.contains('/') {
            return Err(error(format!("{at}.tools.{name}"), "is `server/tool` and 64 lower-case hex digits"));
        }
        tools.insert(name.clone(), hash.to_owned());
    }
    Ok(Pins {
        tools,
        hide_changed: written.changed == OnChange::Block,
        unpinned: match written.unpinned {
            OnUnpinned::Allow => Unpinned::Allow,
            OnUnpinned::Flag => Unpinned::Flag,
            OnUnpinned::Block => Unpinned::Hide,
        },
    })
}
