use super::I82574L;
use super::fake::FakeHost;
use crate::config::Bdf;
use crate::nic::{Force, NicError, bind, take, unbind};

fn host_with_card() -> (FakeHost, Bdf) {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(4), "eth0");
    (host, bdf)
}

#[test]
fn a_card_is_taken_and_given_back() {
    let (host, bdf) = host_with_card();
    let taken = take(&host.host, bdf).unwrap();
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    assert!(matches!(take(&host.host, bdf), Err(NicError::Unfit(..))));
    assert!(matches!(unbind(&host.host, bdf), Err(NicError::StillHeld(..))));
    taken.give_back().unwrap();
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
    assert_eq!(host.overridden(bdf), "");
    let log = host.kernel().log.lock().unwrap().join(" ");
    let expected = "devices/0000:01:00.0/driver_override=vfio-pci devices/0000:01:00.0/driver/unbind=0000:01:00.0 \
                    drivers_probe=0000:01:00.0 devices/0000:01:00.0/driver_override= \
                    devices/0000:01:00.0/driver/unbind=0000:01:00.0 drivers_probe=0000:01:00.0";
    assert_eq!(log, expected);
    assert!(matches!(unbind(&host.host, bdf), Err(NicError::NotOurs(_))));
}

#[test]
fn dropping_gives_back_to_the_driver_that_was_forced() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("ixgbe"), Some(4), "eth0");
    host.file("/sys/bus/pci/devices/0000:01:00.0/driver_override", "ixgbe");
    drop(take(&host.host, bdf).unwrap());
    assert_eq!(host.overridden(bdf), "ixgbe");
    assert_eq!(host.driver(bdf).as_deref(), Some("ixgbe"));
}

#[test]
fn a_card_without_driver_gets_none_back() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, None, Some(4), "eth0");
    drop(take(&host.host, bdf).unwrap());
    assert_eq!(host.driver(bdf), None);
}

#[test]
fn a_bound_card_stays_bound_between_runs() {
    let (host, bdf) = host_with_card();
    bind(&host.host, bdf, Force::No).unwrap();
    bind(&host.host, bdf, Force::No).unwrap();
    drop(take(&host.host, bdf).unwrap());
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    assert_eq!(unbind(&host.host, bdf).unwrap().as_deref(), Some("e1000e"));
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
}

#[test]
fn a_card_that_somebody_else_gave_to_vfio_stays_there() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("vfio-pci"), Some(4), "eth0");
    host.file("/sys/bus/pci/devices/0000:01:00.0/driver_override", "vfio-pci");
    bind(&host.host, bdf, Force::No).unwrap();
    drop(take(&host.host, bdf).unwrap());
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    assert_eq!(host.overridden(bdf), "vfio-pci");
    assert!(matches!(unbind(&host.host, bdf), Err(NicError::NotOurs(_))));
}

#[test]
fn a_user_may_use_a_card_that_root_bound() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("vfio-pci"), Some(4), "eth0");
    // A journal that cannot be written, root or not.
    host.file("/run/ix/nic", "");
    take(&host.host, bdf).unwrap().give_back().unwrap();
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
    let other = host.card("0000:02:00.0", I82574L, Some("e1000e"), Some(5), "eth1");
    assert!(matches!(take(&host.host, other), Err(NicError::Journal(..))));
}

#[test]
fn a_card_in_use_is_taken_by_force_only() {
    let (host, bdf) = host_with_card();
    let address = ("eth0".to_owned(), "192.0.2.7".parse().unwrap());
    host.kernel().addresses.lock().unwrap().push(address);
    let refused = bind(&host.host, bdf, Force::No).unwrap_err().to_string();
    assert!(refused.contains("eth0 has the address 192.0.2.7"), "{refused}");
    assert!(refused.ends_with("ix nic bind --force 0000:01:00.0"), "{refused}");
    assert!(matches!(take(&host.host, bdf), Err(NicError::InUse { .. })));
    bind(&host.host, bdf, Force::Yes).unwrap();
    assert_eq!(host.driver(bdf).as_deref(), Some("vfio-pci"));
}

#[test]
fn both_cards_of_a_group_are_bound_one_after_the_other() {
    let (host, first) = host_with_card();
    let second = host.card("0000:01:00.1", I82574L, Some("e1000e"), Some(4), "eth1");
    assert!(matches!(take(&host.host, first), Err(NicError::Unfit(..))));
    bind(&host.host, second, Force::No).unwrap();
    take(&host.host, first).unwrap().give_back().unwrap();
}

#[test]
fn the_driver_is_loaded_or_said_to_be_missing() {
    let (host, bdf) = host_with_card();
    std::fs::remove_dir(host.host.path("/sys/bus/pci/drivers/vfio-pci")).unwrap();
    let refused = take(&host.host, bdf).err().unwrap().to_string();
    assert!(
        refused.ends_with("modprobe cannot load it: module vfio-pci not found"),
        "{refused}"
    );
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
    host.kernel().modules.lock().unwrap().push("vfio-pci".to_owned());
    take(&host.host, bdf).unwrap().give_back().unwrap();
}

#[test]
fn what_vfio_refuses_goes_back_at_once() {
    let (host, bdf) = host_with_card();
    host.kernel()
        .unwilling
        .lock()
        .unwrap()
        .push("vfio-pci".to_owned());
    assert!(matches!(take(&host.host, bdf), Err(NicError::Refused { .. })));
    assert_eq!(host.driver(bdf).as_deref(), Some("e1000e"));
    assert!(matches!(unbind(&host.host, bdf), Err(NicError::NotOurs(_))));
}

#[test]
fn only_network_cards_are_taken() {
    let (host, bdf) = host_with_card();
    host.file("/sys/bus/pci/devices/0000:01:00.0/class", "0x010802");
    assert!(matches!(take(&host.host, bdf), Err(NicError::NotANic(_))));
    assert!(matches!(
        take(&host.host, "7f:00.0".parse().unwrap()),
        Err(NicError::NotANic(_))
    ));
}
