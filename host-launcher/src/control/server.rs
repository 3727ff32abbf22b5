use super::counting::{Counting, Request};
use super::{Ask, Info, Reply, Scaling, Stats, socket};
use std::fs::DirBuilder;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest line a client may send.
const MAX_ASK_BYTES: usize = 4096;
/// Most clients at a time; more are turned away.
const MAX_CLIENTS: usize = 32;
/// How long the kernel may take to answer with fresh counters.
const STATS_PATIENCE: Duration = Duration::from_millis(500);
/// How long cores may take to move: ring 3 may compute for long.
const SCALE_PATIENCE: Duration = Duration::from_secs(4);
/// How often we look whether it has: it has no way to wake us for this.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Why a run has no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another run has the name.
    #[error("a run named {0} is already there; choose another with --name, or end it with: ix stop {0}")]
    NameTaken(String),
    /// The directory of the sockets belongs to someone else.
    #[error("{0} belongs to another user; set IX_RUNTIME_DIR to a directory of your own")]
    NotOurs(PathBuf),
    /// The socket cannot be made.
    #[error("cannot make the control socket {path}; set IX_RUNTIME_DIR to a directory you can write to")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What clients want of the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing; they were answered.
    None,
    /// That it stops.
    Stop,
}

/// The listening socket and who is connected. The socket file goes with it.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
}

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    waits: Option<Waiting>,
}

/// A client that waits for something of the kernel's.
struct Waiting {
    what: Awaited,
    until: Instant,
}

enum Awaited {
    /// Fresh counters.
    Stats(Request),
    /// So many cores at work.
    Cores(u16),
}

