//! A segment becomes a frame: the flow's headers, the app's memory, a checksum.

use super::flow::{Flow, Marks};
use super::template::{self, Fields};
use super::{Shared, timestamp_clock};
use crate::checksum::Sum;
use crate::interface::add_spans;
use crate::seq::SeqNum;
use crate::wire::ecn::Ecn;
use crate::wire::ipv6;
use crate::wire::tcp::{CHECKSUM_OFFSET, Flags, MAX_HEADER_LEN};
use crate::wire::tcp_options::Timestamps;
use crate::{Env, Instant, Span, TxOffload, TxTicket};

/// Behind an Ethernet header.
const IP_OFFSET: u16 = 14;
const _: () = assert!(IP_OFFSET as usize == template::IP);
/// The device adds up from the TCP header.
const TCP_OFFSET: u16 = 34;
const _: () = assert!(TCP_OFFSET as usize == template::TCP);
/// The same behind an IPv6 header.
const TCP_OFFSET_V6: u16 = 54;
const _: () = assert!(TCP_OFFSET_V6 as usize == template::TCP_V6);
const _: () = assert!(template::TCP_V6 + MAX_HEADER_LEN <= crate::HEADER_ROOM);

/// Who makes segments of a frame's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// They are one segment.
    One,
    /// They are more than one, for the device to cut.
    ByDevice,
}

/// One segment to be sent, or several.
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
    pub(crate) ecn: Ecn,
    pub(crate) cut: Cut,
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

    /// A segment without further options that brings no new data; it acknowledges all that has come. `None` if the
    /// transmit ring is full.
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
            flags: flags | self.echo_for(flags),
            window: self.announce_window(shared),
            options: &[],
            payload,
            len,
            ecn: Ecn::NOT_ECT,
            cut: Cut::One,
        };
        self.emit_outgoing(shared, env, now, &outgoing)
    }

    /// The same, composed by the caller.
    #[inline(never)]
    pub(crate) fn emit_outgoing<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        outgoing: &Outgoing<'_>,
    ) -> Option<TxTicket> {
        let stamps = self.timestamps(now);
        let ticket = self.put_on_wire(shared, env, outgoing, stamps)?;
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
            ecn: out.ecn,
        };
        let ticket = if self.tuple.is_v6() {
            self.put_on_wire_v6(shared, env, out, &fields)?
        } else if shared.tuning.device_checksum {
            let room = env.begin_tx()?;
            let len = self.template.write(&fields, room.first_chunk_mut()?);
            let end = len + out.options.len();
            if !out.options.is_empty() {
                room.get_mut(len..end)?.copy_from_slice(out.options);
            }
            let offload = self.offload(shared, out.cut, TCP_OFFSET);
            env.commit_tx(end, out.payload, offload)
        } else {
            self.put_with_checksum(env, out, &fields)?
        };
        shared.counters.tx_tcp += 1;
        Some(ticket)
    }

    /// What a device that computes checksums has to do to a frame with the TCP header at `start`.
    #[inline(always)]
    fn offload(&self, shared: &mut Shared, cut: Cut, start: u16) -> TxOffload {
        match cut {
            Cut::One => TxOffload::Partial {
                start,
                offset: CHECKSUM_OFFSET,
            },
            Cut::ByDevice => {
                shared.counters.tx_tcp_to_cut += 1;
                TxOffload::Segments {
                    ip: IP_OFFSET,
                    start,
                    mss: self.mss,
                }
            }
        }
    }

    /// The same between IPv6 hosts.
    #[inline(never)]
    fn put_on_wire_v6<E: Env>(
        &self,
        shared: &mut Shared,
        env: &mut E,
        out: &Outgoing<'_>,
        fields: &Fields,
    ) -> Option<TxTicket> {
        let pair = shared.pairs.get(self.tuple.pair()?);
        let ip = ipv6::Header {
            src: pair.local,
            dst: pair.remote,
            protocol: ipv6::Protocol::Tcp,
            hop_limit: shared.ipv6.as_ref()?.hop_limit,
            payload_len: 0,
        };
        let mut bytes = [0; template::LEN_V6 + MAX_HEADER_LEN];
        let len = self.template.write_v6(fields, &ip, bytes.first_chunk_mut()?);
        let end = len + out.options.len();
        bytes.get_mut(len..end)?.copy_from_slice(out.options);
        if shared.tuning.device_checksum {
            env.begin_tx()?.get_mut(..end)?.copy_from_slice(bytes.get(..end)?);
            let offload = self.offload(shared, out.cut, TCP_OFFSET_V6);
            return Some(env.commit_tx(end, out.payload, offload));
        }
        complete(env, &mut bytes, template::TCP_V6, end, out.payload)
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
        complete(env, &mut bytes, template::TCP, end, out.payload)
    }
}

/// Sends a frame whose headers, `bytes` up to `end`, lack nothing but the checksum of TCP's at `start`.
fn complete<E: Env>(
    env: &mut E,
    bytes: &mut [u8],
    start: usize,
    end: usize,
    payload: &[Span],
) -> Option<TxTicket> {
    // The checksum field holds the pseudo-header's sum, and so adds it.
    let mut sum = Sum::new();
    sum.add_bytes(bytes.get(start..end)?);
    add_spans(env, &mut sum, payload);
    let field = start + usize::from(CHECKSUM_OFFSET);
    bytes
        .get_mut(field..field + 2)?
        .copy_from_slice(&sum.finish().to_be_bytes());
    env.begin_tx()?.get_mut(..end)?.copy_from_slice(bytes.get(..end)?);
    Some(env.commit_tx(end, payload, TxOffload::Complete))
}
