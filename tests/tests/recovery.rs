//! Links that go down and up, and cards that are reset behind their driver's back, while connections are open: they live on, and
//! no buffer is missing afterwards.

use ixion_tests::{Monitor, Namespace, Run, Runner, artifacts, peer};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A machine with connections that have been used.
struct World {
    namespace: Namespace,
    monitor: Monitor,
    run: Run,
    streams: Vec<TcpStream>,
    held: std::collections::BTreeMap<String, u64>,
}

impl World {
    fn new(namespace: Namespace, options: &[&str]) -> Self {
        let monitor = Monitor::new();
        let of_monitor = monitor.options();
        let of_monitor: Vec<_> = of_monitor.iter().map(String::as_str).collect();
        let run = Runner::new(artifacts::echo())
            .on(&namespace)
            .options(&of_monitor)
            .options(options)
            .start();
        run.wait_for("echo: tcp and udp port 7");
        let held = run.held();
        let connect = |_| peer::connect(&namespace, peer::guest(7));
        let world = World {
            streams: (0..12).map(connect).collect(),
            namespace,
            monitor,
            run,
            held,
        };
        world.exchange(0);
        world
    }

    fn exchange(&self, round: u64) {
        for (number, stream) in (0..).zip(&self.streams) {
            stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
            peer::exchange(stream, &peer::pattern(round << 32 | number, 20_000));
        }
    }

    /// Until the kernel counts so many.
    fn wait_for(&self, counter: &str, count: u64) {
        let what = format!("{counter} should become {count}");
        self.run
            .wait_for_stats(&what, |stats| stats.get(counter) == Some(&count));
    }

    /// Everything works, and nothing is held any more.
    fn end(mut self, logged: &str) {
        self.exchange(8);
        peer::exchange_and_finish(
            peer::connect(&self.namespace, peer::guest(7)),
            &peer::pattern(9, 400_000),
        );
        self.streams.clear();
        self.run.wait_until_home(&self.held);
        self.run.stop().assert_code(0).assert_logged(logged);
    }
}

fn link(namespace: Namespace, options: &[&str]) {
    let world = World::new(namespace, options);
    world.monitor.set_link("off");
    world.wait_for("nic.link_changes", 1);
    std::thread::scope(|scope| {
        scope.spawn(|| world.exchange(1));
        std::thread::sleep(Duration::from_millis(500));
        world.monitor.set_link("on");
    });
    world.wait_for("nic.link_changes", 2);
    assert_eq!(world.run.stat("nic.resets"), 0);
    world.end("link down");
}

#[test]
fn connections_outlive_a_link_that_was_down() {
    for nic in ["virtio-net", "e1000e", "e1000", "vmxnet3"] {
        link(Namespace::new().unwrap(), &["--nic", nic]);
    }
}

#[test]
fn connections_of_several_cores_outlive_a_link_that_was_down() {
    link(Namespace::of_queues().unwrap(), &["--cores", "4"]);
    link(Namespace::new().unwrap(), &["--cores", "2", "--nic", "e1000e"]);
    link(Namespace::new().unwrap(), &["--cores", "2", "--nic", "vmxnet3"]);
}

/// Writes 0 to the device's status (virtio 1.2, section 4.1.4.3), through the window that its configuration space has on its
/// registers (section 4.1.4.9).
fn reset_virtio(monitor: &Monitor) {
    const VENDOR_SPECIFIC: u32 = 9;
    const STATUS: u32 = 0x14;
    let (mut common, mut window) = (None, None);
    let mut at = monitor.config(0x34) & 0xff;
    while at != 0 {
        let head = monitor.config(at);
        match (head & 0xff, head >> 24) {
            (VENDOR_SPECIFIC, 1) => common = Some((monitor.config(at + 4) & 0xff, monitor.config(at + 8))),
            (VENDOR_SPECIFIC, 5) => window = Some(at),
            _ => {}
        }
        at = head >> 8 & 0xff;
    }
    let ((bar, offset), window) = (common.unwrap(), window.unwrap());
    monitor.set_config(window + 4, 'b', bar);
    monitor.set_config(window + 8, 'w', offset + STATUS);
    monitor.set_config(window + 12, 'w', 1);
    monitor.set_config(window + 16, 'b', 0);
}

/// Writes 0 to the card's register RCTL, as a reset does, through its window in port space (82574L's datasheet, section 10.2.1.2).
/// (Its bit for a reset does no more than this in QEMU 7.2.)
fn reset_e1000e(monitor: &Monitor) {
    const RCTL: u32 = 0x100;
    let ports = monitor.config(0x18) & !3;
    monitor.say(&format!("o/w {ports:#x} {RCTL:#x}"));
    monitor.say(&format!("o/w {:#x} 0", ports + 4));
}

