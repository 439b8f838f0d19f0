//! What every match of a pattern holds soon after its start, and ordinary prose
//! seldom does.
//!
//! Many rules for credentials start with a name that may stand inside a word
//! (`myapp_okta`), and all of them want a value or a sign of assignment behind it.
//! Where neither is near, the name need not be looked for. Answers are never too
//! narrow: what is not known to be there leaves the gate open.

use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind};

/// What must be near for a match to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Nothing.
    #[default]
    Open,
    /// An [`is_operator`] byte within [`OPERATOR_REACH`] bytes.
    Operator,
    /// [`RUN`] bytes [`in_run`] within [`RUN_REACH`] bytes.
    Run,
}

/// Longer than all but one in a thousand English words, shorter than credentials.
pub const RUN: usize = 16;
/// Names, signs and quotes that stand before a value take up to a hundred bytes.
pub const RUN_REACH: usize = 128;
/// See [`Gate::Operator`].
pub const OPERATOR_REACH: usize = 64;

/// Bytes that credentials are made of.
pub const fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b'%')
}

/// Bytes of signs of assignment, and of those that open tags.
pub const fn is_operator(byte: u8) -> bool {
    matches!(byte, b'=' | b':' | b'<' | b'>' | b'|')
}

/// The gate of a pattern whose matches have `max_len` bytes at most.
pub(super) fn gate(pattern: &Hir, max_len: usize) -> Gate {
    let known = Known::of(pattern, max_len);
    if known.run.is_some_and(|reach| reach <= RUN_REACH) {
        Gate::Run
    } else if known.operator.is_some_and(|reach| reach <= OPERATOR_REACH) {
        Gate::Operator
    } else {
        Gate::Open
    }
}

/// What is known of every match of a part of a pattern.
#[derive(Clone, Copy)]
struct Known {
    min: usize,
    max: usize,
    /// All bytes are [`in_run`].
    whole: bool,
    /// Within so many bytes from its start lies a run.
    run: Option<usize>,
    /// Within so many bytes stands an operator.
    operator: Option<usize>,
}

impl Known {
    const NOTHING: Known = Known { min: 0, max: 0, whole: true, run: None, operator: None };

    fn of(hir: &Hir, max_len: usize) -> Known {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Known::NOTHING,
            HirKind::Literal(literal) => {
                Known::row(literal.0.iter().map(|byte| Known::byte(&[(*byte, *byte)])), max_len)
            }
            HirKind::Class(Class::Bytes(class)) => Known::byte(&ranges(class)),
            HirKind::Class(Class::Unicode(_)) => Known { min: 1, max: 4, whole: false, ..Known::NOTHING },
            HirKind::Repetition(repetition) => {
                let (min, max) = (repetition.min as usize, repetition.max);
                let once = Known::of(&repetition.sub, max_len);
                let first = |reach: Option<usize>| reach.filter(|_| min > 0);
                Known {
                    min: once.min.saturating_mul(min),
                    max: max.map_or(max_len, |max| once.max.saturating_mul(max as usize)).min(max_len),
                    whole: once.whole,
                    run: first(once.run),
                    operator: first(once.operator),
                }
                .counted()
            }
            HirKind::Capture(group) => Known::of(&group.sub, max_len),
            HirKind::Concat(subs) => Known::row(subs.iter().map(|sub| Known::of(sub, max_len)), max_len),
            HirKind::Alternation(subs) => {
                subs.iter().map(|sub| Known::of(sub, max_len)).reduce(Known::or).unwrap_or(Known::NOTHING)
            }
        }
    }

    /// One byte of some ranges.
    fn byte(ranges: &[(u8, u8)]) -> Known {
        let all = |is: fn(u8) -> bool| ranges.iter().all(|&(first, last)| (first..=last).all(is));
        let operator = all(is_operator).then_some(1);
        Known { min: 1, max: 1, whole: all(in_run), run: None, operator }
    }

    /// A run if it is long enough.
    fn counted(self) -> Known {
        Known { run: if self.whole && self.min >= RUN { Some(RUN) } else { self.run }, ..self }
    }

    /// One of both.
    fn or(self, other: Known) -> Known {
        let both = |a: Option<usize>, b: Option<usize>| a.zip(b).map(|(a, b)| a.max(b));
        Known {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            whole: self.whole && other.whole,
            run: both(self.run, other.run),
            operator: both(self.operator, other.operator),
        }
    }

    /// One after the other.
    fn row(parts: impl Iterator<Item = Known>, max_len: usize) -> Known {
        let mut all = Known::NOTHING;
        // Bytes sure to be in the run that goes on, and where it starts at the latest.
        let (mut sure, mut start) = (0, 0);
        let earlier = |known: &mut Option<usize>, reach: usize| {
            *known = Some(known.map_or(reach, |known| known.min(reach)));
        };
        for part in parts {
            if let Some(reach) = part.run {
                earlier(&mut all.run, all.max.saturating_add(reach));
            }
            if let Some(reach) = part.operator {
                earlier(&mut all.operator, all.max.saturating_add(reach));
            }
            all.min = all.min.saturating_add(part.min);
            all.max = all.max.saturating_add(part.max).min(max_len);
            all.whole &= part.whole;
            if part.whole {
                sure = part.min.saturating_add(sure);
            } else {
                (sure, start) = (0, all.max);
            }
            if sure >= RUN {
                earlier(&mut all.run, start + RUN);
            }
        }
        all
    }
}

fn ranges(class: &ClassBytes) -> Vec<(u8, u8)> {
    class.iter().map(|range| (range.start(), range.end())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn gates() {
        for (pattern, want) in [
            ("okta[a-z ]{0,20}", Gate::Open),
            (r"okta[\w .-]{0,24}=", Gate::Operator),
            (r"okta[\w .-]{0,24}(?:=>|:|\|\|)", Gate::Operator),
            (r"okta[\w .-]{0,24}(?:=>|:|,)", Gate::Open),
            (r"okta[\w .-]{0,90}=", Gate::Open),
            (r"add [^\n]{0,24}<", Gate::Operator),
            (r"okta[\w .-]{0,24}=\s{0,9}[0-9a-f]{16}", Gate::Run),
            (r"okta[\w .-]{0,24}=\s{0,9}[0-9a-f]{15}", Gate::Operator),
            (r"okta[\w .-]{0,24}=[0-9a-f]{15}\s", Gate::Run),
            (r"okta[\w .-]{0,24}:\s{0,9}[0-9a-f]{15}\s", Gate::Operator),
            (r"okta: [0-9a-f]{8}(?:-[0-9a-f]{4}){2}", Gate::Run),
            (r"okta: (?:[0-9a-f]{16}|[A-Z]{20})", Gate::Run),
            (r"okta, (?:[0-9a-f]{16}|[A-Z]{10})", Gate::Open),
            (r"ghp_[A-Za-z0-9]{12}", Gate::Run),
            (r"ghp_[A-Za-z0-9]{11}", Gate::Open),
            (r"ghp_[^\s]{20}", Gate::Open),
            (r"ghp_[^\s]{0,}[a-z]{20}", Gate::Run),
            (r"ghp_[^\s]{0,}(?:ab){8}", Gate::Run),
        ] {
            let parsed = |pattern| {
                let mut parser = regex_syntax::ParserBuilder::new();
                parser.unicode(false).utf8(false).build().parse(pattern).unwrap()
            };
            assert_eq!(gate(&parsed(pattern), 100), want, "{pattern}");
        }
    }
}
