//! What a policy does about what is out of the ordinary.

use super::Glob;
use crate::baseline::kind::KINDS;
use crate::baseline::kind::{bare, kind_of, tag};
use crate::baseline::{Kind, Kinds};

/// What happens to a kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Nothing, not even a line in the record.
    Allow,
    /// Recorded, and learned.
    Flag,
    /// A human is asked.
    Approve,
    /// Refused, and not learned.
    Block,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Habits {
    acts: [Act; KINDS],
    /// Names that are new to nobody.
    pub models: Vec<Glob>,
    /// Of tools, or `server/tool`.
    pub tools: Vec<Glob>,
    /// Of MCP servers.
    pub servers: Vec<Glob>,
}

impl Habits {
    /// The same for every kind.
    pub fn new(act: Act) -> Self {
        Habits { acts: [act; KINDS], models: Vec::new(), tools: Vec::new(), servers: Vec::new() }
    }

    /// Set what happens to one kind.
    pub fn set(&mut self, kind: Kind, act: Act) {
        if let Some(slot) = self.acts.get_mut(kind as usize) {
            *slot = act;
        }
    }

    /// What happens to a kind.
    pub fn act(&self, kind: Kind) -> Act {
        self.acts.get(kind as usize).copied().unwrap_or(Act::Block)
    }

    /// Kinds that are not let pass, and not learned, by themselves.
    pub fn blocks(&self) -> Kinds {
        let mut kinds = Kinds::default();
        for kind in Kind::ALL {
            if matches!(self.act(kind), Act::Block | Act::Approve) {
                kinds.insert(kind);
            }
        }
        kinds
    }

    /// The operator knows a name, which is tagged.
    pub fn knows(&self, tagged: &str) -> bool {
        let (kind, name) = (kind_of(tagged), bare(tagged));
        let globs = match kind {
            Kind::NewMcpServer => &self.servers,
            Kind::NewTool => &self.tools,
            _ => &self.models,
        };
        // Over MCP a tool goes by `server/tool` as well.
        let over_mcp = tagged.starts_with(tag::MCP_TOOL);
        let tool = name.split_once('/').filter(|_| over_mcp).map_or(name, |(_, tool)| tool);
        globs.iter().any(|glob| glob.matches(name) || glob.matches(tool))
    }
}

impl Act {
    /// As records name it.
    pub const fn name(self) -> &'static str {
        match self {
            Act::Allow => "allow",
            Act::Flag => "flag",
            Act::Approve => "approve",
            Act::Block => "block",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_acts_of_their_own() {
        let mut habits = Habits::new(Act::Flag);
        habits.set(Kind::Rate, Act::Block);
        for kind in Kind::ALL {
            assert_eq!(habits.act(kind) == Act::Block, kind == Kind::Rate);
            assert_eq!(habits.blocks().contains(kind), kind == Kind::Rate);
        }
        assert!(Habits::new(Act::Allow).blocks().is_empty());
    }

    #[test]
    fn what_the_operator_knows_is_known() {
        let mut habits = Habits::new(Act::Block);
        habits.models = vec![Glob::new("gpt-4o*").unwrap()];
        habits.tools = vec![Glob::new("search_*").unwrap(), Glob::new("jira/delete").unwrap()];
        habits.servers = vec![Glob::new("jira").unwrap()];
        for (name, known) in [
            ("mgpt-4o-mini", true),
            ("vgpt-4o-2024-08-06", true),
            ("vendor/gpt-4o", false),
            ("mvendor/gpt-4o", false),
            ("mjira", false),
            ("csearch_web", true),
            ("cdelete", false),
            ("cjira/search_web", false),
            ("pjira/search_issues", true),
            ("pjira/delete", true),
            ("pwiki/delete", false),
            ("sjira", true),
            ("swiki", false),
        ] {
            assert_eq!(habits.knows(name), known, "{name}");
        }
    }
}
