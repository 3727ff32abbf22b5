//! Calls on files, in a volume with links that lead out of it.

use fuzzing::Input;
use host_launcher::hostcall::{Files, Volumes, serve_slot};
use ix_abi::host::hostcall::{DATA_BYTES, HERE, Operation, Slot};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What must not be seen inside.
const SECRET: &[u8] = b"the secret of the host";

/// What paths are made of. The volume for reading is at `/data/fixed`.
const PARTS: [&str; 14] = [
    "/data", "/fixed", "/out", "/up", "/folder", "/a", "/b", "/secret", "/..", "/.", "/", "\0", "/loop", "x",
];

pub(crate) struct Calls {
    root: PathBuf,
    files: Files,
    slot: Box<Slot>,
    /// Handles that were given, to be used again.
    handles: Vec<u64>,
    data: Vec<u8>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("ix-fuzz-{}-{number}", std::process::id()));
        for folder in ["data", "fixed", "outside"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("outside/secret"), SECRET).expect("a file");
        fs::write(root.join("fixed/a"), "as it was").expect("a file");
        let data = root.join("data");
        for (target, link) in [
            (root.join("outside/secret"), "out"),
            ("../outside".into(), "folder"),
            ("../../../../..".into(), "up"),
            ("loop".into(), "loop"),
        ] {
            symlink(target, data.join(link)).expect("a link");
        }
        let volumes = [
            format!("{}:/data", data.display()),
            format!("{}:/data/fixed:ro", root.join("fixed").display()),
        ];
        let volumes = volumes.map(|text| text.parse().expect("a volume"));
        Calls {
            files: Files::new(Volumes::open(&volumes).expect("directories")),
            root,
            slot: Box::new(Slot::new()),
            handles: vec![0],
            data: Vec::new(),
        }
    }

    pub(crate) fn step(&mut self, input: &mut Input<'_>) {
        let operation = input.one_of(&Operation::ALL);
        let handle = self.handles[usize::from(input.byte()) % self.handles.len()];
        let path: String = (0..input.byte() % 6).map(|_| input.one_of(&PARTS)).collect();
        let number = |input: &mut Input<'_>| match input.byte() % 4 {
            0 => input.long(),
            1 => HERE,
            _ => u64::from(input.byte()),
        };
        let arguments = match operation {
            Operation::Open => [u64::from(input.word()) & 0o3_777_777, number(input), 0, 0],
            // Room on the host's disk is not what is looked for.
            Operation::Truncate => [handle, number(input) % 0x1_0000, 0, 0],
            Operation::Write => [handle, number(input) % 0x1_0000, 0, 0],
            Operation::Rename => [number(input), number(input), 0, 0],
            _ => [input.one_of(&[handle, 0, 1]), number(input), number(input), 0],
        };
        let path = match operation {
            Operation::Rename => path.repeat(2),
            _ => path,
        };
        self.slot.write(0, path.as_bytes());
        let len = input.one_of(&[path.len(), path.len(), path.len(), 0, DATA_BYTES]);
        self.slot.post(operation, arguments, len);
        assert!(serve_slot(&self.slot, &mut self.files, &mut self.data));
        self.check(operation, arguments);
    }

    fn check(&mut self, operation: Operation, arguments: [u64; 4]) {
        let answered = self.slot.answered().expect("an answer");
        let Ok(value) = answered.result else { return };
        if operation == Operation::Open {
            self.handles.push(value & u64::from(u32::MAX));
        }
        if operation == Operation::Read {
            assert!(value <= arguments[1] && value == answered.data_bytes as u64);
        }
        let mut data = vec![0; answered.data_bytes];
        self.slot.read(0, &mut data);
        assert!(
            !data.windows(SECRET.len()).any(|part| part == SECRET),
            "it is out"
        );
    }

    pub(crate) fn end(self) {
        let outside = fs::read_dir(self.root.join("outside"))
            .expect("the folder")
            .count();
        assert_eq!(outside, 1);
        assert_eq!(
            fs::read(self.root.join("outside/secret")).expect("the file"),
            SECRET
        );
        assert_eq!(
            fs::read(self.root.join("fixed/a")).expect("the file"),
            b"as it was"
        );
        assert_eq!(
            fs::read_dir(self.root.join("fixed")).expect("the folder").count(),
            1
        );
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // A folder that the guest has locked is left over among temporary things.
        let _ = fs::remove_dir_all(&self.root);
    }
}
