//! A segment becomes a frame: the flow's headers, the app's memory, a checksum.

use super::flow::{Flow, Marks};
use super::template::{self, Fields};
use super::{Shared, timestamp_clock};
use crate::checksum::Sum;
use crate::interface::add_spans;
use crate::seq::SeqNum;
use crate::wire::tcp::{CHECKSUM_OFFSET, Flags, MAX_HEADER_LEN};
use crate::wire::tcp_options::Timestamps;
use crate::{ChecksumOffload, Env, Instant, Span, TxTicket};

/// The device adds up from the TCP header.
const TCP_OFFSET: u16 = 34;
const _: () = assert!(TCP_OFFSET as usize == template::TCP);
const _: () = assert!(template::TCP + MAX_HEADER_LEN <= crate::HEADER_ROOM);

/// One segment to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) seq: SeqNum,
    pub(crate) flags: Flags,
    /// As it stands in the header.
    pub(crate) window: u16,
    /// Beyond timestamps; a multiple of 4 bytes.
    pub(crate) options: &'a [u8],
    pub(crate) payload: &'a [Span],
    /// Bytes of the payload.
    pub(crate) len: u32,
}

impl Flow {
    pub(crate) fn stamps(&self, now: Instant) -> Timestamps {
        Timestamps {
            value: timestamp_clock(now).wrapping_add(self.ts_offset),
            echo: self.ts_recent,
        }
    }

    #[inline]
    pub(crate) fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| self.stamps(now))
    }

    /// A segment without further options; it acknowledges all that has come. `None` if the transmit ring is full.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "a segment has these parts")]
    pub(crate) fn emit<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        seq: SeqNum,
        flags: Flags,
        payload: &[Span],
        len: u32,
    ) -> Option<TxTicket> {
        let outgoing = Outgoing {
            seq,
            flags,
            window: self.announce_window(shared),
            options: &[],
            payload,
            len,
        };
        let stamps = self.timestamps(now);
        let ticket = self.put_on_wire(shared, env, &outgoing, stamps)?;
        self.acknowledged_all();
        Some(ticket)
    }

    /// Writes the headers and commits the frame. Inlined everywhere, so that what is constant where data is sent stays so.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a segment is no longer than its 16-bit limit"
    )]
    pub(crate) fn put_on_wire<E: Env>(
        &self,
        shared: &mut Shared,
        env: &mut E,
        out: &Outgoing<'_>,
        timestamps: Option<Timestamps>,
    ) -> Option<TxTicket> {
        let has_ack = out.flags.contains(Flags::ACK);
        let fields = Fields {
            seq: out.seq,
            ack: if has_ack { self.rcv_nxt } else { SeqNum(0) },
            flags: out.flags,
            window: out.window,
            timestamps,
            len: (out.len + out.options.len() as u32) as u16,
            options_len: out.options.len() as u8,
        };
        let ticket = if shared.tuning.device_checksum {
            let room = env.begin_tx()?;
            let len = self.template.write(&fields, room.first_chunk_mut()?);
            let end = len + out.options.len();
            if !out.options.is_empty() {
                room.get_mut(len..end)?.copy_from_slice(out.options);
            }
            let offload = ChecksumOffload::Partial {
                start: TCP_OFFSET,
                offset: CHECKSUM_OFFSET,
            };
            env.commit_tx(end, out.payload, offload)
        } else {
            self.put_with_checksum(env, out, &fields)?
        };
        shared.counters.tx_tcp += 1;
        Some(ticket)
    }

    /// The same where the device computes no checksums.
    #[cold]
    #[inline(never)]
    fn put_with_checksum<E: Env>(
        &self,
        env: &mut E,
        out: &Outgoing<'_>,
        fields: &Fields,
    ) -> Option<TxTicket> {
        let mut bytes = [0; template::TCP + MAX_HEADER_LEN + template::LEN];
        let len = self.template.write(fields, bytes.first_chunk_mut()?);
        let end = len + out.options.len();
        bytes.get_mut(len..end)?.copy_from_slice(out.options);
        // The checksum field holds the pseudo-header's sum, and so adds it.
        let mut sum = Sum::new();
        sum.add_bytes(bytes.get(template::TCP..end)?);
        add_spans(env, &mut sum, out.payload);
        let field = template::TCP + usize::from(CHECKSUM_OFFSET);
        bytes
            .get_mut(field..field + 2)?
            .copy_from_slice(&sum.finish().to_be_bytes());
        env.begin_tx()?.get_mut(..end)?.copy_from_slice(bytes.get(..end)?);
        Some(env.commit_tx(end, out.payload, ChecksumOffload::Complete))
    }
}
