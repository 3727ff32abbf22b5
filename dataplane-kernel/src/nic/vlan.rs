//! A card on a VLAN: what it transmits is tagged here, in the memory of the headers, whatever the card. Tags of received frames
//! are looked at by the stack.

use super::forward::forward;
use super::{Nic, Offloads};
use netstack::wire::vlan::{TAG_LEN, VlanId};
use netstack::{Span, TxOffload, TxTicket};

const TAG_BYTES: u16 = 4;
const _: () = assert!(TAG_BYTES as usize == TAG_LEN);

/// A card on a VLAN, or on none.
#[derive(Debug)]
pub struct OnVlan<N> {
    nic: N,
    vlan: Option<VlanId>,
}

impl<N: Nic> OnVlan<N> {
    /// Puts the card on this VLAN.
    pub fn new(nic: N, vlan: Option<VlanId>) -> Self {
        OnVlan { nic, vlan }
    }
}

impl<N: Nic> Nic for OnVlan<N> {
    forward!(
        device, arm, poll_rx, refill, transmit, reclaim_tx, check, stop, counters
    );

    /// Cards are not asked to cut tagged segments: what they need to know of a tag differs from card to card.
    fn offloads(&self) -> Offloads {
        let all = self.nic.offloads();
        match self.vlan {
            Some(_) => all - Offloads::TSO,
            None => all,
        }
    }

    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        let room = self.nic.begin_tx()?;
        match self.vlan {
            Some(_) => room.get_mut(TAG_LEN..),
            None => Some(room),
        }
    }

    #[inline]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        let Some(vlan) = self.vlan else {
            return self.nic.commit_tx(header_len, payload, offload);
        };
        if let Some(room) = self.nic.begin_tx() {
            vlan.tag(room);
        }
        let header_len = header_len.saturating_add(TAG_LEN);
        self.nic.commit_tx(header_len, payload, offload.behind(TAG_BYTES))
    }
}
