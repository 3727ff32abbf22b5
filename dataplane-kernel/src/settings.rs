//! The kernel command line ([`ix_abi::host::cmdline`]), parsed.

use crate::arch::smp::MAX_CORES;
use crate::mem::GuestPhys;
use crate::nic::{JUMBO_MTU, MIN_MTU, Offloads, Wanted};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use core::time::Duration;
use ix_abi::app::MAX_NAME_SERVERS;
use ix_abi::host::cmdline;
use log::LevelFilter;
use netstack::wire::vlan::VlanId;

/// Where the first NIC's IPv4 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip4 {
    /// A DHCP server gives it.
    Dhcp,
    /// This address, and how many bits of it all of the network share, at most 32.
    Fixed(Ipv4Addr, u8),
}

/// Where the first NIC's IPv6 addresses come from, beside the link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip6 {
    /// Routers tell.
    Auto,
    /// This address, and how many bits of it all of the network share, at most 128.
    Fixed(Ipv6Addr, u8),
}

/// Three questions of a DHCP client's, and the answers to them.
const DHCP_WAIT: Duration = Duration::from_secs(30);

/// Which card the dataplane is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CardChoice {
    /// The first on PCI that there is a driver for.
    #[default]
    First,
    /// One that needs none, and receives what it sends.
    Loopback,
}

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
    /// The IPv4 address of the first NIC; `None`: it speaks no IPv4.
    pub ip: Option<Ip4>,
    /// How long a DHCP server may take.
    pub dhcp_wait: Duration,
    /// The way to other networks.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 addresses; `None`: it speaks no IPv6.
    pub ip6: Option<Ip6>,
    /// The way to other networks in IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// Name servers for the app, instead of those a DHCP server tells.
    pub name_servers: Vec<IpAddr>,
    /// Which card.
    pub card_choice: CardChoice,
    /// What the card may do for the stack, and how long packets may be.
    pub card: Wanted,
    /// The stack takes TCP segments that continue the one before in a short way (generic receive offload).
    pub gro: bool,
    /// The stack cuts large sends into segments late (generic segmentation offload), where the card does not.
    pub gso: bool,
    /// The VLAN it is on.
    pub vlan: Option<VlanId>,
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
            ip: None,
            dhcp_wait: DHCP_WAIT,
            gateway: None,
            ip6: None,
            gateway6: None,
            name_servers: Vec::new(),
            card_choice: CardChoice::default(),
            card: Wanted::default(),
            gro: true,
            gso: true,
            vlan: None,
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
        match key {
            cmdline::HOST => self.host = Some(hexadecimal(value).ok_or("a hexadecimal address")?),
            cmdline::IP => {
                self.ip = Some(ip4(value).ok_or("dhcp, or an IPv4 address and prefix, as 10.0.0.2/24")?)
            }
            cmdline::GATEWAY => self.gateway = Some(value.parse().map_err(|_| "an IPv4 address")?),
            cmdline::IP6 => {
                self.ip6 = Some(ip6(value).ok_or("auto, or an IPv6 address and prefix, as fd00::2/64")?);
            }
            cmdline::GATEWAY6 => self.gateway6 = Some(value.parse().map_err(|_| "an IPv6 address")?),
            cmdline::DNS => {
                let server = value.parse().map_err(|_| "an IP address")?;
                if self.name_servers.len() == MAX_NAME_SERVERS {
                    return Err("at most three name servers");
                }
                self.name_servers.push(server);
            }
            cmdline::NIC => {
                self.card_choice = match value {
                    cmdline::NIC_LOOPBACK => CardChoice::Loopback,
                    _ => return Err("loopback"),
                };
            }
            cmdline::MTU => {
                let most = u32::from(MIN_MTU)..=JUMBO_MTU.into();
                self.card.mtu = within(value, most).and_then(|mtu| mtu.try_into().ok());
                self.card.mtu.ok_or("68 to 9000")?;
            }
            cmdline::VLAN => {
                let number = value.parse().ok().and_then(VlanId::new);
                self.vlan = Some(number.ok_or("1 to 4094")?);
                self.card.vlan = self.vlan;
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
                self.card.queues = u16::try_from(self.cores).unwrap_or(1);
            }
            cmdline::IDLE => {
                let micros = within(value, 1..=u32::MAX).ok_or("microseconds, at least 1")?;
                self.idle = Some(Duration::from_micros(micros.into()));
                self.card.alarm = true;
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

    fn choose_offloads(&mut self, value: &str) -> Option<()> {
        for choice in cmdline::offload::choices(value) {
            let (name, on) = choice.ok()?;
            match name {
                cmdline::offload::GRO => self.gro = on,
                cmdline::offload::GSO => self.gso = on,
                _ => {
                    let (_, offload) = Offloads::NAMES.iter().find(|(known, _)| *known == name)?;
                    self.card.offloads.set(*offload, on);
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

fn ip4(value: &str) -> Option<Ip4> {
    if value == cmdline::IP_DHCP {
        return Some(Ip4::Dhcp);
    }
    let (address, prefix) = value.split_once('/')?;
    let address = Ipv4Addr::from_str(address).ok()?;
    let prefix = u8::from_str(prefix).ok().filter(|&prefix| prefix <= 32)?;
    Some(Ip4::Fixed(address, prefix))
}

fn ip6(value: &str) -> Option<Ip6> {
    if value == cmdline::IP6_AUTO {
        return Some(Ip6::Auto);
    }
    let (address, prefix) = value.split_once('/')?;
    let address = Ipv6Addr::from_str(address).ok()?;
    let prefix = u8::from_str(prefix).ok().filter(|&prefix| prefix <= 128)?;
    Some(Ip6::Fixed(address, prefix))
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

    #[test]
    fn a_full_line() {
        let line = "host=f00000 ip=10.0.0.2/24 gw=10.0.0.1 log=debug batch=7 env=A=b%20c env=D= watchdog=3 \
                    -- app log=x %2D- %";
        let settings = Settings::parse(line).unwrap();
        assert_eq!(settings.host, Some(GuestPhys(0xf0_0000)));
        assert_eq!(settings.ip, Some(Ip4::Fixed(Ipv4Addr::new(10, 0, 0, 2), 24)));
        assert_eq!(Settings::parse("ip=dhcp").unwrap().ip, Some(Ip4::Dhcp));
        assert_eq!(settings.gateway, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!((settings.log, settings.batch), (LevelFilter::Debug, 7));
        assert_eq!(settings.watchdog, Duration::from_secs(3));
        assert_eq!(settings.env, [&b"A=b c"[..], b"D="]);
        assert_eq!(settings.args, [&b"app"[..], b"log=x", b"--", b""]);
    }

    #[test]
    fn ipv6_is_fixed_or_automatic() {
        let settings = Settings::parse("ip6=fd00::2/64 gw6=fe80::1").unwrap();
        let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        assert_eq!(settings.ip6, Some(Ip6::Fixed(address, 64)));
        assert_eq!(settings.gateway6, "fe80::1".parse().ok());
        assert_eq!(Settings::parse("ip6=auto").unwrap().ip6, Some(Ip6::Auto));
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
        let card = |line| Settings::parse(line).unwrap().card;
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
        let choice = |line| Settings::parse(line).unwrap().card_choice;
        assert_eq!(choice(""), CardChoice::First);
        assert_eq!(choice("nic=loopback"), CardChoice::Loopback);
        assert!(Settings::parse("nic=eth0").is_err());
    }

    #[test]
    fn the_card_may_be_on_a_vlan() {
        let vlan = |line| Settings::parse(line).unwrap().vlan;
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
