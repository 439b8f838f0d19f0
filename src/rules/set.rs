//! Rule packs, resolved and checked: what the engine compiles.

use regex_syntax::hir::Hir;

use super::written::{Anchor, Category, Context, Pack, Pattern, Rule, RuleTests, Severity, TextView};
use super::{RuleError, Scope, Shape};
use crate::limits::{MAX_CONTEXT_BYTES, MAX_MATCH_BYTES, MAX_RULES};

/// Place of a rule in its [`RuleSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIndex(pub u16);

/// Id of findings of the injection classifier.
pub const CLASSIFIER: &str = "injection.classifier";

/// How much a pack must say about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Files of `rules/packs/` and of rule authors: tests and reasons required.
    Authored,
    /// Rules of a configuration, and packs stripped of their tests.
    Lenient,
}

/// Where matches of a rule can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At one of these lower-case literals, letters' case aside.
    Literals(Vec<Vec<u8>>),
    /// At a shape of text.
    Anchor(Anchor),
    /// Where the injection classifier says; the engine has no part in it.
    Model,
}

/// A rule whose fields have been checked.
#[derive(Clone, Debug)]
pub struct LoadedRule {
    /// `category.what.variant`.
    pub id: String,
    /// Name of the pack, or `custom`.
    pub pack: String,
    /// What policy acts on.
    pub category: Category,
    /// For people.
    pub title: String,
    /// 1 to 4.
    pub level: u8,
    /// Harm of a true finding.
    pub severity: Severity,
    /// Which spans it looks at.
    pub scope: Scope,
    /// Which view of their text.
    pub view: TextView,
    /// Where matches can start.
    pub start: Start,
    /// The pattern, parsed.
    pub shape: Shape,
    /// Longest match, lead and trail included.
    pub max_len: usize,
    /// Checks as written.
    pub checks: Vec<String>,
    /// Words before the match.
    pub context: Option<Context>,
    /// Counts only with the classifier's support.
    pub needs_support: bool,
    /// What stands in place of a redacted match.
    pub replace: String,
    /// Why a finding matters; empty in stripped packs.
    pub why: String,
    /// Rules of the pack that may find the same.
    pub also: Vec<String>,
    /// Empty in stripped packs.
    pub tests: RuleTests,
}

/// Rules of any number of packs, in load order. Ids are unique.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<LoadedRule>,
}

impl RuleSet {
    /// Adds a pack from its JSON text. On any fault nothing is added.
    pub fn add_pack(&mut self, file: &str, json: &str, strict: Strictness) -> Result<(), Vec<RuleError>> {
        let pack: Pack =
            super::from_json(json).map_err(|e| vec![RuleError::new(file, "", "", e.to_string())])?;
        self.add(file, &pack, strict)
    }

