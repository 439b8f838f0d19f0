//! A request against the policy's lists and caps, before its texts are read.

use super::Session;
use crate::policy::Policy;
use crate::policy::access::Argument;
use crate::wire::json::Doc;
use crate::wire::{Operation, Reason, Request};

/// What a request breaks: the code of the refusal, and what is said of it.
type Fault = (&'static str, &'static str);

impl Session {
    /// Formats, models, tools, servers and caps. True if refused.
    pub(super) fn check_request(&mut self, request: &Request, body: &[u8]) -> bool {
        let asked = request.model.as_ref().map(|m| m.value.as_str());
        let model = asked.map(|m| self.config.aliases.get(m).map_or(m, String::as_str).to_owned());
        self.asked.model = model.clone();
        self.record.model_served = model.clone();
        let Some((dialect, op)) = self.target else { return false };
        let Some(policy) = self.policy() else { return false };
        let mut faults = Vec::new();
        faults.extend(format(policy, dialect.id(), op));
        faults.extend(models(policy, op, model.as_deref(), request));
        if op == Operation::Mcp {
            faults.extend(mcp(policy, &self.asked.server, request, body));
        } else {
            faults.extend(tools(policy, request));
        }
        faults.extend(caps(policy, op, request, body.len()));
        faults.into_iter().any(|(code, message)| self.deny(Reason::Forbidden, code, message.to_owned()))
    }
}

fn format(policy: &Policy, dialect: &str, op: Operation) -> Option<Fault> {
    let access = &policy.access;
    if !access.dialects.is_empty() && !access.dialects.iter().any(|id| id == dialect) {
        return Some(("policy.dialect", "this identity may not use this API"));
    }
    let allowed = access.operations.is_empty() || access.operations.iter().any(|word| word == op.as_str());
    (!allowed).then_some(("policy.operation", "this identity may not use this operation"))
}

fn models(policy: &Policy, op: Operation, model: Option<&str>, request: &Request) -> Option<Fault> {
    let models = &policy.models;
    match model {
        Some(model) if !models.permits(model) => {
            return Some(("policy.model", "this identity may not use the model asked for"));
        }
        // These name none; lists of models are filtered in the answer.
        None if matches!(
            op,
            Operation::Mcp | Operation::A2a | Operation::ListModels | Operation::Metadata
        ) => {}
        None if !models.is_open() => return Some(("policy.model", "the request names no model")),
        _ => {}
    }
    let also = request.models_also.iter().all(|m| models.permits(&m.value));
    (!also).then_some(("policy.model", "this identity may not use a model the request falls back to"))
}

/// Tools offered to a model, tools it is told to call, and skills of agents.
fn tools(policy: &Policy, request: &Request) -> Option<Fault> {
    let access = &policy.access;
    if !request.tools_offered.iter().all(|t| access.tools.permits(t)) {
        return Some(("policy.tool", "this identity may not offer one of the tools"));
    }
    if !request.tools_forced.iter().all(|t| access.tools.permits(t)) {
        return Some(("policy.tool_forced", "this identity may not have the model call that tool"));
    }
    let skills = request.skills.iter().all(|s| access.skills.permits(s));
    (!skills).then_some(("policy.skill", "this identity may not ask for that skill"))
}

/// Every message of a batch.
fn mcp(policy: &Policy, server: &str, request: &Request, body: &[u8]) -> Option<Fault> {
    let mcp = &policy.access.mcp;
    if !mcp.servers.permits(server) {
        return Some(("policy.mcp_server", "this identity may not use this MCP server"));
    }
    for call in &request.rpc {
        if !mcp.permits_method(&call.method) {
            return Some(("policy.mcp_method", "this identity may not use this MCP method"));
        }
        let name = call.name.as_deref().unwrap_or_default();
        let permitted = match call.method.split('/').next().unwrap_or_default() {
            "tools" if call.method == "tools/call" => policy.permits_mcp_tool(name),
            "prompts" if call.method != "prompts/list" => mcp.prompts.permits(name),
            "resources" if !call.method.ends_with("/list") => {
                mcp.resources.permits(call.uri.as_deref().unwrap_or_default())
            }
            "completion" => {
                call.uri.as_deref().is_none_or(|uri| mcp.resources.permits(uri))
                    && call.name.as_deref().is_none_or(|name| mcp.prompts.permits(name))
            }
            _ => true,
        };
        if !permitted {
            return Some(match call.method.as_str() {
                "tools/call" => ("policy.mcp_tool", "this identity may not call this MCP tool"),
                "prompts/get" => ("policy.mcp_prompt", "this identity may not use this MCP prompt"),
                _ => ("policy.mcp_resource", "this identity may not use this MCP resource"),
            });
        }
    }
    let mut calls = request.tool_calls.iter();
    let fits = calls.all(|call| {
        let raw = call.arguments.clone().and_then(|range| body.get(range)).unwrap_or(b"{}");
        arguments_fit(policy, &call.name, raw)
    });
    (!fits).then_some(("policy.tool_arguments", "a tool is called with arguments this identity may not use"))
}

