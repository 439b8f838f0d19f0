//! Which bytes can stand at the first places of a match.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::follow::ByteSet;

/// Places that are looked at.
pub const HEAD_PLACES: usize = 8;

/// A bit for each place, and one for all that lie beyond.
type Places = u16;
const ALL: Places = (1 << HEAD_PLACES) - 1;

/// For each of the first places the bytes that some match has there, or that may stand
/// behind one that has ended.
pub(crate) fn heads(pattern: &Hir) -> [ByteSet; HEAD_PLACES] {
    let mut heads = [ByteSet::default(); HEAD_PLACES];
    let ends = walk(pattern, 1, &mut heads);
    let first = ends.trailing_zeros() as usize;
    heads.iter_mut().skip(first).for_each(|head| *head = ByteSet::ALL);
    heads
}

/// Adds what stands at `starts` and behind; gives the places where it can end.
fn walk(hir: &Hir, starts: Places, heads: &mut [ByteSet; HEAD_PLACES]) -> Places {
    match hir.kind() {
        // Look-around only narrows.
        HirKind::Empty | HirKind::Look(_) => starts,
        HirKind::Literal(literal) => literal.0.iter().fold(starts, |starts, byte| {
            at(starts, heads).for_each(|head| head.add(*byte));
            starts << 1 & ALL
        }),
        HirKind::Class(Class::Bytes(class)) => {
            let mut bytes = ByteSet::default();
            class.iter().for_each(|range| (range.start()..=range.end()).for_each(|byte| bytes.add(byte)));
            at(starts, heads).for_each(|head| head.join(&bytes));
            starts << 1 & ALL
        }
        HirKind::Class(Class::Unicode(_)) => {
            *heads = [ByteSet::ALL; HEAD_PLACES];
            ALL
        }
        HirKind::Repetition(repetition) => repeat(repetition, starts, heads),
        HirKind::Capture(group) => walk(&group.sub, starts, heads),
        HirKind::Concat(subs) => subs.iter().fold(starts, |starts, sub| walk(sub, starts, heads)),
        HirKind::Alternation(subs) => subs.iter().fold(0, |ends, sub| ends | walk(sub, starts, heads)),
    }
}

fn repeat(repetition: &Repetition, starts: Places, heads: &mut [ByteSet; HEAD_PLACES]) -> Places {
    let (mut here, mut ends) = (starts, if repetition.min == 0 { starts } else { 0 });
    for done in 1..=repetition.max.unwrap_or(u32::MAX) {
        let next = walk(&repetition.sub, here, heads);
        // All that more rounds could come to is known.
        let settled = next == here || next == 0;
        here = next;
        if done >= repetition.min || settled {
            ends |= here;
        }
        if settled {
            break;
        }
    }
    ends
}

fn at(places: Places, heads: &mut [ByteSet; HEAD_PLACES]) -> impl Iterator<Item = &mut ByteSet> {
    heads.iter_mut().enumerate().filter(move |(place, _)| places >> place & 1 == 1).map(|(_, head)| head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_at_each_place() {
        for (pattern, want) in [
            ("abc", ["a", "b", "c", "*"].as_slice()),
            ("a?bc", &["ab", "bc", "c*", "*"]),
            ("[ab]{2,3}x", &["ab", "ab", "abx", "*"]),
            ("(?:ab|c)+d", &["ac", "abcd", "*"]),
            (r"\b(?:ab){3}", &["a", "b", "a", "b", "a", "b", "*"]),
            ("(?:a*)*b", &["ab", "*"]),
            ("x{40}", &["x", "x", "x", "x", "x", "x", "x", "x"]),
            ("(?:a?){90}b", &["ab", "*"]),
        ] {
            let hir =
                regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).unwrap();
            for (place, head) in heads(&hir).iter().enumerate() {
                let want = want.get(place).or(want.last()).unwrap();
                let all = want.contains('*');
                for byte in 0..=255u8 {
                    assert_eq!(
                        head.has(byte),
                        all || want.as_bytes().contains(&byte),
                        "{pattern} {place} {byte}"
                    );
                }
            }
        }
    }
}
