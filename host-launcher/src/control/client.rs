use super::{Ask, Info, Reply, Stats, directory, socket};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a run may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a run cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is none of that name.
    #[error("no run is named {0}; ix ps lists them")]
    NoSuchRun(String),
    /// It is someone else's.
    #[error("the run {0} belongs to another user; ask as that user or as root")]
    NotOurs(String),
    /// It does not answer, or not sensibly.
    #[error("the run {0} does not answer")]
    NoAnswer(String, #[source] io::Error),
    /// It works on as many cores as before.
    #[error("the run {0} does not work on so many cores: {1}")]
    NotScaled(String, String),
    /// It did not understand us.
    #[error("the run {name} refused: {message}; is it of another version of ix?")]
    Refused {
        /// Its name.
        name: String,
        /// What it said.
        message: String,
    },
}

struct Connection {
    name: String,
    stream: BufReader<UnixStream>,
}

impl Connection {
    fn open(directory: &Path, name: &str) -> Result<Self, ClientError> {
        let own = || name.to_owned();
        let stream = UnixStream::connect(socket(directory, name)).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NoSuchRun(own()),
            ErrorKind::PermissionDenied => ClientError::NotOurs(own()),
            _ => ClientError::NoAnswer(own(), error),
        })?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| ClientError::NoAnswer(own(), error))?;
        Ok(Self {
            name: own(),
            stream: BufReader::new(stream),
        })
    }

    fn ask(&mut self, ask: Ask) -> Result<Reply, ClientError> {
        match self.exchange(ask) {
            Ok(Reply::Error { message }) => Err(ClientError::Refused {
                name: self.name.clone(),
                message,
            }),
            Ok(reply) => Ok(reply),
            Err(error) => Err(ClientError::NoAnswer(self.name.clone(), error)),
        }
    }

    fn exchange(&mut self, ask: Ask) -> io::Result<Reply> {
        let line = serde_json::to_string(&ask)? + "\n";
        self.stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    }

    fn misunderstood(&self) -> ClientError {
        ClientError::NoAnswer(self.name.clone(), ErrorKind::InvalidData.into())
    }
}

/// This user's runs, by name. Sockets of dead ones are removed; a run that ends while asked is left out.
#[must_use]
pub fn list() -> Vec<Info> {
    let directory = directory();
    let files = std::fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut runs: Vec<Info> = files
        .filter_map(|file| {
            let name = file.file_name().to_str()?.strip_suffix(".sock")?.to_owned();
            match UnixStream::connect(file.path()) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(file.path()).ok()?;
                    return None;
                }
                _ => (),
            }
            match Connection::open(&directory, &name).and_then(|mut run| run.ask(Ask::Info)) {
                Ok(Reply::Info(info)) => Some(info),
                _ => None,
            }
        })
        .collect();
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    runs
}

/// The counters of a run.
pub fn stats(name: &str) -> Result<Stats, ClientError> {
    let mut run = Connection::open(&directory(), name)?;
    match run.ask(Ask::Stats)? {
        Reply::Stats(stats) => Ok(stats),
        _ => Err(run.misunderstood()),
    }
}

/// Has a run work on so many cores, and waits until it does.
pub fn scale(name: &str, cores: u16) -> Result<u16, ClientError> {
    let mut run = Connection::open(&directory(), name)?;
    match run.ask(Ask::Scale { cores })? {
        Reply::Scaled { cores } => Ok(cores),
        Reply::NotScaled { reason } => Err(ClientError::NotScaled(name.to_owned(), reason)),
        _ => Err(run.misunderstood()),
    }
}

/// Asks a run to stop, and waits until it has; its own grace time bounds that.
pub fn stop(name: &str) -> Result<(), ClientError> {
    let mut run = Connection::open(&directory(), name)?;
    run.ask(Ask::Stop)?;
    let failed = |error| ClientError::NoAnswer(name.to_owned(), error);
    run.stream.get_ref().set_read_timeout(None).map_err(failed)?;
    let mut rest = String::new();
    run.stream.read_line(&mut rest).map(drop).map_err(failed)
}
