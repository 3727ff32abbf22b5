//! All connections of a core: a slab of them, and an index by their tuples.

use super::flow::{Flow, Marks, State};
use super::hash_index::HashIndex;
use super::tuple::Tuple;
use crate::{Env, Error, Id};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Generations wrap at this many bits.
const GENERATION_MASK: u32 = (1 << 28) - 1;

/// The table; its slots are numbered from 0.
#[derive(Debug)]
pub(crate) struct FlowTable {
    flows: Box<[Flow]>,
    /// Slots not in use; the last one was freed last and is the warmest.
    free: Vec<u32>,
    index: HashIndex,
}

impl FlowTable {
    pub(crate) fn new(capacity: u32) -> Self {
        FlowTable {
            flows: (0..capacity).map(Flow::vacant).collect(),
            free: (0..capacity).rev().collect(),
            index: HashIndex::new(capacity),
        }
    }

    /// Flows in use.
    pub(crate) fn len(&self) -> usize {
        self.flows.len() - self.free.len()
    }

    /// No slot is free.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// The slot with this tuple, whose place in the index is `hash`.
    #[inline]
    pub(crate) fn find(&self, hash: u32, tuple: &Tuple) -> Option<u32> {
        let flows = &self.flows;
        self.index.find(hash, |slot| {
            flows.get(slot as usize).is_some_and(|flow| flow.tuple == *tuple)
        })
    }

    /// Asks for the memory of the index at `hash`.
    #[inline]
    pub(crate) fn prefetch_place<E: Env>(&self, env: &E, hash: u32) {
        env.prefetch(self.index.place(hash));
    }

    /// Asks for the memory of the first flow with this hash.
    #[inline]
    pub(crate) fn prefetch_flow<E: Env>(&self, env: &E, hash: u32) {
        if let Some(slot) = self.index.find(hash, |_| true) {
            self.prefetch(env, slot);
        }
    }

    /// Asks for the memory of what a slot holds.
    #[inline]
    pub(crate) fn prefetch<E: Env>(&self, env: &E, slot: u32) {
        if let Some(flow) = self.flows.get(slot as usize) {
            env.prefetch(flow);
        }
    }

    /// What a slot holds. Slots come from this table only.
    #[inline]
    pub(crate) fn at(&mut self, slot: u32) -> &mut Flow {
        &mut self.flows[slot as usize]
    }

    /// The flow the app means.
    ///
    /// # Errors
    /// The handle is stale, or was never given out.
    #[inline]
    pub(crate) fn get(&mut self, id: Id) -> Result<&mut Flow, Error> {
        match self.flows.get_mut(id.index as usize) {
            Some(flow)
                if flow.generation == id.generation
                    && flow.marks.has(Marks::LIVE)
                    && !flow.marks.has(Marks::DETACHED) =>
            {
                Ok(flow)
            }
            _ => Err(Error::BadHandle),
        }
    }

    /// The flow in a slot, if it still is the one of that generation.
    #[inline]
    pub(crate) fn same(&mut self, slot: u32, generation: u32) -> Option<&mut Flow> {
        self.flows
            .get_mut(slot as usize)
            .filter(|flow| flow.generation == generation && flow.marks.has(Marks::LIVE))
    }

    /// A fresh flow; `None` if the table is full.
    pub(crate) fn create(&mut self, hash: u32, tuple: Tuple) -> Option<&mut Flow> {
        let slot = self.free.pop()?;
        self.index.insert(hash, slot);
        let flow = &mut self.flows[slot as usize];
        let generation = flow.generation.wrapping_add(1) & GENERATION_MASK;
        let mut marks = flow.marks.of_the_slot();
        marks.set(Marks::LIVE);
        *flow = Flow {
            tuple,
            marks,
            generation,
            ..Flow::vacant(slot)
        };
        Some(flow)
    }

    /// Nobody finds the flow in this slot by its tuple any more.
    pub(crate) fn hide(&mut self, hash: u32, slot: u32) {
        self.index.remove(hash, slot);
    }

    /// Frees a slot that is in use, hidden or not.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        self.index.remove(hash, slot);
        let flow = &mut self.flows[slot as usize];
        flow.marks = flow.marks.of_the_slot();
        flow.state = State::Closed;
        self.free.push(slot);
    }

    /// Slots there are.
    #[allow(clippy::cast_possible_truncation, reason = "made from a u32")]
    pub(crate) fn capacity(&self) -> u32 {
        self.flows.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::FlowTable;
    use crate::tcp::tuple::Tuple;
    use crate::{Error, Id};
    use core::net::Ipv4Addr;

    fn tuple(remote_port: u16) -> Tuple {
        Tuple {
            local: Ipv4Addr::new(10, 0, 0, 1),
            remote: Ipv4Addr::new(10, 0, 0, 2),
            local_port: 80,
            remote_port,
        }
    }

    #[test]
    fn flows_with_one_hash_are_told_apart() {
        let mut table = FlowTable::new(4);
        let slots = [1, 2, 3].map(|port| table.create(7, tuple(port)).unwrap().index);
        assert_eq!(table.len(), 3);
        table.remove(7, slots[0]);
        assert_eq!(table.find(7, &tuple(1)), None);
        assert_eq!(table.find(7, &tuple(2)), Some(slots[1]));
        assert_eq!(table.find(7, &tuple(3)), Some(slots[2]));
        assert_eq!(table.find(8, &tuple(3)), None);
    }

    #[test]
    fn a_full_table_refuses_and_handles_go_stale() {
        let mut table = FlowTable::new(1);
        let old = table.create(1, tuple(1)).unwrap().id();
        assert!(table.create(1, tuple(2)).is_none());
        assert!(table.get(old).is_ok());
        table.remove(1, old.index);
        assert_eq!(table.get(old).err(), Some(Error::BadHandle));
        let new = table.create(1, tuple(2)).unwrap().id();
        assert_ne!(old, new);
        assert_eq!(table.get(old).err(), Some(Error::BadHandle));
        assert!(table.get(new).is_ok());
        let forged = Id { index: 99, ..new };
        assert_eq!(table.get(forged).err(), Some(Error::BadHandle));
    }
}
