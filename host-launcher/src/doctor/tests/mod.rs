use super::{Report, Trials, Verdict};
use crate::host::{Host, Kernel};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

struct Unchangeable;

impl Kernel for Unchangeable {
    fn write(&self, path: &Path, _text: &str) -> io::Result<()> {
        panic!("the doctor writes {}", path.display())
    }

    fn load(&self, module: &str) -> io::Result<()> {
        panic!("the doctor loads {module}")
    }

    fn addresses(&self) -> Vec<(String, IpAddr)> {
        Vec::new()
    }

    fn is_open(&self, _device: &Path) -> bool {
        false
    }
}

struct Patient {
    root: PathBuf,
    trials: Trials,
}

impl Patient {
    /// Nothing is there.
    fn bare() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ix-doctor-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).unwrap();
        let no = || Err("no".to_owned());
        Self {
            root,
            trials: Trials {
                kvm: Err("no".to_owned()),
                qemu: no(),
                kernel: Err("no".to_owned()),
            },
        }
    }

    /// All is well: two nodes, isolated cores beside the card.
    fn healthy() -> Self {
        let mut patient = Self::bare();
        patient.trials = Trials {
            kvm: Ok(()),
            qemu: Ok("QEMU 7.2".to_owned()),
            kernel: Ok(()),
        };
        let card = "/sys/bus/pci/devices/0000:01:00.0";
        for (path, text) in [
            ("/proc/cpuinfo", "processor : 0\nflags\t\t: fpu vmx sse"),
            ("/proc/self/status", "Name:\tix\nCapEff:\t0000000000005000"),
            ("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "256"),
            ("/sys/devices/system/cpu/isolated", "2-3"),
            ("/sys/devices/system/cpu/nohz_full", "1-3"),
            ("/sys/devices/system/node/node0/cpulist", "0-1"),
            ("/sys/devices/system/node/node0/distance", "10 21"),
            ("/sys/devices/system/node/node1/cpulist", "2-3"),
            ("/sys/devices/system/node/node1/distance", "21 10"),
            ("/sys/kernel/iommu_groups/0/type", "DMA"),
            ("/sys/bus/pci/drivers/vfio-pci/new_id", ""),
            ("/dev/net/tun", ""),
            ("/dev/vhost-net", ""),
            (&format!("{card}/class"), "0x020000"),
            (&format!("{card}/vendor"), "0x8086"),
            (&format!("{card}/device"), "0x10d3"),
            (&format!("{card}/numa_node"), "1"),
        ] {
            patient.file(path, text);
        }
        let group = patient.root.join("sys/kernel/iommu_groups/0");
        std::os::unix::fs::symlink(group, patient.root.join(&card[1..]).join("iommu_group")).unwrap();
        patient
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.root.join(&path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn report(&self) -> Report {
        Report::of(
            &Host::new(self.root.clone(), Arc::new(Unchangeable)),
            &self.trials,
        )
    }

    /// Verdict, and what was found with what to do.
    fn finding(&self, check: &str) -> (Verdict, String) {
        let report = self.report();
        let finding = report
            .findings
            .into_iter()
            .find(|finding| finding.check == check)
            .unwrap();
        let text = format!("{} -> {}", finding.found, finding.cure.unwrap_or_default());
        (finding.verdict, text)
    }

    #[track_caller]
    fn expect(&self, check: &str, verdict: Verdict, words: &str) {
        let (got, text) = self.finding(check);
        assert!(got == verdict && text.contains(words), "{check}: {got:?}, {text}");
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn a_healthy_host_has_nothing_to_cure() {
    let report = Patient::healthy().report();
    let ill: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Ok)
        .collect();
    assert!(ill.is_empty(), "{ill:?}");
    assert!(report.findings.iter().all(|finding| finding.cure.is_none()));
    assert_eq!((report.runs, report.backend), (true, Some("kvm")));
}

#[test]
fn a_bare_host_gets_a_cure_for_everything() {
    let report = Patient::bare().report();
    assert_eq!((report.runs, report.backend), (false, None));
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Ok && finding.cure.is_some())
    );
    let fails = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail);
    assert_eq!(
        fails.map(|finding| finding.check).collect::<Vec<_>>(),
        ["image", "kvm"]
    );
}

