use super::Kind;
use nix::libc::{self, PROT_EXEC, c_long};

/// A system call that is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    /// With any arguments.
    Any(c_long),
    /// With one of these values of an argument.
    Only(c_long, u8, &'static [u64]),
    /// Without these bits in an argument.
    Without(c_long, u8, u64),
}

impl Call {
    pub(super) fn number(&self) -> i64 {
        let (Call::Any(number) | Call::Only(number, ..) | Call::Without(number, ..)) = self;
        *number
    }
}

use Call::{Any, Only, Without};

/// What Rust's library and the C library do in any thread: memory (none to run code from), locks, clocks, signals'
/// handlers, the thread's end, and an abort with its last words.
const ANY_THREAD: &[Call] = &[
    Any(libc::SYS_futex),
    Any(libc::SYS_brk),
    Without(libc::SYS_mmap, 2, PROT_EXEC as u64),
    Without(libc::SYS_mprotect, 2, PROT_EXEC as u64),
    Any(libc::SYS_munmap),
    Any(libc::SYS_mremap),
    Any(libc::SYS_madvise),
    Any(libc::SYS_read),
    Any(libc::SYS_write),
    Any(libc::SYS_writev),
    Any(libc::SYS_close),
    Any(libc::SYS_poll),
    Any(libc::SYS_clock_gettime),
    Any(libc::SYS_clock_nanosleep),
    Any(libc::SYS_sched_yield),
    Any(libc::SYS_getrandom),
    Any(libc::SYS_gettid),
    Any(libc::SYS_getpid),
    Any(libc::SYS_tgkill),
    Any(libc::SYS_rt_sigaction),
    Any(libc::SYS_rt_sigprocmask),
    Any(libc::SYS_rt_sigreturn),
    Any(libc::SYS_sigaltstack),
    Any(libc::SYS_restart_syscall),
    Any(libc::SYS_exit),
    Any(libc::SYS_exit_group),
    // Debug builds ask whether what they close was open.
    Only(libc::SYS_fcntl, 1, &[libc::F_GETFD as u64]),
];

/// Requests by which the memory of devices comes and goes as the guest moves their BARs, and doorbells with it, and by which they
/// interrupt.
const KVM_RUN: u64 = 0xae80;
const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;
const KVM_IOEVENTFD: u64 = 0x4040_ae79;
const KVM_IRQFD: u64 = 0x4020_ae76;
const KVM_SET_GSI_ROUTING: u64 = 0x4008_ae6a;
const KVM_GET_REGS: u64 = 0x8090_ae81;

/// Requests by which a virtio network card starts and stops (`linux/vhost.h`, `linux/if_tun.h`).
const VHOST_SET_FEATURES: u64 = 0x4008_af00;
const VHOST_SET_VRING_NUM: u64 = 0x4008_af10;
const VHOST_SET_VRING_ADDR: u64 = 0x4028_af11;
const VHOST_SET_VRING_BASE: u64 = 0x4008_af12;
const VHOST_SET_VRING_KICK: u64 = 0x4008_af20;
const VHOST_SET_VRING_CALL: u64 = 0x4008_af21;
const VHOST_SET_VRING_ERR: u64 = 0x4008_af22;
const VHOST_NET_SET_BACKEND: u64 = 0x4008_af30;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNSETQUEUE: u64 = 0x4004_54d9;

const WATCH: &[Call] = &[
    // The launcher's ring, and KVM's counters.
    Any(libc::SYS_recvfrom),
    Any(libc::SYS_pread64),
];

const VCPU: &[Call] = &[
    Only(
        libc::SYS_ioctl,
        1,
        &[
            KVM_RUN,
            KVM_SET_USER_MEMORY_REGION,
            KVM_IOEVENTFD,
            KVM_IRQFD,
            KVM_SET_GSI_ROUTING,
            KVM_GET_REGS,
            VHOST_SET_FEATURES,
            VHOST_SET_VRING_NUM,
            VHOST_SET_VRING_ADDR,
            VHOST_SET_VRING_BASE,
            VHOST_SET_VRING_KICK,
            VHOST_SET_VRING_CALL,
            VHOST_SET_VRING_ERR,
            VHOST_NET_SET_BACKEND,
            TUNSETOFFLOAD,
            TUNSETQUEUE,
        ],
    ),
    // Registers of a card that is passed through.
    Any(libc::SYS_pread64),
    Any(libc::SYS_pwrite64),
    // The kernel's log and the doorbell.
    Any(libc::SYS_sendto),
];

const DATA_PLANE: &[Call] = &[
    Any(libc::SYS_readv),
    Any(libc::SYS_epoll_wait),
    Any(libc::SYS_epoll_pwait),
    Only(libc::SYS_ioctl, 1, &[TUNSETOFFLOAD, TUNSETQUEUE]),
];

const FILES: &[Call] = &[
    Any(libc::SYS_openat2),
    Any(libc::SYS_pread64),
    Any(libc::SYS_pwrite64),
    Any(libc::SYS_lseek),
    Any(libc::SYS_fstat),
    Any(libc::SYS_newfstatat),
    Any(libc::SYS_statx),
    Any(libc::SYS_getdents64),
    Any(libc::SYS_ftruncate),
    Any(libc::SYS_fsync),
    Any(libc::SYS_fdatasync),
    Any(libc::SYS_fchmod),
    Any(libc::SYS_mkdirat),
    Any(libc::SYS_unlinkat),
    // Without flags, the C library takes the older one.
    Any(libc::SYS_renameat),
    Any(libc::SYS_renameat2),
    Any(libc::SYS_readlinkat),
    Any(libc::SYS_faccessat2),
];

/// The calls of threads of this kind.
pub(super) fn of(kind: Kind) -> impl Iterator<Item = &'static Call> {
    let own = match kind {
        Kind::Watch => WATCH,
        Kind::Vcpu => VCPU,
        Kind::DataPlane => DATA_PLANE,
        Kind::Files => FILES,
        Kind::Input => &[],
    };
    ANY_THREAD.iter().chain(own)
}
