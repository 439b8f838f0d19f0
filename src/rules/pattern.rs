//! A pattern, taken apart: what leads to the match, the match, what follows,
//! and the literals one of which every match starts with.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

use super::follow::{ByteSet, follow};
use super::gate::{Gate, gate};
use super::heads::{HEAD_PLACES, heads};
use super::needs::{Needs, needs};
use crate::limits::MAX_PATTERN_BYTES;

/// Shortest literal prefix. Two bytes do if both are punctuation: `![`.
const MIN_LITERAL_BYTES: usize = 3;
/// Further bytes of a literal prove nothing that the automaton does not.
const MAX_LITERAL_BYTES: usize = 24;
/// Most literals of one rule.
const MAX_LITERALS: usize = 512;

/// Literals of a rule that start with the same so many bytes, and how many are
/// kept apart. Each is compared wherever those bytes stand: more of them take
/// longer than to start the automaton, and a text could be full of them.
const CROWDS: [(usize, usize); 3] = [(8, 4), (6, 8), (4, 16)];

/// A parsed pattern: `lead (body) trail`. Without a group all of it is body.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Before the group.
    pub lead: Hir,
    /// The part that is the match.
    pub body: Hir,
    /// After the group.
    pub trail: Hir,
}

/// What stands near the start of every match.
pub(crate) struct Surroundings {
    /// For each literal the bytes, in lower case, that can follow it.
    pub(crate) next: Vec<ByteSet>,
    pub(crate) gate: Gate,
    /// Words behind the start.
    pub(crate) needs: Option<Needs>,
}

impl Shape {
    /// The shape of a rule that has no pattern.
    pub fn none() -> Shape {
        Shape { lead: Hir::empty(), body: Hir::empty(), trail: Hir::empty() }
    }

    /// Parses a pattern of ASCII semantics. The error is for the author.
    pub fn parse(pattern: &str) -> Result<Shape, String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("{} bytes, more than {MAX_PATTERN_BYTES}", pattern.len()));
        }
        if pattern.contains('\u{8}') {
            return Err(r"holds a backspace: in JSON a \b of a pattern is written \\b".into());
        }
        let hir = ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(40)
            .build()
            .parse(pattern)
            .map_err(|e| e.to_string())?;
        let shape = Shape::split(&hir)?;
        if hir.properties().minimum_len().unwrap_or(0) == 0
            || shape.body.properties().minimum_len() == Some(0)
        {
            return Err("the pattern or its group can match nothing at all".into());
        }
        Ok(shape)
    }

    fn split(hir: &Hir) -> Result<Shape, String> {
        let subs = match hir.kind() {
            HirKind::Concat(subs) => subs.as_slice(),
            _ => std::slice::from_ref(hir),
        };
        let is_group = |sub: &Hir| matches!(sub.kind(), HirKind::Capture(_));
        match hir.properties().explicit_captures_len() {
            0 => return Ok(Shape { lead: Hir::empty(), body: hir.clone(), trail: Hir::empty() }),
            1 if subs.iter().any(is_group) => {}
            1 => {
                return Err(
                    "the group must stand at the top, not inside an alternative or a repetition".into()
                );
            }
            n => return Err(format!("{n} groups; one marks the match, the others must be (?:…)")),
        }
        let mut parts = subs.splitn(2, is_group);
        let (lead, trail) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let body = subs.iter().find_map(|sub| match sub.kind() {
            HirKind::Capture(group) => Some((*group.sub).clone()),
            _ => None,
        });
        Ok(Shape {
            lead: Hir::concat(lead.to_vec()),
            body: body.unwrap_or_else(Hir::empty),
            trail: Hir::concat(trail.to_vec()),
        })
    }

    /// The whole pattern.
    pub fn full(&self) -> Hir {
        Hir::concat(vec![self.lead.clone(), self.body.clone(), self.trail.clone()])
    }

    /// Lower-case literals, one of which every match (with its lead) starts
    /// with, letters' case aside. None: there is no such set that is short and
    /// selective enough.
    pub fn literals(&self) -> Option<Vec<Vec<u8>>> {
        let mut extractor = Extractor::new();
        extractor
            .kind(ExtractKind::Prefix)
            .limit_class(12)
            .limit_repeat(8)
            .limit_literal_len(MAX_LITERAL_BYTES)
            .limit_total(MAX_LITERALS);
        let seq = extractor.extract(&fold(&self.full()));
        let mut literals: Vec<Vec<u8>> = seq.literals()?.iter().map(|l| l.as_bytes().to_vec()).collect();
        crate::order::sort_by(&mut literals, Ord::cmp);
        for (bytes, most) in CROWDS {
            literals = thin_out(literals, bytes, most);
        }
        // A literal that starts with another is found with it.
        literals.dedup_by(|longer, shorter| longer.starts_with(shorter));
        let selective = |l: &Vec<u8>| {
            l.len() >= MIN_LITERAL_BYTES || (l.len() == 2 && l.iter().all(u8::is_ascii_punctuation))
        };
        (!literals.is_empty() && literals.iter().all(selective)).then_some(literals)
    }

    /// What the whole pattern tells of the surroundings of a match of `max_len` bytes
    /// at most that starts with one of `literals`.
    pub(crate) fn surroundings(&self, literals: &[Vec<u8>], max_len: usize) -> Surroundings {
        let folded = fold(&self.full());
        Surroundings {
            next: literals.iter().map(|literal| follow(&folded, literal)).collect(),
            gate: gate(&folded, max_len),
            needs: needs(&folded, max_len),
        }
    }

    /// The bytes that can stand at the first places of a match.
    pub(crate) fn heads(&self) -> [ByteSet; HEAD_PLACES] {
        heads(&self.full())
    }

    /// Every match starts at a word boundary.
    pub fn starts_at_boundary(&self) -> bool {
        self.full().properties().look_set_prefix().contains(Look::WordAscii)
    }
}

