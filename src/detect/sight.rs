//! In which texts rules look at all.

use super::engine::{Input, View};
use crate::rules::{LoadedRule, Scope, TextView};

/// For each view of a text, where it may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    raw: Scope,
    clean: Scope,
}

impl Sight {
    /// Of one rule.
    pub(super) const fn of(rule: &LoadedRule) -> Sight {
        let (raw, clean) = match rule.view {
            TextView::Raw => (rule.scope, Scope::NONE),
            TextView::Clean => (Scope::NONE, rule.scope),
            TextView::Both => (rule.scope, rule.scope),
        };
        Sight { raw, clean }
    }

    /// Of several: the texts that any of them looks at.
    pub(super) fn of_all<'r>(rules: impl Iterator<Item = &'r LoadedRule>) -> Sight {
        rules.map(Sight::of).fold(Sight { raw: Scope::NONE, clean: Scope::NONE }, |all, one| Sight {
            raw: all.raw.or(one.raw),
            clean: all.clean.or(one.clean),
        })
    }

    /// Whether that text is one of them.
    #[inline(always)]
    pub(super) const fn has(&self, input: &Input<'_>) -> bool {
        let scope = match input.view {
            View::Raw => self.raw,
            View::Clean => self.clean,
        };
        scope.contains(input.direction, input.kind)
    }
}
