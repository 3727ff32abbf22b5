//! The kernel command line ([`ix_abi::host::cmdline`]), parsed.

/// What is said of each link.
mod link;
pub use link::{CardChoice, Ip4, Ip6, LinkSettings};

use crate::arch::smp::MAX_CORES;
use crate::mem::GuestPhys;
use crate::nic::{Offloads, Wanted};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use ix_abi::app::{MAX_LINKS, MAX_NAME_SERVERS};
use ix_abi::host::cmdline;
use log::LevelFilter;
use netstack::StaticRoute;

/// Three questions of a DHCP client's, and the answers to them.
const DHCP_WAIT: Duration = Duration::from_secs(30);

/// A mistake that ring 0 is to make, to show that it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// A panic.
    Panic,
    /// An access to an address where nothing is.
    Fault,
    /// A trap whose stack is gone.
    DoubleFault,
    /// A recursion without end.
    StackOverflow,
    /// An access to an address where nothing is, by the last core.
    CoreFault,
    /// A recursion without end on the last core.
    CoreStackOverflow,
    /// A card that is pointed at this address, outside the machine's memory.
    ForeignDma(GuestPhys),
}

/// What the launcher wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the host area lies.
    pub host: Option<GuestPhys>,
    /// The networks it is on, in the order of their cards.
    pub links: Vec<LinkSettings>,
    /// Ways to others.
    pub routes: Vec<StaticRoute>,
    /// How long a DHCP server may take.
    pub dhcp_wait: Duration,
    /// Name servers for the app, instead of those a DHCP server tells.
    pub name_servers: Vec<IpAddr>,
    /// What the cards may do for the stack.
    pub offloads: Offloads,
    /// The stack takes TCP segments that continue the one before in a short way (generic receive offload).
    pub gro: bool,
    /// The stack cuts large sends into segments late (generic segmentation offload), where the card does not.
    pub gso: bool,
    /// What goes to the serial line.
    pub log: LevelFilter,
    /// Cores to work on.
    pub cores: usize,
    /// How long a core looks for the next packet before it sleeps; `None`: for ever.
    pub idle: Option<Duration>,
    /// Packets per cycle, at most.
    pub batch: u32,
    /// The app's environment, `K=V` each.
    pub env: Vec<Vec<u8>>,
    /// The app's arguments; the first is `argv[0]`.
    pub args: Vec<Vec<u8>>,
    /// Ring 3 is late when it computes longer than this.
    pub watchdog: Duration,
    /// It is ended when it computes longer than this.
    pub watchdog_kill: Option<Duration>,
    /// The mistake to make.
    pub self_test: Option<SelfTest>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            host: None,
            links: vec![LinkSettings::default()],
            routes: Vec::new(),
            dhcp_wait: DHCP_WAIT,
            name_servers: Vec::new(),
            offloads: Offloads::all(),
            gro: true,
            gso: true,
            log: LevelFilter::Info,
            cores: 1,
            idle: None,
            batch: 64,
            env: Vec::new(),
            args: Vec::new(),
            watchdog: Duration::from_secs(1),
            watchdog_kill: None,
            self_test: None,
        }
    }
}

/// A word of the command line that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadWord<'a> {
    word: &'a str,
    wanted: &'static str,
}

impl fmt::Display for BadWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "bad word {:?} on the command line: {}", self.word, self.wanted)
    }
}

/// The words in front of the arguments.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace()
        .take_while(|&word| word != cmdline::END)
}

/// The value of `key`, for those who cannot wait for memory to parse the whole line. The last one counts, as for
/// [`Settings::parse`].
fn early<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    words(line)
        .filter_map(|word| word.split_once('='))
        .filter(|(found, _)| *found == key)
        .last()
        .map(|(_, value)| value)
}

/// The log level, if the line names one; a bad one is reported by [`Settings::parse`].
pub fn early_log_level(line: &str) -> LevelFilter {
    early(line, cmdline::LOG)
        .and_then(|value| value.parse().ok())
        .unwrap_or(LevelFilter::Info)
}

/// The address of the host area, if the line names one.
pub fn early_host(line: &str) -> Option<GuestPhys> {
    early(line, cmdline::HOST).and_then(hexadecimal)
}

