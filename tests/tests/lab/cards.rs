use ixion_tests::lab::{self, E1000E, Lab, NICS, Nic, VIRTIO_NET};
use serde_json::Value;

/// What `ix nic list` says about a card.
fn listed(lab: &Lab, nic: &Nic) -> Value {
    let output = lab.shell("ix nic list --json");
    let cards: Vec<Value> = serde_json::from_str(&output).unwrap();
    assert_eq!(cards.len(), NICS.len(), "{output}");
    let mut ours = cards.into_iter().filter(|card| card["bdf"] == nic.address);
    ours.next().unwrap()
}

#[test]
fn cards_are_listed_with_what_becomes_of_them() {
    let lab = lab::enter();
    for (nic, id) in [(&E1000E, "8086:10d3"), (&VIRTIO_NET, "1af4:1041")] {
        let card = listed(&lab, nic);
        assert_eq!(card["id"], id, "{card}");
        assert_eq!(card["driver"], nic.driver, "{card}");
        assert_eq!(card["obstacles"], Value::Array(Vec::new()), "{card}");
    }
}

#[test]
fn a_card_that_is_bound_goes_back_to_its_driver() {
    let lab = lab::enter();
    for nic in &NICS {
        lab.shell(&format!("ix nic bind {}", nic.address));
        assert_eq!(lab.driver(nic), "vfio-pci");
        assert_eq!(listed(&lab, nic)["returns_to"], nic.driver);
        lab.shell(&format!("ix nic unbind {}", nic.address));
        assert_eq!(lab.driver(nic), nic.driver);
        // A driver of the kernel's own choice would not be found if the override stayed.
        let left = lab.shell(&format!(
            "cat /sys/bus/pci/devices/{}/driver_override",
            nic.address
        ));
        assert_eq!(left.trim(), "(null)");
        let again = lab.run(&["ix", "nic", "unbind", nic.address]);
        again.assert_code(125);
        assert!(again.stderr.contains("nothing to give back"), "{}", again.stderr);
    }
}

#[test]
fn a_card_that_the_host_works_with_is_left_alone() {
    let lab = lab::enter();
    let card = listed(&lab, &E1000E);
    let interface = card["interfaces"][0].as_str().unwrap();
    lab.shell(&format!(
        "ip address add {}/24 dev {interface}; ip link set {interface} up",
        E1000E.own
    ));
    let ended = lab.run(&["ix", "nic", "bind", E1000E.address]);
    ended.assert_code(125);
    assert!(
        ended.stderr.contains(&format!("has the address {}", E1000E.own)),
        "{}",
        ended.stderr
    );
    assert_eq!(lab.driver(&E1000E), E1000E.driver);
    lab.shell(&format!("ix nic bind --force {}", E1000E.address));
    assert_eq!(lab.driver(&E1000E), "vfio-pci");
}

#[test]
fn what_is_no_card_is_refused_by_name() {
    let lab = lab::enter();
    // The host bridge, and the port that this request goes through.
    for address in ["0000:00:00.0", "0000:00:08.0"] {
        let ended = lab.run(&["ix", "nic", "bind", address]);
        ended.assert_code(125);
        assert!(ended.stderr.contains("is no network card"), "{}", ended.stderr);
    }
}
