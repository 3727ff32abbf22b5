//! Files as a guest asks for them, and as an adversary does.

use super::files::Files;
use super::input::Input;
use super::server::serve_slot;
use super::volumes::Volumes;
use crate::jail;
use ix_abi::host::HostCalls;
use ix_abi::host::hostcall::{
    DATA_BYTES, DIRECTORY, FILE_STATUS_BYTES, FileStatus, HERE, Operation, Request, Slot, WITHOUT_END,
};
use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use std::fs;
use std::io::{Write, pipe};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const O_WRONLY: u64 = 0o1;
const O_RDWR: u64 = 0o2;
const O_CREAT: u64 = 0o100;
const O_EXCL: u64 = 0o200;
const O_TRUNC: u64 = 0o1000;
const O_APPEND: u64 = 0o2000;
const O_DIRECTORY: u64 = 0o200_000;
const O_NOFOLLOW: u64 = 0o400_000;

/// A folder with a volume to write (`/data`), one to read (`/etc/app`), and something outside them.
struct Host {
    root: PathBuf,
    files: Files,
}

impl Host {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("ix-hostcall-{}-{number}", std::process::id()));
        for folder in ["rw", "ro", "outside"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("ro/settings"), "a=1").unwrap();
        fs::write(root.join("outside/secret"), "secret").unwrap();
        let path = root.display();
        let volumes = [format!("{path}/rw:/data"), format!("{path}/ro:/etc/app:ro")];
        let files = files(&volumes.each_ref().map(String::as_str));
        Self { root, files }
    }

    fn ask(
        &mut self,
        operation: Operation,
        arguments: [u64; 4],
        data: &[u8],
    ) -> Result<(u64, Vec<u8>), Errno> {
        let request = Request {
            turn: 1,
            operation: Some(operation),
            arguments,
            data_bytes: data.len(),
        };
        let mut data = data.to_vec();
        let value = self.files.answer(&request, &mut data)?;
        Ok((value, data))
    }

    fn open(&mut self, path: &str, flags: u64) -> Result<u64, Errno> {
        let arguments = [flags, 0o4644, 0, 0];
        self.ask(Operation::Open, arguments, path.as_bytes())
            .map(|(value, _)| value)
    }

    fn on_path(&mut self, operation: Operation, path: &str, argument: u64) -> Result<Vec<u8>, Errno> {
        self.ask(operation, [argument, 0, 0, 0], path.as_bytes())
            .map(|(_, data)| data)
    }

    fn mode(&mut self, path: &str, of_link: u64) -> Result<u64, Errno> {
        let data = self.on_path(Operation::PathStatus, path, of_link)?;
        let bytes: [u8; FILE_STATUS_BYTES] = data.try_into().unwrap();
        Ok(FileStatus::from_bytes(&bytes).mode)
    }

    fn read_all(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let handle = self.open(path, 0)?;
        let (_, data) = self.ask(Operation::Read, [handle, u64::MAX, HERE, 0], &[])?;
        self.ask(Operation::Close, [handle, 0, 0, 0], &[])?;
        Ok(data)
    }

    fn names(&mut self, path: &str) -> Vec<String> {
        let handle = self.open(path, O_DIRECTORY).unwrap();
        let arguments = [handle & (DIRECTORY - 1), 1 << 16, 0, 0];
        let (_, data) = self.ask(Operation::ReadDirectory, arguments, &[]).unwrap();
        names(&data)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

fn files(volumes: &[&str]) -> Files {
    let volumes: Vec<_> = volumes.iter().map(|text| text.parse().unwrap()).collect();
    Files::new(Volumes::open(&volumes).unwrap())
}

/// The names in `struct linux_dirent64`s, sorted, without `.` and `..`.
fn names(mut entries: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !entries.is_empty() {
        let len = usize::from(u16::from_le_bytes([entries[16], entries[17]]));
        let name = entries[19..len].split(|&byte| byte == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        entries = &entries[len..];
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

#[test]
fn a_file_is_made_written_and_read() {
    let mut host = Host::new();
    let handle = host.open("/data/f", O_RDWR | O_CREAT | O_EXCL).unwrap();
    assert_eq!(
        host.open("/data/f", O_RDWR | O_CREAT | O_EXCL),
        Err(Errno::EEXIST)
    );
    let mode = fs::metadata(host.root.join("rw/f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0, "no set-user-id");
    let mut ask = |operation, arguments, data: &[u8]| host.ask(operation, arguments, data).unwrap();
    assert_eq!(ask(Operation::Write, [handle, HERE, 0, 0], b"hello world").0, 11);
    assert_eq!(ask(Operation::Write, [handle, 6, 0, 0], b"there").0, 5);
    assert_eq!(ask(Operation::Seek, [handle, 4, 0, 0], &[]).0, 4);
    assert_eq!(
        ask(Operation::Read, [handle, 3, HERE, 0], &[]),
        (3, b"o t".to_vec())
    );
    assert_eq!(ask(Operation::Read, [handle, 99, 9, 0], &[]), (2, b"re".to_vec()));
    assert_eq!(ask(Operation::Truncate, [handle, 5, 0, 0], &[]).0, 0);
    ask(Operation::Sync, [handle, 1, 0, 0], &[]);
    ask(Operation::SetMode, [handle, 0o6600, 0, 0], &[]);
    let (_, status) = ask(Operation::Status, [handle, 0, 0, 0], &[]);
    let status = FileStatus::from_bytes(&status.try_into().unwrap());
    assert_eq!((status.size, status.mode), (5, 0o100_600));
    let log = host.open("/data/f", O_WRONLY | O_APPEND).unwrap();
    host.ask(Operation::Write, [log, HERE, 0, 0], b"!").unwrap();
    assert_eq!(host.read_all("/data/f").unwrap(), b"hello!");
    assert_eq!(host.on_path(Operation::Access, "/data/f", 6), Ok(Vec::new()));
    host.ask(Operation::Close, [handle, 0, 0, 0], &[]).unwrap();
    let read = host.ask(Operation::Read, [handle, 1, HERE, 0], &[]);
    assert_eq!(read, Err(Errno::EBADF));
}

#[test]
fn the_tree_can_be_changed() {
    let mut host = Host::new();
    host.on_path(Operation::MakeDirectory, "/data/d/", 0o755).unwrap();
    host.open("/data/d/f", O_CREAT | O_WRONLY).unwrap();
    let rename = |host: &mut Host, from: &str, to: &str, keep| {
        let arguments = [from.len() as u64, keep, 0, 0];
        host.ask(Operation::Rename, arguments, [from, to].concat().as_bytes())
            .map(|_| ())
    };
    assert_eq!(rename(&mut host, "/data/d/f", "/data/g", 1), Ok(()));
    host.open("/data/h", O_CREAT | O_WRONLY).unwrap();
    assert_eq!(rename(&mut host, "/data/g", "/data/h", 1), Err(Errno::EEXIST));
    assert_eq!(rename(&mut host, "/data/g", "/data/x/", 0), Err(Errno::ENOTDIR));
    assert_eq!(rename(&mut host, "/data/g", "/etc/app/g", 0), Err(Errno::EROFS));
    assert_eq!(rename(&mut host, "/data", "/data/d/x", 0), Err(Errno::EBUSY));
    assert_eq!(host.names("/data"), ["d", "g", "h"]);
    assert_eq!(host.on_path(Operation::Remove, "/data/d", 0), Err(Errno::EISDIR));
    assert_eq!(host.on_path(Operation::Remove, "/data/g", 1), Err(Errno::ENOTDIR));
    host.on_path(Operation::Remove, "/data/g", 0).unwrap();
    host.on_path(Operation::Remove, "/data/d", 1).unwrap();
    assert_eq!(host.names("/data"), ["h"]);
    assert_eq!(
        host.on_path(Operation::Remove, "/data", 1),
        Err(Errno::EBUSY),
        "the volume itself stays"
    );
}

#[test]
fn there_are_directories_above_the_volumes() {
    let mut host = Host::new();
    assert_eq!(host.names("/"), ["data", "etc"]);
    assert_eq!(host.names("/etc/"), ["app"]);
    assert_eq!(host.names("/etc/app"), ["settings"]);
    assert_eq!(host.mode("/", 0).unwrap() & 0o170_000, 0o040_000);
    assert_eq!(host.open("/etc", O_RDWR), Err(Errno::EISDIR));
    assert_eq!(host.open("/usr", 0), Err(Errno::ENOENT));
    assert_eq!(host.open("/etc/passwd", 0), Err(Errno::ENOENT));
    for (operation, path, errno) in [
        (Operation::MakeDirectory, "/etc", Errno::EEXIST),
        (Operation::MakeDirectory, "/etc/app", Errno::EROFS),
        (Operation::MakeDirectory, "/etc/new", Errno::ENOENT),
        (Operation::MakeDirectory, "/new", Errno::ENOENT),
        (Operation::Remove, "/etc", Errno::EROFS),
        (Operation::SetPathMode, "/", Errno::EROFS),
        (Operation::ReadLink, "/", Errno::EINVAL),
        (Operation::Access, "/", Errno::EROFS),
    ] {
        assert_eq!(
            host.on_path(operation, path, 2),
            Err(errno),
            "{operation:?} {path}"
        );
    }
    let handle = host.open("/", 0).unwrap() & (DIRECTORY - 1);
    let read = |host: &mut Host, count| {
        host.ask(Operation::ReadDirectory, [handle, count, 0, 0], &[])
            .map(|(_, data)| names(&data))
    };
    assert_eq!(read(&mut host, 10), Err(Errno::EINVAL), "no room for one");
    assert_eq!(read(&mut host, 24).unwrap(), ["data"]);
    assert_eq!(read(&mut host, 24).unwrap(), ["etc"]);
    assert!(read(&mut host, 24).unwrap().is_empty());
    host.ask(Operation::Seek, [handle, 0, 0, 0], &[]).unwrap();
    assert_eq!(read(&mut host, 99).unwrap(), ["data", "etc"]);
    assert_eq!(
        host.ask(Operation::Read, [handle, 9, HERE, 0], &[]),
        Err(Errno::EISDIR)
    );
}

#[test]
fn a_volume_to_read_refuses_every_change() {
    let mut host = Host::new();
    assert_eq!(host.read_all("/etc/app/settings").unwrap(), b"a=1");
    for flags in [O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_WRONLY | O_APPEND] {
        assert_eq!(
            host.open("/etc/app/settings", flags),
            Err(Errno::EROFS),
            "{flags:o}"
        );
    }
    let path = "/etc/app/settings";
    assert_eq!(host.on_path(Operation::Remove, path, 0), Err(Errno::EROFS));
    assert_eq!(host.on_path(Operation::SetPathMode, path, 0), Err(Errno::EROFS));
    assert_eq!(host.on_path(Operation::Access, path, 2), Err(Errno::EROFS));
    let handle = host.open(path, 0).unwrap();
    for (operation, arguments) in [
        (Operation::Write, [handle, HERE, 0, 0]),
        (Operation::Truncate, [handle, 0, 0, 0]),
        (Operation::SetMode, [handle, 0o777, 0, 0]),
    ] {
        assert!(host.ask(operation, arguments, b"x").is_err(), "{operation:?}");
    }
    assert_eq!(fs::read(host.root.join("ro/settings")).unwrap(), b"a=1");
}

#[test]
fn nothing_leads_out_of_a_volume() {
    let mut host = Host::new();
    let secret = host.root.join("outside/secret");
    let inside = host.root.join("rw");
    symlink(&secret, inside.join("absolute")).unwrap();
    symlink("../outside/secret", inside.join("relative")).unwrap();
    symlink("../outside", inside.join("folder")).unwrap();
    symlink("../../../../../../..", inside.join("root")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    for path in ["/data/absolute", "/data/relative", "/data/folder/secret"] {
        assert_eq!(host.open(path, 0), Err(Errno::ENOENT), "{path}");
        assert_eq!(host.mode(path, 0), Err(Errno::ENOENT), "{path}");
        assert_eq!(host.on_path(Operation::Access, path, 4), Err(Errno::ENOENT));
    }
    assert_eq!(host.names("/data/root"), host.names("/data"), "a root of its own");
    assert!(host.mode("/data/root/etc/passwd", 0).is_err());
    assert_eq!(host.open("/data/loop", 0), Err(Errno::ELOOP));
    assert_eq!(host.open("/data/relative", O_NOFOLLOW), Err(Errno::ELOOP));
    assert_eq!(host.mode("/data/relative", 1).unwrap() & 0o170_000, 0o120_000);
    let target = host.on_path(Operation::ReadLink, "/data/relative", 0);
    assert_eq!(target.unwrap(), b"../outside/secret");
    // Made where the link points to, as seen from inside.
    assert_eq!(
        host.open("/data/relative", O_CREAT | O_WRONLY),
        Err(Errno::ENOENT)
    );
    let remove = host.on_path(Operation::Remove, "/data/folder/secret", 0);
    assert_eq!(remove, Err(Errno::ENOENT));
    for path in [
        "/data/../outside/secret",
        "/data/./f",
        "data/f",
        "",
        "/data/f\0g",
        "/../etc/passwd",
    ] {
        assert_eq!(host.open(path, 0), Err(Errno::EINVAL), "{path}");
    }
    let long = format!("/data/{}", "x/".repeat(3000));
    assert_eq!(host.open(&long, 0), Err(Errno::ENAMETOOLONG));
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn magic_links_and_special_files_are_refused() {
    let mut host = Host::new();
    host.files = files(&["/proc:/proc:ro", "/dev:/dev"]);
    assert!(host.mode("/proc/self/status", 0).is_ok());
    for path in ["/proc/self/exe", "/proc/self/root/etc/passwd", "/proc/self/cwd"] {
        assert_eq!(host.open(path, 0), Err(Errno::ELOOP), "{path}");
    }
    for path in ["/dev/null", "/dev/tty", "/dev/zero"] {
        assert_eq!(host.open(path, 0), Err(Errno::EACCES), "{path}");
    }
    let mut host = Host::new();
    mkfifo(&host.root.join("rw/pipe"), Mode::S_IRWXU).unwrap();
    for flags in [0, O_WRONLY, O_RDWR, O_CREAT | O_RDWR, O_TRUNC] {
        assert_eq!(host.open("/data/pipe", flags), Err(Errno::EACCES));
    }
}

#[test]
fn flags_without_a_meaning_here() {
    let mut host = Host::new();
    const O_TMPFILE: u64 = 0o20_200_000;
    const O_PATH: u64 = 0o10_000_000;
    assert_eq!(host.open("/data", O_TMPFILE | O_RDWR), Err(Errno::EOPNOTSUPP));
    assert_eq!(host.open("/data", O_PATH), Err(Errno::EINVAL));
    assert_eq!(host.open("/data/f/", O_CREAT | O_RDWR), Err(Errno::EISDIR));
    assert_eq!(host.open("/data", u64::MAX), Err(Errno::EINVAL));
    assert_eq!(host.open("/data/", 0).unwrap() & DIRECTORY, DIRECTORY);
}

#[test]
fn open_files_have_a_limit() {
    let mut host = Host::new();
    host.open("/data/f", O_CREAT | O_RDWR).unwrap();
    let opened = (0..300).map(|_| host.open("/data/f", 0));
    let failed: Vec<_> = opened.filter_map(Result::err).collect();
    assert_eq!(failed, vec![Errno::ENFILE; 300 - 255]);
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("data".to_owned()),
        Just("etc".to_owned()),
        Just("..".to_owned()),
        Just("link".to_owned()),
        Just("d".to_owned()),
        Just("f".to_owned()),
        "[a-z./\\PC]{0,5}",
    ];
    let text = proptest::collection::vec(part, 0..5).prop_map(|parts| parts.join("/").into_bytes());
    prop_oneof![
        text.clone()
            .prop_map(|text| [b"/data/", text.as_slice()].concat()),
        text.prop_map(|text| [b"/", text.as_slice()].concat()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..4,
        Just(0o102),
        Just(0x100),
        Just(0x101),
        Just(1 << 16),
        Just(u64::MAX),
        any::<u64>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked, in whatever order, is answered, and what is outside stays as it is.
    #[test]
    fn hostile_requests_are_answered(
        requests in proptest::collection::vec((0usize..19, [numbers(), numbers(), numbers(), numbers()], paths()), 1..40)
    ) {
        let mut host = Host::new();
        symlink("../outside", host.root.join("rw/link")).unwrap();
        let slot = Box::new(Slot::new());
        let mut data = Vec::new();
        for (index, arguments, path) in requests {
            // A large file would be allowed, and take its time.
            let arguments = match Operation::ALL[index] {
                Operation::Truncate => [arguments[0], arguments[1] % (1 << 20), 0, 0],
                Operation::Write => [arguments[0], arguments[1] % (1 << 20), 0, 0],
                _ => arguments,
            };
            slot.write(0, &path);
            slot.post(Operation::ALL[index], arguments, path.len());
            prop_assert!(serve_slot(&slot, &mut host.files, &mut data));
            prop_assert!(slot.is_answered());
        }
        let outside: Vec<_> = fs::read_dir(host.root.join("outside")).unwrap().collect();
        prop_assert_eq!(outside.len(), 1);
        prop_assert_eq!(fs::read(host.root.join("outside/secret")).unwrap(), b"secret");
        prop_assert_eq!(fs::read(host.root.join("ro/settings")).unwrap(), b"a=1");
    }
}

fn ready(calls: &HostCalls, slot: usize) -> Option<Result<u64, i32>> {
    calls.input[slot].answered().map(|answered| answered.result)
}

#[test]
fn input_waits_for_its_writer() {
    let calls = Box::new(HostCalls::new());
    let (reader, mut writer) = pipe().unwrap();
    let mut input = Input::new(&reader);
    assert!(input.wants().0.is_none(), "nothing is read before somebody asks");
    calls.input[0].post(Operation::InputRead, [4, 0, 0, 0], 0);
    calls.input[1].post(Operation::InputReady, [0; 4], 0);
    input.serve(&calls);
    assert_eq!((ready(&calls, 0), ready(&calls, 1)), (None, Some(Ok(0))));
    assert!(input.wants().0.is_some() && input.wants().1.is_none());
    calls.input[1].post(Operation::InputReady, [WITHOUT_END, 0, 0, 0], 0);
    writer.write_all(b"abcdef").unwrap();
    input.serve(&calls);
    assert_eq!((ready(&calls, 0), ready(&calls, 1)), (Some(Ok(4)), Some(Ok(1))));
    let mut bytes = [0; 4];
    calls.input[0].read(0, &mut bytes);
    assert_eq!(&bytes, b"abcd");
    drop(writer);
    for expected in [2, 0, 0] {
        calls.input[0].post(Operation::InputRead, [u64::MAX, 0, 0, 0], 0);
        input.serve(&calls);
        assert_eq!(ready(&calls, 0), Some(Ok(expected)));
    }
}

#[test]
fn waiting_for_input_has_an_end() {
    let calls = Box::new(HostCalls::new());
    let (reader, _writer) = pipe().unwrap();
    let mut input = Input::new(&reader);
    calls.input[0].post(Operation::InputReady, [30, 0, 0, 0], 0);
    input.serve(&calls);
    assert_eq!(ready(&calls, 0), None);
    std::thread::sleep(input.wants().1.unwrap());
    input.serve(&calls);
    assert_eq!(ready(&calls, 0), Some(Ok(0)));
    calls.input[0].post(Operation::Open, [0; 4], DATA_BYTES);
    input.serve(&calls);
    assert_eq!(ready(&calls, 0), Some(Err(Errno::ENOSYS as i32)));
}

/// On a thread of its own, for there is no way back out.
#[test]
fn every_call_can_be_made_in_the_jail() {
    let mut host = Host::new();
    symlink("target", host.root.join("rw/link")).unwrap();
    let in_jail = move || {
        jail::enter_with(&host.files.volumes).unwrap();
        let arguments = [O_RDWR | O_CREAT, 0o644, 0, 0];
        let (handle, _) = host.ask(Operation::Open, arguments, b"/data/f").unwrap();
        let (root, _) = host.ask(Operation::Open, [0; 4], b"/data").unwrap();
        let root = root & (DIRECTORY - 1);
        let mut failed = Vec::new();
        for (operation, arguments, data) in [
            (Operation::Write, [handle, HERE, 0, 0], &b"hello"[..]),
            (Operation::Write, [handle, 0, 0, 0], b"hello"),
            (Operation::Read, [handle, 1, HERE, 0], b""),
            (Operation::Read, [handle, 1, 0, 0], b""),
            (Operation::Seek, [handle, 0, 0, 0], b""),
            (Operation::Status, [handle, 0, 0, 0], b""),
            (Operation::PathStatus, [0; 4], b"/data/f"),
            (Operation::PathStatus, [1, 0, 0, 0], b"/data/link"),
            (Operation::ReadDirectory, [root, 4096, 0, 0], b""),
            (Operation::Truncate, [handle, 3, 0, 0], b""),
            (Operation::Sync, [handle, 0, 0, 0], b""),
            (Operation::Sync, [handle, 1, 0, 0], b""),
            (Operation::SetMode, [handle, 0o600, 0, 0], b""),
            (Operation::SetPathMode, [0o644, 0, 0, 0], b"/data/f"),
            (Operation::MakeDirectory, [0o755, 0, 0, 0], b"/data/d"),
            (Operation::Rename, [7, 0, 0, 0], b"/data/f/data/d/g"),
            (Operation::Rename, [9, 1, 0, 0], b"/data/d/g/data/f"),
            (Operation::Remove, [1, 0, 0, 0], b"/data/d"),
            (Operation::Remove, [0; 4], b"/data/f"),
            (Operation::ReadLink, [0; 4], b"/data/link"),
            (Operation::Access, [6, 0, 0, 0], b"/data/"),
            (Operation::Close, [handle, 0, 0, 0], b""),
        ] {
            if let Err(errno) = host.ask(operation, arguments, data) {
                failed.push((operation, errno));
            }
        }
        (host, failed)
    };
    let (_host, failed) = std::thread::spawn(in_jail).join().unwrap();
    assert_eq!(failed, []);
}
