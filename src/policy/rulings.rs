//! From a finding's category to what is done about it.

use serde::Deserialize;

use crate::rules::Category;

/// What happens to a finding, from mild to severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing, not even a line in the record.
    Allow,
    /// Recorded.
    Flag,
    /// Replaced by the rule's label.
    Redact,
    /// Replaced by a keyed hash, so that equal values stay equal.
    Hash,
    /// Replaced by a keyed placeholder that the answer's restore turns back.
    Tokenize,
    /// Sent to the operator's quarantine route.
    Quarantine,
    /// Refused.
    Block,
}

/// What is done about a finding, and whether it is done or only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What would be done.
    pub action: Action,
    /// False: in monitor mode, by mode, policy, category or rule.
    pub enforced: bool,
}

/// Rulings by category, for one direction.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    by_category: [Ruling; CATEGORIES],
}

const CATEGORIES: usize = 5;

/// Findings are recorded unless a policy says otherwise: a pack that is on
/// and does nothing visible would be a gap nobody sees.
const DEFAULT: Ruling = Ruling { action: Action::Flag, enforced: true };

impl Default for Actions {
    fn default() -> Self {
        Actions { by_category: [DEFAULT; CATEGORIES] }
    }
}

impl Actions {
    /// Set the ruling of a category.
    pub fn set(&mut self, category: Category, ruling: Ruling) {
        if let Some(slot) = self.by_category.get_mut(category as usize) {
            *slot = ruling;
        }
    }

    /// Some category's findings are replaced.
    pub fn may_edit(&self) -> bool {
        let edits =
            |r: &Ruling| r.enforced && matches!(r.action, Action::Redact | Action::Hash | Action::Tokenize);
        self.by_category.iter().any(edits)
    }

    /// The ruling for a category.
    pub fn get(&self, category: Category) -> Ruling {
        self.by_category.get(category as usize).copied().unwrap_or(DEFAULT)
    }
}

/// Rulings for both directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Towards the model.
    pub request: Actions,
    /// Towards the client.
    pub response: Actions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_flagged() {
        let mut actions = Actions::default();
        actions.set(Category::Code, Ruling { action: Action::Block, enforced: false });
        assert_eq!(actions.get(Category::Pii), DEFAULT);
        assert_eq!(actions.get(Category::Code).action, Action::Block);
    }
}
