//! An order of use over small dense ids: a doubly linked list whose links lie in one vector.
//!
//! Appending, touching and removing cost O(1) and allocate only when an id larger than all before appears; the price is
//! eight bytes for every id up to the largest. Walking goes from the least recently used on and may skip ids without
//! disturbing the order.

/// No neighbour.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Links {
    previous: u32,
    next: u32,
}

/// Marks an id that is not in the list. Only the one element of a list has no neighbour at all, and it is the head.
const ABSENT: Links = Links { previous: NONE, next: NONE };

/// Ids from least to most recently used.
#[derive(Clone, Debug)]
pub struct Lru {
    links: Vec<Links>,
    oldest: u32,
    newest: u32,
    len: usize,
}

impl Default for Lru {
    fn default() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE, len: 0 }
    }
}

impl Lru {
    /// Number of ids in the list.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the id is in the list.
    pub fn contains(&self, id: u32) -> bool {
        self.links.get(id as usize).is_some_and(|links| *links != ABSENT || self.oldest == id)
    }

    /// Makes an id the most recently used, adding it when it is not in the list.
    pub fn touch(&mut self, id: u32) {
        if self.newest == id && self.len > 0 {
            return;
        }
        self.remove(id);
        let index = id as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, ABSENT);
        }
        self.links[index] = Links { previous: self.newest, next: NONE };
        match self.newest {
            NONE => self.oldest = id,
            newest => self.links[newest as usize].next = id,
        }
        self.newest = id;
        self.len += 1;
    }

    /// Takes an id out of the list; false when it was not in it.
    pub fn remove(&mut self, id: u32) -> bool {
        if !self.contains(id) {
            return false;
        }
        let Links { previous, next } = std::mem::replace(&mut self.links[id as usize], ABSENT);
        match previous {
            NONE => self.oldest = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.newest = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.len -= 1;
        true
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        *self = Self { links: std::mem::take(&mut self.links), ..Self::default() };
        self.links.fill(ABSENT);
    }

    /// Walks from the least to the most recently used.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let id = (at != NONE).then_some(at)?;
            at = self.links[id as usize].next;
            Some(id)
        })
    }

    /// Checks that links agree in both directions and with the length.
    ///
    /// # Panics
    /// Panics when they do not, which is a fault of this module.
    pub fn validate(&self) {
        let mut previous = NONE;
        let mut seen = 0;
        for id in self.iter() {
            assert_eq!(self.links[id as usize].previous, previous, "id {id} points back to a wrong id");
            previous = id;
            seen += 1;
            assert!(seen <= self.len, "the list has a cycle or a wrong length {}", self.len);
        }
        assert_eq!(self.newest, previous, "the newest id is not the last of the walk");
        assert_eq!(seen, self.len, "the length is wrong");
        let linked = (0..self.links.len() as u32).filter(|&id| self.contains(id)).count();
        assert_eq!(linked, self.len, "an id has links but is not in the list");
    }
}

#[cfg(test)]
mod tests {
    use hashlink::LinkedHashMap;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Touch(u32),
        Remove(u32),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 0..24_u32;
        prop_oneof![20 => id.clone().prop_map(Step::Touch), 12 => id.prop_map(Step::Remove), 1 => Just(Step::Clear)]
    }

    proptest! {
        #[test]
        fn keeps_the_order_a_linked_hash_map_keeps(steps in prop::collection::vec(step(), 1..200)) {
            let mut lru = Lru::default();
            let mut model = LinkedHashMap::new();
            for step in steps {
                match step {
                    Step::Touch(id) => {
                        lru.touch(id);
                        model.remove(&id);
                        model.insert(id, ());
                    }
                    Step::Remove(id) => prop_assert_eq!(lru.remove(id), model.remove(&id).is_some()),
                    Step::Clear => {
                        lru.clear();
                        model.clear();
                    }
                }
                lru.validate();
                prop_assert!(lru.iter().eq(model.keys().copied()));
                prop_assert_eq!((lru.len(), lru.is_empty()), (model.len(), model.is_empty()));
                prop_assert!((0..30).all(|id| lru.contains(id) == model.contains_key(&id)));
            }
        }
    }
}
