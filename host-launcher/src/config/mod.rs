//! From what the user said ([`Options`]) to what will be done ([`Plan`]): defaults filled in, everything checked that
//! can be checked without starting anything.

mod size;
pub use size::{MemSize, MemSizeError};

mod forward;
pub use forward::{Forward, ForwardError, Transport};

mod net;
pub use net::{Cidr, Link, NetChoice, NetError, Network, host_number};

mod options;
pub use options::{Backend, EnvVar, EnvVarError, FileError, LogLevel, NicModel, Options};

mod plan;
pub use plan::{Plan, PlanError};
