use ixion_tests::artifacts::{Build, guest};
use ixion_tests::lab::{self, Lab};
use std::collections::BTreeMap;
use std::fs;

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

/// Nothing that the machine does in a whole run is forbidden to it, whoever moves its packets.
#[test]
fn the_machine_keeps_no_rights_and_needs_none() {
    for mover in ["on", "off"] {
        let lab = lab::enter();
        lab.shell("tunctl -t lab0 >/dev/null; ip address add 10.83.0.1/24 dev lab0; ip link set lab0 up; dmesg -c >/dev/null");
        let ix = "ix run --backend kvm --net tap:lab0 --ip 10.83.0.2/24 --mem 128M --name jail --vhost";
        let words: Vec<&str> = ix.split(' ').chain([mover, "/ixion/echo"]).collect();
        let run = lab.start(&words);
        run.wait_for("echo: tcp and udp port 7");
        let machine = lab.shell(&format!("cat /proc/{}/task/*/children", run.pid()));
        let found = threads(&lab, machine.trim());
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"vcpu0"), "{names:?}");
        assert_eq!(names.contains(&"ix-tap"), mover == "off", "{names:?}");
        let ours = found
            .iter()
            .filter(|(name, _)| !name.starts_with("vhost-") && !name.starts_with("kvm-"));
        ours.for_each(|(name, rights)| assert_held(name, rights));
        let launcher = threads(&lab, &run.pid().to_string());
        let input = launcher.iter().find(|(name, _)| name == "ix-input").unwrap();
        assert_held("ix-input", &input.1);
        let files = launcher.iter().find(|(name, _)| name == "ix-files").unwrap();
        assert_eq!(files.1["Seccomp"], "2");
        // Packets, counters, and the way out.
        lab.shell("ping -c 3 -W 20 10.83.0.2");
        lab.shell("ix stats jail >/dev/null");
        run.stop().assert_code(0);
        let log = lab.shell("dmesg");
        assert!(!log.contains("type=1326"), "{log}");
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
