//! Names resolved in the machine, by name servers it was told of.

use ixion_tests::artifacts::{Build, guest};
use ixion_tests::{Dnsmasq, Namespace, Runner};

const NAMES: [&str; 5] = [
    "--local=/test/",
    "--address=/server.test/10.77.0.9",
    "--host-record=six.test,fd77::9",
    "--host-record=both.test,10.77.0.8,fd77::8",
    "--local-ttl=77",
];

#[test]
fn the_servers_of_the_lease_are_asked() {
    let namespace = Namespace::new().unwrap();
    let mut words = NAMES.to_vec();
    words.push("--dhcp-range=10.77.0.50,10.77.0.50,255.255.255.0,1h");
    let _server = Dnsmasq::start(&namespace, &words);
    let ended = Runner::new(&guest("resolve", Build::Plain))
        .on_link(&namespace)
        .options(&["--ip", "dhcp"])
        .args(&[
            "server.test",
            "six.test",
            "both.test",
            "nobody.test",
            "far.example",
            "no name",
        ])
        .finish();
    ended.assert_code(0);
    assert_eq!(
        ended.stdout,
        "server.test: [10.77.0.9] for 77s\n\
         six.test: [fd77::9] for 77s\n\
         both.test: [10.77.0.8] for 77s\n\
         nobody.test: no such name\n\
         far.example: the name servers failed\n\
         no name: not a domain name\n"
    );
}

#[test]
fn with_another_lease_come_other_servers() {
    let namespace = Namespace::new().unwrap();
    let lease = |last: u8| format!("--dhcp-range=10.77.0.{last},10.77.0.{last},255.255.255.0,1h");
    // Nobody is at that server, and the lease is to be renewed soon.
    let nobody = [
        "--dhcp-option=option:dns-server,10.77.0.3",
        "--dhcp-option=option:T1,3s",
    ];
    let server = Dnsmasq::start(&namespace, &[nobody[0], nobody[1], &lease(50)]);
    let run = Runner::new(&guest("resolve", Build::Plain))
        .on_link(&namespace)
        .options(&["--ip", "dhcp"])
        .args(&["--until-found", "server.test"])
        .start();
    run.wait_for("server.test: no name server answers");
    drop(server);
    let second = lease(60);
    let _server = Dnsmasq::start(&namespace, &[&NAMES[..], &[second.as_str()]].concat());
    run.wait_for("server.test: [10.77.0.9]");
    run.finish().assert_code(0);
}

#[test]
fn the_servers_of_the_command_line_are_asked_in_their_order() {
    let namespace = Namespace::new().unwrap();
    let _server = Dnsmasq::start(&namespace, &NAMES);
    // Nobody is at the first.
    let ended = Runner::new(&guest("resolve", Build::Plain))
        .on(&namespace)
        .options(&["--dns", "10.77.0.3", "--dns", "10.77.0.1"])
        .args(&["server.test", "nobody.test"])
        .finish();
    ended.assert_code(0);
    assert_eq!(
        ended.stdout,
        "server.test: [10.77.0.9] for 77s\nnobody.test: no such name\n"
    );
}

#[test]
fn without_servers_nobody_is_asked() {
    let ended = Runner::new(&guest("resolve", Build::Plain))
        .args(&["server.test"])
        .finish();
    ended.assert_code(0);
    assert_eq!(ended.stdout, "server.test: no name server is known\n");
}
