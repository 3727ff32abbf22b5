//! `ix new`: what it makes builds, passes its own tests, and serves, on Linux sockets and on Ixion's kernel.

use ixion_tests::{Folder, Namespace, Runner, artifacts, peer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PORT: u16 = 7007;

fn ix_new(folder: &Folder, words: &[&str]) -> Output {
    let mut ix = Command::new(artifacts::ix());
    ix.arg("new").args(words).current_dir(folder.join(""));
    ix.output().expect("ix can be started")
}

/// Its code, and what it complains of.
fn refusal(folder: &Folder, words: &[&str]) -> (Option<i32>, String) {
    let output = ix_new(folder, words);
    assert_eq!(output.stdout, b"");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Cargo in a new crate, without the network: all that it needs is there.
fn cargo(folder: &Path, words: &[&str]) -> String {
    let mut cargo = Command::new("cargo");
    cargo.args(words).current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", artifacts::new_crates());
    cargo.env("CARGO_NET_OFFLINE", "true");
    artifacts::forget_cargo(&mut cargo);
    let output = cargo.output().expect("cargo can be started");
    let (said, complaint) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "cargo {words:?}\n{said}\n{complaint}");
    assert!(!complaint.contains("warning"), "{complaint}");
    said.into_owned()
}

/// Makes a crate, builds and tests it; the program.
fn made(folder: &Folder, name: &str, template: &str) -> PathBuf {
    let output = ix_new(folder, &[name, "--template", template]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for command in [
        &format!("cd {name}"),
        "cargo build",
        "cargo run",
        "cargo test",
        "cargo ixion",
    ] {
        assert!(said.contains(command), "{command} is not told: {said}");
    }
    let path = folder.join(name);
    cargo(&path, &["build"]);
    let tested = cargo(&path, &["test"]);
    assert!(tested.contains("test result: ok. 2 passed"), "{tested}");
    let program = artifacts::new_crates().join("x86_64-unknown-linux-gnu/debug");
    program.join(name)
}

/// A program on Linux sockets, ended with its test.
struct Hosted(Child);

impl Hosted {
    fn start(namespace: &Namespace, program: &Path) -> Self {
        let mut command = namespace.command(program.to_str().unwrap());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "serving at port 7007\n");
        Hosted(child)
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has `talk` talk to the program in both worlds, on several cores.
fn in_both_worlds(program: &Path, talk: impl Fn(&Namespace, SocketAddr)) {
    let namespace = Namespace::new().unwrap();
    let hosted = Hosted::start(&namespace, program);
    talk(&namespace, SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    drop(hosted);
    let run = Runner::new(program)
        .on(&namespace)
        .options(&["--cores", "2"])
        .start();
    run.wait_for("serving at port 7007");
    talk(&namespace, peer::guest(PORT));
    run.stop().assert_code(0);
}

/// What is answered to `said` until the server has no more to say.
fn answer(namespace: &Namespace, to: SocketAddr, said: &str) -> String {
    let mut stream = peer::connect(namespace, to);
    stream.write_all(said.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_new_echo_server_echoes() {
    let folder = Folder::new();
    let program = made(&folder, "my-echo", "echo");
    in_both_worlds(&program, |namespace, to| {
        for seed in 0..8 {
            let stream = peer::connect(namespace, to);
            peer::exchange_and_finish(stream, &peer::pattern(seed, 100_000));
        }
        let socket = peer::udp(namespace, to);
        socket.send(b"hello").unwrap();
        let mut room = [0; 10];
        let len = socket.recv(&mut room).unwrap();
        assert_eq!(&room[..len], b"hello");
    });
}

#[test]
fn a_new_async_server_answers_lines() {
    let folder = Folder::new();
    let program = made(&folder, "counts_words", "async");
    in_both_worlds(&program, |namespace, to| {
        assert_eq!(answer(namespace, to, "one two three\n\nfour\n"), "3\n0\n1\n");
        let lines = "a b\n".repeat(20_000);
        assert!(answer(namespace, to, &lines) == "2\n".repeat(20_000));
    });
}

#[test]
fn a_new_store_keeps_values_for_the_clients_of_all_cores() {
    let folder = Folder::new();
    let program = made(&folder, "keeps", "kv");
    in_both_worlds(&program, |namespace, to| {
        assert_eq!(
            answer(namespace, to, "set greeting good day\nquit\n"),
            "ok\nwhat?\n"
        );
        // Of a dozen, some are on each core.
        for _ in 0..12 {
            assert_eq!(
                answer(namespace, to, "get greeting\nget x\n"),
                "value good day\nnone\n"
            );
        }
        assert_eq!(
            answer(namespace, to, "delete greeting\ndelete greeting\n"),
            "ok\nnone\n"
        );
        let value = "v".repeat(100_000);
        let said = format!("set large {value}\n{}", "get large\n".repeat(20));
        let expected = format!("ok\n{}", format!("value {value}\n").repeat(20));
        assert!(answer(namespace, to, &said) == expected);
    });
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_left_of_it() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("there")).unwrap();
    for (words, part) in [
        (&["there"][..], "there is there already"),
        (&["../out"], "letters"),
        (&["fn"], "means something to Rust"),
        (&["new", "--libix", "/nowhere"], "no libix in /nowhere"),
        (&["new", "--template", "web"], "invalid value 'web'"),
    ] {
        let (code, complaint) = refusal(&folder, words);
        assert_eq!(code, Some(125), "{complaint}");
        assert!(complaint.contains(part), "{complaint}");
    }
    assert_eq!(std::fs::read_dir(folder.join("")).unwrap().count(), 1);
}

#[test]
fn libix_may_lie_elsewhere() {
    let folder = Folder::new();
    let libix = folder.join("ixion/libix");
    std::fs::create_dir_all(&libix).unwrap();
    std::fs::write(libix.join("Cargo.toml"), "[package]\nname = \"libix\"\n").unwrap();
    let checkout = folder.join("ixion");
    let output = ix_new(&folder, &["elsewhere", "--libix", checkout.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let manifest = std::fs::read_to_string(folder.join("elsewhere/Cargo.toml")).unwrap();
    let path = libix.canonicalize().unwrap();
    assert!(
        manifest.contains(&format!("path = \"{}\"", path.display())),
        "{manifest}"
    );
}
