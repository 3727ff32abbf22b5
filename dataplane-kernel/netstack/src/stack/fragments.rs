//! Fragments in, and whole packets out of them; answers too long for one frame.

use super::Stack;
use super::ingress::Frame;
use crate::ends::Ends;
use crate::icmp::{self, v6};
use crate::reassembly::{Expired, Fragment, Taken, Whole};
use crate::wire::ethernet::{self, MacAddr};
use crate::wire::icmpv6::Error;
use crate::{BufId, Env, Instant, RxChecksum};

/// Most bytes of a packet that an error quotes.
const MAX_QUOTED: usize = 1280;

/// A packet put together of fragments, in a large buffer of the driver's; see [`Stack::poll_whole`].
#[derive(Debug)]
pub struct WholePacket(Whole);

impl WholePacket {
    /// Its buffer.
    #[must_use]
    pub fn buf(&self) -> &BufId {
        &self.0.buf
    }

    /// Where it begins in the buffer.
    #[must_use]
    pub fn offset(&self) -> u16 {
        self.0.offset
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u16 {
        self.0.len
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

impl Stack {
    /// A packet whose fragments have all come. After each batch of frames the driver asks for them until there is none,
    /// and hands each in by [`Stack::receive_whole`].
    #[inline]
    pub fn poll_whole(&mut self) -> Option<WholePacket> {
        self.reassembly.poll_whole().map(WholePacket)
    }

    /// Takes a whole packet in; `bytes` are [`WholePacket::len`] at its offset of its buffer.
    pub fn receive_whole<E: Env>(&mut self, env: &mut E, now: Instant, whole: WholePacket, bytes: &[u8]) {
        let WholePacket(whole) = whole;
        self.shared.counters.reassembled += 1;
        let frame = Frame {
            ether: &whole.ether,
            payload: bytes,
            checksum: RxChecksum::Unknown,
            buf: whole.buf,
            offset: whole.offset,
        };
        if whole.is_v6 {
            self.receive_ipv6(env, now, frame);
        } else {
            self.receive_whole_v4(env, now, frame);
        }
    }

    /// A fragment; its own buffer is the caller's to free.
    pub(super) fn receive_fragment<E: Env>(&mut self, env: &mut E, now: Instant, fragment: &Fragment<'_>) {
        let (taken, evicted) = self.reassembly.receive(env, now, fragment);
        let counters = &mut self.shared.counters;
        match taken {
            Taken::Kept => counters.rx_fragment += 1,
            // Counted as what the packet turns out to be.
            Taken::Whole => {}
            Taken::Overlaps => counters.rx_fragment_overlap += 1,
            Taken::Impossible => counters.rx_fragment_impossible += 1,
            Taken::NoRoom => counters.rx_fragment_no_room += 1,
        }
        if let Some(evicted) = evicted {
            self.shared.counters.reassembly_evicted += 1;
            if let Some(buf) = evicted.buf {
                env.free_rx(buf);
            }
        }
        self.reassembly_ends = self.reassembly.next_deadline().unwrap_or(Instant::FAR);
    }

    /// Gives up packets whose fragments have not come in time, and tells their senders.
    pub(super) fn expire_fragments<E: Env>(&mut self, env: &mut E, now: Instant) {
        while let Some(expired) = self.reassembly.poll_expired(now) {
            self.shared.counters.reassembly_timeouts += 1;
            self.tell_expired(env, now, &expired);
            if let Some(buf) = expired.buf {
                env.free_rx(buf);
            }
        }
        self.reassembly_ends = self.reassembly.next_deadline().unwrap_or(Instant::FAR);
    }

    /// RFC 1122 section 3.3.2 and RFC 8200 section 4.5: if the first fragment has come.
    fn tell_expired<E: Env>(&mut self, env: &mut E, now: Instant, expired: &Expired) {
        let Some(buf) = expired.buf.as_ref().filter(|_| expired.quotable > 0) else {
            return;
        };
        let to_us_alone = super::ingress::station(&expired.ether) == self.station;
        if !to_us_alone || !self.is_ours(&expired.key.ends) || !self.icmp_errors.allows(now) {
            return;
        }
        let mut quoted = [0; MAX_QUOTED];
        let len = usize::from(expired.quotable).min(MAX_QUOTED);
        let start = usize::from(expired.offset);
        let (Some(quoted), Some(bytes)) = (quoted.get_mut(..len), env.large(buf).get(start..start + len))
        else {
            return;
        };
        quoted.copy_from_slice(bytes);
        let dst_mac = super::ingress::station_from(&expired.ether);
        let src_mac = self.shared.interface.mac;
        match expired.key.ends {
            Ends::V4 { remote, .. } => {
                let interface = self.shared.interface;
                self.answer_icmp(env, |out| {
                    icmp::v4::emit_reassembly_timeout(quoted, remote, dst_mac, &interface, out)
                });
            }
            Ends::V6 { local, remote } => {
                let way = v6::Way {
                    src_mac,
                    dst_mac,
                    src: local,
                    dst: remote,
                };
                let error = Error::ReassemblyTimeExceeded;
                self.answer_icmp(env, |out| v6::emit_error(&way, error, quoted, out));
            }
        }
    }

    /// Sends `head` and `tail`, which are one message, in as many fragments as it takes, to the station `dst`.
    pub(super) fn answer_in_fragments<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        ends: &Ends,
        dst: MacAddr,
        (protocol, head, tail): (u8, &[u8], &[u8]),
    ) {
        let mtu = self.shared.path_mtu(ends, now);
        let identification = self.udp.identification();
        let total = head.len() + tail.len();
        let mut at = 0;
        while at < total {
            let Some(cut) = ends.cut(total, at, mtu) else {
                return;
            };
            let header = ethernet::Header {
                dst,
                src: self.shared.interface.mac,
                ether_type: ends.ether_type(),
            };
            let hop_limit = crate::interface::TTL;
            let sent = self.answer(env, |out| {
                let (link, rest) = out.split_first_chunk_mut()?;
                header.emit(link);
                let (ip, rest) = rest.split_at_mut_checked(ends.fragment_header_len())?;
                ends.emit_fragment(protocol, &cut, identification, hop_limit, ip)?;
                let body = rest.get_mut(..cut.len)?;
                let from_head = head.get(at..).unwrap_or_default();
                let from_head = from_head.get(..cut.len).unwrap_or(from_head);
                let (first, second) = body.split_at_mut_checked(from_head.len())?;
                first.copy_from_slice(from_head);
                let skipped = (at + first.len()).saturating_sub(head.len());
                second.copy_from_slice(tail.get(skipped..skipped + second.len())?);
                Some(ethernet::HEADER_LEN + ends.fragment_header_len() + cut.len)
            });
            if !sent {
                return;
            }
            at += cut.len;
        }
        self.shared.counters.tx_icmp += 1;
    }
}
