//! What one policy lets through besides models: formats, tools and what they
//! are called with, MCP servers, agents' skills, and caps on a request.

use std::collections::BTreeMap;

use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::{Glob, GlobSet};
use crate::limits::{MAX_PATTERN_BYTES, MAX_PATTERN_NFA_BYTES};

/// See the module. The default allows everything.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Ids of dialects; empty: all.
    pub dialects: Vec<String>,
    /// Names of operations; empty: all.
    pub operations: Vec<String>,
    /// Tools of models, offered or called; of MCP where `mcp.tools` is silent.
    pub tools: GlobSet,
    /// What tools may be called with.
    pub arguments: Vec<Argument>,
    /// MCP.
    pub mcp: Mcp,
    /// Skills of A2A agents.
    pub skills: GlobSet,
}

/// What may be done with MCP servers.
#[derive(Clone, Debug, Default)]
pub struct Mcp {
    /// By name: a segment of the path, else the host.
    pub servers: GlobSet,
    /// Methods. `initialize`, `ping` and notifications are always allowed.
    pub methods: GlobSet,
    /// Tools.
    pub tools: GlobSet,
    /// URIs of resources.
    pub resources: GlobSet,
    /// Prompts.
    pub prompts: GlobSet,
    /// Hashes of tools as they were when somebody looked at them.
    pub pins: Pins,
}

/// Pinned tools.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// `server/tool` → SHA-256 in hex.
    pub tools: BTreeMap<String, String>,
    /// A tool that differs from its pin is taken out of the list.
    pub hide_changed: bool,
    /// What happens to a tool without a pin.
    pub unpinned: Unpinned,
}

/// See [`Pins::unpinned`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unpinned {
    #[default]
    Allow,
    Flag,
    Hide,
}

/// How a tool stands to its pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The same, or pins do not matter.
    Same,
    /// Another tool under the same name.
    Changed,
    /// No pin.
    Unknown,
}

impl Pins {
    /// Compare a tool of `server` with its pin.
    pub fn compare(&self, server: &str, tool: &str, hash: &str) -> Pinned {
        let pin = self.tools.get(&format!("{server}/{tool}"));
        match pin {
            Some(pin) if pin == hash => Pinned::Same,
            Some(_) => Pinned::Changed,
            None if self.unpinned == Unpinned::Allow => Pinned::Same,
            None => Pinned::Unknown,
        }
    }
}

impl Mcp {
    /// Whether a method may be used. Without the first three no session works.
    pub fn permits_method(&self, method: &str) -> bool {
        let always = matches!(method, "initialize" | "ping") || method.starts_with("notifications/");
        always || self.methods.permits(method)
    }
}

/// A rule for an argument of tools.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Tools it is for.
    pub tool: Glob,
    /// Keys and indices from the arguments down; `*` is every element.
    pub pointer: Vec<String>,
    /// All of the value must match.
    pub allow: Option<Pattern>,
    /// No part of the value may match.
    pub deny: Option<Pattern>,
    /// The value may be absent.
    pub optional: bool,
}

impl Argument {
    /// Whether the value may stand there.
    pub fn accepts(&self, value: &str) -> bool {
        self.allow.as_ref().is_none_or(|p| p.is_match(value) == Some(true))
            && self.deny.as_ref().is_none_or(|p| p.is_match(value) == Some(false))
    }
}

/// Split a JSON pointer (RFC 6901).
pub fn pointer(text: &str) -> Result<Vec<String>, &'static str> {
    let Some(rest) = text.strip_prefix('/') else { return Err("starts with `/`, as in `/path`") };
    let part = |raw: &str| {
        let bare = raw.replace("~0", "").replace("~1", "");
        if bare.contains('~') {
            return Err("`~` stands only in `~0` and `~1`");
        }
        Ok(raw.replace("~1", "/").replace("~0", "~"))
    };
    rest.split('/').map(part).collect()
}

/// A pattern over a value, matched in linear time.
#[derive(Clone, Debug)]
pub struct Pattern(DFA);

impl Pattern {
    /// Compile. `whole`: all of the value must match. The error is for the operator.
    pub fn new(pattern: &str, whole: bool) -> Result<Self, String> {
        if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern has 1 to {MAX_PATTERN_BYTES} bytes"));
        }
        let wrapped = if whole { format!(r"\A(?:{pattern})\z") } else { format!("(?:{pattern})") };
        let dfa = DFA::builder()
            .configure(DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true))
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_PATTERN_NFA_BYTES)))
            .build(&wrapped);
        // The message of the innermost cause says where the pattern is wrong.
        dfa.map(Pattern).map_err(|e| {
            let mut cause: &dyn std::error::Error = &e;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        })
    }

    /// `None`: the search gave up; the caller refuses.
    fn is_match(&self, value: &str) -> Option<bool> {
        let mut cache = self.0.create_cache();
        let input = Input::new(value).anchored(Anchored::No).earliest(true);
        self.0.try_search_fwd(&mut cache, &input).ok().map(|found| found.is_some())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pointers() {
        assert_eq!(pointer("/a/0/*").unwrap(), ["a", "0", "*"]);
        assert_eq!(pointer("/a~1b/~01").unwrap(), ["a/b", "~1"]);
        for bad in ["", "a", "/a~2", "/~"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_match_all_or_any_part() {
        for (pattern, whole, value, yes) in [
            ("/srv/[a-z]+", true, "/srv/data", true),
            ("/srv/[a-z]+", true, "/srv/data/../x", false),
            ("/srv/[a-z]+", true, "x/srv/data", false),
            ("a|b", true, "ab", false),
            ("a|b", true, "b", true),
            ("[0-9]+", true, "12\n", false),
            (r"\.\.", false, "a/../b", true),
            ("(?i)drop", false, "DrOp table", true),
            ("drop", false, "select", false),
        ] {
            let pattern = Pattern::new(pattern, whole).unwrap();
            assert_eq!(pattern.is_match(value), Some(yes), "{pattern:?} {value}");
        }
        for bad in ["", "(", "[a", "(?=a)"] {
            assert!(Pattern::new(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn pins() {
        let tools = [("jira/a".to_owned(), "1".to_owned())].into();
        let mut pins = Pins { tools, hide_changed: true, unpinned: Unpinned::Allow };
        assert_eq!(pins.compare("jira", "a", "1"), Pinned::Same);
        assert_eq!(pins.compare("jira", "a", "2"), Pinned::Changed);
        assert_eq!(pins.compare("jira", "b", "2"), Pinned::Same);
        pins.unpinned = Unpinned::Hide;
        assert_eq!(pins.compare("other", "a", "1"), Pinned::Unknown);
    }
}
