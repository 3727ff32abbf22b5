//! Answers to SYNs while too many connections are half-open, and the ACKs that follow: see [`crate::tcp::syn_cookie`].

use super::Stack;
use crate::ends::Ends;
use crate::interface::TTL;
use crate::seq::SeqNum;
use crate::tcp::syn_cookie::{self, Asker, LIFETIME_NS};
use crate::tcp::timestamp_clock;
use crate::tcp::tuple::Ports;
use crate::wire::ethernet::{self, MacAddr};
use crate::wire::tcp::{self, Flags, Segment};
use crate::wire::tcp_options::{MAX_LEN, Options, SackBlocks, Timestamps};
use crate::{Env, Instant};

/// TCP's number.
const TCP: u8 = 6;

impl Stack {
    /// SYN and ACK to the station the SYN came from, and nothing is kept.
    #[cold]
    #[inline(never)]
    pub(super) fn send_syn_cookie<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        dst: MacAddr,
        ends: &Ends,
        syn: &Segment<'_>,
    ) {
        let shared = &mut self.shared;
        let offered = syn.all_options();
        let asker = asker(ends, syn, syn.seq);
        let ours = shared.announced_segment(ends);
        let clock = timestamp_clock(now).wrapping_add(shared.secrets.timestamp_offset(ends, asker.ports));
        // Without timestamps to keep them in there are no other options.
        let stamps = offered.timestamps.filter(|_| shared.tuning.offer_options);
        let options = Options {
            mss: Some(ours),
            window_scale: offered
                .window_scale
                .and(stamps)
                .map(|_| shared.tuning.window_shift),
            sack_permitted: offered.sack_permitted && stamps.is_some(),
            timestamps: stamps.map(|stamps| Timestamps {
                value: syn_cookie::stamp(clock, &offered),
                echo: stamps.value,
            }),
            sack: SackBlocks::default(),
        };
        let header = tcp::Header {
            src_port: syn.dst_port,
            dst_port: syn.src_port,
            seq: asker.cookie(&shared.secrets, now, offered.mss.unwrap_or(0)),
            ack: syn.seq + 1,
            flags: Flags::SYN | Flags::ACK,
            window: shared.tuning.first_window(),
        };
        let src = shared.interface.mac;
        shared.cookies_until = now.after_ns(LIFETIME_NS);
        shared.counters.rx_tcp += 1;
        if self.answer(env, |out| emit(src, dst, ends, &header, &options, out)) {
            self.shared.counters.tx_tcp += 1;
            self.shared.counters.tcp_syn_cookies_sent += 1;
        }
    }

    /// `true` if `ack` brings one of our cookies back to the listener in `slot`: then there is a connection, if there is
    /// room for one. What data comes with it is left to the peer to send again.
    #[cold]
    #[inline(never)]
    pub(super) fn take_syn_cookie<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        ends: &Ends,
        ack: &Segment<'_>,
        listener: u32,
    ) -> bool {
        let plain =
            ack.flags.contains(Flags::ACK) && !ack.flags.intersects(Flags::SYN | Flags::RST | Flags::FIN);
        if !plain || now >= self.shared.cookies_until {
            return false;
        }
        let asker = asker(ends, ack, ack.seq - 1);
        let number = ack.ack - 1;
        let Some(mss) = asker.check(&self.shared.secrets, now, number) else {
            return false;
        };
        let ports = Ports {
            local: ack.dst_port,
            remote: ack.src_port,
        };
        let room = self.shared.listeners.may_wait(listener);
        let slot = if room {
            self.create_flow(env, ends, ports)
        } else {
            None
        };
        let Some(slot) = slot else {
            self.shared.counters.rx_tcp_backlog_full += 1;
            return true;
        };
        let mut bytes = [0; MAX_LEN];
        let len = syn_cookie::options(mss, ack).emit(&mut bytes);
        let syn = Segment {
            seq: asker.irs,
            flags: Flags::SYN,
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            ..*ack
        };
        self.shared.counters.rx_tcp += 1;
        self.shared.counters.tcp_syn_cookies_taken += 1;
        let flow = self.flows.at(slot);
        flow.open_by_cookie(&mut self.shared, now, &syn, listener, number);
        flow.complete_passive_open(&mut self.shared, env, now, ack);
        true
    }
}

fn asker<'a>(ends: &'a Ends, segment: &Segment<'_>, irs: SeqNum) -> Asker<'a> {
    let ports = Ports {
        local: segment.dst_port,
        remote: segment.src_port,
    };
    Asker {
        ends,
        ports: ports.number(),
        irs,
    }
}

fn emit(
    src: MacAddr,
    dst: MacAddr,
    ends: &Ends,
    header: &tcp::Header,
    options: &Options,
    out: &mut [u8],
) -> Option<usize> {
    let mut bytes = [0; MAX_LEN];
    let options_len = options.emit(&mut bytes);
    let tcp_len = tcp::HEADER_LEN + options_len;
    let (link, rest) = out.split_first_chunk_mut()?;
    let (ip, rest) = rest.split_at_mut_checked(ends.header_len())?;
    let transport = rest.get_mut(..tcp_len)?;
    ethernet::Header {
        dst,
        src,
        ether_type: ends.ether_type(),
    }
    .emit(link);
    let len = u16::try_from(tcp_len).ok()?;
    ends.emit(TCP, len, TTL, ip)?;
    let (fixed, rest) = transport.split_first_chunk_mut()?;
    header.emit(options_len, fixed);
    rest.copy_from_slice(bytes.get(..options_len)?);
    let mut sum = ends.pseudo_header(TCP, len);
    sum.add_bytes(transport);
    tcp::set_checksum(transport.first_chunk_mut()?, sum.finish());
    Some(ethernet::HEADER_LEN + ends.header_len() + tcp_len)
}
