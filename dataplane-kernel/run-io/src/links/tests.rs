//! Two stacks with addresses of their own, and an app that knows of one host.

extern crate std;

use super::{Links, execute_among};
use crate::command::{App, Done, Request};
use core::net::{Ipv4Addr, SocketAddr};
use ix_abi::app::{Endpoint, Event as AbiEvent, EventKind, Handle, Opcode, SgEntry, Status};
use netstack::{
    BufId, Config, Env, Event, Instant, RxChecksum, Span, Stack, StaticRoute, StaticRoutes, TxOffload,
    TxTicket,
};
use std::vec::Vec;

const NOW: Instant = Instant(1_000_000_000);

/// What a stack sends by: frames stay here.
#[derive(Default)]
struct Card {
    header: Vec<u8>,
    sent: Vec<Vec<u8>>,
    freed: Vec<u32>,
}

impl Env for &mut Card {
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        self.header.resize(2048, 0);
        Some(&mut self.header)
    }

    fn commit_tx(&mut self, header_len: usize, _: &[Span], _: TxOffload) -> TxTicket {
        self.sent.push(self.header[..header_len].to_vec());
        TxTicket(0)
    }

    fn tx_done(&self, _: TxTicket) -> bool {
        true
    }

    fn free_rx(&mut self, buf: BufId) {
        self.freed.push(buf.0);
    }

    fn bytes(&self, _: Span) -> &[u8] {
        &[]
    }
}

/// The stacks on 10.1.0.0/24 and 10.2.0.0/24, where we are number 2.
struct Host(Vec<(Stack, Card)>);

impl Host {
    /// With a gateway on the first link, and a route to 10.9.0.0/16 over the second.
    fn new(gateway: Option<Ipv4Addr>) -> Self {
        Self::with_route(gateway, ([10, 9, 0, 0], 16))
    }

    fn with_route(gateway: Option<Ipv4Addr>, (network, prefix): ([u8; 4], u8)) -> Self {
        let route = StaticRoute {
            network: Ipv4Addr::from(network).into(),
            prefix,
            gateway: Ipv4Addr::new(10, 2, 0, 7).into(),
        };
        let stack = |link: u8| {
            let mut config = Config {
                static_routes: StaticRoutes::new(&[route]),
                tx_checksum: true,
                ..Config::new([2, 0, 0, 0, 0, link], Ipv4Addr::new(10, link, 0, 2), 24)
            };
            if let (1, Some(gateway)) = (link, gateway) {
                config = config.through(gateway);
            }
            (Stack::new(config, NOW), Card::default())
        };
        Host(Vec::from([stack(1), stack(2)]))
    }

    fn call(&mut self, program: &Program, opcode: Opcode, handle: Handle) -> Result<Done, Status> {
        let request = Request {
            index: 0,
            opcode: opcode as u16,
            flags: 0,
            handle,
            cookie: 7,
            address: program.address,
            len: program.len,
        };
        execute_among(self, NOW, program, &request)
    }

    fn make(&mut self, program: &Program, opcode: Opcode) -> Result<Handle, Status> {
        match self.call(program, opcode, Handle::NONE)? {
            Done::Made(handle) => Ok(handle),
            Done::Value(_) => panic!("it makes something"),
        }
    }

    fn connect(&mut self, to: &str) -> Result<usize, Status> {
        self.make(&Program::of(to), Opcode::TcpConnect).map(Handle::link)
    }

    /// How many frames each stack has sent since the last time.
    fn flush(&mut self) -> [usize; 2] {
        let mut sent = self.0.iter_mut().map(|(stack, card)| {
            stack.flush(&mut &mut *card, NOW);
            card.sent.drain(..).count()
        });
        [sent.next().unwrap(), sent.next().unwrap()]
    }
}

impl Links for Host {
    type Env<'a> = &'a mut Card;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn stack(&self, link: usize) -> Option<&Stack> {
        self.0.get(link).map(|(stack, _)| stack)
    }

    fn at(&mut self, link: usize) -> Option<(&mut Stack, &mut Card)> {
        self.0.get_mut(link).map(|(stack, card)| (stack, card))
    }
}

/// The app of one command.
struct Program {
    endpoint: Endpoint,
    /// What it has in its memory, at any address.
    local: Endpoint,
    address: u64,
    len: u64,
}

impl Program {
    fn of(endpoint: &str) -> Self {
        Program {
            endpoint: endpoint.parse::<SocketAddr>().unwrap().into(),
            local: Endpoint::UNSPECIFIED,
            address: 0,
            len: 0,
        }
    }

    fn any(port: u16) -> Self {
        Program {
            endpoint: Endpoint::any(port),
            ..Program::of("0.0.0.0:0")
        }
    }

