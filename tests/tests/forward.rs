//! Frames and packets of others, sent on from where they were received: a machine between two networks of Linux's, each with a tap
//! of its own.

use ixion_tests::artifacts::{self, Build, guest};
use ixion_tests::peer::{exchange, open, pattern};
use ixion_tests::{HOST, Namespace, Run, Runner};
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The tap of the network on the far side.
const FAR_TAP: &str = "ixt1";
const PORT: u16 = 7777;
const PATIENCE: Duration = Duration::from_secs(20);

/// The far side's addresses, behind a bridge and behind a router.
const BRIDGED: [&str; 2] = ["10.77.0.3/24", "fd77::3/64"];
const ROUTED: [&str; 2] = ["10.78.0.1/24", "fd78::1/64"];

/// Two networks, a machine between them, and somebody on the far side who echoes.
struct Between {
    run: Run,
    near: Namespace,
    far: Namespace,
    /// Of the far side.
    v4: IpAddr,
    v6: IpAddr,
    /// What the machine held at rest.
    before: BTreeMap<String, u64>,
}

/// Those who echo end with the test, however that ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn address(of: &str) -> IpAddr {
    of.split('/').next().unwrap().parse().unwrap()
}

impl Between {
    /// A bridge.
    fn bridge(options: &[&str]) -> Self {
        let link = format!("net=tap:{FAR_TAP},ip=10.79.0.2/24");
        Self::start(
            &[&["--link", &link], options].concat(),
            &["--bridge", "0:1"],
            BRIDGED,
        )
    }

    /// A router; `link` says more of its second link.
    fn router(options: &[&str], link: &str) -> Self {
        let link = format!("net=tap:{FAR_TAP},ip=10.78.0.2/24,ip6=fd78::2/64{link}");
        let options = [&["--ip6", "fd77::2/64", "--link", &link], options].concat();
        let between = Self::start(&options, &["--route"], ROUTED);
        for words in [
            "route add default via 10.77.0.2",
            "-6 route add default via fd77::2",
        ] {
            between.near.ip(words).unwrap();
        }
        for words in [
            "route add default via 10.78.0.2",
            "-6 route add default via fd78::2",
        ] {
            between.far.ip(words).unwrap();
        }
        between
    }

    /// Both taps are near while the machine takes them; then one goes away.
    fn start(options: &[&str], args: &[&str], far_addresses: [&str; 2]) -> Self {
        let (near, far) = (Namespace::new().unwrap(), Namespace::without_tap().unwrap());
        let add = |namespace: &Namespace, words: &str| drop(namespace.ip(words).unwrap());
        add(
            &near,
            &format!("address add fd77::1/64 dev {} nodad", Namespace::TAP),
        );
        add(&near, &format!("tuntap add dev {FAR_TAP} mode tap vnet_hdr"));
        add(&near, &format!("link set {FAR_TAP} up"));
        let run = Runner::new(artifacts::forward())
            .on(&near)
            .options(options)
            .args(args)
            .start();
        run.wait_for("forward: ");
        add(
            &near,
            &format!("link set {FAR_TAP} netns {}", far.path().display()),
        );
        let [v4, v6] = far_addresses;
        add(&far, &format!("address add {v4} dev {FAR_TAP}"));
        add(&far, &format!("link set {FAR_TAP} up"));
        add(&far, &format!("address add {v6} dev {FAR_TAP} nodad"));
        let before = run.held();
        Between {
            run,
            near,
            far,
            v4: address(v4),
            v6: address(v6),
            before,
        }
    }

    /// `ping` from the near side: whether all was answered, and what it printed.
    fn ping(&self, words: &[&str]) -> (bool, String) {
        let output = self.near.command("ping").args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    }

    #[track_caller]
    fn assert_pings(&self, words: &[&str]) {
        let (answered, said) = self.ping(&[&["-c", "5", "-i", "0.2", "-W", "5"], words].concat());
        assert!(answered && !said.contains("DUP"), "{said}\n{}", self.run.log());
    }

    /// Streams and datagrams come back from the far side as they were, over both versions of IP.
    fn assert_carries(&self) {
        for far in [self.v4, self.v6] {
            self.assert_pings(&[&far.to_string()]);
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ends = Ends(&stop);
            for far in [self.v4, self.v6] {
                let to = SocketAddr::new(far, PORT);
                let (listener, socket) = self
                    .far
                    .enter(|| (TcpListener::bind(to).unwrap(), UdpSocket::bind(to).unwrap()));
                scope.spawn(move || echo_streams(&listener, 5));
                scope.spawn(|| echo_datagrams(socket, &stop));
                for number in 0..4 {
                    self.near.enter(|| {
                        let stream = open(to);
                        exchange(&stream, &pattern(number, 1 << 20));
                    });
                }
                self.near.enter(|| close_at_once(to));
                self.near.enter(|| exchange_datagrams(to));
            }
            drop(ends);
        });
    }

    /// Nothing is held that was not before; ends the machine.
    fn end(self) -> BTreeMap<String, u64> {
        self.run.wait_until_home(&self.before);
        let stats = self.run.stats();
        assert_eq!(stats["frames.held"], 0, "{stats:#?}");
        assert_eq!(stats["pool.bad_frees"], 0, "{stats:#?}");
        assert!(stats["frames.taken"] > 0, "{stats:#?}");
        let ended = self.run.stop();
        ended.assert_code(0).assert_said(" received, ");
        assert!(!ended.log.contains("KERNEL"), "{}", ended.log);
        stats
    }
}