fn caps(policy: &Policy, op: Operation, request: &Request, bytes: usize) -> Option<Fault> {
    let limits = &policy.limits;
    let over = |value: Option<usize>, most: Option<usize>| value.zip(most).is_some_and(|(v, m)| v > m);
    let wide = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    if over(Some(bytes), limits.max_request_bytes) {
        return Some(("limits.max_request_bytes", "the body is larger than this identity may send"));
    }
    if over(Some(wide(request.choices)), limits.max_choices.map(wide)) {
        return Some(("limits.max_choices", "more answers are asked for than this identity may"));
    }
    if over(Some(wide(request.messages)), limits.max_messages.map(wide)) {
        return Some(("limits.max_messages", "there are more messages than this identity may send"));
    }
    if over(Some(request.tools_offered.len()), limits.max_tools) {
        return Some(("limits.max_tools", "more tools are offered than this identity may"));
    }
    if over(Some(wide(request.media)), limits.max_media.map(wide)) {
        return Some(("limits.max_media", "there are more images or media than this identity may send"));
    }
    let temperature = request.temperature.as_ref().map(|f| f.value);
    // JSON has no NaN: every number compares.
    if temperature.zip(limits.max_temperature).is_some_and(|(t, most)| t > most) {
        return Some(("limits.max_temperature", "the temperature is higher than this identity may ask for"));
    }
    let streams = request.stream || op == Operation::ChatStream;
    let model = matches!(op, Operation::Chat | Operation::ChatStream | Operation::TextCompletion);
    if model && limits.stream.is_some_and(|wanted| wanted != streams) {
        return Some(("limits.stream", "this identity may not ask for the answer in this way"));
    }
    None
}

impl Policy {
    /// MCP tools have a list of their own; without one that of tools counts.
    pub(super) fn permits_mcp_tool(&self, name: &str) -> bool {
        let own = &self.access.mcp.tools;
        if own.is_open() { self.access.tools.permits(name) } else { own.permits(name) }
    }

    /// Some rule says what this tool may be called with.
    pub(super) fn constrains(&self, tool: &str) -> bool {
        self.access.arguments.iter().any(|rule| rule.tool.matches(tool))
    }
}

/// Whether a tool may be called with these arguments, a JSON document.
pub(super) fn arguments_fit(policy: &Policy, tool: &str, json: &[u8]) -> bool {
    if !policy.constrains(tool) {
        return true;
    }
    let json = if json.trim_ascii().is_empty() { b"{}" } else { json };
    // Strict first: of two equal keys the tool may read the other.
    if Doc::parse(json).is_err() {
        return false;
    }
    // Never `from_slice`: the module would hold the reader of JSON twice.
    let json = std::str::from_utf8(json).unwrap_or_default();
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return false };
    let rules = policy.access.arguments.iter().filter(|rule| rule.tool.matches(tool));
    rules.into_iter().all(|rule| fits(rule, &rule.pointer, &value))
}

// Depth is that of the pointer.
fn fits(rule: &Argument, pointer: &[String], value: &serde_json::Value) -> bool {
    use serde_json::Value;
    let Some((step, rest)) = pointer.split_first() else {
        return match value {
            Value::String(text) => rule.accepts(text),
            Value::Number(number) => rule.accepts(&number.to_string()),
            Value::Bool(flag) => rule.accepts(if *flag { "true" } else { "false" }),
            Value::Null => rule.optional,
            Value::Array(_) | Value::Object(_) => false,
        };
    };
    match value {
        Value::Object(members) if step == "*" => members.values().all(|v| fits(rule, rest, v)),
        Value::Array(items) if step == "*" => items.iter().all(|v| fits(rule, rest, v)),
        Value::Object(members) => {
            // A tool that does not mind case would read the other one.
            if members.keys().any(|key| key != step && key.to_lowercase() == step.to_lowercase()) {
                return false;
            }
            members.get(step).map_or(rule.optional, |v| fits(rule, rest, v))
        }
        Value::Array(items) => {
            let item = step.parse::<usize>().ok().and_then(|at| items.get(at));
            item.map_or(rule.optional, |v| fits(rule, rest, v))
        }
        _ => false,
    }
}
