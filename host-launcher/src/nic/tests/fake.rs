//! A host made of a folder, whose PCI drivers are a few lines.

use crate::config::Bdf;
use crate::host::{Host, Kernel, link};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The folder, removed at the end, and what is written to it.
pub(super) struct FakeHost {
    pub(super) host: Host,
    root: PathBuf,
    kernel: Arc<FakeKernel>,
}

#[derive(Default)]
pub(super) struct FakeKernel {
    root: PathBuf,
    pub(super) addresses: Mutex<Vec<(String, IpAddr)>>,
    /// Drivers that refuse every card.
    pub(super) unwilling: Mutex<Vec<String>>,
    /// Modules that can be loaded.
    pub(super) modules: Mutex<Vec<String>>,
    /// Whether somebody has the group of every card open.
    pub(super) open: AtomicBool,
    pub(super) log: Mutex<Vec<String>>,
}

impl FakeHost {
    /// Drivers e1000e, ixgbe and vfio-pci, no cards; this process started at tick 7.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        let name = format!("ix-nic-{pid}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        let kernel = Arc::new(FakeKernel {
            root: root.clone(),
            ..FakeKernel::default()
        });
        let this = Self {
            host: Host::new(root.clone(), kernel.clone()),
            root,
            kernel,
        };
        for driver in ["e1000e", "ixgbe", "vfio-pci"] {
            this.folder(&format!("/sys/bus/pci/drivers/{driver}"));
        }
        this.file("/sys/bus/pci/drivers_probe", "");
        this.process(pid, 7);
        this
    }

    pub(super) fn kernel(&self) -> &FakeKernel {
        &self.kernel
    }

    pub(super) fn folder(&self, path: &str) {
        fs::create_dir_all(self.host.path(path)).unwrap();
    }

    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.host.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    pub(super) fn process(&self, pid: u32, start: u64) {
        let fields = "0 ".repeat(18);
        self.file(
            &format!("/proc/{pid}/stat"),
            &format!("{pid} (a (b) c) S {fields}{start} 0 0"),
        );
    }

    /// A card with an interface, in an IOMMU group, at its driver.
    pub(super) fn card(
        &self,
        bdf: &str,
        id: (u16, u16),
        driver: Option<&str>,
        group: Option<u32>,
        net: &str,
    ) -> Bdf {
        let folder = format!("/sys/bus/pci/devices/{bdf}");
        self.file(&format!("{folder}/class"), "0x020000");
        self.file(&format!("{folder}/vendor"), &format!("{:#06x}", id.0));
        self.file(&format!("{folder}/device"), &format!("{:#06x}", id.1));
        self.file(&format!("{folder}/numa_node"), "-1");
        self.file(&format!("{folder}/driver_override"), "(null)");
        self.file(&format!("{folder}/net/{net}/mtu"), "1500");
        self.file(&format!("/sys/class/net/{net}/carrier"), "1");
        self.file(&format!("/sys/class/net/{net}/speed"), "1000");
        if let Some(group) = group {
            let path = format!("/sys/kernel/iommu_groups/{group}/devices");
            self.folder(&path);
            let groups = self.host.path(&format!("/sys/kernel/iommu_groups/{group}"));
            symlink(&groups, self.host.path(&format!("{folder}/iommu_group"))).unwrap();
            symlink(self.host.path(&folder), self.host.path(&format!("{path}/{bdf}"))).unwrap();
        }
        if let Some(driver) = driver {
            self.kernel.attach(bdf, driver).unwrap();
        }
        bdf.parse().unwrap()
    }

    pub(super) fn driver(&self, bdf: Bdf) -> Option<String> {
        link(&self.host.path(&format!("/sys/bus/pci/devices/{bdf}/driver")))
    }

    pub(super) fn overridden(&self, bdf: Bdf) -> String {
        self.host
            .text(&format!("/sys/bus/pci/devices/{bdf}/driver_override"))
            .unwrap()
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl FakeKernel {
    fn attach(&self, bdf: &str, driver: &str) -> io::Result<()> {
        let pci = self.root.join("sys/bus/pci");
        let driver_folder = pci.join("drivers").join(driver);
        fs::create_dir_all(&driver_folder)?;
        symlink(driver_folder, pci.join("devices").join(bdf).join("driver"))
    }

    /// What the PCI core does for a card without driver: the driver that is forced on it, or else the one for its kind.
    fn probe(&self, bdf: &str) -> io::Result<()> {
        let device = self.root.join("sys/bus/pci/devices").join(bdf);
        let forced = fs::read_to_string(device.join("driver_override"))?;
        let driver = match forced.trim() {
            "" | "(null)" => "e1000e",
            forced => forced,
        };
        if self.unwilling.lock().unwrap().iter().any(|name| name == driver) {
            return Ok(());
        }
        self.attach(bdf, driver)
    }
}

impl Kernel for FakeKernel {
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let name = path.strip_prefix(&self.root).unwrap().to_str().unwrap();
        let name = name.trim_start_matches("sys/bus/pci/");
        self.log.lock().unwrap().push(format!("{name}={}", text.trim()));
        match path.file_name().unwrap().to_str().unwrap() {
            "driver_override" => fs::write(path, text),
            "unbind" => fs::remove_file(path.parent().unwrap()),
            "drivers_probe" => self.probe(text),
            "bind" => Err(io::ErrorKind::NotFound.into()),
            other => panic!("write to {other}"),
        }
    }

    fn load(&self, module: &str) -> io::Result<()> {
        if self.modules.lock().unwrap().iter().any(|name| name == module) {
            return fs::create_dir_all(self.root.join("sys/bus/pci/drivers").join(module));
        }
        Err(io::Error::other(format!("module {module} not found")))
    }

    fn addresses(&self) -> Vec<(String, IpAddr)> {
        self.addresses.lock().unwrap().clone()
    }

    fn is_open(&self, device: &Path) -> bool {
        device == self.root.join("dev/vfio/4") && self.open.load(Ordering::Relaxed)
    }
}
