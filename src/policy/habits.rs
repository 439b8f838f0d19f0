//! What a policy does about what is out of the ordinary.

use serde::Deserialize;

use super::{Action, Glob};
use crate::baseline::kind::KINDS;
use crate::baseline::{Kind, Kinds, List};

/// What happens to a kind of anomaly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// Nothing, not even a line in the record.
    Allow,
    /// Recorded, and learned.
    #[default]
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

    /// The operator knows a name.
    pub fn knows(&self, list: List, name: &str) -> bool {
        let bare = match list {
            List::McpTools => name.split_once('/').map_or(name, |(_, tool)| tool),
            _ => name,
        };
        let globs = match list.kind() {
            Kind::NewMcpServer => &self.servers,
            Kind::NewTool => &self.tools,
            _ => &self.models,
        };
        globs.iter().any(|glob| glob.matches(name) || glob.matches(bare))
    }
}

impl Act {
    /// The action as records name it.
    pub const fn action(self) -> Action {
        match self {
            Act::Allow => Action::Allow,
            Act::Flag => Action::Flag,
            Act::Approve | Act::Block => Action::Block,
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
        for (list, name, known) in [
            (List::Models, "gpt-4o-mini", true),
            (List::Served, "gpt-4o-2024-08-06", true),
            (List::Models, "jira", false),
            (List::Called, "search_web", true),
            (List::Called, "delete", false),
            (List::McpTools, "jira/search_issues", true),
            (List::McpTools, "jira/delete", true),
            (List::McpTools, "wiki/delete", false),
            (List::Servers, "jira", true),
            (List::Servers, "wiki", false),
        ] {
            assert_eq!(habits.knows(list, name), known, "{list:?} {name}");
        }
    }
}
