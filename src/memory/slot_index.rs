//! Where the store keeps a block, by its name: open addressing in one vector, at most half full.
//!
//! Finding, adding and removing cost O(1) and allocate only when the table doubles; the price is 16 to 32 bytes a block.
//! It cannot be iterated, so that the order of its places reaches no result. The names themselves are left with the
//! blocks: who looks one up says how to get it.

use super::BlockId;

/// A free place.
const FREE: Place = Place { slot: u32::MAX, hash: 0 };
/// Places of the first table.
const MIN_PLACES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: u32,
    hash: u32,
}

/// Names to slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotIndex {
    /// A power of two of places, or none.
    places: Vec<Place>,
    len: usize,
}

/// Spreads a name over 32 bits, of which the upper ones are used first.
fn hash(name: BlockId) -> u32 {
    // Numbers of one kind differ in their low bits; the kinds are told apart in bits that real numbers do not reach.
    let word = match name {
        BlockId::Rdd { rdd, split } => u64::from(rdd) << 32 | u64::from(split),
        BlockId::Broadcast(id) => id ^ 1 << 61,
        BlockId::BroadcastPiece { broadcast, piece } => (broadcast << 32 | u64::from(piece)) ^ 2 << 61,
        BlockId::TaskResult(task) => task.0 as u64 ^ 3 << 61,
        BlockId::Test(id) => id ^ 4 << 61,
    };
    // Fibonacci hashing: 2^64 by the golden ratio. The fold lets the upper half count in the lower one.
    ((word ^ word >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

impl SlotIndex {
    /// The slot of a name; `name_of` tells the name of a slot in use.
    #[inline]
    pub(crate) fn get(&self, name: BlockId, name_of: impl Fn(u32) -> BlockId) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let hash = hash(name);
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place.slot == FREE.slot {
                return None;
            }
            if place.hash == hash && name_of(place.slot) == name {
                return Some(place.slot);
            }
            at = self.after(at);
        }
    }

    /// Adds a name that is not in it.
    pub(crate) fn insert(&mut self, name: BlockId, slot: u32) {
        if (self.len + 1) * 2 > self.places.len() {
            self.grow();
        }
        self.len += 1;
        self.put(Place { slot, hash: hash(name) });
    }

    /// Removes a name by its slot, which must be in it.
    pub(crate) fn remove(&mut self, name: BlockId, slot: u32) {
        let mut gap = self.home(hash(name));
        while self.places[gap].slot != slot {
            gap = self.after(gap);
        }
        self.len -= 1;
        // What stands behind moves up, unless that is before its home.
        let mask = self.places.len() - 1;
        let mut at = gap;
        loop {
            at = self.after(at);
            let place = self.places[at];
            if place.slot == FREE.slot {
                break;
            }
            let from_home = at.wrapping_sub(self.home(place.hash)) & mask;
            if from_home >= at.wrapping_sub(gap) & mask {
                self.places[gap] = place;
                gap = at;
            }
        }
        self.places[gap] = FREE;
    }

    pub(crate) fn clear(&mut self) {
        self.places.fill(FREE);
        self.len = 0;
    }

    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.places.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn put(&mut self, place: Place) {
        let mut at = self.home(place.hash);
        while self.places[at].slot != FREE.slot {
            at = self.after(at);
        }
        self.places[at] = place;
    }

    fn grow(&mut self) {
        let larger = vec![FREE; (self.places.len() * 2).max(MIN_PLACES)];
        for place in std::mem::replace(&mut self.places, larger) {
            if place.slot != FREE.slot {
                self.put(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::memory::TaskId;

    /// Names of all kinds with the same numbers, as many as collide in a table of this size.
    fn name(number: u64) -> BlockId {
        let small = (number / 5) as u32;
        match number % 5 {
            0 => BlockId::Rdd { rdd: small, split: 1 },
            1 => BlockId::Broadcast(number / 5),
            2 => BlockId::BroadcastPiece { broadcast: number / 5, piece: 1 },
            3 => BlockId::TaskResult(TaskId(number as i64 / 5)),
            _ => BlockId::Test(number / 5),
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(steps in prop::collection::vec((0..60_u64, 0..8_u8), 1..300)) {
            let mut index = SlotIndex::default();
            let mut model = BTreeMap::new();
            let name_of = |slot: u32| name(u64::from(slot));
            for (number, step) in steps {
                match (step, model.remove(&number)) {
                    (0, _) => {
                        index.clear();
                        model.clear();
                    }
                    (_, Some(slot)) => index.remove(name(number), slot),
                    (_, None) => {
                        index.insert(name(number), number as u32);
                        model.insert(number, number as u32);
                    }
                }
                for number in 0..60 {
                    prop_assert_eq!(index.get(name(number), name_of), model.get(&number).copied());
                }
                prop_assert_eq!(index.len, model.len());
            }
        }
    }
}