/// Gives the device the command that resets it, in its BAR 1.
fn reset_vmxnet3(monitor: &Monitor) {
    const COMMAND: u32 = 0x20;
    const RESET: u32 = 0xcafe_0002;
    monitor.write((monitor.config(0x14) & !0xf) + COMMAND, RESET);
}

fn reset(namespace: Namespace, options: &[&str], reset: fn(&Monitor)) {
    let world = World::new(namespace, options);
    reset(&world.monitor);
    // At once, before it is noticed.
    world.exchange(1);
    world.wait_for("nic.resets", 1);
    assert_eq!(world.run.stat("nic.lost"), 1);
    world.end("was reset by somebody else; it is reset");
}

#[test]
fn connections_outlive_a_reset_of_virtio_net() {
    reset(Namespace::new().unwrap(), &[], reset_virtio);
}

#[test]
fn connections_of_several_cores_outlive_a_reset_of_virtio_net() {
    reset(Namespace::of_queues().unwrap(), &["--cores", "4"], reset_virtio);
    reset(Namespace::new().unwrap(), &["--cores", "4"], reset_virtio);
}

/// A card that is reset while the cores sleep wakes them afterwards as before.
fn reset_of_sleepers(namespace: Namespace, options: &[&str], reset: fn(&Monitor)) {
    let world = World::new(namespace, &[&["--poll", "adaptive"], options].concat());
    std::thread::sleep(Duration::from_millis(50));
    reset(&world.monitor);
    world.wait_for("nic.resets", 1);
    world.exchange(1);
    let before = world.run.stat("core.roused");
    for (number, stream) in (0..).zip(world.streams.iter().cycle().take(100)) {
        std::thread::sleep(Duration::from_millis(5));
        peer::exchange(stream, &peer::pattern(number, 500));
    }
    let roused = world.run.stat("core.roused") - before;
    assert!(
        roused >= 50,
        "{options:?}: 100 requests woke cores {roused} times"
    );
    world.end("was reset by somebody else; it is reset");
}

#[test]
fn a_reset_while_the_cores_sleep_leaves_the_card_able_to_wake_them() {
    reset_of_sleepers(Namespace::new().unwrap(), &[], reset_virtio);
    reset_of_sleepers(Namespace::of_queues().unwrap(), &["--cores", "4"], reset_virtio);
    reset_of_sleepers(
        Namespace::new().unwrap(),
        &["--nic", "e1000e", "--cores", "2"],
        reset_e1000e,
    );
}

#[test]
fn connections_outlive_a_reset_of_the_82574l() {
    for cores in ["1", "2", "4"] {
        let options = ["--nic", "e1000e", "--cores", cores];
        reset(Namespace::new().unwrap(), &options, reset_e1000e);
    }
}

#[test]
fn connections_outlive_a_reset_of_vmxnet3() {
    for cores in ["1", "4"] {
        let options = ["--nic", "vmxnet3", "--cores", cores];
        reset(Namespace::new().unwrap(), &options, reset_vmxnet3);
    }
}

/// The card answers no more: neither to memory nor to port accesses, and it reaches no memory, as when it was pulled out.
fn pull(monitor: &Monitor) {
    const COMMAND: u32 = 4;
    monitor.set_config(COMMAND, 'w', 0);
}

#[test]
fn a_dataplane_outlives_its_card() {
    for options in [
        ["--nic", "virtio-net", "--cores", "1"],
        ["--nic", "virtio-net", "--cores", "4"],
        ["--nic", "e1000e", "--cores", "2"],
        ["--nic", "e1000", "--cores", "1"],
        ["--nic", "vmxnet3", "--cores", "1"],
    ] {
        let namespace = if options[3] == "4" {
            Namespace::of_queues()
        } else {
            Namespace::new()
        };
        let world = World::new(namespace.unwrap(), &options);
        let free = world.held["pool.free"];
        let what = "what was echoed should be acknowledged";
        world.run.wait_for_stats(what, |stats| stats["pool.free"] == free);
        pull(&world.monitor);
        world.wait_for("nic.lost", 1);
        let stream = &world.streams[0];
        (&*stream).write_all(b"is anybody there?").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        assert!((&*stream).read(&mut [0; 8]).is_err());
        // It goes on, with its connections and all of its buffers.
        let stats = world.run.stats();
        assert_eq!((stats["flows"], stats["pool.free"]), (12, free), "{stats:#?}");
        world
            .run
            .stop()
            .assert_code(0)
            .assert_logged("nothing is received or sent any more");
    }
}
