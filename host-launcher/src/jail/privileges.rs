use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};

/// What root may do to files that are not root's.
const FILE_RIGHTS: [Capability; 3] = [
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
];

/// Without any capability from here on.
pub(super) fn give_up_all() -> Result<(), caps::errors::CapsError> {
    keep(&CapsHashSet::new())
}

/// With those over files that this thread has now.
pub(super) fn keep_file_rights() -> Result<(), caps::errors::CapsError> {
    let has = caps::read(None, CapSet::Permitted)?;
    let kept = FILE_RIGHTS.into_iter().filter(|right| has.contains(right));
    keep(&kept.collect())
}

fn keep(kept: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, kept)?;
    caps::set(None, CapSet::Permitted, kept)
}

/// No core dumps, which would hold the guest's memory, and no file that grows.
pub(super) fn lower_limits() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)
}
