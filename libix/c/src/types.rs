use core::ffi::{c_int, c_void};
use core::net::{IpAddr, SocketAddr};
use libix::{Error, Io, RecvBuf, Status};

/// `struct ix_address`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Address {
    family: u16,
    port: u16,
    ip: [u8; 16],
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let family = match address.ip() {
            IpAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.octets());
                4
            }
            IpAddr::V6(v6) => {
                ip = v6.octets();
                6
            }
        };
        Address {
            family,
            port: address.port(),
            ip,
        }
    }
}

impl Address {
    /// # Errors
    /// `Invalid` if the family is neither.
    pub(crate) fn to_std(self) -> Result<SocketAddr, Status> {
        let [a, b, c, d, ..] = self.ip;
        let ip = match self.family {
            4 => IpAddr::from([a, b, c, d]),
            6 => IpAddr::from(self.ip),
            _ => return Err(Status::Invalid),
        };
        Ok(SocketAddr::new(ip, self.port))
    }
}

type Context = *mut c_void;
type OnFlow = unsafe extern "C" fn(Context, *mut Io, u64);
type OnFlowStatus = unsafe extern "C" fn(Context, *mut Io, u64, c_int);

/// `struct ix_handler`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Handler {
    pub(crate) context: Context,
    pub(crate) on_start: Option<unsafe extern "C" fn(Context, *mut Io) -> c_int>,
    pub(crate) on_knock: Option<unsafe extern "C" fn(Context, *mut Io, u64, *const Address) -> c_int>,
    pub(crate) on_connected: Option<OnFlowStatus>,
    pub(crate) on_recv: Option<unsafe extern "C" fn(Context, *mut Io, u64, *mut RecvBuf)>,
    pub(crate) on_sent: Option<unsafe extern "C" fn(Context, *mut Io, u64, usize)>,
    pub(crate) on_eof: Option<OnFlow>,
    pub(crate) on_dead: Option<OnFlowStatus>,
    pub(crate) on_udp: Option<unsafe extern "C" fn(Context, *mut Io, u64, *const Address, *mut RecvBuf)>,
    pub(crate) on_udp_sent: Option<OnFlowStatus>,
    pub(crate) on_timer: Option<OnFlow>,
    pub(crate) on_stop: Option<unsafe extern "C" fn(Context, *mut Io)>,
}

/// 0, or the negated status.
pub(crate) fn code(result: Result<(), Status>) -> c_int {
    result.map_or_else(Status::negated, |()| 0)
}

/// The status nearest to `error`.
pub(crate) fn status_of(error: Error) -> Status {
    match error {
        Error::Status(status) => status,
        Error::Linux { .. } => Status::NotSupported,
    }
}
