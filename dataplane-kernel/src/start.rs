//! After boot: the machine is turned into a dataplane, which runs until its app ends.

/// One core, or several.
mod cores;

/// The cards.
mod slots;

use crate::boot_info::BootInfo;
use crate::dataplane::name_servers;
use crate::hw::pci::config::Ports;
use crate::hw::pci::scan::scan;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use crate::mem::io_area::{IoArea, local_of};
use crate::mem::mbuf::{Pool, Region};
use crate::mem::paging::{self, Flags, MapError};
use crate::nic::card::{self, AnyNic, Card};
use crate::nic::loopback::Loopback;
use crate::nic::vlan::OnVlan;
use crate::nic::{Nic, Offloads, e1000e, virtio_net, vmxnet3};
use crate::panic::self_test;
use crate::settings::{CardChoice, Ip4, Ip6, LinkSettings, SelfTest, Settings};
use crate::user::image::LoadError;
use crate::user::random::Random;
use crate::user::{App, Program};
use crate::{arch, host};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use ix_abi::app::{Endpoint, IoInfo, LinkInfo, MAX_LINKS, layout};
use ix_abi::host::area::Outcome;
use ix_abi::host::exit;
use netstack::rss::Home;
use netstack::{Config, Instant, Ipv4Config, Ipv6Config, Stack, StaticRoutes};
use slots::Slots;

/// Share of the free memory that becomes packet buffers.
const POOL_SHARE: u64 = 8;

/// Most packet buffers: a gigabyte of them.
const POOL_MAX: u64 = 1 << 19;

/// The kernel's own of the generators that one seed makes; ring 3 draws from another.
const RANDOM_STREAM: u64 = 0;

/// Why a machine does not become a dataplane.
#[derive(Debug)]
enum StartError {
    NoApp,
    NoAddress,
    NoLease(Duration),
    NoMemory,
    Map(MapError),
    NoNic,
    FewNics { links: usize, found: usize },
    Mtu { wanted: u16, most: u16 },
    VirtioNet(virtio_net::init::InitError),
    E1000e(e1000e::init::InitError),
    Vmxnet3(vmxnet3::init::InitError),
    App(LoadError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NoApp => {
                f.write_str("the loader passed no module; the app's file is to be the first")
            }
            StartError::NoAddress => f.write_str("neither ip= nor ip6= on the command line, of any link"),
            StartError::NoLease(waited) => write!(f, "no DHCP server has given an address in {waited:?}"),
            StartError::NoMemory => f.write_str("too little memory for packet buffers"),
            StartError::Map(error) => write!(f, "cannot map the receive window: {error:?}"),
            StartError::NoNic => f.write_str("no NIC on PCI that there is a driver for"),
            StartError::FewNics { links, found } => {
                write!(
                    f,
                    "{links} links, but NICs on PCI that there is a driver for: {found}"
                )
            }
            StartError::Mtu { wanted, most } => {
                write!(
                    f,
                    "packets of {wanted} bytes were asked for, but the NIC carries {most} at most"
                )
            }
            StartError::VirtioNet(error) => write!(f, "the virtio NIC is not usable: {error}"),
            StartError::E1000e(error) => write!(f, "the Intel NIC is not usable: {error}"),
            StartError::Vmxnet3(error) => write!(f, "the vmxnet3 NIC is not usable: {error}"),
            StartError::App(error) => write!(f, "the app cannot be loaded: {error}"),
        }
    }
}

/// Runs the machine to its end.
pub fn start(boot: BootInfo) -> ! {
    match run(boot) {
        Ok(outcome) => end(outcome),
        Err(error @ StartError::App(_)) => {
            log::error!("{error}");
            end(Outcome::NotExecutable)
        }
        Err(error) => {
            log::error!("cannot start: {error}");
            host::exit(exit::BOOT_FAILED)
        }
    }
}

fn end(outcome: Outcome) -> ! {
    log::info!("the app has ended: {outcome:?}");
    if let Some(area) = host::area() {
        area.set_outcome(outcome);
    }
    host::exit(exit::APP_ENDED)
}

/// What a dataplane is made of besides its NIC.
struct Parts {
    frames: Frames,
    pool: Pool,
    random: Random,
    file: &'static [u8],
    settings: Settings,
}

