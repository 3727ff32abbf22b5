//! LISTEN: which ports take connections, and how many wait to be accepted.

use crate::ends::Ends;
use crate::interface::Local;
use crate::{Error, Id};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

const GENERATION_MASK: u32 = (1 << 28) - 1;

/// One listening port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listener {
    /// 0: the slot is free.
    port: u16,
    /// The address of ours that takes connections.
    local: Local,
    /// Most connections half-open or not yet accepted.
    backlog: u32,
    /// How many are half-open.
    half_open: u32,
    /// How many are open and wait to be accepted.
    waiting: u32,
    pub(crate) cookie: u64,
    generation: u32,
}

/// What a listener has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// One more connection, half-open at first.
    ForOneMore,
    /// Open ones only: the app keeps up, but too many are half-open.
    ForCookies,
    /// The app does not keep up.
    None,
}

/// Why a connection counts against the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    HalfOpen,
    Waiting,
}

impl Listener {
    /// What becomes of a SYN.
    pub(crate) fn room(&self) -> Room {
        if self.waiting >= self.backlog {
            Room::None
        } else if self.half_open + self.waiting >= self.backlog {
            Room::ForCookies
        } else {
            Room::ForOneMore
        }
    }

    /// `true` if a connection between these ends is for it.
    pub(crate) fn takes(&self, ends: &Ends) -> bool {
        match *ends {
            Ends::V4 { local, .. } => self.local.takes(local.into()),
            Ends::V6 { local, .. } => self.local.takes(local.into()),
        }
    }
}

/// All listeners. A port has one at most, whatever its address.
#[derive(Debug)]
pub(crate) struct Listeners {
    slots: Box<[Listener]>,
    free: Vec<u32>,
    /// Slot plus one of each port's listener, or 0.
    by_port: Box<[u16]>,
}

impl Listeners {
    pub(crate) fn new(capacity: u32) -> Self {
        let capacity = capacity.min(u32::from(u16::MAX) - 1);
        Listeners {
            slots: (0..capacity).map(|_| Listener::default()).collect(),
            free: (0..capacity).rev().collect(),
            by_port: vec![0; 1 << 16].into_boxed_slice(),
        }
    }

    /// The listener of a port and its slot.
    #[inline]
    pub(crate) fn on_port(&self, port: u16) -> Option<(u32, &Listener)> {
        let slot = u32::from(self.by_port.get(usize::from(port))?.checked_sub(1)?);
        Some((slot, self.slots.get(slot as usize)?))
    }

    /// Opens a port.
    ///
    /// # Errors
    /// `Invalid` for port 0, `AddressInUse`, `NoMemory`.
    pub(crate) fn open(&mut self, local: Local, port: u16, backlog: u32, cookie: u64) -> Result<Id, Error> {
        let entry = self
            .by_port
            .get_mut(usize::from(port))
            .filter(|_| port != 0)
            .ok_or(Error::Invalid)?;
        if *entry != 0 {
            return Err(Error::AddressInUse);
        }
        let slot = self.free.pop().ok_or(Error::NoMemory)?;
        let listener = &mut self.slots[slot as usize];
        let generation = listener.generation.wrapping_add(1) & GENERATION_MASK;
        *listener = Listener {
            port,
            local,
            backlog,
            half_open: 0,
            waiting: 0,
            cookie,
            generation,
        };
        *entry = u16::try_from(slot + 1).unwrap_or(0);
        Ok(Id {
            index: slot,
            generation,
        })
    }

    /// Closes a port.
    ///
    /// # Errors
    /// `BadHandle`.
    pub(crate) fn close(&mut self, id: Id) -> Result<(), Error> {
        let listener = self.get_mut(id.index, id.generation).ok_or(Error::BadHandle)?;
        let port = core::mem::take(&mut listener.port);
        if let Some(entry) = self.by_port.get_mut(usize::from(port)) {
            *entry = 0;
        }
        self.free.push(id.index);
        Ok(())
    }

    /// The generation in a slot, for the flows that come through it.
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots
            .get(slot as usize)
            .map_or(0, |listener| listener.generation)
    }

    /// One more connection is half-open.
    pub(crate) fn enter(&mut self, slot: u32) {
        if let Some(listener) = self.slots.get_mut(slot as usize) {
            listener.half_open += 1;
        }
    }

    /// A connection that was half-open is open now and waits.
    pub(crate) fn complete(&mut self, slot: u32, generation: u32) {
        if let Some(listener) = self.get_mut(slot, generation) {
            listener.half_open = listener.half_open.saturating_sub(1);
            listener.waiting += 1;
        }
    }

    /// A connection was accepted, or is gone.
    pub(crate) fn leave(&mut self, slot: u32, generation: u32, pending: Pending) {
        if let Some(listener) = self.get_mut(slot, generation) {
            let count = match pending {
                Pending::HalfOpen => &mut listener.half_open,
                Pending::Waiting => &mut listener.waiting,
            };
            *count = count.saturating_sub(1);
        }
    }

    /// One more open connection may wait.
    pub(crate) fn may_wait(&self, slot: u32) -> bool {
        self.slots
            .get(slot as usize)
            .is_some_and(|listener| listener.room() != Room::None)
    }

    /// The cookie for knocks; `None` if it listens no more.
    pub(crate) fn cookie(&mut self, slot: u32, generation: u32) -> Option<u64> {
        self.get_mut(slot, generation).map(|listener| listener.cookie)
    }

    fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut Listener> {
        self.slots
            .get_mut(slot as usize)
            .filter(|listener| listener.port != 0 && listener.generation == generation)
    }
}