impl Settings {
    /// Parses a whole command line.
    ///
    /// # Errors
    /// The first word that has no `=`, an unknown key or a bad value.
    pub fn parse(line: &str) -> Result<Settings, BadWord<'_>> {
        let mut settings = Settings::default();
        for word in words(line) {
            let (key, value) = word.split_once('=').ok_or(BadWord {
                word,
                wanted: "key=value",
            })?;
            settings
                .set(key, value)
                .map_err(|wanted| BadWord { word, wanted })?;
        }
        let mut all = line.split_ascii_whitespace();
        if all.any(|word| word == cmdline::END) {
            settings.args = all.map(|word| cmdline::unescape(word).collect()).collect();
        }
        Ok(settings)
    }

    /// The error says what would have been right.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        if let Some(link) = self.links.last_mut()
            && let Some(taken) = link.set(key, value)
        {
            return taken;
        }
        match key {
            cmdline::HOST => self.host = Some(hexadecimal(value).ok_or("a hexadecimal address")?),
            cmdline::LINK => {
                let next = value.parse() == Ok(self.links.len()) && self.links.len() < MAX_LINKS;
                next.then(|| self.links.push(LinkSettings::default()))
                    .ok_or("the next link's number, from 1 to 7")?;
            }
            cmdline::ROUTE => {
                let route = link::route(value);
                self.routes
                    .push(route.ok_or("a network and its gateway, as 10.9.0.0/16,10.0.0.1")?);
            }
            cmdline::DNS => {
                let server = value.parse().map_err(|_| "an IP address")?;
                if self.name_servers.len() == MAX_NAME_SERVERS {
                    return Err("at most three name servers");
                }
                self.name_servers.push(server);
            }
            cmdline::OFFLOAD => {
                self.choose_offloads(value)
                    .ok_or("names of offloads, on or off, as tso=off,lro=on")?;
            }
            cmdline::LOG => {
                self.log = value
                    .parse()
                    .map_err(|_| "off, error, warn, info, debug or trace")?;
            }
            cmdline::CORES => {
                let cores = value.parse().ok().filter(|cores| (1..=MAX_CORES).contains(cores));
                self.cores = cores.ok_or("1 to 64")?;
            }
            cmdline::IDLE => {
                let micros = within(value, 1..=u32::MAX).ok_or("microseconds, at least 1")?;
                self.idle = Some(Duration::from_micros(micros.into()));
            }
            cmdline::BATCH => self.batch = within(value, 1..=1024).ok_or("1 to 1024")?,
            cmdline::ENV => self.env.push(cmdline::unescape(value).collect()),
            cmdline::DHCP_WAIT => {
                let seconds = within(value, 1..=u32::MAX).ok_or("seconds, at least 1")?;
                self.dhcp_wait = Duration::from_secs(seconds.into());
            }
            cmdline::WATCHDOG => {
                let seconds = within(value, 1..=u32::MAX).ok_or("seconds, at least 1")?;
                self.watchdog = Duration::from_secs(seconds.into());
            }
            cmdline::WATCHDOG_KILL => {
                let seconds = within(value, 1..=u32::MAX).ok_or("seconds, at least 1")?;
                self.watchdog_kill = Some(Duration::from_secs(seconds.into()));
            }
            cmdline::SELFTEST => {
                self.self_test = Some(
                    self_test(value)
                        .ok_or("panic, fault, doublefault, stackoverflow, corefault, corestackoverflow or foreigndma:ADDRESS")?,
                );
            }
            _ => return Err("an unknown key"),
        }
        Ok(())
    }

    /// What is wanted of a link's card.
    pub fn wanted(&self, link: &LinkSettings) -> Wanted {
        Wanted {
            offloads: self.offloads,
            mtu: link.mtu,
            queues: u16::try_from(self.cores).unwrap_or(1),
            vlan: link.vlan,
            alarm: self.idle.is_some(),
        }
    }

    fn choose_offloads(&mut self, value: &str) -> Option<()> {
        for choice in cmdline::offload::choices(value) {
            let (name, on) = choice.ok()?;
            match name {
                cmdline::offload::GRO => self.gro = on,
                cmdline::offload::GSO => self.gso = on,
                _ => {
                    let (_, offload) = Offloads::NAMES.iter().find(|(known, _)| *known == name)?;
                    self.offloads.set(*offload, on);
                }
            }
        }
        Some(())
    }
}

fn hexadecimal(value: &str) -> Option<GuestPhys> {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    u64::from_str_radix(digits, 16).ok().map(GuestPhys)
}

