use crate::without;
use ixion_tests::lab::{self, Lab};
use serde_json::Value;

const DOCTOR: &str = "ix doctor --json";

/// What is found by a process of which this script is the beginning, and its exit code.
fn examined(lab: &Lab, script: &str) -> (Value, i32) {
    let ended = lab.run(&["unshare", "-m", "sh", "-c", script]);
    let report = serde_json::from_str(&ended.stdout);
    (
        report.unwrap_or_else(|error| panic!("{error}: {ended:?}")),
        ended.code,
    )
}

fn verdict<'a>(report: &'a Value, check: &str) -> &'a str {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    finding.unwrap_or_else(|| panic!("{check}: {report}"))["verdict"]
        .as_str()
        .unwrap()
}

#[test]
fn what_the_lab_has_is_found() {
    let lab = lab::enter();
    let (report, code) = examined(&lab, DOCTOR);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["backend"], "kvm", "{report}");
    for check in [
        "image",
        "cpu",
        "kvm",
        "hugepages",
        "memlock",
        "iommu",
        "vfio",
        "nics",
        "tap",
        "vhost-net",
    ] {
        assert_eq!(verdict(&report, check), "ok", "{check}: {report}");
    }
    // There is no QEMU, and nobody has set cores apart.
    for check in ["qemu", "cores"] {
        assert_eq!(verdict(&report, check), "warn", "{check}: {report}");
    }
}

#[test]
fn what_is_taken_away_is_missed_and_has_a_cure() {
    let lab = lab::enter();
    let image = format!("mount --bind /dev/null /ixion/ixion-kernel; exec {DOCTOR}");
    for (script, check, bad, code) in [
        (without("/dev/kvm", DOCTOR), "kvm", "fail", 1),
        (without("/dev/vhost-net", DOCTOR), "vhost-net", "warn", 0),
        (without("/dev/net/tun", DOCTOR), "tap", "warn", 0),
        (image, "image", "fail", 1),
    ] {
        let (report, ended) = examined(&lab, &script);
        assert_eq!(verdict(&report, check), bad, "{script}: {report}");
        assert_eq!(ended, code, "{script}: {report}");
        assert_eq!(report["runs"], code == 0, "{script}: {report}");
        let findings = report["findings"].as_array().unwrap();
        for finding in findings.iter().filter(|finding| finding["verdict"] != "ok") {
            assert!(finding["cure"].is_string(), "{finding}");
        }
    }
}
