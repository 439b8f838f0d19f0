//! Places where the first three bytes of one of a few words could stand.

use wide::u8x16;

use super::FOLD;
use super::table::HEAD;
use crate::lanes::{AsciiSet, BLOCK, Lanes, both_halves, is};

/// Bytes of a word that are looked at.
const STARTS: usize = 3;

/// By the halves of each byte: words are dealt to eight groups, a bit each, and a
/// place is one of a group if its bytes have all six halves of some word in it.
/// (The way of Hyperscan's Teddy.)
#[derive(Debug)]
pub(in crate::detect) struct Starts {
    halves: [[u8x16; 2]; STARTS],
    empty: bool,
}

impl Starts {
    pub(in crate::detect) fn new(mut words: Vec<&[u8]>) -> Starts {
        crate::order::sort_by(&mut words, Ord::cmp);
        words.dedup_by_key(|word| word.get(..STARTS).unwrap_or(*word).to_vec());
        let mut halves = [[[0u8; 16]; 2]; STARTS];
        for (bit, group) in groups(&words).iter().enumerate() {
            for (table, known) in halves.iter_mut().flatten().zip(group.0.iter().flatten()) {
                for (half, bits) in table.iter_mut().enumerate() {
                    *bits |= u8::from(known >> half & 1 == 1) << bit;
                }
            }
        }
        Starts { halves: halves.map(|tables| tables.map(u8x16::new)), empty: words.is_empty() }
    }

    /// One bit for each place of the block.
    #[inline(never)]
    pub(super) fn find(&self, block: &Block) -> u64 {
        if self.empty { 0 } else { !self.groups(block).mask(|v| is(v, 0)) }
    }

    /// For each place the groups of which it could be.
    #[inline(always)]
    fn groups(&self, block: &Block) -> Lanes {
        let [one, two, three] = &self.halves;
        let fold = u8x16::splat(FOLD as u8);
        let groups = |at: usize, [low, high]: &[u8x16; 2]| {
            lanes_of(block, at).map(|v| both_halves(v | fold, *low, *high))
        };
        let and = |a: &Lanes, b: &Lanes| a.zip(b, |a, b| a & b);
        and(&groups(0, one), &and(&groups(1, two), &groups(2, three)))
    }

    /// The first place of `text` up to `places`, with the bytes behind it, of
    /// which `holds` is true, unless one of `stops` stands before it.
    #[inline(always)]
    pub(in crate::detect) fn first(
        &self,
        text: &[u8],
        places: usize,
        stops: &AsciiSet,
        holds: impl Fn(&[u8]) -> bool,
    ) -> First {
        let mut at = 0;
        while at < places {
            let rest = text.get(at..).unwrap_or_default();
            let padded: Block;
            let block = match rest.first_chunk() {
                Some(block) => block,
                None => {
                    padded = padded_block(rest);
                    &padded
                }
            };
            let stop = lanes_of(block, 0).mask(|v| stops.of(v));
            let stop = stop & stop.wrapping_neg();
            let groups = self.groups(block);
            // Most blocks have no such place at all, and that is told sooner.
            let found = if groups.is_zero() { 0 } else { !groups.mask(|v| is(v, 0)) };
            // A word may start with what cannot stand before it.
            let mut found = found & (stop | stop.wrapping_sub(1));
            while found != 0 {
                let place = at + found.trailing_zeros() as usize;
                found &= found - 1;
                if place < places && holds(text.get(place..).unwrap_or_default()) {
                    return First::At(place);
                }
            }
            if stop != 0 {
                let stop = at + stop.trailing_zeros() as usize;
                return if stop < places { First::Stopped(stop) } else { First::Nowhere };
            }
            at += BLOCK;
        }
        First::Nowhere
    }
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum First {
    At(usize),
    Stopped(usize),
    Nowhere,
}

/// Words in order, dealt to eight groups, so that as few places as possible look
/// like one of a group: of more groups those two are joined again and again whose
/// halves differ least.
fn groups(words: &[&[u8]]) -> Vec<Group> {
    // Neighbours share bytes. Each pair is compared each time, when a VM starts.
    let each = words.len().div_ceil(MOST_GROUPS).max(1);
    let together = |words: &[&[u8]]| words.iter().map(|word| Group::of(word)).reduce(|a, b| a.or(&b));
    let with_share = |group: Group| (group, group.share());
    let mut groups: Vec<(Group, f32)> = words.chunks(each).filter_map(together).map(with_share).collect();
    while groups.len() > GROUPS {
        let mut best = (f32::MAX, 0, 1);
        for (i, (a, share)) in groups.iter().enumerate() {
            for (j, (b, other)) in groups.iter().enumerate().skip(i + 1) {
                let cost = a.or(b).share() - share - other;
                if cost < best.0 {
                    best = (cost, i, j);
                }
            }
        }
        let (_, i, j) = best;
        let (joined, _) = groups.swap_remove(j);
        if let Some(group) = groups.get_mut(i) {
            *group = with_share(group.0.or(&joined));
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

const MOST_GROUPS: usize = 24;
const GROUPS: usize = 8;

/// For each byte the halves that words of a group have, a bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Group([[u16; 2]; STARTS]);

impl Group {
    fn of(word: &[u8]) -> Group {
        let mut group = Group::default();
        for (i, halves) in group.0.iter_mut().enumerate() {
            // A byte it does not have may be any.
            *halves = word.get(i).map_or([u16::MAX; 2], |b| {
                let b = b | FOLD as u8;
                [1 << (b & 0x0f), 1 << (b >> 4)]
            });
        }
        group
    }

    fn or(&self, other: &Group) -> Group {
        let mut both = *self;
        for (to, from) in both.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *to |= from;
        }
        both
    }

    /// What part of places in words look like one of its words.
    fn share(&self) -> f32 {
        let of = |[low, high]: &[u16; 2]| {
            let high = COMMON.iter().zip(0..).filter(|(_, half)| high >> half & 1 == 1);
            high.map(|(share, _)| share).sum::<f32>() * low.count_ones() as f32 / 16.0
        };
        self.0.iter().map(of).product()
    }
}

/// How common letters of each high half are, case folded.
const COMMON: [f32; 16] = [0.0, 0.0, 0.2, 0.02, 0.0, 0.0, 0.52, 0.26, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

/// A stride, and the bytes behind it that are looked at with its last byte.
pub(super) type Block = [u8; BLOCK + HEAD];

pub(super) fn padded_block(text: &[u8]) -> Block {
    let mut block = [0; BLOCK + HEAD];
    block.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    block
}

/// The stride of a block that starts at `at`, up to [`HEAD`].
#[inline(always)]
fn lanes_of(block: &Block, at: usize) -> Lanes {
    Lanes::new(block.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; BLOCK]))
}
