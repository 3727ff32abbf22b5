//! Who asks for an address, where several stacks share an interface: that of core 0 is the client, and the others have what it
//! has.

use super::{Action, Client, Lease};
use crate::Instant;
use crate::wire::arp;
use crate::wire::dhcp::Reply;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// The lease of an interface, as its cores share it. Read when it has changed only.
#[derive(Debug, Default)]
pub struct SharedLease {
    lease: Mutex<Option<Lease>>,
    /// Changes made; wraps.
    changes: AtomicU32,
}

impl SharedLease {
    fn tell(&self, lease: Option<Lease>) {
        let mut told = self.lease.lock();
        *told = lease;
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The lease, and the number of changes that made it what it is.
    fn look(&self) -> (Option<Lease>, u32) {
        let told = self.lease.lock();
        (*told, self.changes())
    }

    #[inline]
    fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }
}

/// A stack's part in it.
#[derive(Debug)]
pub(crate) enum Role {
    /// It asks servers, and tells the others, if there are any.
    Client(Client, Option<Arc<SharedLease>>),
    /// It has what it is told.
    Follower {
        /// By whom.
        shared: Arc<SharedLease>,
        /// Changes that it has followed.
        seen: u32,
        /// What it has.
        held: Option<Lease>,
    },
}

impl Role {
    /// Of core `core`, with what its interface's cores share; of a stack that is alone without.
    pub(crate) fn new(client: Client, home: Option<(u8, &Arc<SharedLease>)>) -> Self {
        match home {
            Some((1.., shared)) => Role::Follower {
                shared: Arc::clone(shared),
                seen: 0,
                held: None,
            },
            Some((0, shared)) => Role::Client(client, Some(Arc::clone(shared))),
            None => Role::Client(client, None),
        }
    }

    /// Whether [`Role::step`] has something to do.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match self {
            Role::Client(client, _) => client.due() <= now,
            Role::Follower { shared, seen, .. } => shared.changes() != *seen,
        }
    }

    /// When it will have, if that is a matter of time.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Role::Client(client, _) => Some(client.due()).filter(|at| *at != Instant::FAR),
            Role::Follower { .. } => None,
        }
    }

    /// The lease in use.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match self {
            Role::Client(client, _) => client.lease(),
            Role::Follower { held, .. } => held.as_ref(),
        }
    }

    /// As [`Client::step`].
    pub(crate) fn step(&mut self, now: Instant, random: u64) -> Option<Action> {
        match self {
            Role::Client(client, shared) => {
                let action = client.step(now, random)?;
                if let (Action::Take(_) | Action::Lose, Some(shared)) = (action, shared) {
                    shared.tell(client.lease().copied());
                }
                Some(action)
            }
            Role::Follower { shared, seen, held } => {
                let (lease, changes) = shared.look();
                if changes == *seen {
                    return None;
                }
                *seen = changes;
                let before = core::mem::replace(held, lease);
                lease.map(Action::Take).or(before.map(|_| Action::Lose))
            }
        }
    }

    /// As [`Client::postpone`].
    pub(crate) fn postpone(&mut self, now: Instant, ns: u64) {
        if let Role::Client(client, _) = self {
            client.postpone(now, ns);
        }
    }

    /// As [`Client::receive`]. Nothing is said to a follower.
    pub(crate) fn receive(&mut self, reply: &Reply, now: Instant) -> bool {
        match self {
            Role::Client(client, _) => client.receive(reply, now),
            Role::Follower { .. } => false,
        }
    }

    /// As [`Client::on_arp`].
    pub(crate) fn on_arp(&mut self, packet: &arp::Packet, now: Instant) {
        if let Role::Client(client, _) = self {
            client.on_arp(packet, now);
        }
    }
}
