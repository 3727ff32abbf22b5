//! Enters the jail as a thread of a kind, then does what it is told: `jailed KIND ACTION`. What came of it is printed; the
//! launcher's tests see from outside what the jail lets through.

use host_launcher::config::Volume;
use host_launcher::hostcall::Volumes;
use host_launcher::jail::{self, Kind};
use nix::fcntl::{OFlag, OpenHow, openat2};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, action, rest @ ..] = words.as_slice() else {
        panic!("jailed KIND ACTION [VOLUME]");
    };
    let ready = File::open("/etc/hostname").or_else(|_| File::open("/etc/passwd"));
    let ready = ready.expect("a file that is open before");
    let entered = match (kind.as_str(), rest) {
        ("watch", _) => jail::enter(Kind::Watch),
        ("vcpu", _) => jail::enter(Kind::Vcpu),
        ("data-plane", _) => jail::enter(Kind::DataPlane),
        ("input", _) => jail::enter(Kind::Input),
        ("files", [volume]) => {
            let volume: Volume = volume.parse().expect("a volume");
            jail::enter_with(&Volumes::open(&[volume]).expect("a directory"))
        }
        _ => panic!("no such kind: {kind}"),
    };
    println!("entered: {:?}", entered.expect("the jail is there"));
    match act(action, &ready) {
        Ok(what) => println!("done: {what}"),
        Err(error) => println!("refused: {error}"),
    }
}

fn act(action: &str, ready: &File) -> io::Result<String> {
    let open = |path: &str| {
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC);
        openat2(ready, path, how)
    };
    match action {
        "work" => {
            let mut bytes = [0; 4];
            ready.read_at(&mut bytes, 0)?;
            let list = vec![1_u8; 10 << 20];
            io::stdout().flush()?;
            Ok(format!("{} bytes, {}", list.len(), bytes.len()))
        }
        "open" => File::open("/etc/passwd").map(|_| "opened".to_owned()),
        "write" => File::create("/tmp/ix-jail-must-not-be").map(|_| "created".to_owned()),
        "connect" => TcpStream::connect("127.0.0.1:1").map(|_| "connected".to_owned()),
        "exec" => Command::new("/bin/true")
            .status()
            .map(|status| status.to_string()),
        "thread" => Ok(format!("{:?}", std::thread::spawn(|| 7).join())),
        "chmod" => nix::sys::stat::fchmod(ready, Mode::S_IRWXU)
            .map(|()| "changed".to_owned())
            .map_err(Into::into),
        path => open(path).map(|_| format!("opened {path}")).map_err(Into::into),
    }
}
