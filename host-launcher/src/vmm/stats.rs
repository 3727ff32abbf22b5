//! KVM's binary statistics (Linux, Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD): a file that describes itself, then
//! gives 64-bit values.

use crate::sys;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const HEADER_BYTES: usize = 24;
const DESCRIPTOR_BYTES: usize = 16;
/// Far more counters, and longer names, than there are.
const MAX_COUNTERS: u32 = 1024;
const MAX_NAME_BYTES: u32 = 256;

/// The counters of one virtual CPU.
#[derive(Debug)]
pub struct KvmStats {
    file: File,
    counters: Vec<Counter>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counter {
    name: String,
    offset: u64,
}

impl KvmStats {
    /// Those of this CPU; `None` before Linux 5.14.
    #[must_use]
    pub fn of(vcpu: &impl AsRawFd) -> Option<Self> {
        let file = sys::kvm_stats(vcpu).ok()?;
        let counters = describe(&file).ok()?;
        Some(Self { file, counters })
    }

    /// The counters' names, in the order of their values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.counters.iter().map(|counter| counter.name.as_str())
    }

    /// The values of now; 0 for one that cannot be read.
    pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.counters.iter().map(|counter| {
            let mut bytes = [0; 8];
            let read = self.file.read_exact_at(&mut bytes, counter.offset);
            read.map_or(0, |()| u64::from_le_bytes(bytes))
        })
    }
}

/// Every counter that is a single number; histograms are left out.
fn describe(file: &File) -> io::Result<Vec<Counter>> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)?;
    let [name_bytes, count, descriptors, data] = [4, 8, 16, 20].map(|at| word(&header, at));
    if name_bytes > MAX_NAME_BYTES || count > MAX_COUNTERS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut descriptor = vec![0; DESCRIPTOR_BYTES + name_bytes as usize];
    let mut counters = Vec::new();
    for index in 0..u64::from(count) {
        let at = u64::from(descriptors) + index * descriptor.len() as u64;
        file.read_exact_at(&mut descriptor, at)?;
        let size = u16::from_le_bytes([descriptor[6], descriptor[7]]);
        let name = descriptor[DESCRIPTOR_BYTES..].split(|&byte| byte == 0).next();
        if size == 1 {
            counters.push(Counter {
                name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
                offset: u64::from(data) + u64::from(word(&descriptor, 8)),
            });
        }
    }
    Ok(counters)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let byte = |n: usize| bytes.get(at + n).copied().unwrap_or(0);
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}

#[cfg(test)]
mod tests {
    use super::{KvmStats, describe};
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn file(count: u32) -> File {
        let file =
            File::from(nix::sys::memfd::memfd_create("stats", nix::sys::memfd::MFdFlags::empty()).unwrap());
        let mut bytes: Vec<u8> = [0, 8, count, 24, 24, 200]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        for (size, offset, name) in [
            (1_u32, 0_u32, b"exits\0\0\0"),
            (32, 8, b"histogra"),
            (1, 264, b"halts\0\0\0"),
        ] {
            bytes.extend([0, size << 16, offset, 0].into_iter().flat_map(u32::to_le_bytes));
            bytes.extend(name);
        }
        bytes.resize(200, 0);
        bytes.extend(7_u64.to_le_bytes());
        bytes.resize(464, 0);
        bytes.extend(9_u64.to_le_bytes());
        file.write_all_at(&bytes, 0).unwrap();
        file
    }

    #[test]
    fn single_numbers_are_found_by_name() {
        let file = file(3);
        let counters = describe(&file).unwrap();
        let stats = KvmStats { file, counters };
        assert_eq!(stats.names().collect::<Vec<_>>(), ["exits", "halts"]);
        assert_eq!(stats.values().collect::<Vec<_>>(), [7, 9]);
    }

    #[test]
    fn a_file_that_lies_about_itself_is_refused() {
        assert!(describe(&file(u32::MAX)).is_err());
        assert!(describe(&file(1000)).is_err(), "there are only three");
        assert!(KvmStats::of(&File::open("/dev/null").unwrap()).is_none());
    }
}