/// Echoes this many connections, one after the other.
fn echo_streams(listener: &TcpListener, count: usize) {
    // Of accept, too.
    SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..count {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut room = vec![0; 1 << 16];
        while let Ok(len @ 1..) = stream.read(&mut room) {
            if stream.write_all(&room[..len]).is_err() {
                break;
            }
        }
    }
}

fn echo_datagrams(socket: UdpSocket, stop: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut room = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((len, from)) = socket.recv_from(&mut room) {
            socket.send_to(&room[..len], from).unwrap();
        }
    }
}

fn close_at_once(to: SocketAddr) {
    drop(open(to));
}

/// One of each length that a frame carries, as often as it takes.
fn exchange_datagrams(to: SocketAddr) {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut room = [0; 2048];
    for len in (0..=1452).step_by(11) {
        let sent = pattern(7, len);
        let mut tries = 0;
        loop {
            socket.send(&sent).unwrap();
            match socket.recv(&mut room) {
                Ok(got) if room[..got] == sent[..] => break,
                _ => tries += 1,
            }
            assert!(tries < 10, "no datagram of {len} bytes comes back");
        }
    }
}

#[test]
fn a_router_carries_streams_and_datagrams_of_both_versions() {
    let between = Between::router(&[], "");
    between.assert_carries();
    let stats = between.end();
    assert!(stats["forwarded"] > 1000, "{stats:#?}");
    assert_eq!(stats["bridged"], 0);
}

#[test]
fn a_router_tells_senders_what_is_wrong_with_their_packets() {
    let between = Between::router(&[], ",mtu=1280");
    let far = between.v4.to_string();
    // It answers at its own addresses itself, and knows the far side's neighbour after a first packet.
    between.assert_pings(&["10.77.0.2"]);
    between.assert_pings(&[&far]);
    let quickly = ["-c", "1", "-W", "5"];
    let (answered, said) = between.ping(&[&quickly[..], &["-t", "1", &far]].concat());
    assert!(!answered && said.contains("Time to live exceeded"), "{said}");
    let (answered, said) = between.ping(&[&quickly[..], &["-t", "1", "fd78::1"]].concat());
    assert!(!answered && said.contains("Hop limit"), "{said}");
    between.assert_pings(&["-t", "2", &far]);
    let (answered, said) = between.ping(&[&quickly[..], &["-M", "do", "-s", "1400", &far]].concat());
    assert!(!answered && said.contains("mtu = 1280"), "{said}");
    let (answered, said) = between.ping(&[&quickly[..], &["192.0.2.1"]].concat());
    assert!(!answered && said.contains("Net Unreachable"), "{said}");
    let (answered, said) = between.ping(&["-c", "1", "-W", "10", "10.78.0.99"]);
    assert!(!answered && said.contains("Host Unreachable"), "{said}");
    // What may be cut is cut, and put together again on the far side.
    between.near.ip("route flush cache").unwrap();
    between.assert_pings(&["-M", "dont", "-s", "1472", &far]);
    // Streams find out what the way carries.
    between.assert_carries();
    let stats = between.end();
    for counter in [
        "forward_hop_limit",
        "forward_no_route",
        "forward_too_long",
        "forward_unreached",
    ] {
        assert!(stats[counter] > 0, "{counter}: {stats:#?}");
    }
}

#[test]
fn a_bridge_carries_all_frames_whatever_they_are() {
    let between = Between::bridge(&[]);
    between.assert_carries();
    let stats = between.end();
    assert!(stats["bridged"] > 1000, "{stats:#?}");
    assert_eq!((stats["forwarded"], stats["rx_arp"]), (0, 0), "{stats:#?}");
}

/// Between cards of two kinds: one hears frames for others when it is asked to, and computes what the other left undone.
#[test]
fn a_bridge_can_be_between_cards_of_two_kinds() {
    let between = Between::bridge(&["--nic", "e1000e"]);
    between.assert_carries();
    between.end();
}

#[test]
fn several_cores_forward_each_frame_once() {
    let start: [fn(&[&str]) -> Between; 2] = [Between::bridge, |options| Between::router(options, "")];
    for start in start {
        let between = start(&["--cores", "2"]);
        between.assert_carries();
        between.end();
    }
}

#[test]
fn frames_that_card_and_software_leave_undone_are_completed_in_software() {
    let between = Between::router(&["--offload", "txcsum=off,tso=off"], "");
    between.assert_carries();
    between.end();
}

/// Sends datagrams to all stations of the network until told to stop.
fn shout(namespace: &Namespace, until: &AtomicBool) {
    namespace.enter(|| {
        let socket = UdpSocket::bind((HOST, 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        while !until.load(Ordering::Relaxed) {
            socket
                .send_to(b"to whom it may concern", "10.77.0.255:9")
                .unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn frames_that_were_not_lent_are_not_forwarded() {
    let namespace = Namespace::new().unwrap();
    let run = Runner::new(&guest("forged_frames", Build::Plain))
        .on(&namespace)
        .start();
    run.wait_for("bound");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| shout(&namespace, &stop));
        let ended = run.finish();
        stop.store(true, Ordering::Relaxed);
        ended.assert_code(0);
        ended.assert_said("every theft refused");
        ended.assert_said("the end");
        assert!(!ended.log.contains("KERNEL"), "{}", ended.log);
    });
}
