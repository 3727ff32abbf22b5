//! The header is of this library, and the example in C builds with it and echoes on plain Linux.

use ix::{Address, Handler};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The library, which cargo builds for a test only in parts.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(2).unwrap();
    let target = folder.ancestors().nth(2).unwrap();
    let profile = if folder.ends_with("release") {
        "release"
    } else {
        "dev"
    };
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--profile",
            profile,
            "--quiet",
            "--locked",
            "--package",
            "libix-c",
        ])
        .current_dir(HERE)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .unwrap();
    assert!(built.success());
    folder.join("libix.a")
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ix-c-{}-{name}", std::process::id()))
}

/// Compiles, with all warnings as errors.
fn cc(arguments: &[&Path]) {
    let mut command = Command::new("cc");
    command.args([
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-static-pie",
        "-I",
        HERE,
    ]);
    let output = command.args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Names that start with `ix_` and are followed by a parenthesis, in lines that `is_one` picks.
fn functions(text: &str, is_one: impl Fn(&str) -> bool) -> BTreeSet<&str> {
    let name = |line: &'_ str| -> Option<(usize, usize)> {
        let end = line.find('(')?;
        let start = line[..end].rfind("ix_")?;
        Some((start, end))
    };
    text.lines()
        .filter(|line| is_one(line))
        .filter_map(|line| name(line).map(|(start, end)| &line[start..end]))
        .collect()
}

#[test]
fn the_header_declares_what_the_library_has() {
    let header = std::fs::read_to_string(Path::new(HERE).join("ix.h")).unwrap();
    let declared = functions(&header, |line| {
        line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.contains("typedef")
    });
    let sources = ["src/calls.rs", "src/buffers.rs"]
        .map(|file| std::fs::read_to_string(Path::new(HERE).join(file)).unwrap());
    let defined: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| functions(source, |line| line.contains("extern \"C\" fn ix_")))
        .collect();
    assert!(defined.len() > 20);
    assert_eq!(declared, defined);
}

#[test]
fn types_are_laid_out_the_same_and_statuses_have_the_same_numbers() {
    let (source, object) = (scratch("layout.c"), scratch("layout"));
    let mut text = "#include <ix.h>\n".to_owned();
    let mut same =
        |c: &str, rust: usize| text.push_str(&format!("_Static_assert({c} == {rust}, \"{c}\");\n"));
    same("sizeof(struct ix_address)", size_of::<Address>());
    same("sizeof(struct ix_handler)", size_of::<Handler>());
    for (name, status) in [
        ("IX_NO_MEMORY", libix::Status::NoMemory),
        ("IX_BAD_HANDLE", libix::Status::BadHandle),
        ("IX_CONNECTION_RESET", libix::Status::ConnectionReset),
        ("IX_ABORTED", libix::Status::Aborted),
    ] {
        same(name, status as usize);
    }
    text.push_str("int main(void) { return 0; }\n");
    std::fs::write(&source, text).unwrap();
    cc(&[&source, Path::new("-o"), &object]);
    std::fs::remove_file(source).unwrap();
    std::fs::remove_file(object).unwrap();
}

#[test]
fn the_echo_in_c_echoes() {
    let program = scratch("echo");
    cc(&[
        &Path::new(HERE).join("examples/echo.c"),
        &library(),
        Path::new("-o"),
        &program,
    ]);
    let mut child = Command::new(&program)
        .arg("7109")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "echo: tcp and udp port 7109\n");
    let mut stream = TcpStream::connect("127.0.0.1:7109").unwrap();
    stream.write_all(b"from rust to c").unwrap();
    let mut echoed = [0; 14];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"from rust to c");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"datagram", "127.0.0.1:7109").unwrap();
    let mut datagram = [0; 100];
    assert_eq!(socket.recv(&mut datagram).unwrap(), 8);
    drop(stream);
    let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success() && child.wait().unwrap().success());
    std::fs::remove_file(program).unwrap();
}
