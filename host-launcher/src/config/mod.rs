//! From what the user said ([`Options`]) to what will be done ([`Plan`]): defaults filled in, everything checked that
//! can be checked without starting anything.

mod size;
pub use size::{MemSize, MemSizeError};

mod cpus;
pub use cpus::{CpuList, CpuListError, MAX_CPUS};

mod poll;
pub use poll::{Poll, PollError};

mod forward;
pub use forward::{Forward, ForwardError, Transport};

mod bdf;
pub use bdf::{Bdf, BdfError};

mod nic;
pub use nic::{NicChoice, NicError, NicModel};

mod offloads;
pub use offloads::{Offloads, OffloadsError};

mod net;
pub use net::{Ip4, Ip6, Link, NetChoice, NetError, Network, host_number};

mod link;
pub use link::{LinkChoice, LinkError, LinkPlan};

mod route;
pub use route::{RouteChoice, RouteError};

mod options;
pub use options::{Backend, EnvVar, EnvVarError, FileError, LogLevel, Options, Vhost};

mod needs;
pub use needs::{Needs, NeedsError, USER_NETWORKING};

mod linux;

mod volume;
pub use volume::{Access, Volume, VolumeError};

mod plan;
pub use plan::{Plan, PlanError};