/// Takes as many NICs as there are links. If it is one, then from here on all of the dataplane is compiled for that NIC.
fn run(boot: BootInfo) -> Result<Outcome, StartError> {
    let mut parts = parts(boot)?;
    if let [link] = &parts.settings.links[..]
        && link.card == CardChoice::Loopback
    {
        let nic = Loopback::new(parts.pool.region(), &parts.settings.wanted(link));
        log::info!("loopback card: {nic}");
        return serve(Vec::from([nic]), parts);
    }
    let mut config = Ports::take().ok_or(StartError::NoNic)?;
    let all = scan(&mut config);
    let links = parts.settings.links.len();
    let on_cards = parts
        .settings
        .links
        .iter()
        .filter(|link| link.card == CardChoice::First);
    let wanted = on_cards.count();
    let cards: Vec<_> = card::all(&all).take(wanted).collect();
    let mut slots = Slots::new(&mut config, &all, &mut parts);
    match cards[..] {
        [] if wanted > 0 => Err(StartError::NoNic),
        [(at, card)] if links == 1 => match card {
            Card::VirtioNet => slots.virtio_net(at, 0).and_then(|queues| serve(queues, parts)),
            Card::E1000e(model) => {
                let queues = slots.e1000e((at, model), 0);
                queues.and_then(|queues| serve(queues, parts))
            }
            Card::Vmxnet3 => slots.vmxnet3(at, 0).and_then(|queues| serve(queues, parts)),
        },
        _ if cards.len() < wanted => {
            let (links, found) = (wanted, cards.len());
            Err(StartError::FewNics { links, found })
        }
        _ => {
            let mut cards = cards.into_iter();
            let opened = (0..links).map(|link| slots.any(&mut cards, link));
            let opened: Vec<_> = opened.collect::<Result<_, _>>()?;
            serve_several(opened, parts)
        }
    }
}

fn parts(boot: BootInfo) -> Result<Parts, StartError> {
    let has_address = |link: &LinkSettings| link.ip.is_some() || link.ip6.is_some();
    if !boot.settings.links.iter().any(has_address) {
        return Err(StartError::NoAddress);
    }
    let BootInfo {
        mut frames,
        module,
        settings,
        ..
    } = boot;
    Ok(Parts {
        file: module.ok_or(StartError::NoApp)?,
        random: Random::from_host(RANDOM_STREAM),
        pool: pool(&mut frames)?,
        frames,
        settings,
    })
}

/// Puts the rest on top of the NIC's queues and runs it until the app ends.
fn serve<N: Nic + Send + 'static>(queues: Vec<N>, mut parts: Parts) -> Result<Outcome, StartError> {
    let mut queues = queues.into_iter();
    let first = queues.next().ok_or(StartError::NoNic)?;
    if let Some(SelfTest::ForeignDma(at)) = parts.settings.self_test {
        self_test::foreign_dma(first, parts.pool, at);
    }
    let queues = prepare([first].into_iter().chain(queues), 0, &mut parts.settings)?;
    if parts.settings.cores == 1 {
        return cores::alone(queues.into_iter().take(1).collect(), parts);
    }
    cores::sharing(queues, parts)
}

/// The same on top of several NICs', of which each link has one.
fn serve_several(links: Vec<Vec<AnyNic>>, mut parts: Parts) -> Result<Outcome, StartError> {
    let mut prepared = Vec::new();
    for (link, queues) in links.into_iter().enumerate() {
        prepared.push(prepare(queues, link, &mut parts.settings)?);
    }
    if parts.settings.cores == 1 {
        let firsts = prepared.into_iter().flat_map(|queues| queues.into_iter().take(1));
        return cores::alone(firsts.collect(), parts);
    }
    cores::sharing_several(prepared, parts)
}

/// Checks that a link's queues can do what is wanted, and puts them on its VLAN.
fn prepare<N: Nic>(
    queues: impl IntoIterator<Item = N>,
    link: usize,
    settings: &mut Settings,
) -> Result<Vec<OnVlan<N>>, StartError> {
    let mut queues = queues.into_iter().peekable();
    let first = queues.peek().ok_or(StartError::NoNic)?;
    let settings = settings.links.get_mut(link).ok_or(StartError::NoNic)?;
    let (wanted, most) = (settings.mtu.unwrap_or(0), first.mtu());
    if most < wanted {
        return Err(StartError::Mtu { wanted, most });
    }
    if first.offloads().contains(Offloads::VLAN) {
        // The card sees to it, and nobody above it has to know.
        settings.vlan = None;
    }
    let vlan = settings.vlan;
    Ok(queues.map(|nic| OnVlan::new(nic, vlan)).collect())
}

fn pool(frames: &mut Frames) -> Result<Pool, StartError> {
    let buffers = (frames.free_bytes() / POOL_SHARE / 2048).min(POOL_MAX);
    let buffers = u32::try_from(buffers).map_err(|_| StartError::NoMemory)?;
    let pool = Pool::new(frames, buffers).ok_or(StartError::NoMemory)?;
    let region = pool.region();
    paging::map(
        frames,
        layout::RX_WINDOW,
        region.start(),
        region.bytes_total(),
        Flags::USER,
    )
    .map_err(StartError::Map)?;
    Ok(pool)
}

