//! `explain`: which policy a caller falls under and why, and what follows.

use std::path::PathBuf;
use std::process::ExitCode;

use portcullis::config::Config;
use portcullis::config::written::Mode;
use portcullis::policy::{Action, Actions, Identity, Policy, select};
use portcullis::quota::{Quota, Unit};

use crate::Outcome;
use crate::check::{CATEGORIES, list, load};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Configuration, in JSON as the filter takes it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Who calls, as an identity source would say. Without: nobody was identified.
    #[arg(long)]
    subject: Option<String>,
    /// Groups of the subject, with spaces or commas between them.
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    groups: Vec<String>,
    /// Agent that acts for the subject.
    #[arg(long)]
    actor: Option<String>,
    /// Model asked for.
    #[arg(long)]
    model: Option<String>,
    /// Tool offered or called; with a server, over MCP.
    #[arg(long)]
    tool: Option<String>,
    /// MCP server.
    #[arg(long)]
    server: Option<String>,
    /// Policy that the metadata of the route names.
    #[arg(long, value_name = "POLICY")]
    route: Option<String>,
}

/// Prints the decision and its reasons. Exit status 1: the request is refused.
pub(crate) fn run(args: &Args) -> Outcome {
    let (config, _) = load(&args.config)??;
    let who = Identity {
        subject: args.subject.clone().unwrap_or_default(),
        groups: args.groups.clone(),
        actors: args.actor.iter().cloned().collect(),
        source: "given",
    };
    let asked =
        Asked { model: args.model.as_deref(), tool: args.tool.as_deref(), server: args.server.as_deref() };
    let story = explain(&config, &who, &asked, args.route.as_deref());
    print!("{}", story.lines);
    Ok(if story.refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the request is about.
#[derive(Default)]
struct Asked<'a> {
    model: Option<&'a str>,
    tool: Option<&'a str>,
    server: Option<&'a str>,
}

/// What is printed, and how it ends.
#[derive(Default)]
struct Story {
    lines: String,
    refused: bool,
}

impl Story {
    fn say(&mut self, name: &str, text: &str) {
        self.lines += &format!("{name:<10} {text}\n");
    }

    fn refuse(&mut self, config: &Config, policy: Option<&Policy>, code: &str) {
        let enforced = config.mode == Mode::Enforce && policy.is_none_or(|p| p.enforced);
        if enforced {
            self.refused = true;
            self.say("refused", code);
        } else {
            self.say("recorded", &format!("{code}, as would_deny; monitor mode lets the request pass"));
        }
    }
}

fn explain(config: &Config, who: &Identity, asked: &Asked<'_>, route: Option<&str>) -> Story {
    let mut story = Story::default();
    if who.subject.is_empty() {
        story.say("identity", "none");
        if config.identity_required {
            story.refuse(config, None, "identity.missing");
            if story.refused {
                return story;
            }
        }
    } else {
        story.say("identity", &format!("{}, groups: {}", who.subject, list(&who.groups)));
    }
    if let Some(route) = route.filter(|name| config.policies.iter().all(|policy| policy.name != *name)) {
        story.say("route", &format!("names {route}, and no policy is called so"));
    }
    let chosen = select(&config.policies, who, route);
    let reached = chosen.map_or(config.policies.len(), |(at, _)| at + 1);
    for (at, policy) in config.policies.iter().enumerate() {
        let why = if at < reached { reason(policy, who, route) } else { "not reached".to_owned() };
        story.say("policy", &format!("{}: {why}", policy.name));
    }
    match chosen {
        None => story.refuse(config, None, "policy.none"),
        Some((_, policy)) => consequences(&mut story, config, policy, asked),
    }
    story
}

/// Why a policy applies, or does not.
fn reason(policy: &Policy, who: &Identity, route: Option<&str>) -> String {
    if let Some(route) = route.filter(|name| policy.name != *name) {
        return format!("no, the route names {route}");
    }
    let group = policy.groups.iter().find(|g| who.groups.contains(g));
    let mut because = Vec::new();
    match group {
        Some(group) => because.push(format!("group {group}")),
        None if policy.groups.is_empty() => {}
        None => return format!("no, it is for groups {}", policy.groups.join(", ")),
    }
    if !policy.subjects.is_empty() {
        if !policy.subjects.iter().any(|g| g.matches(&who.subject)) {
            return format!("no, the subject matches none of its {} patterns", policy.subjects.len());
        }
        because.push("the subject matches".to_owned());
    }
    if !policy.actors.is_empty() {
        let acting = who.actors.first();
        if !acting.is_some_and(|actor| policy.actors.iter().any(|g| g.matches(actor))) {
            return "no, it is for agents that act for the subject, and this is none of them".to_owned();
        }
        because.push("the agent matches".to_owned());
    }
    if because.is_empty() {
        because.push("it is for everybody".to_owned());
    }
    format!("APPLIES: {}", because.join(", "))
}

/// What the policy means for a request.
fn consequences(story: &mut Story, config: &Config, policy: &Policy, asked: &Asked<'_>) {
    let model = asked.model;
    let served = model.map(|m| config.aliases.get(m).map_or(m, String::as_str));
    if let (Some(asked), Some(served)) = (model, served) {
        let name = if asked == served { served.to_owned() } else { format!("{asked}, an alias of {served}") };
        let permitted = policy.models.permits(served);
        story.say("model", &format!("{name}: {}", if permitted { "allowed" } else { "not allowed" }));
        if !permitted {
            story.refuse(config, Some(policy), "policy.model");
        } else if policy.limits_cost() && !config.prices.knows(served) {
            story.say("price", "none, and this policy limits cost");
            story.refuse(config, Some(policy), "price.missing");
        }
    }
    let mcp = &policy.access.mcp;
    let word = |permitted| if permitted { "allowed" } else { "not allowed" };
    if let Some(server) = asked.server {
        let permitted = mcp.servers.permits(server);
        story.say("server", &format!("{server}: {}", word(permitted)));
        if !permitted {
            story.refuse(config, Some(policy), "policy.mcp_server");
        }
    }
    if let Some(tool) = asked.tool {
        let own = asked.server.is_some() && !mcp.tools.is_open();
        let (list, code) = match asked.server {
            Some(_) if own => (&mcp.tools, "policy.mcp_tool"),
            Some(_) => (&policy.access.tools, "policy.mcp_tool"),
            None => (&policy.access.tools, "policy.tool"),
        };
        let permitted = list.permits(tool);
        let rules = policy.access.arguments.iter().filter(|rule| rule.tool.matches(tool)).count();
        story.say("tool", &format!("{tool}: {}, {rules} rules for its arguments", word(permitted)));
        if !permitted {
            story.refuse(config, Some(policy), code);
        }
    }
    for quota in &policy.quotas {
        let enforced = if quota.limit.enforced { "" } else { ", only recorded" };
        story.say("quota", &format!("{}: {}{enforced}", quota.name, amount(quota)));
    }
    if let Some(most) = policy.limits.max_output_tokens {
        story.say("limit", &format!("at most {most} output tokens, written into the request"));
    }
    if let Some(most) = policy.limits.max_cost_usd {
        story.say("limit", &format!("at most {most} USD, by estimate"));
    }
    if let Some(approval) = &policy.approval {
        let (service, server) = (&approval.service, asked.server.unwrap_or_default());
        if let Some(most) = approval.cost_over_usd {
            story.say("consent", &format!("of {service}, over {most} USD by estimate"));
        }
        if let Some(tool) = asked.tool.filter(|tool| approval.wants(tool, server)) {
            story.say("consent", &format!("of {service}, to calls of {tool}"));
        }
    }
    let enforced = config.mode == Mode::Enforce && policy.enforced;
    story.say("request", &actions(&policy.scan.request, enforced));
    story.say("response", &actions(&policy.scan.response, enforced));
    if !story.refused {
        story.say("passes", &format!("under policy {}, if no finding stops it", policy.name));
    }
}

/// The limit of a quota, in words.
fn amount(quota: &Quota) -> String {
    let most = quota.limit.most;
    match quota.unit {
        Unit::CostUsd => format!("{} USD", most as f64 / 1e9),
        Unit::Requests => format!("{most} requests"),
        Unit::Tokens => format!("{most} tokens"),
        Unit::InputTokens => format!("{most} input tokens"),
        Unit::OutputTokens => format!("{most} output tokens"),
        Unit::Concurrent => format!("{most} calls at a time"),
        Unit::Repeats => format!("{most} nearly equal prompts"),
    }
}

fn actions(actions: &Actions, enforced: bool) -> String {
    let said = CATEGORIES.iter().map(|(name, category)| {
        let ruling = actions.get(*category);
        let effect = ruling.action != Action::Allow && ruling.action != Action::Flag;
        let only = if effect && !(ruling.enforced && enforced) { " (only recorded)" } else { "" };
        format!("{name} {}{only}", format!("{:?}", ruling.action).to_lowercase())
    });
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A shipped configuration with one small pack: compiling all takes long in
    /// a build for tests, and no rule matters here.
    fn config(file: &str) -> Config {
        let small = r#""version": 1, "rules": { "packs": ["code"] }"#;
        Config::from_json(&file.replacen(r#""version": 1"#, small, 1)).unwrap()
    }

    fn story(config: &Config, subject: &str, groups: &[&str], model: &str) -> Story {
        let groups = groups.iter().map(|g| g.to_string()).collect();
        let who = Identity { subject: subject.into(), groups, source: "given", ..Identity::default() };
        explain(config, &who, &Asked { model: Some(model), ..Asked::default() }, None)
    }

    #[test]
    fn stories_end_as_requests_do() {
        let demo = &config(include_str!("../../../envoy/config/demo.json"));
        let monitor = &config(include_str!("../../../envoy/config/monitor.json"));
        for (config, subject, groups, model, refused, part) in [
            (demo, "ann", &["support"][..], "fast", false, "policy     support: APPLIES: group support"),
            (demo, "ann", &["support"], "fast", false, "model      fast, an alias of gpt-4o-mini: allowed"),
            (demo, "ann", &["support"], "fast", false, "policy     trial: not reached"),
            (demo, "ann", &["support"], "llama-uncensored", true, "refused    policy.model"),
            (
                demo,
                "tom",
                &["trial"],
                "gpt-4o-mini",
                false,
                "policy     support: no, it is for groups support",
            ),
            (demo, "bob", &["hr"], "gpt-4o", true, "refused    policy.none"),
            (demo, "", &[], "gpt-4o", true, "refused    identity.missing"),
            (monitor, "", &[], "llama-uncensored", false, "recorded   policy.model"),
            (monitor, "", &[], "gpt-4o", false, "injection block (only recorded)"),
        ] {
            let story = story(config, subject, groups, model);
            assert_eq!(story.refused, refused, "{subject} {model}:\n{}", story.lines);
            assert!(story.lines.contains(part), "{part} is not in:\n{}", story.lines);
        }
    }

    #[test]
    fn a_route_that_names_no_policy_is_told() {
        let config = config(include_str!("../../../envoy/config/demo.json"));
        let ann = Identity { subject: "ann".into(), groups: vec!["support".into()], ..Identity::default() };
        let told = |route| {
            explain(&config, &ann, &Asked::default(), Some(route)).lines.contains("no policy is called so")
        };
        assert!(told("nope") && !told("support"));
    }

    #[test]
    fn groups_come_in_both_forms() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        for words in [&["support,trial"][..], &["support", "trial"]] {
            let line =
                ["explain", "--config", "c.json", "--groups"].iter().chain(words).chain(&["--model", "m"]);
            let cli = <Cli as clap::Parser>::try_parse_from(line).unwrap();
            assert_eq!(cli.args.groups, ["support", "trial"]);
        }
    }

    #[test]
    fn tools_servers_and_agents() {
        let config = Config::from_json(
            r#"{ "version": 1, "rules": { "packs": ["code"] }, "identity": { "required": false },
                 "policies": [{ "name": "agents", "match": { "actors": ["bot-*"] }, "tools": { "deny": ["shell"] },
                                "mcp": { "servers": ["jira"], "tools": { "allow": ["search_*"] } },
                                "approval": { "service": "desk", "tools": ["jira/search_all"] } }],
                 "approvals": { "desk": { "cluster": "approvals" } } }"#,
        )
        .unwrap();
        let story = |actor: &str, tool, server| {
            let who = Identity { subject: "ann".into(), actors: vec![actor.into()], ..Identity::default() };
            explain(&config, &who, &Asked { model: None, tool, server }, None)
        };
        for (actor, tool, server, refused, part) in [
            ("bot-1", Some("shell"), None, true, "refused    policy.tool"),
            ("bot-1", Some("get"), None, false, "APPLIES: the agent matches"),
            ("bot-1", Some("get"), Some("jira"), true, "refused    policy.mcp_tool"),
            ("bot-1", Some("search_x"), Some("jira"), false, "server     jira: allowed"),
            ("bot-1", Some("search_all"), Some("jira"), false, "consent    of desk, to calls of search_all"),
            ("bot-1", None, Some("hr"), true, "refused    policy.mcp_server"),
            ("worm", None, None, true, "refused    policy.none"),
        ] {
            let story = story(actor, tool, server);
            assert_eq!(story.refused, refused, "{}", story.lines);
            assert!(story.lines.contains(part), "{part} is not in:\n{}", story.lines);
        }
    }
}