#[test]
fn one_backend_is_enough_but_not_without_a_kernel() {
    let mut patient = Patient::bare();
    patient.trials.kernel = Ok(());
    assert!(!patient.report().runs);
    patient.trials.qemu = Ok("QEMU".to_owned());
    assert_eq!(
        (patient.report().runs, patient.report().backend),
        (true, Some("qemu"))
    );
    patient.trials.kernel = Err("no kernel".to_owned());
    assert!(!patient.report().runs);
}

#[test]
fn a_reason_that_knows_the_cure_is_taken_apart() {
    let mut patient = Patient::bare();
    patient.trials.kvm = Err("there is no /dev/kvm; load it with: modprobe kvm_intel".to_owned());
    patient.expect(
        "kvm",
        Verdict::Fail,
        "there is no /dev/kvm -> load it with: modprobe kvm_intel",
    );
    patient.trials.kvm = Err("KVM here only interprets ring 0".to_owned());
    patient.expect(
        "kvm",
        Verdict::Fail,
        "KVM here only interprets ring 0 -> another machine type",
    );
}

#[test]
fn the_processor_is_told_by_its_flags() {
    let patient = Patient::bare();
    patient.expect("cpu", Verdict::Warn, "nested virtualization");
    patient.file("/proc/cpuinfo", "flags : a svm_lock svm b");
    patient.expect("cpu", Verdict::Ok, "AMD SVM");
}

#[test]
fn memory_is_counted() {
    let patient = Patient::bare();
    patient.expect(
        "hugepages",
        Verdict::Warn,
        "free: 0 of 2 MiB, 0 of 1 GiB -> reserve some",
    );
    patient.file("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "3");
    patient.expect("hugepages", Verdict::Ok, "3 of 1 GiB");

    let limit = |soft: &str| {
        let head = "Limit                     Soft Limit           Hard Limit           Units\n";
        patient.file(
            "/proc/self/limits",
            &format!("{head}Max locked memory         {soft}  unlimited bytes"),
        );
    };
    limit("8388608");
    patient.expect("memlock", Verdict::Warn, "may lock 8 MiB");
    limit("unlimited");
    patient.expect("memlock", Verdict::Ok, "no limit");
}

#[test]
fn cores_want_to_be_left_alone() {
    let patient = Patient::healthy();
    patient.file("/sys/devices/system/cpu/nohz_full", " (null)");
    patient.expect("cores", Verdict::Warn, "2-3 isolated, but not all without ticks");
    patient.file("/sys/devices/system/cpu/isolated", "");
    patient.expect("cores", Verdict::Warn, "isolcpus=");
}

#[test]
fn cores_far_from_a_card_are_told() {
    let patient = Patient::healthy();
    patient.expect("numa", Verdict::Ok, "0000:01:00.0 is on node 1");
    patient.file("/sys/devices/system/cpu/isolated", "1");
    let words = "0000:01:00.0 is on node 1; the nearest isolated cores are on node 0, distance 21 -> isolate cores of node 1: 2-3";
    patient.expect("numa", Verdict::Warn, words);
    patient.file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "-1");
    assert!(
        patient
            .report()
            .findings
            .iter()
            .all(|finding| finding.check != "numa")
    );
}

#[test]
fn vfio_may_be_a_module_that_is_not_loaded_yet() {
    let patient = Patient::bare();
    patient.expect("vfio", Verdict::Warn, "CONFIG_VFIO_PCI");
    patient.file("/proc/sys/kernel/osrelease", "6.1.0");
    let modules = "kernel/drivers/vfio/pci/vfio-pci-core.ko.xz: a\nkernel/drivers/vfio/pci/vfio-pci.ko.xz: b";
    patient.file("/lib/modules/6.1.0/modules.dep", modules);
    patient.expect("vfio", Verdict::Ok, "to be loaded when needed");
}

#[test]
fn taps_need_a_right_to_be_made() {
    let patient = Patient::healthy();
    patient.file("/proc/self/status", "CapEff:\t0000000000000000");
    patient.expect("tap", Verdict::Warn, "ip tuntap add");
    fs::remove_file(patient.root.join("dev/net/tun")).unwrap();
    patient.expect("tap", Verdict::Warn, "modprobe tun");
}

#[test]
fn a_report_is_json() {
    let json = serde_json::to_value(Patient::bare().report()).unwrap();
    assert_eq!(json["runs"], false);
    assert_eq!(json["findings"][1]["check"], "cpu");
    assert_eq!(json["findings"][1]["verdict"], "warn");
    assert!(json["findings"][1]["cure"].is_string());
}
