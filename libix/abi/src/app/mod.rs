//! Ring 3 and ring 0: `run_io`, after IX (OSDI '14, table 1).
//!
//! A ring-3 thread calls [`trap::IO_SETUP`] once and gets the address of an `IoInfo`, which tells where its command
//! and event arrays lie. From then on it fills [`Command`]s, traps with [`trap::RUN_IO`], and reads [`Event`]s.

pub mod trap;

mod handle;
pub use handle::{Handle, HandleKind, MAX_LINKS};

mod endpoint;
pub use endpoint::{Endpoint, Family};

mod command;
pub use command::{Command, MAX_SG_ENTRIES, Opcode, SgEntry};

mod flow_option;
pub use flow_option::{CongestionControl, FlowOption, PACE_BY_WINDOW};

mod frame_mode;
pub use frame_mode::FrameMode;

mod event;
pub use event::{Event, EventKind};

mod status;
pub use status::Status;

mod info;
pub use info::{IoInfo, LinkInfo, MAX_NAME_SERVERS};

pub mod layout;
