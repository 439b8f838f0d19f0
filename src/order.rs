//! Sorting, for places where it is rare or short.
//!
//! The library's sort is compiled anew for every type and closure, 6 to 8 KB of
//! module each time; thirty of them were a tenth of it. Here one sort of
//! numbers serves all, through a comparison by pointer.

use std::cmp::Ordering;

/// Sorts by a key, stably.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

/// Sorts by a key, stably: the same, where few items are far from their place.
pub fn sort_nearly_sorted<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    let mut moves = items.len().saturating_mul(8);
    for at in 1..items.len() {
        let mut to = at;
        while let Some([before, item]) = to.checked_sub(1).and_then(|before| items.get(before..=to)) {
            if key(before) <= key(item) {
                break;
            }
            if moves == 0 {
                return sort_by_key(items, key);
            }
            moves -= 1;
            items.swap(to - 1, to);
            to -= 1;
        }
    }
}

/// Sorts by a comparison, stably.
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return;
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    sort_places(&mut order, &|a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    // Where each item goes; every swap puts one there for good.
    let mut target = vec![0; order.len()];
    for (at, place) in order.into_iter().enumerate() {
        if let Some(slot) = target.get_mut(place) {
            *slot = at;
        }
    }
    for at in 0..target.len() {
        while let Some(&to) = target.get(at).filter(|to| **to != at) {
            items.swap(at, to);
            target.swap(at, to);
        }
    }
}

#[inline(never)]
fn sort_places(order: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    order.sort_by(|a, b| compare(*a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_stably() {
        let mut items: Vec<(u32, usize)> =
            (0..500).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 27, i)).collect();
        let mut want = items.clone();
        want.sort_by_key(|(key, _)| *key);
        sort_by_key(&mut items, |(key, _)| *key);
        assert_eq!(items, want);
        sort_by(&mut items, |a, b| b.cmp(a));
        sort_nearly_sorted(&mut items, |(key, _)| *key);
        want = items.clone();
        want.sort_by_key(|(key, _)| *key);
        assert_eq!(items, want);
        let mut nearly: Vec<usize> = (0..500).map(|i| i ^ 3).collect();
        sort_nearly_sorted(&mut nearly, |i| *i);
        assert!(nearly.is_sorted());
        sort_by(&mut items, |a, b| b.cmp(a));
        want.sort_by(|a, b| b.cmp(a));
        assert_eq!(items, want);
    }
}
