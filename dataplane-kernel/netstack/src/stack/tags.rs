//! Tags of frames in: whether a frame is of our VLAN.

use super::Stack;
use super::ingress::{Frame, later};
use crate::Env;
use crate::wire::ethernet::EtherType;
use crate::wire::vlan;

impl Stack {
    /// The frame without its tag, and what it carries; `None`: it was dropped.
    #[inline]
    pub(super) fn untagged<'a, E: Env>(
        &mut self,
        env: &mut E,
        frame: Frame<'a>,
    ) -> Option<(EtherType, Frame<'a>)> {
        match vlan::untag(self.vlan, frame.ether, frame.payload) {
            Ok(carried) => {
                let frame = Frame {
                    payload: carried.payload,
                    offset: later(frame.offset, carried.tag_len),
                    ..frame
                };
                Some((carried.ether_type, frame))
            }
            Err(refused) => {
                let counters = &mut self.shared.counters;
                match refused {
                    vlan::Refused::Short => counters.rx_ethernet_short += 1,
                    vlan::Refused::OtherVlan => counters.rx_vlan_not_ours += 1,
                }
                env.free_rx(frame.buf);
                None
            }
        }
    }
}
