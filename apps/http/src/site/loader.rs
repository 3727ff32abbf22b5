//! The thread that reads files, so that the one that serves packets never waits for a disk.

use super::{Content, File, Stamp};
use std::fs::{Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::SystemTime;

/// Linux: opening a pipe that nobody writes does not wait (`O_NONBLOCK`).
const O_NONBLOCK: i32 = 0o4000;

/// Linux' number for links that lead to each other.
const ELOOP: i32 = 40;

/// What it is asked to do.
#[derive(Debug)]
pub enum Job {
    /// Find the file of this name; one whose stamp is known need not be read again if that has not changed.
    Load {
        /// Relative to the served folder.
        name: String,
        /// What is known of it.
        known: Option<Stamp>,
    },
    /// Read a piece of a file.
    Read {
        /// Comes back with the piece.
        token: u64,
        /// From here.
        file: Arc<std::fs::File>,
        /// From this byte on.
        offset: u64,
        /// So many.
        len: usize,
    },
}

/// What it has to tell.
#[derive(Debug)]
pub enum News {
    /// About a file.
    Loaded {
        /// As it was asked for.
        name: String,
        /// What came of it.
        outcome: Outcome,
    },
    /// A piece, all of it; or nothing, if it could not be read.
    Read {
        /// As it was asked for.
        token: u64,
        /// The bytes.
        piece: Option<Vec<u8>>,
    },
}

/// What came of looking for a file.
#[derive(Debug)]
pub enum Outcome {
    /// It is there.
    Found(File),
    /// It is what it was.
    Unchanged,
    /// It is a folder.
    Folder,
    /// There is none that may be served.
    Missing,
    /// It cannot be read.
    Failed,
}

/// The thread's other end.
#[derive(Debug)]
pub struct Loader {
    jobs: Sender<Job>,
    news: Receiver<News>,
    outstanding: usize,
}

impl Loader {
    /// Starts the thread, for the files under `root`; those above `whole_bytes` are not read into memory.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn start(root: &Path, whole_bytes: u64) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let (jobs, orders) = mpsc::channel();
        let (teller, news) = mpsc::channel();
        let reader = Reader { root, whole_bytes };
        std::thread::Builder::new().name("loader".into()).spawn(move || {
            // Ends with the server.
            for job in orders {
                if teller.send(reader.carry_out(job)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Loader {
            jobs,
            news,
            outstanding: 0,
        })
    }

    /// Asks it to do something.
    pub fn ask(&mut self, job: Job) {
        // It takes orders for as long as this end is there.
        if self.jobs.send(job).is_ok() {
            self.outstanding += 1;
        }
    }

    /// What it has done, if something.
    pub fn news(&mut self) -> Option<News> {
        let news = self.news.try_recv().ok()?;
        self.outstanding -= 1;
        Some(news)
    }

    /// `true` while there will be news.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.outstanding > 0
    }
}

struct Reader {
    root: PathBuf,
    whole_bytes: u64,
}

impl Reader {
    fn carry_out(&self, job: Job) -> News {
        match job {
            Job::Load { name, known } => {
                let outcome = self.load(&name, known).unwrap_or_else(|error| outcome(&error));
                News::Loaded { name, outcome }
            }
            Job::Read {
                token,
                file,
                offset,
                len,
            } => {
                let mut piece = vec![0; len];
                let result = file.read_exact_at(&mut piece, offset);
                News::Read {
                    token,
                    piece: result.is_ok().then_some(piece),
                }
            }
        }
    }

    fn load(&self, name: &str, known: Option<Stamp>) -> io::Result<Outcome> {
        // Links may lead anywhere, and only what lies in the folder is served.
        let path = self.root.join(name).canonicalize()?;
        if !path.starts_with(&self.root) {
            return Ok(Outcome::Missing);
        }
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            return Ok(Outcome::Folder);
        }
        if !metadata.is_file() {
            return Ok(Outcome::Missing);
        }
        let stamp = stamp(&metadata);
        if known == Some(stamp) {
            return Ok(Outcome::Unchanged);
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(&path)?;
        let content = if stamp.len > self.whole_bytes {
            Content::Open(Arc::new(file))
        } else {
            whole(file, stamp.len)?
        };
        Ok(Outcome::Found(File::new(name, stamp, content)))
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        len: metadata.len(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

/// # Errors
/// `UnexpectedEof` if the file is not as long as it was a moment ago, besides what reading gives.
fn whole(file: std::fs::File, len: u64) -> io::Result<Content> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?);
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Content::Whole(bytes.into()))
}

fn outcome(error: &io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::PermissionDenied
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => Outcome::Missing,
        _ if error.raw_os_error() == Some(ELOOP) => Outcome::Missing,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Job, Loader, News, Outcome};
    use crate::site::{Content, Stamp};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    fn news(loader: &mut Loader, job: Job) -> News {
        loader.ask(job);
        assert!(loader.is_busy());
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(news) = loader.news() {
                return news;
            }
            assert!(Instant::now() < until, "no news");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn load(loader: &mut Loader, name: &str, known: Option<Stamp>) -> Outcome {
        let name = name.to_owned();
        match news(loader, Job::Load { name, known }) {
            News::Loaded { outcome, .. } => outcome,
            News::Read { .. } => panic!("not asked for"),
        }
    }

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("http-loader-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("root/sub")).unwrap();
        std::fs::write(folder.join("root/small"), "content").unwrap();
        std::fs::write(folder.join("root/large"), vec![7; 5_000]).unwrap();
        std::fs::write(folder.join("secret"), "secret").unwrap();
        let _ = symlink("../secret", folder.join("root/link"));
        let _ = symlink("small", folder.join("root/inside"));
        folder
    }

    #[test]
    fn files_of_the_folder_are_found_and_nothing_else() {
        let folder = folder();
        let mut loader = Loader::start(&folder.join("root"), 1_000).unwrap();
        let Outcome::Found(small) = load(&mut loader, "small", None) else {
            panic!("it is there");
        };
        assert!(matches!(&small.content, Content::Whole(bytes) if **bytes == *b"content"));
        assert!(matches!(
            load(&mut loader, "small", Some(small.stamp)),
            Outcome::Unchanged
        ));
        assert!(matches!(load(&mut loader, "inside", None), Outcome::Found(_)));
        assert!(matches!(load(&mut loader, "sub", None), Outcome::Folder));
        for name in ["link", "nothing", "small/file", "../secret", "sub/../../secret"] {
            assert!(
                matches!(load(&mut loader, name, None), Outcome::Missing),
                "{name}"
            );
        }
        let Outcome::Found(large) = load(&mut loader, "large", None) else {
            panic!("it is there");
        };
        let Content::Open(file) = large.content else {
            panic!("it is above the limit");
        };
        for (offset, whole) in [(4_990, true), (4_991, false)] {
            let file = file.clone();
            let read = Job::Read {
                token: 3,
                file,
                offset,
                len: 10,
            };
            let News::Read { token: 3, piece } = news(&mut loader, read) else {
                panic!("other news");
            };
            assert_eq!(piece, whole.then(|| vec![7; 10]));
        }
        std::fs::remove_dir_all(folder).unwrap();
        assert!(Loader::start(std::path::Path::new("/nowhere"), 1).is_err());
    }
}
