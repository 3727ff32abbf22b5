//! Sessions by number: an index and a generation, so that a number goes stale with its session.

const INDEX_BITS: u32 = 20;
const LAST_GENERATION: u32 = (1 << (32 - INDEX_BITS)) - 1;

/// Names one session for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub(crate) u32);

impl Session {
    #[inline]
    fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }

    #[inline]
    fn generation(self) -> u32 {
        self.0 >> INDEX_BITS
    }
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A bounded number of sessions.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    most: usize,
}

impl<T> Table<T> {
    pub(crate) fn new(most: usize) -> Self {
        Table {
            entries: Vec::new(),
            free: Vec::new(),
            most: most.min(1 << INDEX_BITS),
        }
    }

    /// Adds what `make` makes of its name; `None` if the table is full.
    pub(crate) fn insert(&mut self, make: impl FnOnce(Session) -> T) -> Option<Session> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() >= self.most => return None,
            None => {
                self.entries.push(Entry {
                    generation: 1,
                    value: None,
                });
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        let entry = &mut self.entries[index as usize];
        let session = Session(entry.generation << INDEX_BITS | index);
        entry.value = Some(make(session));
        Some(session)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, session: Session) -> Option<&mut T> {
        let entry = self.entries.get_mut(session.index())?;
        if entry.generation == session.generation() {
            entry.value.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, session: Session) -> Option<T> {
        let entry = self.entries.get_mut(session.index())?;
        if entry.generation != session.generation() {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation % LAST_GENERATION + 1;
        self.free.push(session.0 & ((1 << INDEX_BITS) - 1));
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Session, Table};

    #[test]
    fn a_number_goes_stale_with_its_session() {
        let mut table = Table::new(1);
        let first = table.insert(|_| 'a').expect("room");
        assert_eq!(table.insert(|_| 'b'), None);
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        let second = table.insert(|_| 'b').expect("room");
        assert_ne!(first, second);
        assert_eq!(
            (table.get_mut(first).copied(), table.get_mut(second).copied()),
            (None, Some('b'))
        );
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn forged_numbers_name_nothing() {
        let mut table = Table::new(4);
        table.insert(|_| ());
        for number in [0, 1, u32::MAX, 2 << 20] {
            assert_eq!(table.get_mut(Session(number)), None);
        }
    }
}
