//! What is served: files by path, and the JSON interface under `/api/`.

mod file;
pub use file::{Content, File, Stamp};

mod cache;
pub use cache::{Cache, Lookup};

mod loader;
pub use loader::{Job, Loader, News, Outcome};

mod answer;

mod multipart;

mod api;

use crate::counters::Counters;
use crate::request::{Refusal, Request, Target, resolve};
use crate::response::Response;
use http::{Method, StatusCode};
use std::sync::Arc;

/// How a request is answered.
#[derive(Debug)]
pub enum Answer {
    /// At once.
    Now(Response),
    /// When the loader has told about the file of this name.
    AfterLoading(String),
}

/// Everything that can be asked for.
#[derive(Debug)]
pub struct Site {
    cache: Cache,
    /// What the loader is to do.
    jobs: Vec<Job>,
    /// What has happened so far; connections add to it.
    pub counters: Counters,
}

impl Site {
    /// Nothing but what `cache` will hold.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Site {
            cache,
            jobs: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Answers `request` at time `now_ms`; its body may go into the answer.
    pub fn answer(&mut self, request: &mut Request, now_ms: u64) -> Answer {
        let path = match &request.target {
            Target::Server => return Answer::Now(Response::options()),
            Target::Resource(path) => path,
        };
        if let Some(name) = path.strip_prefix("/api/") {
            let name = name.to_owned();
            return Answer::Now(api::answer(&name, request, &self.counters, &self.cache));
        }
        if request.method == Method::OPTIONS {
            return Answer::Now(Response::options());
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Answer::Now(Response::not_allowed(&request.method, "GET, HEAD, OPTIONS"));
        }
        match resolve(path) {
            Ok(name) => self.find(name, request, now_ms),
            Err(refusal) => Answer::Now(Response::refusal(refusal)),
        }
    }

    fn find(&mut self, mut name: String, request: &Request, now_ms: u64) -> Answer {
        if name.is_empty() || name.ends_with('/') {
            name.push_str("index.html");
        }
        match self.cache.look_up(&name, now_ms) {
            Lookup::Fresh(file) => {
                self.counters.cache_hits += 1;
                Answer::Now(answer::file(&file, request))
            }
            Lookup::Aging(file) => {
                self.counters.cache_hits += 1;
                self.jobs.push(Job::Load {
                    name,
                    known: Some(file.stamp),
                });
                Answer::Now(answer::file(&file, request))
            }
            Lookup::Unknown(job) => {
                self.counters.cache_misses += 1;
                self.jobs.extend(job);
                Answer::AfterLoading(name)
            }
        }
    }

    /// Takes what the loader is to do.
    pub fn take_jobs(&mut self) -> impl Iterator<Item = Job> {
        core::mem::take(&mut self.jobs).into_iter()
    }

    /// Adds a job of the connections' own.
    pub fn order(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// The loader has told about a file: remembers it.
    pub fn learn(&mut self, name: &str, outcome: Outcome, now_ms: u64) -> Loaded {
        match outcome {
            Outcome::Found(file) => {
                let file = Arc::new(file);
                self.counters.cache_evictions += self.cache.insert(name, Arc::clone(&file), now_ms);
                Loaded::File(file)
            }
            Outcome::Unchanged => match self.cache.confirm(name, now_ms) {
                Some(file) => Loaded::File(file),
                // It had to make room meanwhile.
                None => Loaded::Nothing(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "please try again")),
            },
            Outcome::Folder => self.forget(name, Loaded::Folder),
            Outcome::Missing => {
                let refusal = Refusal::new(StatusCode::NOT_FOUND, "there is no such file");
                self.forget(name, Loaded::Nothing(refusal))
            }
            Outcome::Failed => {
                let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read");
                self.forget(name, Loaded::Nothing(refusal))
            }
        }
    }

    fn forget(&mut self, name: &str, loaded: Loaded) -> Loaded {
        self.cache.remove(name);
        loaded
    }
}

/// What connections that waited for a file are told.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// Here it is.
    File(Arc<File>),
    /// It is a folder, whose name ends with `/`.
    Folder,
    /// There is none to be had.
    Nothing(Refusal),
}

impl Loaded {
    /// The response to `request`, which waited for this.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Response {
        match (self, &request.target) {
            (Loaded::File(file), _) => answer::file(file, request),
            (Loaded::Folder, Target::Resource(path)) => Response::moved(&format!("{path}/")),
            (Loaded::Folder, Target::Server) => Response::options(),
            (Loaded::Nothing(refusal), _) => Response::refusal(*refusal),
        }
    }
}
