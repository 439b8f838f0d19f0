//! A text as the filter looks at it: as written and in every view, with rules
//! and classifier together.

use portcullis::config::Config;
use portcullis::detect::classifier::{Classifier, Scores};
use portcullis::detect::{Engine, Injection, Input, Match, Scratch, View};
use portcullis::rules::{Direction, RuleSet};
use portcullis::text::{self, SpanKind, Transforms};

/// Everything that looks.
pub(crate) struct Eye<'m> {
    pub(crate) rules: RuleSet,
    engine: Engine,
    injection: Option<Injection<'m>>,
    scratch: Scratch,
    views: text::Scratch,
    scores: Scores,
    direction: Direction,
}

/// What was seen in a text.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// In bytes of the text as written.
    pub(crate) matches: Vec<Match>,
    /// The classifier's highest score in any view, of what it may find alone.
    pub(crate) logit: Option<f32>,
    /// Some part was not looked at.
    pub(crate) exhausted: bool,
}

impl<'m> Eye<'m> {
    /// Rules up to `level`; a model, the built-in one if none is given.
    pub(crate) fn new(mut rules: RuleSet, model: Option<&'m [u8]>, level: u8) -> Result<Eye<'m>, String> {
        rules.retain(|rule| rule.level <= level);
        let engine = Engine::compile(&rules)
            .map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let injection = match model {
            None => Injection::new(&rules, level),
            Some(file) => {
                let model = Classifier::load(file).map_err(|e| format!("model: {}", e.what))?;
                Injection::with(model, &rules, level)
            }
        };
        Ok(Eye::with(rules, engine, injection))
    }

    /// What a configuration has on.
    pub(crate) fn of(config: Config) -> Eye<'static> {
        Eye::with(config.rules, config.engine, config.injection)
    }

    fn with(rules: RuleSet, engine: Engine, injection: Option<Injection<'_>>) -> Eye<'_> {
        let (scratch, views, scores) = (Scratch::new(), text::Scratch::default(), Scores::default());
        Eye { rules, engine, injection, scratch, views, scores, direction: Direction::Request }
    }

    /// Looks at a text.
    pub(crate) fn look(&mut self, whole: &str, direction: Direction, kind: SpanKind) -> Seen {
        self.direction = direction;
        let mut seen = Seen::default();
        let mut matches = Vec::new();
        self.scan(whole, kind, &[View::Raw], &mut matches, &mut seen);
        seen.matches = matches;
        let mut views = std::mem::take(&mut self.views);
        let made = text::views(whole, &mut views, &mut |view| {
            let mut matches = Vec::new();
            let decoded = view.transforms.intersects(Transforms::DECODED);
            let as_what: &[View] = if decoded { &[View::Clean, View::Raw] } else { &[View::Clean] };
            self.scan(view.text, kind, as_what, &mut matches, &mut seen);
            for found in matches {
                let range = view.source_range(found.range);
                let known = |m: &Match| {
                    m.rule == found.rule && m.range.start < range.end && range.start < m.range.end
                };
                if !seen.matches.iter().any(known) {
                    seen.matches.push(Match { rule: found.rule, range });
                }
            }
        });
        self.views = views;
        seen.exhausted |= made.exhausted;
        seen
    }

    fn scan(
        &mut self,
        text: &str,
        kind: SpanKind,
        views: &[View],
        matches: &mut Vec<Match>,
        seen: &mut Seen,
    ) {
        for &view in views {
            let direction = self.direction;
            let input = Input { text, view, kind, direction, at_end: true, skip_before: 0 };
            seen.exhausted |= self.engine.scan(&input, &mut self.scratch, matches).budget_exhausted;
        }
        if let Some(injection) = &self.injection {
            injection.judge(text, kind, matches, &mut self.scores);
            let best = Injection::alone(text, &self.scores);
            seen.logit = seen.logit.into_iter().chain(best).reduce(f32::max);
        }
    }

    /// Id of the rule of a match.
    pub(crate) fn id(&self, found: &Match) -> &str {
        self.rules.get(found.rule).map_or("", |rule| rule.id.as_str())
    }
}
