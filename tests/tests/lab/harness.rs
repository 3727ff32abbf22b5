//! What the other tests here rely on.

use ixion_tests::lab::{self, NICS};
use nix::sys::signal::Signal;

#[test]
fn commands_run_and_tell_how_they_ended() {
    let lab = lab::enter();
    let ended = lab.run(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (3, "out\n", "err\n")
    );
    // Two at once, one of which ends by a signal.
    let sleeper = lab.start(&["sh", "-c", "echo asleep; exec sleep 1000"]);
    sleeper.wait_for("asleep");
    assert_eq!(lab.shell("seq 100000 | tail -n 1"), "100000\n");
    sleeper.signal(Signal::SIGKILL);
    assert_eq!(sleeper.finish().code, 128 + 9);
}

#[test]
fn all_that_the_launcher_needs_is_there() {
    let lab = lab::enter();
    lab.shell("test -c /dev/kvm && test -c /dev/vhost-net && test -c /dev/net/tun && test -c /dev/vfio/vfio");
    assert_eq!(lab.shell("cat /sys/module/kvm_amd/parameters/npt").trim(), "Y");
    let free = lab.shell("cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    assert_eq!(free.trim(), "256");
    for nic in &NICS {
        let group = format!("/sys/bus/pci/devices/{}/iommu_group/devices", nic.address);
        assert_eq!(lab.shell(&format!("ls {group}")).trim(), nic.address);
    }
}

#[test]
fn a_turn_leaves_nothing_behind() {
    let (nic, lab) = (&NICS[0], lab::enter());
    let device = format!("/sys/bus/pci/devices/{}", nic.address);
    lab.shell(&format!(
        "echo {0} > {device}/driver/unbind; echo vfio-pci > {device}/driver_override; \
         echo {0} > /sys/bus/pci/drivers/vfio-pci/bind",
        nic.address
    ));
    lab.shell("sleep 1000 >/dev/null 2>&1 & tunctl -t left >/dev/null; touch /run/left /tmp/left");
    assert_eq!(lab.driver(nic), "vfio-pci");
    drop(lab);
    let lab = lab::enter();
    assert_eq!(lab.driver(nic), nic.driver);
    assert_eq!(lab.shell("ls /run /tmp; pidof sleep || true"), "/run:\n\n/tmp:\n");
    assert_eq!(lab.shell("ls /sys/class/net | grep -c left || true"), "0\n");
}