/// The TCP/IP of a core's link. Several share the room for connections. `buffers`: how many there are, and how many of them the
/// stack and the app may hold.
#[inline(never)]
fn stack(
    nic: &impl Nic,
    buffers: (u32, u32),
    (link, home): (&LinkSettings, Option<Home>),
    settings: &Settings,
    random: &mut Random,
) -> Stack {
    let offloads = nic.offloads();
    let all = Config::without_address(nic.mac());
    let shares = u32::try_from(settings.cores * settings.links.len()).unwrap_or(1);
    let mut config = Config {
        medium: nic.medium(),
        mtu: nic.mtu(),
        vlan: link.vlan,
        ipv4: link.ip.map(|ip| ipv4(ip, link)),
        ipv6: link.ip6.map(|ip6| ipv6(ip6, link)),
        static_routes: StaticRoutes::new(&settings.routes),
        rx_checksum: offloads.contains(Offloads::RX_CHECKSUM),
        tx_checksum: offloads.contains(Offloads::TX_CHECKSUM),
        tx_segments: offloads.contains(Offloads::TSO),
        merge_segments: settings.gro,
        cut_segments: settings.gso,
        rx_buffers: buffers.0,
        rx_reserve: buffers.0 - buffers.1,
        max_flows: all.max_flows / shares,
        max_ipv6_pairs: all.max_ipv6_pairs / shares,
        udp_held_buffers: all.udp_held_buffers / shares,
        max_send_spans: all.max_send_spans / shares,
        max_loss_boards: all.max_loss_boards / shares,
        max_loss_ranges: all.max_loss_ranges / shares,
        home,
        ..all
    };
    random.fill(&mut config.secret);
    Stack::new(config, Instant(arch::tsc::now_ns()))
}

fn ipv4(choice: Ip4, link: &LinkSettings) -> Ipv4Config {
    match choice {
        Ip4::Dhcp => Ipv4Config::Dhcp,
        Ip4::Fixed(address, prefix) => Ipv4Config::Fixed {
            address,
            prefix,
            gateway: link.gateway,
        },
    }
}

fn ipv6(choice: Ip6, link: &LinkSettings) -> Ipv6Config {
    let (address, autoconfigure) = match choice {
        Ip6::Auto => (None, true),
        Ip6::Fixed(address, prefix) => (Some((address, prefix)), false),
    };
    Ipv6Config {
        address,
        gateway: link.gateway6,
        autoconfigure,
    }
}

fn io_area(
    frames: &mut Frames,
    nics: &[impl Nic],
    (region, core): (Region, u16),
    settings: &Settings,
) -> Result<IoArea, StartError> {
    let mut links = [LinkInfo::default(); MAX_LINKS];
    for ((place, nic), link) in links.iter_mut().zip(nics).zip(&settings.links) {
        *place = link_info(nic, link);
    }
    let info = IoInfo {
        tsc_hz: arch::tsc::hz(),
        local: local_of(&links),
        mac: nics.first().map_or([0; 6], Nic::mac),
        rx_window: layout::RX_WINDOW,
        rx_window_len: region.bytes_total(),
        core,
        cores: u16::try_from(settings.cores).unwrap_or(u16::MAX),
        name_servers: name_servers(settings.name_servers.iter().copied()),
        link_count: u32::try_from(nics.len()).unwrap_or(0),
        links,
        ..IoInfo::default()
    };
    IoArea::new(frames, settings.batch, info).ok_or(StartError::NoMemory)
}

/// What the app is told of a link before any server has spoken.
fn link_info(nic: &impl Nic, link: &LinkSettings) -> LinkInfo {
    LinkInfo {
        mac: nic.mac(),
        v4: match link.ip {
            Some(Ip4::Fixed(address, _)) => Endpoint::v4(address, 0),
            Some(Ip4::Dhcp) | None => Endpoint::UNSPECIFIED,
        },
        v6: match link.ip6 {
            Some(Ip6::Fixed(address, _)) => SocketAddr::new(address.into(), 0).into(),
            Some(Ip6::Auto) | None => Endpoint::UNSPECIFIED,
        },
        ..LinkInfo::default()
    }
}

fn app(
    frames: &mut Frames,
    file: &'static [u8],
    settings: &Settings,
    io_areas: Vec<UserVirt>,
) -> Result<Arc<App>, StartError> {
    let args: Vec<&[u8]> = settings.args.iter().map(Vec::as_slice).collect();
    let env: Vec<&[u8]> = settings.env.iter().map(Vec::as_slice).collect();
    let program = Program {
        file,
        args: &args,
        env: &env,
    };
    App::load(&program, frames, io_areas).map_err(StartError::App)
}
