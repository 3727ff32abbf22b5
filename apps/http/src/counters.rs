//! What has happened so far.

use serde::Serialize;

/// Told by `/api/status`; each only grows, but `connections_open`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Whole seconds since the server began.
    pub uptime_s: u64,
    /// Connections there are.
    pub connections_open: usize,
    /// Connections taken.
    pub connections: u64,
    /// Connections not taken: there were too many.
    pub connections_refused: u64,
    /// Requests answered, whatever with.
    pub requests: u64,
    /// Of those, refused as malformed or beyond a limit.
    pub requests_refused: u64,
    /// Connections that waited too long for the client: to say something, or to read.
    pub timeouts: u64,
    /// Connections reset because all of them together held too much memory.
    pub shed: u64,
    /// Requests answered from memory.
    pub cache_hits: u64,
    /// Requests that waited for the disk.
    pub cache_misses: u64,
    /// Files that had to make room for others.
    pub cache_evictions: u64,
}
