//! Sorting, and maps and sets from iterators, with one copy of code for all types.
//!
//! The library's stable sort is 4 KiB of code for each type that it is used with, and collecting
//! into a map or a set sorts. Here indices are sorted, and maps grow one element at a time: slower
//! for millions of elements, which nothing here has.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Sorts as `slice::sort_by` does.
pub fn sort_by<T>(items: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut order = sorted(items.len(), &mut |a, b| compare(&items[a], &items[b]));
    // `order` tells for each place who belongs there: every cycle of it is walked once.
    for start in 0..items.len() {
        let mut at = start;
        while order[at] != start {
            let next = order[at];
            items.swap(at, next);
            order[at] = at;
            at = next;
        }
        order[at] = at;
    }
}

fn sorted(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    #[allow(clippy::disallowed_methods)] // the one place
    order.sort_by(|a, b| compare(*a, *b));
    order
}

/// Collects into ordered maps and sets.
pub trait Ordered: Iterator + Sized {
    /// A map; of equal keys the last one counts.
    fn into_map<K: Ord, V>(self) -> BTreeMap<K, V>
    where
        Self: Iterator<Item = (K, V)>,
    {
        let mut map = BTreeMap::new();
        for (key, value) in self {
            map.insert(key, value);
        }
        map
    }

    /// A set.
    fn into_set(self) -> BTreeSet<Self::Item>
    where
        Self::Item: Ord,
    {
        let mut set = BTreeSet::new();
        for item in self {
            set.insert(item);
        }
        set
    }
}

impl<I: Iterator> Ordered for I {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_as_the_library_does() {
        let mut state = 1_u32;
        for count in 0..60 {
            let mut items: Vec<(u32, usize)> = (0..count)
                .map(|at| {
                    state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    (state >> 16 & 15, at)
                })
                .collect();
            let mut expected = items.clone();
            #[allow(clippy::disallowed_methods)]
            expected.sort_by_key(|item| item.0);
            sort_by(&mut items, |a, b| a.0.cmp(&b.0));
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let map = [(2, 'a'), (1, 'b'), (2, 'c')].into_iter().into_map();
        assert_eq!(map.into_iter().collect::<Vec<_>>(), [(1, 'b'), (2, 'c')]);
        assert_eq!([3, 1, 3].into_iter().into_set().len(), 2);
    }
}
