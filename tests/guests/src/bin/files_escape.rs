//! Tries to get out of the volume at `/data`, and to change the one at `/fixed`. The test has put links and special files
//! there; whatever this program can open outside, it would print.

use std::fs::{self, File, OpenOptions};

/// Where the host keeps what is none of the guest's business; the test knows what is in the third.
const FOREIGN: [&str; 8] = [
    "/etc/passwd",
    "/data/../etc/passwd",
    "/data/link",
    "/data/folder/secret",
    "/data/../../../../../../etc/passwd",
    "/data/up/etc/passwd",
    "/proc/self/exe",
    "/dev/null",
];

fn main() {
    for path in FOREIGN {
        if let Ok(text) = fs::read_to_string(path) {
            println!("escaped: {path} has {text}");
        }
        for options in [
            OpenOptions::new().write(true),
            OpenOptions::new().write(true).create(true),
        ] {
            if options.open(path).is_ok() {
                println!("escaped: {path} can be written");
            }
        }
        if fs::metadata(path).is_ok() {
            println!("escaped: {path} is seen");
        }
    }
    for special in ["/data/pipe", "/data/socket"] {
        println!("{special}: {}", File::open(special).expect_err("a special file"));
    }
    assert!(std::os::unix::fs::symlink("/etc", "/data/own").is_err());
    assert!(fs::hard_link("/data/link", "/data/own").is_err());
    read_only();
    println!("still inside");
}

fn read_only() {
    assert_eq!(fs::read("/fixed/file").expect("it can be read"), b"as it was");
    let changes = [
        fs::write("/fixed/file", "changed"),
        fs::write("/fixed/new", "new"),
        fs::remove_file("/fixed/file"),
        fs::rename("/fixed/file", "/fixed/other"),
        fs::create_dir("/fixed/folder"),
        fs::rename("/fixed/file", "/data/file"),
        OpenOptions::new().append(true).open("/fixed/file").map(drop),
    ];
    for change in changes {
        let error = change.expect_err("nothing may change");
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{error}");
    }
}
