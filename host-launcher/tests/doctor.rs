//! `ix doctor` on whatever machine this is.

use std::process::{Command, Output};

fn doctor(kernel: &str, args: &[&str]) -> Output {
    let mut ix = Command::new(env!("CARGO_BIN_EXE_ix"));
    // A QEMU that starts, as far as anyone can see who asks for its version only.
    ix.arg("doctor")
        .args(args)
        .env("IX_KERNEL", kernel)
        .env("IX_QEMU", "/bin/true");
    ix.output().unwrap()
}

#[test]
fn the_exit_status_tells_whether_ix_run_works() {
    for (kernel, status) in [("/bin/true", 0), ("/no/kernel", 1)] {
        let output = doctor(kernel, &["--json"]);
        assert_eq!(output.status.code(), Some(status));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["runs"], status == 0);
        let findings = report["findings"].as_array().unwrap();
        for finding in findings {
            let verdict = finding["verdict"].as_str().unwrap();
            assert!(["ok", "warn", "fail"].contains(&verdict), "{finding}");
            assert_eq!(verdict == "ok", finding["cure"].is_null(), "{finding}");
        }
        assert!(findings.len() > 10);
    }
}

#[test]
fn every_finding_is_a_line() {
    let output = doctor("/bin/true", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for check in [
        "cpu",
        "kvm",
        "qemu",
        "hugepages",
        "memlock",
        "cores",
        "iommu",
        "vfio",
        "nics",
        "tap",
        "vhost-net",
    ] {
        let told = text
            .lines()
            .any(|line| line.split_ascii_whitespace().nth(1) == Some(check));
        assert!(told, "{check} in {text}");
    }
    assert!(text.lines().last().unwrap().starts_with("ix run works here, on "));
}