    fn at(address: u64) -> Self {
        Program {
            address,
            ..Program::any(0)
        }
    }
}

impl App for Program {
    fn endpoint(&self, _: &Request) -> Endpoint {
        self.endpoint
    }

    fn endpoint_at(&self, _: u64) -> Result<Endpoint, Status> {
        Ok(self.local)
    }

    fn sg_entry_at(&self, _: u64) -> Result<SgEntry, Status> {
        Err(Status::Fault)
    }

    fn span(&self, address: u64, len: u64) -> Result<Span, Status> {
        let len = u32::try_from(len).map_err(|_| Status::Invalid)?;
        Ok(Span { address, len })
    }

    fn received_at(&self, address: u64) -> Result<u32, Status> {
        u32::try_from(address).map_err(|_| Status::Fault)
    }
}

/// A datagram of 4 bytes from port 9 of `peer` to port 7 of `us`, without a checksum.
fn datagram(mac: [u8; 6], peer: [u8; 4], us: [u8; 4]) -> Vec<u8> {
    let mut ip = [0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0]
        .into_iter()
        .chain(peer)
        .chain(us)
        .collect::<Vec<u8>>();
    let sum: u32 = ip
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&folded.to_be_bytes());
    let head = mac.into_iter().chain([2, 0, 0, 0, 9, 9, 8, 0]);
    head.chain(ip)
        .chain([0, 9, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4])
        .collect()
}

#[test]
fn connections_go_by_the_longest_prefix() {
    let mut host = Host::new(Some(Ipv4Addr::new(10, 1, 0, 1)));
    assert_eq!(host.connect("10.1.0.9:80"), Ok(0));
    assert_eq!(host.connect("10.2.0.9:80"), Ok(1));
    assert_eq!(host.connect("10.9.3.3:80"), Ok(1));
    assert_eq!(host.connect("11.0.0.1:80"), Ok(0));
    let mut alone = Host::new(None);
    assert_eq!(alone.connect("10.9.3.3:80"), Ok(1));
    assert_eq!(alone.connect("11.0.0.1:80"), Err(Status::Unreachable));
    assert_eq!(alone.connect("[fd00::1]:80"), Err(Status::NotSupported));
}

#[test]
fn no_way_leads_to_our_own_addresses_not_even_over_a_gateway() {
    let mut host = Host::new(Some(Ipv4Addr::new(10, 1, 0, 1)));
    for own in ["10.1.0.2:80", "10.2.0.2:80"] {
        assert_eq!(host.connect(own), Err(Status::Unreachable), "{own}");
    }
}

#[test]
fn who_names_an_address_of_ours_sends_on_its_link() {
    let mut host = Host::new(None);
    let mut from = |local: &str, to: &str| {
        let program = Program {
            local: local.parse::<SocketAddr>().unwrap().into(),
            address: 8,
            ..Program::of(to)
        };
        host.make(&program, Opcode::TcpConnect).map(Handle::link)
    };
    assert_eq!(from("10.2.0.2:0", "10.2.0.9:80"), Ok(1));
    assert_eq!(from("10.2.0.2:0", "10.1.0.9:80"), Err(Status::Unreachable));
    assert_eq!(
        from("10.3.0.2:0", "10.1.0.9:80"),
        Err(Status::AddressNotAvailable)
    );
    assert_eq!(from("0.0.0.0:4000", "10.2.0.9:80"), Ok(1));
}

#[test]
fn commands_of_a_flow_find_its_link_and_forged_ones_none() {
    let mut host = Host::new(None);
    let flow = host
        .make(&Program::of("10.2.0.9:80"), Opcode::TcpConnect)
        .unwrap();
    for link in [0, 2, 7] {
        let forged = host.call(&Program::any(0), Opcode::TcpClose, flow.on_link(link));
        assert_eq!(forged, Err(Status::BadHandle), "{link}");
    }
    assert_eq!(
        host.call(&Program::any(0), Opcode::TcpClose, flow),
        Ok(Done::Value(0))
    );
}

