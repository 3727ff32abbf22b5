//! The kernel command line: words `key=value` separated by blanks, then ` -- ` and the app's arguments. In values and
//! arguments, bytes that are not graphic ASCII, and `%`, stand as `%XX`; an empty one
//! stands as `%` alone.
//!
//! | key | value | meaning |
//! |---|---|---|
//! | `host` | hexadecimal guest-physical address | where the [`super::HostArea`] lies |
//! | `nic` | `loopback` | the link leads back to the machine, and needs no card (the next card on PCI) |
//! | `link` | 1..=7 | what follows of `ip`, `gw`, `ip6`, `gw6`, `mtu` and `vlan` is about the link with this number, in order; before, about link 0. The cards are those of the links in the order of their PCI addresses |
//! | `ip` | CIDR, or `dhcp` | IPv4 address and prefix, or what a server gives; without it, no IPv4 |
//! | `dhcp-wait` | seconds | how long a DHCP server may take before the app is given up (30) |
//! | `gw` | IPv4 address | gateway |
//! | `ip6` | CIDR, or `auto` | IPv6 address and prefix, or what routers tell; without it, no IPv6 |
//! | `gw6` | IPv6 address | gateway for IPv6 |
//! | `route` | CIDR`,`IP address | gateway to this network, on whatever link; may stand more than once |
//! | `dns` | IP address | a name server, instead of those a DHCP server tells; may stand three times |
//! | `mtu` | 68..=9000 | largest IP packet of the link (what the card says, at most 1500) |
//! | `vlan` | 1..=4094 | IEEE 802.1Q VLAN that the card is on (none: frames have no tag) |
//! | `offload` | `NAME=on\|off`, separated by commas | what the card may do for the stack, and the stack for itself ([`offload`]; on, where the card can) |
//! | `log` | off, error, warn, info, debug, trace | what goes to the serial line (info) |
//! | `cores` | 1..=64 | cores to work on, of those the machine has (1) |
//! | `idle` | microseconds | how long a core looks for the next packet before it sleeps (for ever) |
//! | `batch` | 1..=1024 | packets per cycle (64) |
//! | `env` | `K=V` | one environment variable of the app; may stand more than once |
//! | `watchdog` | seconds | ring 3 is late when it computes longer than this between two `run_io` (1) |
//! | `watchdogkill` | seconds | ring 3 is ended when it computes longer than this (never) |
//! | `selftest` | panic, fault, doublefault, stackoverflow, corefault, corestackoverflow | ring 0 makes this mistake on purpose, to show that it is reported |

/// Key of the host area's address.
pub const HOST: &str = "host";
/// Key of the NIC that is none on PCI.
pub const NIC: &str = "nic";
/// Value of [`NIC`]: what is sent comes back.
pub const NIC_LOOPBACK: &str = "loopback";
/// Key of a further link's number.
pub const LINK: &str = "link";
/// Key of a way to a network.
pub const ROUTE: &str = "route";
/// Key of the IPv4 address.
pub const IP: &str = "ip";
/// Value of [`IP`]: ask a DHCP server.
pub const IP_DHCP: &str = "dhcp";
/// Key of the time a DHCP server may take.
pub const DHCP_WAIT: &str = "dhcp-wait";
/// Key of the gateway.
pub const GATEWAY: &str = "gw";
/// Key of the IPv6 address.
pub const IP6: &str = "ip6";
/// Value of [`IP6`]: heed routers.
pub const IP6_AUTO: &str = "auto";
/// Key of the gateway for IPv6.
pub const GATEWAY6: &str = "gw6";
/// Key of a name server.
pub const DNS: &str = "dns";
/// Key of the largest IP packet.
pub const MTU: &str = "mtu";
/// Key of the VLAN.
pub const VLAN: &str = "vlan";
/// Key of what is left to the card.
pub const OFFLOAD: &str = "offload";
/// Key of the log level.
pub const LOG: &str = "log";
/// Key of the number of cores.
pub const CORES: &str = "cores";
/// Key of the time before a core sleeps.
pub const IDLE: &str = "idle";
/// Key of the batch bound.
pub const BATCH: &str = "batch";
/// Key of an environment variable.
pub const ENV: &str = "env";
/// Key of the watchdog limit.
pub const WATCHDOG: &str = "watchdog";
/// Key of the limit beyond which the app is ended.
pub const WATCHDOG_KILL: &str = "watchdogkill";
/// Key of the mistake to make.
pub const SELFTEST: &str = "selftest";
/// The word between settings and arguments. The first argument is `argv[0]`.
pub const END: &str = "--";

