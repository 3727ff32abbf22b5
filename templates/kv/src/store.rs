//! What is kept, for all cores.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Values = HashMap<Vec<u8>, Arc<[u8]>>;

// ANCHOR: store
/// Values by key. They are shared and never changed, so that one can be sent while another takes its place.
#[derive(Default)]
pub struct Store {
    values: RwLock<Values>,
}

impl Store {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.read().get(key).cloned()
    }

    /// Gives `key` this value.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        self.write().insert(key.to_vec(), value.into());
    }

    /// Forgets `key`; `true` if there was such.
    pub fn delete(&self, key: &[u8]) -> bool {
        self.write().remove(key).is_some()
    }
    // ANCHOR_END: store

    fn read(&self) -> RwLockReadGuard<'_, Values> {
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Values> {
        self.values.write().unwrap_or_else(PoisonError::into_inner)
    }
}