    /// Adds the rules of a parsed pack. On any fault nothing is added, and all
    /// faults are told.
    pub fn add(&mut self, file: &str, pack: &Pack, strict: Strictness) -> Result<(), Vec<RuleError>> {
        let mut errors = Vec::new();
        if pack.format != 1 {
            errors.push(RuleError::new(file, "", "format", "must be 1"));
        }
        if !is_name(&pack.pack) {
            errors.push(RuleError::new(file, "", "pack", "must be a name of [a-z0-9-]"));
        }
        if RESERVED.contains(&pack.pack.as_str()) {
            let reason = format!("{:?} begins the ids of the filter's own findings", pack.pack);
            errors.push(RuleError::new(file, "", "pack", reason));
        }
        let mut added: Vec<LoadedRule> = Vec::with_capacity(pack.rules.len());
        for rule in &pack.rules {
            let loader = Loader { file, pack, rule, strict };
            if let Some(other) = self.rules.iter().chain(&added).find(|other| other.id == rule.id) {
                errors.push(loader.error("id", format!("used before, by a rule of pack {:?}", other.pack)));
            }
            match loader.load() {
                Ok(rule) => added.push(rule),
                Err(error) => errors.push(error),
            }
        }
        if pack.rules.is_empty() {
            errors.push(RuleError::new(file, "", "rules", "is empty"));
        }
        for rule in &pack.rules {
            if let Some(id) = rule.also.iter().find(|id| !pack.rules.iter().any(|r| r.id == **id)) {
                errors.push(RuleError::new(file, &rule.id, "also", format!("no rule {id} in this pack")));
            }
        }
        if self.rules.len() + added.len() > MAX_RULES {
            errors.push(RuleError::new(file, "", "rules", format!("more than {MAX_RULES} rules")));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.rules.append(&mut added);
        Ok(())
    }

    /// Adds the rule that stands for the injection classifier, so that it is
    /// disabled, monitored and recorded like others.
    pub fn add_classifier(&mut self) {
        if self.find(CLASSIFIER).is_some() {
            return;
        }
        self.rules.push(LoadedRule {
            id: CLASSIFIER.to_owned(),
            pack: "injection".to_owned(),
            category: Category::Injection,
            title: "Text that reads like an attempt to steer the model".to_owned(),
            level: 1,
            severity: Severity::High,
            scope: Scope::ALL,
            view: TextView::Both,
            start: Start::Model,
            shape: Shape::none(),
            max_len: 0,
            checks: Vec::new(),
            context: None,
            needs_support: false,
            replace: "[INJECTION]".to_owned(),
            why: "Rules find what somebody listed; the classifier finds what reads like it.".to_owned(),
            also: Vec::new(),
            tests: RuleTests::default(),
        });
    }

    /// Of one rule.
    pub(crate) fn of(rule: LoadedRule) -> RuleSet {
        RuleSet { rules: vec![rule] }
    }

    /// Keeps the rules that `keep` accepts; indices change.
    pub fn retain(&mut self, keep: impl FnMut(&LoadedRule) -> bool) {
        self.rules.retain(keep);
    }

    /// All rules.
    pub fn rules(&self) -> &[LoadedRule] {
        &self.rules
    }

    /// The rule at `index`.
    pub fn get(&self, index: RuleIndex) -> Option<&LoadedRule> {
        self.rules.get(usize::from(index.0))
    }

    /// Rules with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (RuleIndex, &LoadedRule)> {
        (0..=u16::MAX).map(RuleIndex).zip(&self.rules)
    }

    /// The index of the rule called `id`.
    pub fn find(&self, id: &str) -> Option<RuleIndex> {
        self.iter().find(|(_, rule)| rule.id == id).map(|(index, _)| index)
    }
}

/// First names of ids that findings, refusals and gaps of the filter itself have: a rule
/// of that name would pass for one of them in the record.
const RESERVED: &[&str] = &[
    "anomaly",
    "approval",
    "compressed",
    "engine",
    "fault",
    "global",
    "identity",
    "limits",
    "mcp",
    "policy",
    "price",
    "quota",
    "request",
    "response",
    "stream",
];

/// Checks one rule as written.
struct Loader<'a> {
    file: &'a str,
    pack: &'a Pack,
    rule: &'a Rule,
    strict: Strictness,
}