/// Sorted `literals`, where more than `most` that share their first `bytes` are
/// replaced by all that they share.
fn thin_out(literals: Vec<Vec<u8>>, bytes: usize, most: usize) -> Vec<Vec<u8>> {
    let alike = |a: &Vec<u8>, b: &Vec<u8>| a.len() >= bytes && a.get(..bytes) == b.get(..bytes);
    let mut out = Vec::with_capacity(literals.len());
    for group in literals.chunk_by(alike) {
        match group {
            [first, .., last] if group.len() > most => {
                // Between first and last in order, all share what these two do.
                let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
                out.push(first.get(..shared).unwrap_or_default().to_vec());
            }
            few => out.extend_from_slice(few),
        }
    }
    out
}

/// The same pattern for lower-cased text: letters' case folded in literals and
/// classes, so that `(?i)ignore` has one literal and not 64.
fn fold(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Bytes(class)) => Hir::class(Class::Bytes(fold_class(class))),
        // The parser makes one of `(?:A|b)`, whatever its settings.
        HirKind::Class(Class::Unicode(class)) => Hir::class(match class.to_byte_class() {
            Some(class) => Class::Bytes(fold_class(&class)),
            None => Class::Unicode(fold_chars(class)),
        }),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Repetition(rep) => Hir::repetition(Repetition {
            min: rep.min,
            max: rep.max,
            greedy: rep.greedy,
            sub: Box::new(fold(&rep.sub)),
        }),
        HirKind::Capture(group) => fold(&group.sub),
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(fold).collect()),
        HirKind::Alternation(subs) => Hir::alternation(subs.iter().map(fold).collect()),
    }
}

fn fold_class(class: &ClassBytes) -> ClassBytes {
    // Most have no capitals; the others are put together byte by byte.
    if class.iter().all(|r| r.end() < b'A' || r.start() > b'Z') {
        return class.clone();
    }
    let bytes = class.iter().flat_map(|r| r.start()..=r.end()).map(|b| b.to_ascii_lowercase());
    ClassBytes::new(bytes.map(|b| ClassBytesRange::new(b, b)))
}

/// Letters beyond ASCII stay as they are, as they do in the text.
fn fold_chars(class: &ClassUnicode) -> ClassUnicode {
    let capitals = ClassUnicode::new([ClassUnicodeRange::new('A', 'Z')]);
    let (mut folded, mut small) = (class.clone(), class.clone());
    folded.difference(&capitals);
    small.intersect(&capitals);
    let small = small
        .iter()
        .map(|r| ClassUnicodeRange::new(r.start().to_ascii_lowercase(), r.end().to_ascii_lowercase()));
    folded.union(&ClassUnicode::new(small));
    folded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn literals(pattern: &str) -> Option<Vec<String>> {
        let literals = Shape::parse(pattern).unwrap().literals()?;
        Some(literals.into_iter().map(|l| String::from_utf8_lossy(&l).into_owned()).collect())
    }

    #[test]
    fn literal_prefixes() {
        for (pattern, want) in [
            (r"sk-proj-[A-Za-z0-9]{20}", Some(&["sk-proj-"][..])),
            (r"\b(sk-proj-[A-Za-z0-9]{20})\b", Some(&["sk-proj-"])),
            (
                r"(?i)ignore\s+all",
                Some(&["ignore\t", "ignore\n", "ignore\x0b", "ignore\x0c", "ignore\r", "ignore "]),
            ),
            (r"\bAKIA[A-Z2-7]{16}", Some(&["akia"])),
            // A hundred that differ in digits only.
            (r"https://[0-9]{2}x", Some(&["https://"])),
            (r"(?:ntn_[0-9]{2}|abc)x", Some(&["abcx", "ntn_"])),
            (r"(?:foo|foobar|bar)x", Some(&["barx", "foobarx", "foox"])),
            (r"(?i)prüfe", Some(&["prüfe"])),
            (r"[a-z]{20}", None),
            (r"ab[0-9a-z]+", None),
            (r"a?bcd", Some(&["abcd", "bcd"])),
            (r"(?:X|b)cd", Some(&["bcd", "xcd"])),
            (r"(?:X|é)cd", Some(&["xcd", "écd"])),
        ] {
            let mut want = want.map(|w| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            if let Some(want) = &mut want {
                want.sort();
            }
            assert_eq!(literals(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn groups() {
        for bad in [
            r"a(b)(c)def",
            r"(?:x(abc))+",
            r"abc(d*)",
            r"(?:abc)*",
            r"abc(?=d)",
            r"[ä]bc",
            "(abc",
            "\u{8}abc",
        ] {
            assert!(Shape::parse(bad).is_err(), "{bad}");
        }
        let shape = Shape::parse(r"\bkey=(\d+);").unwrap();
        assert_eq!(shape.body.properties().minimum_len(), Some(1));
        assert_eq!(shape.trail.properties().minimum_len(), Some(1));
        assert!(shape.starts_at_boundary());
    }
}
