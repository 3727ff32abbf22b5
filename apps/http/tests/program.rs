//! The program itself, over Linux sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Killed when the test ends, however; its folder is removed.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(name: &str, args: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("http-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("index.html"), "found").unwrap();
        // Free now; nobody else is likely to take it in between.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_http"))
            .args(["--port", &port.to_string(), "--root"])
            .arg(&folder)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, format!("http: http on port {port}\n"));
        Server { child, port, folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn bodies_that_together_are_too_much_cost_their_senders_and_nobody_else() {
    let server = Server::start("shed", &["--max-held-mib", "4", "--body-timeout", "60"]);
    // Each within its own limit, and none of them ever whole.
    let streams: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = server.connect();
            write!(
                stream,
                "POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
            )
            .unwrap();
            // Fails once it is reset.
            let _ = stream.write_all(&vec![b'x'; 900_000]);
            stream
        })
        .collect();
    let status = |text: &str| -> serde_json::Value {
        serde_json::from_str(text.split_once("\r\n\r\n").expect("a head").1).expect("JSON")
    };
    let mut shed = 0;
    for _ in 0..200 {
        shed = status(&server.get("/api/status"))["shed"]
            .as_u64()
            .expect("a number");
        if shed >= 8 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((8..12).contains(&shed), "{shed} of 12");
    assert!(server.get("/").ends_with("found"));
    drop(streams);
}

#[test]
fn clients_that_do_not_read_are_not_read_either() {
    let server = Server::start("deaf", &["--max-held-mib", "4"]);
    let mut stream = server.connect();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let body = vec![b'x'; 500_000];
    let mut taken = 0;
    // Until everything between is full, which must not be this server's memory.
    while taken < 200
        && write!(
            stream,
            "POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
        )
        .is_ok()
        && stream.write_all(&body).is_ok()
    {
        taken += 1;
    }
    assert!(taken < 200, "100 MB went in");
    assert!(server.get("/").ends_with("found"));
    let text = server.get("/api/status");
    assert!(text.contains("\"shed\":0,"), "{text}");
}
