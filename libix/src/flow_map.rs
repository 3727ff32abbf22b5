use crate::Flow;

/// The app's own state per connection: a table indexed by [`Flow`], so a lookup costs a comparison and no hash.
#[derive(Debug)]
pub struct FlowMap<T> {
    entries: Vec<Option<(Flow, T)>>,
}

impl<T> FlowMap<T> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        FlowMap { entries: Vec::new() }
    }

    /// Sets the state of `flow`; that of a former flow in its place is dropped.
    pub fn insert(&mut self, flow: Flow, state: T) {
        let index = flow.index();
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some((flow, state));
    }

    /// The state of `flow`.
    #[inline]
    #[must_use]
    pub fn get(&self, flow: Flow) -> Option<&T> {
        match self.entries.get(flow.index())? {
            Some((owner, state)) if *owner == flow => Some(state),
            _ => None,
        }
    }

    /// The state of `flow`, to change.
    #[inline]
    pub fn get_mut(&mut self, flow: Flow) -> Option<&mut T> {
        match self.entries.get_mut(flow.index())? {
            Some((owner, state)) if *owner == flow => Some(state),
            _ => None,
        }
    }

    /// Takes the state of `flow` out.
    pub fn remove(&mut self, flow: Flow) -> Option<T> {
        let entry = self.entries.get_mut(flow.index())?;
        entry.take_if(|(owner, _)| *owner == flow).map(|(_, state)| state)
    }
}

impl<T> Default for FlowMap<T> {
    fn default() -> Self {
        FlowMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::FlowMap;
    use crate::Flow;
    use crate::slab::Slab;

    #[test]
    fn a_flow_finds_its_own_state_only() {
        let mut slab = Slab::new();
        let mut map = FlowMap::new();
        let old = Flow(slab.insert(()));
        map.insert(old, "old");
        slab.remove(old.0);
        let new = Flow(slab.insert(()));
        assert_eq!(old.index(), new.index());
        assert_eq!(map.get(new), None);
        assert_eq!(map.remove(new), None);
        map.insert(new, "new");
        assert_eq!(map.get(old), None);
        assert_eq!(map.get_mut(new), Some(&mut "new"));
        assert_eq!(map.remove(new), Some("new"));
        assert_eq!(map.get(new), None);
    }
}
