//! A server without a network, and memcached beside it.
#![allow(dead_code, reason = "each test program takes what it needs")]

use kv::connection::Connection;
use kv::replies::Replies;
use kv::shard::{Settings, Shard};
use kv::store::Clock;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Any time well after memcached was written.
pub(crate) const UNIX_TIME: u64 = 1_700_000_000;

/// What memcached is started with by default.
pub(crate) fn settings() -> Settings {
    Settings {
        memory: 64 << 20,
        item: 1 << 20,
        connections: 1024,
        port: 11211,
        udp_port: 0,
        verbosity: 0,
    }
}

/// One client and its server.
pub(crate) struct Session {
    pub(crate) shard: Shard,
    pub(crate) connection: Connection,
    replies: Replies,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Session {
            shard: Shard::alone(settings, Clock::starting_at(UNIX_TIME)),
            connection: Connection::new(0),
            replies: Replies::new(),
        }
    }

    /// The replies to `bytes`, which come in pieces of at most `piece` bytes.
    pub(crate) fn say_in_pieces(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for mut bytes in bytes.chunks(piece) {
            while !bytes.is_empty() && !self.connection.is_closing() {
                let taken = self.connection.receive(bytes, &mut self.shard, &mut self.replies);
                assert!(taken > 0 || self.connection.is_closing(), "no progress");
                bytes = &bytes[taken..];
                all.extend(self.replies.flat());
                self.replies.clear();
            }
        }
        all
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.say_in_pieces(bytes.as_ref(), usize::MAX)
    }

    /// Plays a dialogue: lines that begin with `>` are said, the others are expected. Line ends are added.
    pub(crate) fn play(&mut self, dialogue: &str) {
        let mut expected = String::new();
        let mut got = Vec::new();
        let mut said = String::new();
        let lines = dialogue
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.is_empty());
        for line in lines.chain([">"]) {
            if let Some(request) = line.strip_prefix('>') {
                assert_eq!(String::from_utf8_lossy(&got), expected, "after {said:?}");
                request.trim_start().clone_into(&mut said);
                expected.clear();
                if !said.is_empty() {
                    // `\n` within is a line end, so that a value goes with its command.
                    let request = said.replace("\\n", "\r\n") + "\r\n";
                    got = self.say(request);
                } else {
                    got.clear();
                }
            } else {
                expected += line;
                expected += "\r\n";
            }
        }
    }
}

/// Debian's memcached, on a socket of its own. Dropping it ends it.
pub(crate) struct Memcached {
    child: Child,
    socket: PathBuf,
}

impl Memcached {
    pub(crate) fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("kv-oracle-{}-{number}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("memcached")
            .args(["-u", "root", "-t", "1", "-m", "64", "-s"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("memcached is installed (scripts/deps test)");
        Memcached { child, socket }
    }

    /// Its replies to `bytes`, to the end of the stream.
    pub(crate) fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let patience = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < patience, "no memcached: {error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut replies = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // It may have closed before it has read everything.
                let _ = (&stream).write_all(bytes);
                let _ = stream.shutdown(Shutdown::Write);
            });
            // A reset is an end as well.
            let _ = (&stream).read_to_end(&mut replies);
        });
        replies
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Fails unless memcached says the same to `script` as we do. A second may pass between the two, so a difference has to
/// show twice.
pub(crate) fn assert_same_as_memcached(script: &[u8]) {
    for attempt in 0..2 {
        let theirs = Memcached::start().say(script);
        let ours = Session::new().say(script);
        if ours == theirs {
            return;
        }
        if attempt == 1 {
            panic!(
                "memcached differs after\n{}\nmemcached:\n{}\nours:\n{}",
                readable(script),
                readable(&theirs),
                readable(&ours),
            );
        }
    }
}

fn readable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n")
}
