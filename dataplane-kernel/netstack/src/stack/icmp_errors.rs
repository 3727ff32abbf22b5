//! ICMP errors about packets of ours: what is believed of them, and whom it concerns. Anybody can forge one, so that it
//! counts only if it quotes a packet that may have been ours (RFC 5927).

use super::Stack;
use crate::ends::Ends;
use crate::path_mtus::plateau_below;
use crate::seq::SeqNum;
use crate::tcp::flow::{EndReason, State};
use crate::tcp::tuple::Ports;
use crate::wire::icmpv4::{self, FRAGMENTATION_NEEDED};
use crate::wire::icmpv6;
use crate::{Env, Error, Instant};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What somebody says of a packet of ours.
pub(super) struct Complaint {
    about: Packet,
    what: What,
}

/// The packet.
struct Packet {
    ends: Ends,
    protocol: u8,
    ports: Ports,
    sequence: SeqNum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Nobody takes such packets there, and that will stay so (RFC 1122 section 4.2.3.9).
    Refused,
    /// It did not arrive; the next one may.
    Lost,
    /// It was longer than this.
    TooBig(u32),
}

impl Complaint {
    /// A Destination Unreachable of ICMP (RFC 792, RFC 1191 section 4).
    pub(super) fn unreachable(code: u8, mtu: u16, quoted: &[u8]) -> Option<Self> {
        let quoted = icmpv4::Quoted::parse(quoted)?;
        let what = match (code, mtu) {
            (2 | 3, _) => What::Refused,
            (FRAGMENTATION_NEEDED, 0) => What::TooBig(plateau_below(quoted.total_len)),
            (FRAGMENTATION_NEEDED, mtu) => What::TooBig(mtu.into()),
            _ => What::Lost,
        };
        let about = Packet {
            ends: Ends::V4 {
                local: quoted.src,
                remote: quoted.dst,
            },
            protocol: quoted.protocol,
            ports: Ports {
                local: quoted.src_port,
                remote: quoted.dst_port,
            },
            sequence: SeqNum(quoted.sequence),
        };
        Some(Complaint { about, what })
    }

    /// An error of ICMPv6 (RFC 4443 section 3).
    pub(super) fn v6(message: &icmpv6::Message<'_>) -> Option<Self> {
        let (what, quoted) = match *message {
            icmpv6::Message::DestinationUnreachable {
                code: icmpv6::PORT_UNREACHABLE,
                quoted,
            }
            | icmpv6::Message::ParameterProblem { code: 1, quoted } => (What::Refused, quoted),
            icmpv6::Message::PacketTooBig { mtu, quoted } => (What::TooBig(mtu), quoted),
            icmpv6::Message::DestinationUnreachable { quoted, .. }
            | icmpv6::Message::ParameterProblem { quoted, .. } => (What::Lost, quoted),
            _ => return None,
        };
        let quoted = icmpv6::Quoted::parse(quoted)?;
        let about = Packet {
            ends: Ends::V6 {
                local: quoted.src,
                remote: quoted.dst,
            },
            protocol: quoted.protocol.into(),
            ports: Ports {
                local: quoted.src_port,
                remote: quoted.dst_port,
            },
            sequence: SeqNum(quoted.sequence),
        };
        Some(Complaint { about, what })
    }
}

impl Stack {
    /// Heeds a complaint, if it may be true.
    #[inline(never)]
    pub(super) fn on_complaint<E: Env>(&mut self, env: &mut E, now: Instant, complaint: &Complaint) {
        match complaint.about.protocol {
            TCP => self.on_tcp_complaint(env, now, complaint),
            UDP => self.on_udp_complaint(now, complaint),
            _ => {}
        }
    }

    /// RFC 9293 section 3.9.2.2: a hard error ends a connection that is being opened (RFC 5927 section 4: and no other);
    /// the number quoted must be one that is on its way.
    fn on_tcp_complaint<E: Env>(&mut self, env: &mut E, now: Instant, complaint: &Complaint) {
        let Packet {
            ends,
            ports,
            sequence,
            ..
        } = &complaint.about;
        let tuple = self.shared.tuple(ends, *ports);
        let Some(slot) = tuple.and_then(|tuple| self.find_flow(&tuple)) else {
            return;
        };
        if !self.flows.at(slot).is_on_its_way(*sequence) {
            return;
        }
        match complaint.what {
            What::Lost => {}
            What::Refused => {
                let flow = self.flows.at(slot);
                if flow.state == State::SynSent {
                    let reason = EndReason::Because(Error::ConnectionRefused);
                    flow.end(&mut self.shared, env, reason);
                    self.settle(env, slot);
                }
            }
            What::TooBig(mtu) => {
                if self.lower_path_mtu(ends, mtu, now) {
                    self.flows.at(slot).on_path_mtu(&mut self.shared, now);
                }
            }
        }
    }

    /// RFC 1122 section 4.1.3.3: the app is told. Which datagrams are on their way nobody knows any more, but that the port
    /// is one of ours.
    fn on_udp_complaint(&mut self, now: Instant, complaint: &Complaint) {
        let Packet { ends, ports, .. } = &complaint.about;
        if !self.is_ours(ends) || !self.udp.is_bound(ends.local(), ports.local) {
            return;
        }
        match complaint.what {
            What::Lost => {}
            What::Refused => {
                if self.udp.on_refused(ports.local, ends.peer(ports.remote)) {
                    self.shared.counters.udp_refused += 1;
                }
            }
            What::TooBig(mtu) => {
                self.lower_path_mtu(ends, mtu, now);
            }
        }
    }

    pub(super) fn is_ours(&self, ends: &Ends) -> bool {
        match (ends, &self.shared.ipv6) {
            (Ends::V4 { local, .. }, _) => *local == self.shared.interface.route.address(),
            (Ends::V6 { local, .. }, Some(ipv6)) => ipv6.addresses.is_ours(*local),
            (Ends::V6 { .. }, None) => false,
        }
    }

    /// `true` if that is news.
    fn lower_path_mtu(&mut self, ends: &Ends, mtu: u32, now: Instant) -> bool {
        let before = self.shared.path_mtu(ends, now);
        let is_news = self.shared.path_mtus.lower(ends.remote(), mtu, before, now);
        self.shared.counters.path_mtus_lowered += u64::from(is_news);
        is_news
    }
}
