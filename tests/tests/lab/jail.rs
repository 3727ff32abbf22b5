use ixion_tests::artifacts::{Build, guest};
use ixion_tests::lab::{self, Lab, NICS};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

/// What a thread may still do, as Linux tells it: a line of /proc per wish.
type Rights = BTreeMap<String, String>;

/// The threads of a process by their names.
fn threads(lab: &Lab, pid: &str) -> Vec<(String, Rights)> {
    let text = lab.shell(&format!(
        "for task in /proc/{pid}/task/*; do cat $task/status; done"
    ));
    let mut threads: Vec<(String, Rights)> = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap();
        match key {
            "Name" => threads.push((value.trim().to_owned(), Rights::new())),
            "NoNewPrivs" | "Seccomp" | "CapPrm" | "CapEff" | "CapInh" => {
                let rights = &mut threads.last_mut().unwrap().1;
                rights.insert(key.to_owned(), value.trim().to_owned());
            }
            _ => {}
        }
    }
    threads
}

fn assert_held(name: &str, rights: &Rights) {
    let nothing = "0000000000000000";
    for (key, value) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapPrm", nothing),
        ("CapEff", nothing),
        ("CapInh", nothing),
    ] {
        assert_eq!(rights[key], value, "{name}: {rights:?}");
    }
}

/// Runs the echo server with these options, looks at the rights of all threads meanwhile, and at what was forbidden.
fn run_in_jail(lab: &Lab, options: &str, address: Ipv4Addr) -> Vec<String> {
    lab.shell("dmesg -c >/dev/null");
    let ix = format!("ix run --backend kvm --mem 128M --name jail {options} --ip {address}/24 /ixion/echo");
    let run = lab.start(&ix.split_whitespace().collect::<Vec<_>>());
    run.wait_for("echo: tcp and udp port 7");
    let machine = lab.shell(&format!("cat /proc/{}/task/*/children", run.pid()));
    let found = threads(lab, machine.trim());
    // Linux' own threads for it bear names of their own.
    let ours = found
        .iter()
        .filter(|(name, _)| !name.starts_with("vhost-") && !name.starts_with("kvm-"));
    ours.for_each(|(name, rights)| assert_held(name, rights));
    let launcher = threads(lab, &run.pid().to_string());
    let of = |wanted: &str| &launcher.iter().find(|(name, _)| name == wanted).unwrap().1;
    assert_held("ix-input", of("ix-input"));
    assert_eq!(of("ix-files")["Seccomp"], "2");
    lab.shell("ix stats jail >/dev/null");
    run.stop().assert_code(0);
    let log = lab.shell("dmesg");
    assert!(!log.contains("type=1326"), "{log}");
    found.into_iter().map(|(name, _)| name).collect()
}

/// Nothing that the machine does in a whole run is forbidden to it, whoever moves its packets.
#[test]
fn the_machine_on_a_tap_keeps_no_rights_and_needs_none() {
    for (mover, threads) in [("on", &["vcpu0"][..]), ("off", &["vcpu0", "ix-tap"])] {
        let lab = lab::enter();
        lab.shell("tunctl -t lab0 >/dev/null; ip link set lab0 up");
        let options = format!("--net tap:lab0 --vhost {mover}");
        let names = run_in_jail(&lab, &options, Ipv4Addr::new(10, 83, 0, 2));
        for thread in threads {
            assert!(names.iter().any(|name| name == thread), "{names:?}");
        }
    }
}

#[test]
fn the_machine_with_a_card_keeps_no_rights_and_needs_none() {
    for nic in &NICS {
        let lab = lab::enter();
        run_in_jail(&lab, &format!("--nic vfio:{}", nic.address), nic.own);
        assert_eq!(lab.driver(nic), nic.driver);
    }
}

#[test]
fn files_and_input_reach_a_machine_on_kvm() {
    let lab = lab::enter();
    lab.shell("tunctl -t lab0 >/dev/null; ip link set lab0 up; mkdir /tmp/data");
    lab.put(
        "/tmp/copy_input",
        &fs::read(guest("copy_input", Build::Plain)).unwrap(),
    );
    let ix = "ix run --backend kvm --net tap:lab0 --ip 10.83.0.2/24 --mem 128M --volume /tmp/data:/data";
    let ended = lab.run(&[
        "sh",
        "-c",
        &format!("echo some words | {ix} /tmp/copy_input -- /data"),
    ]);
    ended.assert_code(0).assert_said("some words");
    for part in ["copied 11 bytes", "files went on"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(lab.shell("od -An -tu1 /tmp/data/round").trim(), "9");
}