fn self_test(value: &str) -> Option<SelfTest> {
    match value {
        "panic" => Some(SelfTest::Panic),
        "fault" => Some(SelfTest::Fault),
        "doublefault" => Some(SelfTest::DoubleFault),
        "stackoverflow" => Some(SelfTest::StackOverflow),
        "corefault" => Some(SelfTest::CoreFault),
        "corestackoverflow" => Some(SelfTest::CoreStackOverflow),
        _ => hexadecimal(value.strip_prefix("foreigndma:")?).map(SelfTest::ForeignDma),
    }
}

fn within(value: &str, range: core::ops::RangeInclusive<u32>) -> Option<u32> {
    value.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::{CardChoice, Ip4, Ip6, SelfTest, Settings, early_host, early_log_level};
    use crate::mem::GuestPhys;
    use crate::nic::Offloads;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use core::time::Duration;
    use log::LevelFilter;
    use std::format;
    use std::vec::Vec;

    #[test]
    fn a_full_line() {
        let line = "host=f00000 ip=10.0.0.2/24 gw=10.0.0.1 log=debug batch=7 env=A=b%20c env=D= watchdog=3 \
                    -- app log=x %2D- %";
        let settings = Settings::parse(line).unwrap();
        assert_eq!(settings.host, Some(GuestPhys(0xf0_0000)));
        let [link] = settings.links[..] else {
            panic!("there is one link")
        };
        assert_eq!(link.ip, Some(Ip4::Fixed(Ipv4Addr::new(10, 0, 0, 2), 24)));
        assert_eq!(Settings::parse("ip=dhcp").unwrap().links[0].ip, Some(Ip4::Dhcp));
        assert_eq!(link.gateway, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!((settings.log, settings.batch), (LevelFilter::Debug, 7));
        assert_eq!(settings.watchdog, Duration::from_secs(3));
        assert_eq!(settings.env, [&b"A=b c"[..], b"D="]);
        assert_eq!(settings.args, [&b"app"[..], b"log=x", b"--", b""]);
    }

    #[test]
    fn what_follows_a_link_is_about_that_link() {
        let line = "ip=10.0.0.2/24 mtu=9000 link=1 ip=dhcp vlan=7 link=2 ip6=auto cores=2 \
                    route=10.9.0.0/16,10.0.0.1 route=fd09::/16,fd00::1";
        let settings = Settings::parse(line).unwrap();
        let ips: Vec<_> = settings.links.iter().map(|link| link.ip).collect();
        let fixed = Ip4::Fixed(Ipv4Addr::new(10, 0, 0, 2), 24);
        assert_eq!(ips, [Some(fixed), Some(Ip4::Dhcp), None]);
        let wanted: Vec<_> = settings.links.iter().map(|link| settings.wanted(link)).collect();
        assert_eq!(
            wanted.iter().map(|wanted| wanted.mtu).collect::<Vec<_>>(),
            [Some(9000), None, None]
        );
        assert!(wanted[1].vlan.is_some() && wanted[2].vlan.is_none());
        assert!(wanted.iter().all(|wanted| wanted.queues == 2));
        let routes: Vec<_> = settings
            .routes
            .iter()
            .map(|route| (route.prefix, route.gateway))
            .collect();
        let gateway = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(routes, [(16, gateway("10.0.0.1")), (16, gateway("fd00::1"))]);
        let eight = "link=1 link=2 link=3 link=4 link=5 link=6 link=7";
        assert_eq!(Settings::parse(eight).unwrap().links.len(), 8);
        assert!(Settings::parse(&format!("{eight} link=8")).is_err());
    }

    #[test]
    fn ipv6_is_fixed_or_automatic() {
        let settings = Settings::parse("ip6=fd00::2/64 gw6=fe80::1").unwrap().links[0];
        let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        assert_eq!(settings.ip6, Some(Ip6::Fixed(address, 64)));
        assert_eq!(settings.gateway6, "fe80::1".parse().ok());
        assert_eq!(Settings::parse("ip6=auto").unwrap().links[0].ip6, Some(Ip6::Auto));
    }

    #[test]
    fn name_servers_are_of_both_families_and_at_most_three() {
        let servers = Settings::parse("dns=10.0.0.3 dns=fd00::3").unwrap().name_servers;
        let wanted: [IpAddr; 2] = ["10.0.0.3", "fd00::3"].map(|ip| ip.parse().unwrap());
        assert_eq!(servers, wanted);
        assert!(Settings::parse("dns=1.1.1.1 dns=1.1.1.2 dns=1.1.1.3").is_ok());
        assert!(Settings::parse("dns=1.1.1.1 dns=1.1.1.2 dns=1.1.1.3 dns=1.1.1.4").is_err());
    }

    #[test]
    fn the_card_is_told_what_it_may_do() {
        let card = |line| {
            let settings = Settings::parse(line).unwrap();
            settings.wanted(&settings.links[0])
        };
        assert_eq!((card("").mtu, card("mtu=9000").mtu), (None, Some(9000)));
        let fewer = card("offload=tso=off,rxcsum=off,lro=on").offloads;
        assert_eq!(fewer, Offloads::all() - Offloads::TSO - Offloads::RX_CHECKSUM);
        assert_eq!(card("").offloads, Offloads::all());
        let own = |line| {
            Settings::parse(line)
                .map(|settings| (settings.gro, settings.gso))
                .unwrap()
        };
        assert_eq!(own("offload=tso=off"), (true, true));
        assert_eq!(own("offload=tso=off,gro=off"), (false, true));
        assert_eq!(own("offload=gso=off"), (true, false));
    }

    #[test]
    fn the_card_may_be_one_that_leads_back() {
        let choices = |line| {
            let links = Settings::parse(line).unwrap().links.into_iter();
            links.map(|link| link.card).collect::<std::vec::Vec<_>>()
        };
        let (first, back) = (CardChoice::First, CardChoice::Loopback);
        assert_eq!(choices(""), [first]);
        assert_eq!(choices("nic=loopback"), [back]);
        assert_eq!(
            choices("ip=10.0.0.2/24 link=1 nic=loopback link=2"),
            [first, back, first]
        );
        assert!(Settings::parse("nic=eth0").is_err());
    }

    #[test]
    fn the_card_may_be_on_a_vlan() {
        let vlan = |line| Settings::parse(line).unwrap().links[0].vlan;
        assert_eq!(
            (vlan(""), vlan("vlan=4094")),
            (None, netstack::wire::vlan::VlanId::new(4094))
        );
    }

    #[test]
    fn an_empty_line_gives_the_defaults() {
        assert_eq!(Settings::parse("  ").unwrap(), Settings::default());
    }

    #[test]
    fn mistakes_can_be_ordered() {
        let ordered = |line| Settings::parse(line).unwrap().self_test;
        assert_eq!(ordered("selftest=panic"), Some(SelfTest::Panic));
        assert_eq!(ordered("selftest=fault"), Some(SelfTest::Fault));
        assert_eq!(ordered("selftest=doublefault"), Some(SelfTest::DoubleFault));
        assert_eq!(ordered("selftest=stackoverflow"), Some(SelfTest::StackOverflow));
        assert_eq!(
            ordered("selftest=foreigndma:0x123000"),
            Some(SelfTest::ForeignDma(GuestPhys(0x12_3000)))
        );
    }

    #[test]
    fn bad_words_are_named() {
        let bad = [
            "ip=10.0.0.1",
            "ip=10.0.0.256/8",
            "ip=1.2.3.4/33",
            "gw=",
            "ip6=fd00::2",
            "ip6=fd00::2/129",
            "gw6=10.0.0.1",
            "dns=server.test",
            "link=0",
            "link=2",
            "route=10.0.0.0/8",
            "route=10.0.0.0/33,10.0.0.1",
            "route=10.0.0.0/8,fd00::1",
            "log=loud",
            "batch=0",
            "batch=1025",
            "batch=-1",
            "cores=0",
            "cores=65",
            "watchdog=0",
            "mtu=67",
            "mtu=9001",
            "mtu=",
            "vlan=0",
            "vlan=4095",
            "vlan=",
            "offload=tso",
            "offload=lso=on",
            "offload=",
            "dhcp-wait=0",
            "host=zz",
            "host=10000000000000000",
            "selftest=all",
            "what=ever",
            "plain",
        ];
        for word in bad {
            let line = format!("batch=1 {word} -- x");
            let error = format!("{}", Settings::parse(&line).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn some_words_are_found_before_the_rest_is_understood() {
        let line = "nonsense log=debug log=warn host=2 host=0x1000 -- log=off host=2";
        assert_eq!(early_log_level(line), LevelFilter::Warn);
        assert_eq!(early_host(line), Some(GuestPhys(0x1000)));
        assert_eq!(early_log_level("log=nothing -- log=off"), LevelFilter::Info);
        assert_eq!(early_host("-- host=1"), None);
    }
}