impl Server {
    /// Listens under `name`. The socket of a dead run is in no one's way.
    pub fn listen(directory: &Path, name: &str) -> Result<Self, ControlError> {
        let path = socket(directory, name);
        let failed = |source| ControlError::Socket {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let owner = directory.metadata().map_err(failed)?.uid();
        if owner != nix::unistd::geteuid().as_raw() {
            return Err(ControlError::NotOurs(directory.to_owned()));
        }
        match UnixStream::connect(&path) {
            Ok(_) => return Err(ControlError::NameTaken(name.to_owned())),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(&path).map_err(failed)?;
            }
            Err(_) => (),
        }
        let listener = UnixListener::bind(&path).map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => ControlError::NameTaken(name.to_owned()),
            _ => failed(source),
        })?;
        let server = Self {
            listener,
            path: path.clone(),
            clients: Vec::new(),
        };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        server.listener.set_nonblocking(true).map_err(failed)?;
        Ok(server)
    }

    /// What to poll for input.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let clients = self.clients.iter().map(|client| client.stream.as_fd());
        std::iter::once(self.listener.as_fd()).chain(clients)
    }

    /// How soon [`Server::serve`] wants to be called without input.
    pub fn patience(&self) -> Option<Duration> {
        self.clients
            .iter()
            .any(|client| client.waits.is_some())
            .then_some(LOOK_INTERVAL)
    }

    /// Accepts, reads and answers what can be without waiting.
    pub fn serve(&mut self, counting: &Counting<'_>, scaling: &Scaling<'_>, info: impl Fn() -> Info) -> Wish {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client {
                    stream,
                    input: Vec::new(),
                    waits: None,
                });
            }
        }
        let mut wish = Wish::None;
        self.clients
            .retain_mut(|client| client.serve(counting, scaling, &info, &mut wish).is_ok());
        wish
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Someone may have removed it already; then there is nothing left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// An error means that the client has gone or is to go.
    fn serve(
        &mut self,
        counting: &Counting<'_>,
        scaling: &Scaling<'_>,
        info: &impl Fn() -> Info,
        wish: &mut Wish,
    ) -> io::Result<()> {
        self.read()?;
        self.answer(counting, scaling)?;
        while self.waits.is_none()
            && let Some(end) = self.input.iter().position(|&byte| byte == b'\n')
        {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Ask::Info) => self.reply(&Reply::Info(info()))?,
                Ok(Ask::Stats) => self.wait_for(Awaited::Stats(counting.ask()), STATS_PATIENCE),
                Ok(Ask::Scale { cores }) => match scaling.ask(cores) {
                    Ok(()) => self.wait_for(Awaited::Cores(cores), SCALE_PATIENCE),
                    Err(reason) => self.reply(&Reply::NotScaled { reason })?,
                },
                Ok(Ask::Stop) => {
                    *wish = Wish::Stop;
                    self.reply(&Reply::Stopping)?;
                }
                Err(error) => self.reply(&Reply::Error {
                    message: error.to_string(),
                })?,
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0; 512];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) if self.input.len() + count > MAX_ASK_BYTES => {
                    return Err(ErrorKind::InvalidData.into());
                }
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
    }

    fn wait_for(&mut self, what: Awaited, patience: Duration) {
        self.waits = Some(Waiting {
            what,
            until: Instant::now() + patience,
        });
    }

    /// Answers what the client waits for, if it is there or never comes.
    fn answer(&mut self, counting: &Counting<'_>, scaling: &Scaling<'_>) -> io::Result<()> {
        let Some(waiting) = &self.waits else { return Ok(()) };
        let is_there = match waiting.what {
            Awaited::Stats(request) => counting.has_answered(request),
            Awaited::Cores(cores) => scaling.active() == cores,
        };
        if !is_there && Instant::now() < waiting.until {
            return Ok(());
        }
        let reply = match waiting.what {
            Awaited::Stats(_) => Reply::Stats(Stats {
                fresh: is_there,
                counters: counting.read().collect(),
            }),
            Awaited::Cores(cores) if is_there => Reply::Scaled { cores },
            Awaited::Cores(_) => Reply::NotScaled {
                reason: "the kernel has not done it yet".to_owned(),
            },
        };
        self.waits = None;
        self.reply(&reply)
    }

    /// A client that does not read what it asked for is cut off rather than waited for.
    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::{ControlError, Server, Wish};
    use crate::control::{Counting, Info, Reply, Scaling};
    use crate::sys::{GuestRam, PageKind};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ix-server-{}-{name}", std::process::id()))
    }

    fn info() -> Info {
        let word = || "x".to_owned();
        Info {
            name: word(),
            pid: 1,
            state: word(),
            uptime_s: 0,
            cores: 1,
            max_cores: 4,
            ip: word(),
            net: word(),
            app: word(),
        }
    }

    fn kernel(ram: &GuestRam) -> Counting<'_> {
        Counting {
            kernel: &ram.area().counters,
            machine: None,
        }
    }

    fn cores(ram: &GuestRam) -> Scaling<'_> {
        Scaling {
            area: ram.area(),
            most: 4,
        }
    }

    fn reply(stream: &UnixStream) -> Reply {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn questions_are_answered() {
        let directory = directory("asks");
        let ram = GuestRam::create(64 << 20, PageKind::Transparent).unwrap();
        let counters = &ram.area().counters;
        counters.describe(["rx", "tx"].into_iter());
        counters.publish(0, [3, 4].into_iter());
        let mut server = Server::listen(&directory, "x").unwrap();
        let mut client = UnixStream::connect(directory.join("x.sock")).unwrap();
        let mut serve = |line: &str| {
            client.write_all(line.as_bytes()).unwrap();
            server.serve(&kernel(&ram), &cores(&ram), info)
        };
        assert_eq!(serve("{\"ask\":\"info\"}\nnonsense\n{\"ask\":\"sta"), Wish::None);
        assert_eq!(serve("ts\"}\n"), Wish::None);
        counters
            .answered
            .store(counters.requested.load(Ordering::Relaxed), Ordering::Relaxed);
        assert_eq!(serve("{\"ask\":\"stop\"}\n"), Wish::Stop);
        let mut lines = BufReader::new(&client)
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        assert_eq!(lines.next(), Some(Reply::Info(info())));
        assert!(matches!(lines.next(), Some(Reply::Error { .. })));
        let Some(Reply::Stats(stats)) = lines.next() else {
            panic!("counters were asked for")
        };
        assert!(stats.fresh && stats.counters["rx"] == 3 && stats.counters["tx"] == 4);
        assert_eq!(lines.next(), Some(Reply::Stopping));
        drop(server);
        std::fs::remove_dir(&directory).expect("the socket is gone, so the directory is empty");
    }

    #[test]
    fn cores_are_said_to_have_moved_when_they_have() {
        let directory = directory("scale");
        let ram = GuestRam::create(64 << 20, PageKind::Transparent).unwrap();
        let area = ram.area();
        let mut server = Server::listen(&directory, "x").unwrap();
        let mut client = UnixStream::connect(directory.join("x.sock")).unwrap();
        for bad in [0, 5] {
            let line = format!("{{\"ask\":\"scale\",\"cores\":{bad}}}\n");
            client.write_all(line.as_bytes()).unwrap();
            server.serve(&kernel(&ram), &cores(&ram), info);
            assert!(
                matches!(reply(&client), Reply::NotScaled { reason } if reason.contains("it has 4 cores")),
                "{bad}"
            );
        }
        assert_eq!(area.cores_wanted.load(Ordering::Relaxed), 0);
        client.write_all(b"{\"ask\":\"scale\",\"cores\":3}\n").unwrap();
        server.serve(&kernel(&ram), &cores(&ram), info);
        assert_eq!(area.cores_wanted.load(Ordering::Relaxed), 3);
        assert!(server.patience().is_some(), "it waits for the kernel");
        area.cores_active.store(3, Ordering::Relaxed);
        server.serve(&kernel(&ram), &cores(&ram), info);
        assert_eq!(reply(&client), Reply::Scaled { cores: 3 });
        assert_eq!(server.patience(), None);
        drop(server);
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_silent_kernel_gives_old_counters() {
        let directory = directory("silent");
        let ram = GuestRam::create(64 << 20, PageKind::Transparent).unwrap();
        let mut server = Server::listen(&directory, "x").unwrap();
        let mut client = UnixStream::connect(directory.join("x.sock")).unwrap();
        client.write_all(b"{\"ask\":\"stats\"}\n").unwrap();
        while server.serve(&kernel(&ram), &cores(&ram), info) == Wish::None && server.patience().is_some() {
            std::thread::sleep(server.patience().unwrap());
        }
        assert!(matches!(reply(&client), Reply::Stats(stats) if !stats.fresh));
        client.write_all(&[b'x'; 5000]).unwrap();
        server.serve(&kernel(&ram), &cores(&ram), info);
        assert_eq!(server.fds().count(), 1, "who sends too much is cut off");
        drop(server);
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_name_is_taken_once_and_free_after_a_crash() {
        let directory = directory("names");
        let server = Server::listen(&directory, "x").unwrap();
        assert!(matches!(
            Server::listen(&directory, "x"),
            Err(ControlError::NameTaken(_))
        ));
        drop(server);
        drop(UnixListener::bind(directory.join("x.sock")).unwrap());
        drop(Server::listen(&directory, "x").unwrap());
        std::fs::remove_dir(&directory).unwrap();
    }
}
