//! Generic receive offload: where a segment continues the one before it in its batch, as in every bulk transfer, its flow is
//! known and has nothing to decide. Such segments are not glued together: each is taken in by itself, without being looked
//! up and without the steps of TCP that could change nothing, so that frames, events and buffers are those of a stack that does
//! not do this.

use super::Stack;
use super::ingress::{later, station};
use super::look_ahead::tuple_of;
use crate::wire::ethernet;
use crate::wire::ipv4::Packet;
use crate::wire::tcp::Segment;
use crate::{BufId, Env, Instant, RxChecksum};

/// Where the sequence number stands in a frame of IPv4 without options.
const SEQ: usize = ethernet::HEADER_LEN + 20 + 4;

impl Stack {
    /// [`Stack::receive`], for a frame that came in one batch with the one before it, which was the last to be taken in.
    #[inline]
    pub fn receive_next<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        buf: BufId,
        frame: &[u8],
        frame_offset: u16,
        checksum: RxChecksum,
    ) {
        // In a batch with frames of many flows this is false of nearly all, and costs little.
        let next = self.flows.at(self.last_flow).rcv_nxt.0.to_be_bytes();
        if !self.merges || frame.get(SEQ..).and_then(|rest| rest.first_chunk()) != Some(&next) {
            return self.receive(env, now, buf, frame, frame_offset, checksum);
        }
        match self.continue_run(now, buf, frame, frame_offset, checksum) {
            Ok(None) => {}
            Ok(Some(buf)) => env.free_rx(buf),
            Err(buf) => self.receive(env, now, buf, frame, frame_offset, checksum),
        }
    }

    /// Takes a segment in that continues what its flow has; gives the buffer back if the flow has no room for it. `Err`: it
    /// is something else.
    #[inline(never)]
    fn continue_run(
        &mut self,
        now: Instant,
        buf: BufId,
        frame: &[u8],
        frame_offset: u16,
        checksum: RxChecksum,
    ) -> Result<Option<BufId>, BufId> {
        let flow = self.flows.at(self.last_flow);
        let Some((ether, payload)) = frame.split_first_chunk::<{ ethernet::HEADER_LEN }>() else {
            return Err(buf);
        };
        let may_continue = tuple_of(frame).as_ref() == Some(&flow.tuple) && station(ether) == self.station;
        let Some(packet) = Packet::parse(payload)
            .ok()
            .filter(|packet| may_continue && !packet.is_fragment())
        else {
            return Err(buf);
        };
        let checksum = if self.trusts_rx_checksum {
            checksum
        } else {
            RxChecksum::Unknown
        };
        match Segment::parse(packet.payload(), packet.src(), packet.dst(), checksum) {
            Ok(segment) if flow.is_continued_by(&segment, packet.ecn()) => {
                let headers = ethernet::HEADER_LEN + packet.header_len() + segment.header_len();
                let offset = later(frame_offset, headers);
                self.shared.counters.rx_tcp += 1;
                Ok(flow.take_next(&mut self.shared, now, &segment, buf, offset))
            }
            _ => Err(buf),
        }
    }
}