/// Names in the value of [`OFFLOAD`].
pub mod offload {
    /// Verify checksums of received TCP and UDP.
    pub const RX_CHECKSUM: &str = "rxcsum";
    /// Compute those of transmitted TCP and UDP.
    pub const TX_CHECKSUM: &str = "txcsum";
    /// Cut TCP segments.
    pub const TSO: &str = "tso";
    /// Merge TCP segments.
    pub const LRO: &str = "lro";
    /// Hand what is received to the queue of the core it is for.
    pub const RSS: &str = "rss";
    /// Insert VLAN tags and take them off.
    pub const VLAN: &str = "vlan";
    /// Take TCP segments that continue the one before in a short way. It is the stack that does, not the card.
    pub const GRO: &str = "gro";
    /// Cut what may leave at once into TCP segments as late as can be. The stack does, where the card does not.
    pub const GSO: &str = "gso";
    /// All of them.
    pub const ALL: [&str; 8] = [RX_CHECKSUM, TX_CHECKSUM, TSO, LRO, RSS, VLAN, GRO, GSO];

    /// The choices a value makes: names, and whether they are on. `Err`: the first part of it that is none.
    pub fn choices(value: &str) -> impl Iterator<Item = Result<(&'static str, bool), &str>> {
        value.split(',').map(|choice| {
            let (name, state) = choice.split_once('=').ok_or(choice)?;
            let name = ALL.into_iter().find(|known| *known == name).ok_or(choice)?;
            match state {
                "on" => Ok((name, true)),
                "off" => Ok((name, false)),
                _ => Err(choice),
            }
        })
    }
}

const EMPTY: char = '%';

/// Escapes one value; the inverse of [`unescape`].
pub fn escape(value: &[u8]) -> impl Iterator<Item = char> + '_ {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let empty = value.is_empty().then_some(EMPTY);
    let escaped = value.iter().flat_map(|&byte| {
        let plain = byte.is_ascii_graphic() && byte != b'%';
        let escaped = [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        let (bytes, count) = if plain { ([byte, 0, 0], 1) } else { (escaped, 3) };
        bytes.into_iter().take(count).map(char::from)
    });
    empty.into_iter().chain(escaped)
}

/// Decodes one value; a malformed escape stands for itself.
pub fn unescape(value: &str) -> impl Iterator<Item = u8> + '_ {
    let is_empty = value.len() == 1 && value.starts_with(EMPTY);
    let bytes = if is_empty { &[] } else { value.as_bytes() };
    let mut at = 0;
    core::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|d| core::str::from_utf8(d).ok());
        match digits.filter(|d| byte == b'%' && d.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(digits) => {
                at += 3;
                u8::from_str_radix(digits, 16).ok()
            }
            None => {
                at += 1;
                Some(byte)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{escape, offload, unescape};
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn offloads_are_chosen_by_name() {
        let all: Vec<_> = offload::choices("tso=off,rxcsum=on").collect();
        assert_eq!(all, [Ok(("tso", false)), Ok(("rxcsum", true))]);
        for bad in ["", "tso", "tso=", "tso=of", "jumbo=on", "=on", " tso=on"] {
            assert!(offload::choices(bad).all(|choice| choice == Err(bad)), "{bad}");
        }
        assert_eq!(offload::choices("lro=on,x,").nth(1), Some(Err("x")));
    }

    #[test]
    fn escaping_is_undone() {
        let all: Vec<u8> = (0..=255).collect();
        let escaped: String = escape(&all).collect();
        assert!(escaped.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(unescape(&escaped).collect::<Vec<_>>(), all);
        assert_eq!(escape(b"").collect::<String>(), "%");
        assert_eq!(unescape("%").collect::<Vec<_>>(), b"");
        assert_eq!(
            unescape(&escape(b"%").collect::<String>()).collect::<Vec<_>>(),
            b"%"
        );
        assert_eq!(unescape("100%").collect::<Vec<_>>(), b"100%");
        assert_eq!(unescape("%zz%+1").collect::<Vec<_>>(), b"%zz%+1");
    }
}
