//! What can be chosen, and what is counted.

use core::time::Duration;

/// Of a client or a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sessions at most.
    pub sessions: usize,
    /// What messages of several packets may take of memory together, in bytes: those being received, and responses that are
    /// kept.
    pub memory_bytes: usize,
    /// Requests of one packet that a server leaves where they were received, until they are responded to; further ones are
    /// copied, so that the NIC does not run out of buffers.
    pub held_packets: usize,
    /// Calls that a client keeps for a session whose slots are all taken.
    pub backlog: usize,
    /// Shortest and first time after which an unanswered packet is sent again.
    pub retransmit_after: Duration,
    /// How long a session may be idle before the client asks whether the server is there.
    pub keepalive: Duration,
    /// After so long without a word a client gives a session up, and a server forgets it.
    pub peer_timeout: Duration,
    /// What the link carries, in bytes per second: the rate at which a client sends if nothing is in the way.
    pub link_bytes_per_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sessions: 1024,
            memory_bytes: 64 << 20,
            held_packets: 256,
            backlog: 1024,
            retransmit_after: Duration::from_millis(5),
            keepalive: Duration::from_secs(1),
            peer_timeout: Duration::from_secs(5),
            link_bytes_per_s: 1_250_000_000,
        }
    }
}

/// What has happened to packets. Each that came in is counted in `received`, and if it led to nothing in one of the
/// others as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub received: u64,
    /// Packets given out to be sent, again or for the first time.
    pub sent: u64,
    /// Of those, again.
    pub sent_again: u64,
    /// No packet of this protocol, or with a length that is not what it says.
    pub malformed: u64,
    /// Of a kind that this end does not receive.
    pub misdirected: u64,
    /// For a session that is not, or no more.
    pub unknown_session: u64,
    /// With another token than the session's, or from another address than its peer's.
    pub forged: u64,
    /// What has been heard already.
    pub duplicate: u64,
    /// Behind one that is missing, which will be sent again, and this with it.
    pub out_of_order: u64,
    /// For want of memory.
    pub no_memory: u64,
    /// Sessions asked for beyond [`Config::sessions`], or in another version.
    pub refused: u64,
}

impl Counters {
    /// Packets that led to nothing.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.malformed
            + self.misdirected
            + self.unknown_session
            + self.forged
            + self.duplicate
            + self.out_of_order
            + self.no_memory
            + self.refused
    }
}

/// Longest time that can be chosen, in nanoseconds: 39 hours, so that doubling and adding cannot overflow.
const LONGEST_NS: u64 = 1 << 47;

/// Nanoseconds, as times inside are.
pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos())
        .unwrap_or(LONGEST_NS)
        .clamp(1, LONGEST_NS)
}
