use ixion_tests::lab::{self, E1000E, Lab, Nic};
use ixion_tests::peer;
use std::net::SocketAddr;

/// Root's part: the card bound, its group and KVM given away.
fn give_away(lab: &Lab, nic: &Nic) {
    let group = format!("/sys/bus/pci/devices/{}/iommu_group", nic.address);
    lab.shell(&format!(
        "mkdir -p /etc /tmp/user; echo user:x:1000:1000::/tmp/user:/bin/sh > /etc/passwd; \
         ix nic bind {}; chown user /tmp/user /dev/kvm /dev/vfio/$(basename $(readlink {group}))",
        nic.address
    ));
}

/// The user's part, under a limit on locked memory that is root's to set.
fn run_as_user(nic: &Nic, limit_kib: &str) -> [String; 3] {
    let ix = format!(
        "IX_RUNTIME_DIR=/tmp/user exec ix run --backend kvm --mem 128M --nic vfio:{} --ip {}/24 /ixion/echo",
        nic.address, nic.own
    );
    let script = format!("ulimit -l {limit_kib}; exec su user -c '{ix}'");
    ["sh", "-c", &script].map(str::to_owned)
}

#[test]
fn a_user_has_the_card_that_root_gave_away() {
    let lab = lab::enter();
    give_away(&lab, &E1000E);
    let words = run_as_user(&E1000E, "unlimited");
    let run = lab.start(&words.each_ref().map(String::as_str));
    run.wait_for("echo: tcp and udp port 7");
    let server = SocketAddr::from((E1000E.own, 7));
    peer::exchange(&peer::connect(lab.namespace(), server), b"whose card is it?");
    run.stop().assert_code(0);
    // It is root's to take back.
    assert_eq!(lab.driver(&E1000E), "vfio-pci");
    lab.shell(&format!("ix nic unbind {}; chown 0 /dev/kvm", E1000E.address));
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
}

#[test]
fn a_user_who_may_lock_too_little_is_told_how_much_it_takes() {
    let lab = lab::enter();
    give_away(&lab, &E1000E);
    let ended = lab.run(&run_as_user(&E1000E, "8192").each_ref().map(String::as_str));
    ended.assert_code(125);
    let words = "cannot lock 128 MiB of guest memory for the card: this user may lock 8 MiB";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    lab.shell("chown 0 /dev/kvm");
}

#[test]
fn a_user_alone_takes_no_card() {
    let lab = lab::enter();
    give_away(&lab, &E1000E);
    lab.shell(&format!("ix nic unbind {}", E1000E.address));
    let ended = lab.run(&run_as_user(&E1000E, "unlimited").each_ref().map(String::as_str));
    ended.assert_code(125);
    assert!(
        ended.stderr.contains("taking cards is for root"),
        "{}",
        ended.stderr
    );
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
    lab.shell("chown 0 /dev/kvm");
}
