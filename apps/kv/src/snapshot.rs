//! What one core, or all of them, have to tell of themselves.

use crate::shard::{Settings, Shard};
use crate::store::{ClassUse, Counters};

/// What clients do, whatever is in the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Connections open now.
    pub connections: u64,
    /// Connections accepted since the start, or since `stats reset`.
    pub total_connections: u64,
    /// Connections refused for the limit.
    pub rejected_connections: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// Bytes sent.
    pub bytes_written: u64,
}

impl Traffic {
    pub(crate) fn reset(&mut self) {
        let connections = self.connections;
        *self = Traffic {
            connections,
            ..Traffic::default()
        };
    }

    fn add(&mut self, other: &Traffic) {
        self.connections += other.connections;
        self.total_connections += other.total_connections;
        self.rejected_connections += other.rejected_connections;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
    }
}

/// A core at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) settings: Settings,
    pub(crate) cores: usize,
    pub(crate) uptime: u32,
    pub(crate) unix_time: i64,
    pub(crate) counters: Counters,
    pub(crate) traffic: Traffic,
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    pub(crate) table_bytes: usize,
    pub(crate) limit: usize,
    pub(crate) classes: Vec<ClassUse>,
}

impl Snapshot {
    pub(crate) fn of(shard: &Shard) -> Self {
        let store = &shard.store;
        Snapshot {
            settings: shard.settings.clone(),
            cores: shard.cores(),
            uptime: store.clock.uptime(),
            unix_time: store.clock.unix_time(),
            counters: store.counters,
            traffic: shard.traffic,
            items: store.len(),
            bytes: store.allocated(),
            table_bytes: store.table_bytes(),
            limit: store.memory_limit(),
            classes: store.class_uses().collect(),
        }
    }

    /// Adds another core's, of the same server.
    pub(crate) fn add(&mut self, other: &Snapshot) {
        self.counters.add(&other.counters);
        self.traffic.add(&other.traffic);
        self.items += other.items;
        self.bytes += other.bytes;
        self.table_bytes += other.table_bytes;
        self.limit += other.limit;
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            class.total += other.total;
            class.used += other.used;
            class.in_limbo += other.in_limbo;
        }
    }
}
