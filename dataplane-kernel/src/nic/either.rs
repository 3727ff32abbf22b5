//! A card that is one of two kinds, where a dataplane has both: which one is asked with each call. A dataplane of one kind is
//! compiled for that.

use super::{Alarm, Health, Nic, Offloads, RxFrame};
use crate::mem::mbuf::Pool;
use netstack::rss::{Key, Table};
use netstack::{Medium, Span, TxOffload, TxTicket};

/// The one or the other.
#[derive(Debug)]
pub enum Either<A, B> {
    /// The one.
    Left(A),
    /// The other.
    Right(B),
}

/// Calls the same of whichever there is.
macro_rules! whichever {
    ($self:ident, $nic:ident => $call:expr) => {
        match $self {
            Either::Left($nic) => $call,
            Either::Right($nic) => $call,
        }
    };
}

impl<A: Nic, B: Nic> Nic for Either<A, B> {
    fn mac(&self) -> [u8; 6] {
        whichever!(self, nic => nic.mac())
    }

    fn mtu(&self) -> u16 {
        whichever!(self, nic => nic.mtu())
    }

    fn offloads(&self) -> Offloads {
        whichever!(self, nic => nic.offloads())
    }

    fn medium(&self) -> Medium {
        whichever!(self, nic => nic.medium())
    }

    fn link_up(&self) -> bool {
        whichever!(self, nic => nic.link_up())
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        whichever!(self, nic => nic.poll_rx(budget, sink))
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        whichever!(self, nic => nic.refill(pool));
    }

    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        whichever!(self, nic => nic.begin_tx())
    }

    #[inline]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        whichever!(self, nic => nic.commit_tx(header_len, payload, offload))
    }

    #[inline]
    fn tx_done(&self, ticket: TxTicket) -> bool {
        whichever!(self, nic => nic.tx_done(ticket))
    }

    fn tx_idle(&self) -> bool {
        whichever!(self, nic => nic.tx_idle())
    }

    #[inline]
    fn reclaim_tx(&mut self) {
        whichever!(self, nic => nic.reclaim_tx());
    }

    #[inline]
    fn kick(&mut self) {
        whichever!(self, nic => nic.kick());
    }

    fn arm(&mut self) -> Alarm {
        whichever!(self, nic => nic.arm())
    }

    fn disarm(&mut self) {
        whichever!(self, nic => nic.disarm());
    }

    fn check(&mut self) -> Health {
        whichever!(self, nic => nic.check())
    }

    fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        whichever!(self, nic => nic.set_table(key, table))
    }

    fn stop_merging(&mut self) -> bool {
        whichever!(self, nic => nic.stop_merging())
    }

    fn hear_all_stations(&mut self) -> bool {
        whichever!(self, nic => nic.hear_all_stations())
    }

    fn stop(&mut self) {
        whichever!(self, nic => nic.stop());
    }

    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (left, right) = match self {
            Either::Left(nic) => (Some(nic.counters()), None),
            Either::Right(nic) => (None, Some(nic.counters())),
        };
        left.into_iter().flatten().chain(right.into_iter().flatten())
    }
}