#[test]
fn sockets_have_one_handle_whatever_comes_and_goes() {
    let mut host = Host::new(None);
    let mut open: Vec<(Opcode, Handle)> = Vec::new();
    for round in 0..200_u16 {
        let (opcode, end) = if round % 3 == 0 {
            (Opcode::TcpListen, Opcode::TcpUnlisten)
        } else {
            (Opcode::UdpBind, Opcode::UdpUnbind)
        };
        let port = if round % 7 == 1 && end == Opcode::UdpUnbind {
            0
        } else {
            1000 + round
        };
        open.push((end, host.make(&Program::any(port), opcode).unwrap()));
        if round % 2 == 1 {
            let (end, handle) = open.remove(usize::from(round * 31) % open.len());
            assert_eq!(host.call(&Program::any(0), end, handle), Ok(Done::Value(0)));
            assert_eq!(host.call(&Program::any(0), end, handle), Err(Status::BadHandle));
        }
        if open.len() > 40 {
            let (end, handle) = open.remove(0);
            assert_eq!(host.call(&Program::any(0), end, handle), Ok(Done::Value(0)));
        }
    }
}

#[test]
fn only_addresses_of_ours_are_bound() {
    let mut host = Host::new(None);
    for (at, expected) in [
        ("10.1.0.2:7", None),
        ("10.2.0.2:8", None),
        ("0.0.0.0:9", None),
        ("10.1.0.3:10", Some(Status::AddressNotAvailable)),
        ("[::]:11", Some(Status::NotSupported)),
        ("10.2.0.2:7", Some(Status::AddressInUse)),
    ] {
        let bound = host.make(&Program::of(at), Opcode::UdpBind);
        assert_eq!(bound.err(), expected, "{at}");
    }
}

#[test]
fn datagrams_leave_on_their_link_and_come_in_on_any() {
    let mut host = Host::new(None);
    let socket = host.make(&Program::any(7), Opcode::UdpBind).unwrap();
    let mut send = |to: &str| {
        let sent = host.call(&Program::of(to), Opcode::UdpSend, socket);
        sent.map(|_| host.flush())
    };
    // A question who the neighbour is.
    assert_eq!(send("10.1.0.9:9"), Ok([1, 0]));
    assert_eq!(send("10.2.0.9:9"), Ok([0, 1]));
    assert_eq!(send("10.9.9.9:9"), Ok([0, 1]));
    assert_eq!(send("11.0.0.1:9"), Err(Status::Unreachable));

    let frame = datagram([2, 0, 0, 0, 0, 2], [10, 2, 0, 9], [10, 2, 0, 2]);
    let (stack, card) = &mut host.0[1];
    stack.receive(&mut &mut *card, NOW, BufId(3), &frame, 0, RxChecksum::Good);
    let event = stack.poll_event(&mut &mut *card, NOW).unwrap();
    assert!(matches!(event, Event::UdpRecv { .. }), "{event:?}");
    let mut told = AbiEvent::default();
    crate::write(event, &mut told, |buf, _| buf.0.into());
    crate::mark(&mut told, 1);
    assert_eq!((told.kind, told.handle), (EventKind::UdpRecv as u16, socket));
    let done = |host: &mut Host| host.call(&Program::at(told.address), Opcode::UdpRecvDone, Handle::NONE);
    assert_eq!(done(&mut host), Ok(Done::Value(0)));
    assert_eq!(host.0[1].1.freed, [3]);
    assert_eq!(done(&mut host), Err(Status::Invalid));
}

#[test]
fn a_packet_to_another_links_address_is_dropped_and_counted() {
    let mut host = Host::new(None);
    host.make(&Program::any(7), Opcode::UdpBind).unwrap();
    let frame = datagram([2, 0, 0, 0, 0, 2], [10, 2, 0, 9], [10, 1, 0, 2]);
    let (stack, card) = &mut host.0[1];
    stack.receive(&mut &mut *card, NOW, BufId(3), &frame, 0, RxChecksum::Good);
    assert_eq!(stack.counters().rx_ipv4_not_ours, 1);
    assert_eq!(card.freed, [3]);
}

#[test]
fn a_group_is_joined_and_left_on_one_link() {
    let mut host = Host::new(None);
    let socket = host.make(&Program::any(7), Opcode::UdpBind).unwrap();
    let group = Program::of("239.1.2.3:0");
    assert_eq!(host.call(&group, Opcode::UdpJoin, socket), Ok(Done::Value(0)));
    assert_eq!(host.flush(), [1, 0], "a report to routers");
    assert_eq!(host.call(&group, Opcode::UdpLeave, socket), Ok(Done::Value(0)));
    assert_eq!(host.call(&group, Opcode::UdpLeave, socket), Err(Status::Invalid));
}

#[test]
fn a_route_to_groups_says_where_they_are_joined() {
    let mut host = Host::with_route(None, ([224, 0, 0, 0], 4));
    let socket = host.make(&Program::any(7), Opcode::UdpBind).unwrap();
    let joined = host.call(&Program::of("239.1.2.3:0"), Opcode::UdpJoin, socket);
    assert_eq!((joined, host.flush()), (Ok(Done::Value(0)), [0, 1]));
}
