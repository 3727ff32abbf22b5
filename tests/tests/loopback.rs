//! A machine whose only card leads back to itself.

use ixion_tests::Runner;
use ixion_tests::artifacts::{Build, guest};

fn talks(cores: &str, options: &[&str], addresses: &[&str]) {
    let only = [&["--nic", "loopback"], options].concat();
    talks_over(cores, &only, addresses);
}

fn talks_over(cores: &str, options: &[&str], addresses: &[&str]) {
    let args = [&[cores], addresses].concat();
    let ended = Runner::new(&guest("self_talk", Build::Plain))
        .options(&["--cores", cores])
        .options(options)
        .args(&args)
        .finish();
    ended.assert_code(0).assert_said("all of it came back");
}

#[test]
fn an_app_talks_to_itself_over_both_families() {
    talks("1", &[], &["127.0.0.1", "::1"]);
}

#[test]
fn checksums_can_be_computed_and_segments_cut() {
    talks("1", &["--offload", "rxcsum=off"], &["127.0.0.1", "::1"]);
    talks(
        "1",
        &["--offload", "tso=off", "--mtu", "1500"],
        &["127.0.0.1", "::1"],
    );
    talks("1", &["--vlan", "7"], &["127.0.0.1", "::1"]);
}

#[test]
fn the_address_can_be_another() {
    talks("1", &["--ip", "10.9.8.7/24"], &["10.9.8.7"]);
    talks("1", &["--ip6", "fd77::2/64"], &["fd77::2"]);
}

#[test]
fn several_cores_talk_to_each_other() {
    talks("4", &[], &["127.0.0.1", "::1"]);
}

#[test]
fn a_link_beside_others_can_lead_back() {
    for cores in ["1", "2"] {
        talks_over(cores, &["--link", "nic=loopback"], &["127.0.0.1", "::1"]);
    }
}

#[test]
fn what_leads_elsewhere_is_refused_before_anything_starts() {
    for options in [
        &["--net", "user"][..],
        &["--forward", "8080:80"],
        &["--gateway", "127.0.0.2"],
        &["--ip", "dhcp"],
        &["--ip6", "auto"],
    ] {
        let ended = Runner::new(&guest("self_talk", Build::Plain))
            .options(&["--nic", "loopback"])
            .options(options)
            .finish();
        assert_ne!(ended.code, 0);
        assert!(ended.stderr.contains("leads to nobody else"), "{}", ended.stderr);
    }
}
