//! Segments leave: what a flow has to send, cut to what windows and segment size allow (RFC 9293 section 3.8).

use super::flow::{Flow, Marks, State};
use super::span_queue::Cut;
use super::template::{self, Fields};
use super::{Shared, timestamp_clock};
use crate::checksum::Sum;
use crate::interface::add_spans;
use crate::neighbor::Lookup;
use crate::route::NextHop;
use crate::seq::SeqNum;
use crate::wire::ethernet::MacAddr;
use crate::wire::tcp::{CHECKSUM_OFFSET, Flags, MAX_HEADER_LEN};
use crate::wire::tcp_options::{MAX_LEN, Options, SackBlock, SackBlocks, Timestamps};
use crate::{ChecksumOffload, Env, Instant, Span, TxTicket};

/// The device adds up from the TCP header.
const TCP_OFFSET: u16 = 34;
const _: () = assert!(TCP_OFFSET as usize == template::TCP);
const _: () = assert!(template::TCP + MAX_HEADER_LEN <= crate::HEADER_ROOM);

/// Why a flow could not send all it had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The transmit ring is full: to be tried again at the next flush.
    RingFull,
    /// The neighbour's hardware address is not known yet.
    Unresolved,
}

/// One segment to be sent.
struct Outgoing<'a> {
    seq: SeqNum,
    flags: Flags,
    window: u16,
    /// Beyond timestamps; a multiple of 4 bytes.
    options: &'a [u8],
    payload: &'a [Span],
    len: u32,
}

