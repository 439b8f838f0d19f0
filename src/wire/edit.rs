//! Splices over original bytes: what is not edited leaves as it came.

use std::borrow::Cow;
use std::ops::Range;

/// Replace the bytes of `range` by `with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Bytes of the original to replace; empty to insert.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub with: Vec<u8>,
}

/// Apply `edits` to `original`. Edits are sorted by start; one that overlaps an
/// earlier one, or lies outside the body, is an error: the caller refuses the
/// message rather than send a body nobody planned.
pub fn apply<'a>(original: &'a [u8], edits: &mut [Edit]) -> Result<Cow<'a, [u8]>, Overlap> {
    if edits.is_empty() {
        return Ok(Cow::Borrowed(original));
    }
    crate::order::sort_by_key(edits, |e| (e.range.start, e.range.end));
    let grown: usize = edits.iter().map(|e| e.with.len()).sum();
    let mut out = Vec::with_capacity(original.len().saturating_add(grown));
    let mut at = 0;
    for edit in edits.iter() {
        let keep = original.get(at..edit.range.start).ok_or(Overlap)?;
        if edit.range.end > original.len() || edit.range.end < edit.range.start {
            return Err(Overlap);
        }
        out.extend_from_slice(keep);
        out.extend_from_slice(&edit.with);
        at = edit.range.end;
    }
    out.extend_from_slice(original.get(at..).ok_or(Overlap)?);
    Ok(Cow::Owned(out))
}

/// Edits that take the elements of an array out that are not to be kept, with
/// the commas between. `elements` are in order, with whether to keep them.
pub fn keep_elements(elements: &[(Range<usize>, bool)]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut kept_before = false;
    let mut previous_end = None;
    for (i, (range, keep)) in elements.iter().enumerate() {
        if *keep {
            kept_before = true;
        } else {
            let next = elements.get(i + 1).map_or(range.end, |(next, _)| next.start);
            let cut = match previous_end.filter(|_| kept_before) {
                Some(end) => end..range.end,
                None => range.start..next,
            };
            edits.push(Edit { range: cut, with: Vec::new() });
        }
        previous_end = Some(range.end);
    }
    edits
}

/// Two edits overlap, or one lies outside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn edit(start: usize, end: usize, with: &str) -> Edit {
        Edit { range: start..end, with: with.as_bytes().to_vec() }
    }

    #[test]
    fn no_edit_borrows_the_original() {
        assert!(matches!(apply(b"abc", &mut []), Ok(Cow::Borrowed(b"abc"))));
    }

    #[test]
    fn edits_apply_in_any_order() {
        let mut edits = [edit(4, 6, "Y"), edit(0, 1, ""), edit(2, 2, "++")];
        assert_eq!(&*apply(b"abcdefg", &mut edits).unwrap(), b"b++cdYg");
    }

    #[test]
    fn elements_leave_with_their_commas() {
        let body = b"[1, 2 ,3]";
        let ranges = [1..2, 4..5, 7..8];
        for (keep, expected) in [
            ([true, true, true], "[1, 2 ,3]"),
            ([false, true, true], "[2 ,3]"),
            ([true, false, true], "[1 ,3]"),
            ([true, true, false], "[1, 2]"),
            ([true, false, false], "[1]"),
            ([false, true, false], "[2]"),
            ([false, false, true], "[3]"),
            ([false, false, false], "[]"),
        ] {
            let elements: Vec<_> = ranges.iter().cloned().zip(keep).collect();
            let edited = apply(body, &mut keep_elements(&elements)).unwrap().into_owned();
            assert_eq!(std::str::from_utf8(&edited).unwrap(), expected, "{keep:?}");
        }
    }

    #[test]
    fn overlaps_and_strays_are_errors() {
        assert_eq!(apply(b"abc", &mut [edit(0, 2, ""), edit(1, 3, "")]), Err(Overlap));
        assert_eq!(apply(b"abc", &mut [edit(2, 4, "")]), Err(Overlap));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = edit(2, 1, "");
        assert_eq!(apply(b"abc", &mut [reversed]), Err(Overlap));
    }
}
