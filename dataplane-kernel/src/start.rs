//! After boot: the machine is turned into a dataplane, which runs until its app ends.

/// One core, or several.
mod cores;

use crate::boot_info::BootInfo;
use crate::dataplane::name_servers;
use crate::hw::pci::config::Ports;
use crate::hw::pci::scan::scan;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use crate::mem::io_area::IoArea;
use crate::mem::mbuf::{Pool, Region};
use crate::mem::paging::{self, Flags, MapError};
use crate::nic::card::{self, Card};
use crate::nic::loopback::Loopback;
use crate::nic::vlan::OnVlan;
use crate::nic::{Nic, Offloads, e1000e, virtio_net, vmxnet3};
use crate::panic::self_test;
use crate::settings::{CardChoice, Ip4, Ip6, SelfTest, Settings};
use crate::user::image::LoadError;
use crate::user::random::Random;
use crate::user::{App, Program};
use crate::{arch, host};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use ix_abi::app::{Endpoint, IoInfo, layout};
use ix_abi::host::area::Outcome;
use ix_abi::host::exit;
use netstack::rss::Home;
use netstack::{Config, Instant, Ipv4Config, Ipv6Config, Stack};

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
            StartError::NoAddress => f.write_str("neither ip= nor ip6= on the command line"),
            StartError::NoLease(waited) => write!(f, "no DHCP server has given an address in {waited:?}"),
            StartError::NoMemory => f.write_str("too little memory for packet buffers"),
            StartError::Map(error) => write!(f, "cannot map the receive window: {error:?}"),
            StartError::NoNic => f.write_str("no NIC on PCI that there is a driver for"),
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

/// Takes the first NIC that there is a driver for, unless there is to be none. From here on, all of the dataplane is compiled for that NIC.
fn run(boot: BootInfo) -> Result<Outcome, StartError> {
    let mut parts = parts(boot)?;
    let region = match parts.settings.self_test {
        Some(SelfTest::ForeignDma(at)) => parts.pool.region().misplaced(at),
        _ => parts.pool.region(),
    };
    if parts.settings.card_choice == CardChoice::Loopback {
        let nic = Loopback::new(region, &parts.settings.card);
        log::info!("loopback card: {nic}");
        return serve(Vec::from([nic]), parts);
    }
    let mut config = Ports::take().ok_or(StartError::NoNic)?;
    let all = scan(&mut config);
    let (at, card) = card::first(&all).ok_or(StartError::NoNic)?;
    let (frames, wanted) = (&mut parts.frames, parts.settings.card);
    match card {
        Card::VirtioNet => {
            let mut entropy = [0; 8];
            parts.random.fill(&mut entropy);
            let entropy = u64::from_le_bytes(entropy);
            virtio_net::pci::open(&mut config, &all, at, frames, (region, entropy), &wanted)
                .map_err(StartError::VirtioNet)
                .and_then(|queues| serve(queues, parts))
        }
        Card::E1000e(model) => e1000e::pci::open(&mut config, &all, (at, model), frames, region, &wanted)
            .map_err(StartError::E1000e)
            .and_then(|queues| serve(queues, parts)),
        Card::Vmxnet3 => vmxnet3::pci::open(&mut config, &all, at, frames, region, &wanted)
            .map_err(StartError::Vmxnet3)
            .and_then(|queues| serve(queues, parts)),
    }
}

fn parts(boot: BootInfo) -> Result<Parts, StartError> {
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
    let (wanted, most) = (parts.settings.card.mtu.unwrap_or(0), first.mtu());
    if most < wanted {
        return Err(StartError::Mtu { wanted, most });
    }
    if first.offloads().contains(Offloads::VLAN) {
        // The card sees to it, and nobody above it has to know.
        parts.settings.vlan = None;
    }
    let vlan = parts.settings.vlan;
    let first = OnVlan::new(first, vlan);
    if parts.settings.cores == 1 {
        return cores::alone(first, parts);
    }
    let others = queues.map(|nic| OnVlan::new(nic, vlan));
    cores::sharing([first].into_iter().chain(others).collect(), parts)
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

/// The TCP/IP of a core. Several share the room for connections. `buffers`: how many there are, and how many of them the stack
/// and the app may hold.
fn stack(
    nic: &impl Nic,
    buffers: (u32, u32),
    home: Option<Home>,
    settings: &Settings,
    random: &mut Random,
) -> Result<Stack, StartError> {
    if settings.ip.is_none() && settings.ip6.is_none() {
        return Err(StartError::NoAddress);
    }
    let offloads = nic.offloads();
    let all = Config::without_address(nic.mac());
    let cores = u32::try_from(settings.cores).unwrap_or(1);
    let mut config = Config {
        medium: nic.medium(),
        mtu: nic.mtu(),
        vlan: settings.vlan,
        ipv4: settings.ip.map(|ip| ipv4(ip, settings)),
        ipv6: settings.ip6.map(|ip6| ipv6(ip6, settings)),
        rx_checksum: offloads.contains(Offloads::RX_CHECKSUM),
        tx_checksum: offloads.contains(Offloads::TX_CHECKSUM),
        tx_segments: offloads.contains(Offloads::TSO),
        merge_segments: settings.gro,
        cut_segments: settings.gso,
        rx_buffers: buffers.0,
        rx_reserve: buffers.0 - buffers.1,
        max_flows: all.max_flows / cores,
        max_ipv6_pairs: all.max_ipv6_pairs / cores,
        udp_held_buffers: all.udp_held_buffers / cores,
        max_send_spans: all.max_send_spans / cores,
        max_loss_boards: all.max_loss_boards / cores,
        max_loss_ranges: all.max_loss_ranges / cores,
        home,
        ..all
    };
    random.fill(&mut config.secret);
    Ok(Stack::new(config, Instant(arch::tsc::now_ns())))
}

fn ipv4(choice: Ip4, settings: &Settings) -> Ipv4Config {
    match choice {
        Ip4::Dhcp => Ipv4Config::Dhcp,
        Ip4::Fixed(address, prefix) => Ipv4Config::Fixed {
            address,
            prefix,
            gateway: settings.gateway,
        },
    }
}

fn ipv6(choice: Ip6, settings: &Settings) -> Ipv6Config {
    let (address, autoconfigure) = match choice {
        Ip6::Auto => (None, true),
        Ip6::Fixed(address, prefix) => (Some((address, prefix)), false),
    };
    Ipv6Config {
        address,
        gateway: settings.gateway6,
        autoconfigure,
    }
}

fn io_area(
    frames: &mut Frames,
    nic: &impl Nic,
    (region, core): (Region, u16),
    settings: &Settings,
) -> Result<IoArea, StartError> {
    let info = IoInfo {
        tsc_hz: arch::tsc::hz(),
        local: local(settings),
        mac: nic.mac(),
        rx_window: layout::RX_WINDOW,
        rx_window_len: region.bytes_total(),
        core,
        cores: u16::try_from(settings.cores).unwrap_or(u16::MAX),
        name_servers: name_servers(settings.name_servers.iter().copied()),
        ..IoInfo::default()
    };
    IoArea::new(frames, settings.batch, info).ok_or(StartError::NoMemory)
}

/// The address the app is told before any server has spoken.
fn local(settings: &Settings) -> Endpoint {
    match (settings.ip, settings.ip6) {
        (Some(Ip4::Fixed(address, _)), _) => Endpoint::v4(address, 0),
        (None, Some(Ip6::Fixed(address, _))) => SocketAddr::new(address.into(), 0).into(),
        (Some(Ip4::Dhcp) | None, _) => Endpoint::UNSPECIFIED,
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
