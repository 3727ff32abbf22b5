use super::I82574L;
use super::fake::FakeHost;
use crate::config::Bdf;
use crate::nic::Nic;

fn obstacles(host: &FakeHost, bdf: Bdf) -> Vec<String> {
    let nic = Nic::read(&host.host, bdf).unwrap();
    nic.obstacles.iter().map(ToString::to_string).collect()
}

#[test]
fn a_card_is_described_as_sysfs_has_it() {
    let host = FakeHost::new();
    host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(4), "eth0");
    host.file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "1");
    host.file("/sys/bus/pci/devices/0000:00:00.0/class", "0x060000");
    let all = Nic::all(&host.host);
    let json = serde_json::to_value(&all).unwrap();
    let expected = serde_json::json!([{
        "bdf": "0000:01:00.0", "interfaces": ["eth0"], "id": "8086:10d3", "driver": "e1000e", "iommu_group": 4,
        "numa_node": 1, "link": "1000 Mb/s", "returns_to": null, "obstacles": [],
    }]);
    assert_eq!(json, expected);
}

#[test]
fn the_interface_of_a_virtio_driver_is_one_storey_deeper() {
    let host = FakeHost::new();
    let bdf = host.card(
        "0000:01:00.0",
        (0x1af4, 0x1041),
        Some("virtio-pci"),
        Some(1),
        "eth0",
    );
    let folder = host.host.path("/sys/bus/pci/devices/0000:01:00.0");
    std::fs::create_dir(folder.join("virtio0")).unwrap();
    std::fs::rename(folder.join("net"), folder.join("virtio0/net")).unwrap();
    assert_eq!(Nic::read(&host.host, bdf).unwrap().interfaces, ["eth0"]);
}

#[test]
fn a_card_that_nothing_confines_is_unfit() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), None, "eth0");
    assert!(obstacles(&host, bdf)[0].starts_with("no IOMMU; switch VT-d or AMD-Vi on"));
    let bdf = host.card("0000:02:00.0", I82574L, Some("vfio-pci"), Some(0), "eth1");
    host.file("/sys/kernel/iommu_groups/0/name", "vfio-noiommu");
    assert!(obstacles(&host, bdf)[0].contains("unsafe no-IOMMU mode"));
}

#[test]
fn those_who_spoil_a_group_are_named() {
    let host = FakeHost::new();
    let first = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(3), "eth0");
    let second = host.card("0000:01:00.1", I82574L, Some("ixgbe"), Some(3), "eth1");
    host.card("0000:01:00.2", I82574L, Some("vfio-pci"), Some(3), "eth2");
    host.card("0000:00:1c.0", I82574L, Some("pcieport"), Some(3), "none");
    host.card("0000:01:00.3", I82574L, None, Some(3), "eth3");
    assert!(obstacles(&host, first)[0].starts_with("IOMMU group 3 is shared with 0000:01:00.1 (ixgbe);"));
    assert!(obstacles(&host, second)[0].starts_with("IOMMU group 3 is shared with 0000:01:00.0 (e1000e);"));
}

#[test]
fn a_card_without_a_driver_of_ours_is_unfit() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", (0x8086, 0x1572), Some("ixgbe"), Some(1), "eth0");
    assert_eq!(
        obstacles(&host, bdf),
        ["Ixion has no driver for 8086:1572; see docs/hardware.md"]
    );
}

#[test]
fn a_card_that_the_host_works_with_is_in_use() {
    let host = FakeHost::new();
    let bdf = host.card("0000:01:00.0", I82574L, Some("e1000e"), Some(1), "eth0");
    let address = |text: &str| ("eth0".to_owned(), text.parse().unwrap());

    *host.kernel().addresses.lock().unwrap() = vec![address("fe80::1")];
    assert!(obstacles(&host, bdf).is_empty());
    host.folder("/sys/class/net/eth0/upper_eth0.7");
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 carries eth0.7"]);
    std::os::unix::fs::symlink("../br0", host.host.path("/sys/class/net/eth0/master")).unwrap();
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 is part of br0"]);
    host.kernel().addresses.lock().unwrap().push(address("192.0.2.7"));
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 has the address 192.0.2.7"]);

    let v4 = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
    host.file(
        "/proc/net/route",
        &format!("{v4}eth0 000200C0 0 0001 0 0 0 00FFFFFF 0 0 0"),
    );
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 has the address 192.0.2.7"]);
    host.file(
        "/proc/net/route",
        &format!("{v4}eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0"),
    );
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 has the default route"]);
    host.file("/proc/net/route", v4);
    let zero = "0".repeat(32);
    host.file(
        "/proc/net/ipv6_route",
        &format!("{zero} 00 {zero} 00 {zero} 00000400 1 0 3 eth0"),
    );
    assert_eq!(obstacles(&host, bdf), ["in use: eth0 has the default route"]);
}