impl Flow {
    /// Sends what there is to send.
    #[inline]
    pub(crate) fn transmit<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.neighbor_epoch != shared.neighbor_epoch {
            self.resolve(shared, now)?;
        }
        if self.state.is_opening() || self.state == State::Closed {
            return self.transmit_handshake(shared, env, now);
        }
        let urgent = Marks::RETRANSMIT.or(Marks::PROBE_WINDOW).or(Marks::PROBE_ALIVE);
        if self.marks.has_any(urgent) {
            self.transmit_again(shared, env, now)?;
        }
        if !self.marks.has(Marks::FIN_SENT) && self.state != State::TimeWait {
            self.transmit_new(shared, env, now)?;
        }
        if self.marks.has(Marks::ACK_NOW) {
            self.transmit_ack(shared, env, now)?;
        } else if self.marks.has(Marks::ACK_DELAYED) {
            self.delay_ack(shared, now);
        }
        Ok(())
    }

    /// Looks up the hardware address of the next hop.
    fn resolve(&mut self, shared: &mut Shared, now: Instant) -> Result<(), Blocked> {
        let mac = match shared.interface.route.next_hop(self.tuple.remote) {
            NextHop::Neighbor(ip) => match shared.neighbors.lookup(ip, now) {
                Lookup::Known(mac) => mac,
                Lookup::Pending | Lookup::Full => return Err(Blocked::Unresolved),
            },
            NextHop::Broadcast | NextHop::Unreachable => MacAddr::default(),
        };
        self.template.set_destination(mac);
        self.neighbor_epoch = shared.neighbor_epoch;
        Ok(())
    }

    /// New data, and FIN behind it.
    #[inline]
    fn transmit_new<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        loop {
            let unsent = self.snd_nxt.distance_to(self.snd_end);
            let wants_fin = self.marks.has(Marks::FIN_QUEUED);
            if unsent == 0 && !wants_fin {
                return Ok(());
            }
            let in_flight = self.in_flight();
            let room = self
                .congestion
                .window()
                .min(self.snd_wnd)
                .saturating_sub(in_flight);
            let whole = unsent.min(u32::from(self.mss));
            let len = whole.min(room);
            // RFC 9293 section 3.8.6.2.1: a full segment, all there is (data is always pushed, Nagle's algorithm is not
            // used), or half of the largest window seen; else wait.
            let worth_it = len == whole || len >= (self.snd_wnd_max / 2).max(1);
            if room == 0 || !worth_it {
                self.wait_for_window(shared, now, in_flight);
                return Ok(());
            }
            if in_flight == 0 {
                self.begin_flight(now);
            }
            let cut = self.send.cut(&shared.spans, len);
            let fin = wants_fin && cut.len == unsent && room > unsent;
            if cut.len == 0 && !fin {
                return Ok(());
            }
            self.transmit_data(shared, env, now, &cut, fin)?;
        }
    }

    /// Nothing is on its way: is what the congestion window says still true?
    #[inline]
    fn begin_flight(&mut self, now: Instant) {
        if now.ns_since(self.sent_at) > self.rtt.plain_rto_ns() {
            self.congestion.on_idle(u32::from(self.mss));
        }
    }

    /// One segment at SND.NXT.
    #[inline]
    fn transmit_data<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        cut: &Cut,
        fin: bool,
    ) -> Result<(), Blocked> {
        let mut flags = Flags::ACK | Flags::PSH;
        if fin {
            flags = flags | Flags::FIN;
        }
        let seq = self.snd_nxt;
        let ticket = self
            .emit(shared, env, now, seq, flags, cut)
            .ok_or(Blocked::RingFull)?;
        self.send.advance(&shared.spans, cut.len);
        self.data_ticket = ticket;
        self.sent_at = now;
        let next = seq + cut.len + u32::from(fin);
        self.snd_nxt = next;
        self.flight_peak = self.in_flight();
        self.marks.set(Marks::DATA_SENT);
        if fin {
            self.marks.set(Marks::FIN_SENT);
        }
        if seq.before(self.snd_max) {
            self.repeated(shared, ticket);
        } else if !self.marks.has(Marks::TIMING) {
            self.marks.set(Marks::TIMING);
            self.rtt_seq = next;
            self.rtt_since = now;
        }
        self.snd_max = self.snd_max.later_of(next);
        self.marks.clear(Marks::PERSIST);
        if self.rto_at == Instant::FAR {
            self.start_rto(shared, now);
        }
        Ok(())
    }

    /// An ACK and nothing else; with SACK blocks if data beyond a gap has come.
    pub(crate) fn transmit_ack<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if !self.beyond.is_empty() && self.marks.has(Marks::SACK) {
            return self.transmit_sack(shared, env, now);
        }
        let seq = self.snd_nxt.later_of(self.snd_max);
        self.emit(shared, env, now, seq, Flags::ACK, &Cut::default())
            .ok_or(Blocked::RingFull)?;
        Ok(())
    }

    fn transmit_sack<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        let options = Options {
            sack: self.sack_blocks(&shared.rx),
            ..Options::default()
        };
        let mut bytes = [0; MAX_LEN];
        let len = options.emit(&mut bytes);
        let outgoing = Outgoing {
            seq: self.snd_nxt.later_of(self.snd_max),
            flags: Flags::ACK,
            window: self.announce_window(shared),
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            len: 0,
        };
        let stamps = self.timestamps(now);
        self.put_on_wire(shared, env, &outgoing, stamps)
            .ok_or(Blocked::RingFull)?;
        self.acknowledged_all();
        Ok(())
    }

    /// What has come beyond the gap, the latest first (RFC 2018 section 4); three blocks fit beside timestamps.
    fn sack_blocks(&self, rx: &crate::rx_buffers::RxBuffers) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let mut ranges = self.beyond_ranges(rx);
        let latest = ranges.clone().find(|range| {
            self.beyond_latest
                .is_within(range.start, range.start.distance_to(range.end))
        });
        if let Some(range) = latest {
            blocks.push(range);
        }
        let others: &mut dyn Iterator<Item = SackBlock> = &mut ranges;
        for range in others.filter(|range| Some(*range) != latest).take(2) {
            blocks.push(range);
        }
        blocks
    }

    /// SYN, or SYN and ACK (RFC 9293 section 3.5); of what is closed, nothing.
    fn transmit_handshake<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.state == State::Closed {
            return Ok(());
        }
        if self.snd_nxt != self.iss {
            if self.marks.has(Marks::ACK_NOW) {
                self.transmit_ack(shared, env, now)?;
            }
            return Ok(());
        }
        let answers = self.state == State::SynReceived;
        let flags = if answers {
            Flags::SYN | Flags::ACK
        } else {
            Flags::SYN
        };
        let options = self.syn_options(shared, now, answers);
        let mut bytes = [0; MAX_LEN];
        let len = options.emit(&mut bytes);
        // RFC 7323 section 2.2: the window of a SYN is not scaled.
        let shift = core::mem::take(&mut self.rcv_shift);
        let window = self.announce_window(shared);
        self.rcv_shift = shift;
        let outgoing = Outgoing {
            seq: self.iss,
            flags,
            window,
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            len: 0,
        };
        self.put_on_wire(shared, env, &outgoing, None)
            .ok_or(Blocked::RingFull)?;
        self.acknowledged_all();
        self.snd_nxt = self.iss + 1;
        if self.snd_max == self.iss {
            self.marks.set(Marks::TIMING);
            (self.rtt_seq, self.rtt_since) = (self.snd_nxt, now);
        }
        self.snd_max = self.snd_max.later_of(self.snd_nxt);
        self.sent_at = now;
        self.start_rto(shared, now);
        Ok(())
    }

    /// What a SYN of ours offers, or a SYN-ACK agrees to.
    fn syn_options(&self, shared: &Shared, now: Instant, answers: bool) -> Options {
        let offer = shared.tuning.offer_options;
        let stamps = if answers {
            self.marks.has(Marks::TIMESTAMPS)
        } else {
            offer
        };
        let scale = if answers {
            self.marks.has(Marks::SCALED)
        } else {
            offer
        };
        Options {
            mss: Some(shared.tuning.max_segment),
            window_scale: scale.then_some(shared.tuning.window_shift),
            sack_permitted: if answers {
                self.marks.has(Marks::SACK)
            } else {
                offer
            },
            timestamps: stamps.then(|| self.stamps(now)),
            sack: SackBlocks::default(),
        }
    }

    /// Resets the connection from this side. If the ring is full the peer will find out by its own next segment.
    pub(crate) fn transmit_reset<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        if self.neighbor_epoch != shared.neighbor_epoch && self.resolve(shared, now).is_err() {
            return;
        }
        let seq = self.snd_nxt.later_of(self.snd_max);
        if self
            .emit(shared, env, now, seq, Flags::RST | Flags::ACK, &Cut::default())
            .is_some()
        {
            shared.counters.tcp_resets_sent += 1;
        }
    }

    fn stamps(&self, now: Instant) -> Timestamps {
        Timestamps {
            value: timestamp_clock(now).wrapping_add(self.ts_offset),
            echo: self.ts_recent,
        }
    }

    #[inline]
    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        self.marks.has(Marks::TIMESTAMPS).then(|| self.stamps(now))
    }

    /// A segment without further options; it acknowledges all that has come. `None` if the transmit ring is full.
    #[inline]
    pub(crate) fn emit<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        seq: SeqNum,
        flags: Flags,
        cut: &Cut,
    ) -> Option<TxTicket> {
        let outgoing = Outgoing {
            seq,
            flags,
            window: self.announce_window(shared),
            options: &[],
            payload: cut.spans(),
            len: cut.len,
        };
        let stamps = self.timestamps(now);
        let ticket = self.put_on_wire(shared, env, &outgoing, stamps)?;
        self.acknowledged_all();
        Some(ticket)
    }

    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a segment is no longer than its 16-bit limit"
    )]
    fn put_on_wire<E: Env>(
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
            room.get_mut(len..end)?.copy_from_slice(out.options);
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