impl Loader<'_> {
    fn error(&self, field: &'static str, reason: impl Into<String>) -> RuleError {
        RuleError::new(self.file, &self.rule.id, field, reason)
    }

    fn load(&self) -> Result<LoadedRule, RuleError> {
        let rule = self.rule;
        self.check_texts()?;
        let scope = Scope::parse(&rule.scan).map_err(|item| {
            let kinds = Scope::kinds().join(", ");
            self.error(
                "scan",
                format!("{item:?} is none of request, response, {kinds}, nor a direction and a kind with a colon between"),
            )
        })?;
        let written = match &rule.pattern {
            Pattern::One(pattern) => pattern.clone(),
            Pattern::Joined(parts) => parts.concat(),
        };
        let shape = Shape::parse(&written).map_err(|reason| self.error("pattern", reason))?;
        let start = self.start(&shape)?;
        self.check_max_len(&shape.full())?;
        self.check_context()?;
        Ok(LoadedRule {
            id: rule.id.clone(),
            pack: self.pack.pack.clone(),
            category: self.pack.category,
            title: rule.title.clone(),
            level: rule.level,
            severity: rule.severity,
            scope,
            view: rule.view,
            start,
            shape,
            max_len: rule.max_len,
            checks: rule.check.clone(),
            context: rule.context.clone(),
            needs_support: rule.needs_support,
            replace: rule.replace.clone(),
            why: rule.why.clone(),
            also: rule.also.clone(),
            tests: rule.tests.clone(),
        })
    }

    fn check_texts(&self) -> Result<(), RuleError> {
        let rule = self.rule;
        if !is_id(&rule.id) {
            return Err(self.error("id", "must be two to five names of [a-z0-9-], joined by dots"));
        }
        if !(1..=4).contains(&rule.level) {
            return Err(self.error("level", "must be 1, 2, 3 or 4"));
        }
        if rule.replace.is_empty()
            || !rule.replace.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
        {
            return Err(self.error("replace", "must be plain ASCII text without quotes and backslashes"));
        }
        if rule.id == CLASSIFIER {
            return Err(self.error("id", "is that of the classifier's findings"));
        }
        if rule.needs_support && self.pack.category != Category::Injection {
            return Err(self.error("needs_support", "only rules of category \"injection\" can have it"));
        }
        if !rule.id.starts_with(&format!("{}.", self.pack.pack)) {
            return Err(
                self.error("id", format!("must start with the name of its pack, {:?}", self.pack.pack))
            );
        }
        if self.strict == Strictness::Lenient {
            return Ok(());
        }
        for (field, text) in [("title", &rule.title), ("since", &rule.since), ("why", &rule.why)] {
            if text.trim().is_empty() {
                return Err(self.error(field, "must not be empty"));
            }
        }
        if rule.tests.hit.len() < 2 || rule.tests.clean.len() < 2 {
            return Err(self.error("tests", "at least two of `hit` and two of `clean` are needed"));
        }
        Ok(())
    }

    fn start(&self, shape: &Shape) -> Result<Start, RuleError> {
        if let Some(anchor) = self.rule.anchor {
            return Ok(Start::Anchor(anchor));
        }
        shape.literals().map(Start::Literals).ok_or_else(|| {
            self.error(
                "pattern",
                "every match must start with one of a few literals of at least three bytes \
                 (two, if punctuation), or the rule needs an `anchor`",
            )
        })
    }

    fn check_max_len(&self, full: &Hir) -> Result<(), RuleError> {
        let max_len = self.rule.max_len;
        let shortest = full.properties().minimum_len().unwrap_or(usize::MAX);
        if max_len > MAX_MATCH_BYTES || max_len < shortest {
            return Err(self.error(
                "max_len",
                format!("must be from {shortest}, the pattern's shortest match, to {MAX_MATCH_BYTES}"),
            ));
        }
        let marked = self.rule.tests.hit.iter().flat_map(|hit| hit.split('«').skip(1));
        for text in marked.filter_map(|tail| tail.split('»').next()) {
            if text.len() > max_len {
                return Err(self.error("max_len", format!("a `hit` marks {} bytes", text.len())));
            }
        }
        Ok(())
    }

    fn check_context(&self) -> Result<(), RuleError> {
        let Some(context) = &self.rule.context else { return Ok(()) };
        if context.words.is_empty() && context.exclude.is_empty() {
            return Err(self.error("context", "needs `words` or `exclude`"));
        }
        if !(1..=MAX_CONTEXT_BYTES).contains(&context.within) {
            return Err(
                self.error("context", format!("`within` must be from 1 to {MAX_CONTEXT_BYTES} bytes"))
            );
        }
        for word in context.words.iter().chain(&context.exclude) {
            if word.is_empty() || word.len() > context.within || *word != word.to_ascii_lowercase() {
                return Err(self.error(
                    "context",
                    format!("{word:?} is empty, longer than `within`, or not lower-case"),
                ));
            }
        }
        Ok(())
    }
}

fn is_id(id: &str) -> bool {
    id.len() <= 80 && (2..=5).contains(&id.split('.').count()) && id.split('.').all(is_name)
}

fn is_name(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('-')
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
