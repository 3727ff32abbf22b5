//! smoltcp, twice. It knows its sockets by a list, so each frame and each poll looks at all of them.

use crate::pair::{self, Pair, REQUEST, SEGMENT};
use ::smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use ::smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use ::smoltcp::socket::tcp::{self, Socket, SocketBuffer};
use ::smoltcp::time::Instant;
use ::smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A direction of the wire; frames are moved, and their memory used again.
#[derive(Default)]
struct Wire {
    frames: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

type Shared = Rc<RefCell<Wire>>;

struct Port {
    rx: Shared,
    tx: Shared,
}

struct Received(Vec<u8>, Shared);
struct Transmit(Shared);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let result = read(&self.0);
        self.1.borrow_mut().spare.push(self.0);
        result
    }
}

impl TxToken for Transmit {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = self.0.borrow_mut().spare.pop().unwrap_or_default();
        frame.resize(len, 0);
        let result = write(&mut frame);
        self.0.borrow_mut().frames.push_back(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit)> {
        let frame = self.rx.borrow_mut().frames.pop_front()?;
        Some((Received(frame, self.rx.clone()), Transmit(self.tx.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit> {
        Some(Transmit(self.tx.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        // As the other stacks: the device sees to TCP's checksums.
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

struct Host {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
}

impl Host {
    fn new(last: u8, rx: Shared, tx: Shared) -> Self {
        let mut port = Port { rx, tx };
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, last]).into());
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let ours = IpCidr::new(IpAddress::v4(10, 0, 0, last), 24);
            addresses.push(ours).expect("room for an address");
        });
        Host {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            handles: Vec::new(),
        }
    }

    fn add(&mut self, buffer: usize) -> usize {
        let memory = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(memory(), memory());
        socket.set_nagle_enabled(false);
        self.handles.push(self.sockets.add(socket));
        self.handles.len() - 1
    }

    fn poll(&mut self) {
        self.interface
            .poll(Instant::ZERO, &mut self.port, &mut self.sockets);
    }

    fn socket(&mut self, flow: usize) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handles[flow])
    }
}

/// Both sides.
pub(crate) struct Smoltcp {
    client: Host,
    server: Host,
}

impl Pair for Smoltcp {
    fn open(flows: u32) -> Self {
        let (there, back) = (Shared::default(), Shared::default());
        let mut pair = Smoltcp {
            client: Host::new(1, back.clone(), there.clone()),
            server: Host::new(2, there, back),
        };
        for flow in 0..flows {
            // The first is that of the bulk transfer, and needs a window for it.
            let buffer = if flow == 0 { 64 * SEGMENT } else { 1024 };
            let (client_port, server_port) = pair::ports(flow);
            pair.server.add(buffer);
            pair.client.add(buffer);
            pair.connect(flow as usize, client_port, server_port);
        }
        pair
    }

    fn requests(&mut self, flows: &[u32]) {
        let mut bytes = [0x55; REQUEST];
        for flow in flows {
            let sent = self.client.socket(*flow as usize).send_slice(&bytes);
            assert_eq!(sent, Ok(REQUEST));
        }
        self.client.poll();
        self.server.poll();
        for flow in flows {
            let socket = self.server.socket(*flow as usize);
            assert_eq!(socket.recv_slice(&mut bytes), Ok(REQUEST));
            assert_eq!(socket.send_slice(&bytes), Ok(REQUEST));
        }
        self.server.poll();
        self.client.poll();
        for flow in flows {
            let socket = self.client.socket(*flow as usize);
            assert_eq!(socket.recv_slice(&mut bytes), Ok(REQUEST));
        }
    }

    fn bulk(&mut self, segments: u32) {
        let total = segments as usize * SEGMENT;
        let (mut sent, mut received) = (0, 0);
        let bytes = [0x55; 64 * SEGMENT];
        while received < total {
            let more = (total - sent).min(bytes.len());
            sent += self.client.socket(0).send_slice(&bytes[..more]).expect("open");
            self.client.poll();
            self.server.poll();
            let socket = self.server.socket(0);
            while let Ok(len @ 1..) = socket.recv(|bytes| (bytes.len(), bytes.len())) {
                received += len;
            }
            self.server.poll();
            self.client.poll();
        }
    }

    fn churn(&mut self, times: u32) {
        let known = self.client.handles.len();
        let (at_client, at_server) = (self.client.add(1024), self.server.add(1024));
        assert_eq!((at_client, at_server), (known, known));
        for turn in 0..times {
            let port = 1024 + (turn % 8192) as u16;
            self.connect(known, port, pair::FIRST_SERVER_PORT);
            self.client.socket(known).close();
            self.client.poll();
            self.server.poll();
            self.server.socket(known).close();
            self.server.poll();
            self.client.poll();
            self.server.poll();
            assert_eq!(self.server.socket(known).state(), tcp::State::Closed);
            // Instead of TIME-WAIT.
            self.client.socket(known).abort();
            self.client.port.tx.borrow_mut().frames.clear();
        }
    }
}

impl Smoltcp {
    fn connect(&mut self, flow: usize, client_port: u16, server_port: u16) {
        self.server.socket(flow).listen(server_port).expect("closed");
        let remote = (IpAddress::v4(10, 0, 0, 2), server_port);
        let Host {
            interface,
            sockets,
            handles,
            ..
        } = &mut self.client;
        let socket = sockets.get_mut::<Socket<'_>>(handles[flow]);
        socket
            .connect(interface.context(), remote, client_port)
            .expect("closed");
        while !self.server.socket(flow).may_send() {
            self.client.poll();
            self.server.poll();
        }
    }
}
