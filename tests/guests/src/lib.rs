//! What the guests share: the dataplane without libix's manners, so that they can say what libix never would.
//!
//! A guest prints what it is about to do and what came of it, and exits with 0 if it was contained as it should be. The
//! tests in `tests/tests` know what each one prints.

use core::arch::asm;
use ix_abi::app::{Command, Event, Handle, IoInfo, Opcode, Status, trap};

/// The arrays of this thread, to be filled with anything.
pub struct Dataplane {
    /// What the kernel said at set-up.
    pub info: IoInfo,
}

/// One trap; the result is what the kernel left in `rax`.
#[must_use]
pub fn call(number: u64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the guests pass nonsense and live with what the kernel does to their memory; of its contract they rely on
    // the registers only, which are those of a C call.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            clobber_abi("C"),
        );
    }
    result
}

impl Dataplane {
    /// Becomes the dataplane thread.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[must_use]
    pub fn set_up() -> Self {
        let address = call(trap::IO_SETUP, [0; 6]);
        assert!(address > 0, "io_setup: {address}");
        // SAFETY: the kernel answers io_setup with the address of an `IoInfo`.
        let info = unsafe { (address as *const IoInfo).read() };
        Dataplane { info }
    }

    /// Carries out one command and returns its answer.
    ///
    /// # Panics
    /// If the kernel refuses the whole batch.
    #[must_use]
    pub fn answer(&self, command: Command) -> Command {
        let place = self.info.commands as *mut Command;
        // SAFETY: the kernel described an array of at least one entry.
        unsafe { place.write_volatile(command) };
        assert_eq!(call(trap::RUN_IO, [1, 0, 0, 0, 0, 0]), 0);
        // SAFETY: as above.
        unsafe { place.read_volatile() }
    }

    /// The status of one command; panics if it was carried out.
    ///
    /// # Panics
    /// If the kernel did what it was asked to.
    #[must_use]
    pub fn refusal(&self, command: Command) -> Status {
        let answer = self.answer(command);
        match Status::check(answer.result) {
            Err(status) => status,
            Ok(value) => panic!("carried out: {command:?} gave {value}"),
        }
    }

    /// The handle that a command makes.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[must_use]
    pub fn make(&self, command: Command) -> Handle {
        let answer = self.answer(command);
        assert_eq!(Status::check(answer.result), Ok(0), "{command:?}");
        answer.handle
    }

    /// Waits until there are events and returns the first `max`.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[must_use]
    pub fn wait(&self, max: u32) -> Vec<Event> {
        let count = call(trap::RUN_IO, [0, max.into(), u64::MAX, 0, 0, 0]);
        let count = usize::try_from(count).expect("run_io refused to wait");
        // SAFETY: the kernel has just written this many events to the array it described.
        unsafe { core::slice::from_raw_parts(self.info.events as *const Event, count) }.to_vec()
    }
}

/// A command with an opcode and nothing else.
#[must_use]
pub fn command(opcode: Opcode) -> Command {
    Command {
        opcode: opcode as u16,
        ..Command::default()
    }
}

/// Addresses that are not the app's: null, kernel image, direct map, non-canonical, around the user half's end, the
/// first byte below and a byte far above the arena.
#[must_use]
pub fn foreign_addresses() -> Vec<u64> {
    use ix_abi::app::layout::{ARENA, USER_END};
    vec![
        0,
        0xffff_ffff_8010_0000,
        0xffff_8000_0000_0000,
        0xffff_8000_0010_0000,
        0x8000_0000_0000_0000,
        USER_END,
        USER_END - 1,
        u64::MAX,
        ARENA - 1,
        ARENA + (1 << 40),
    ]
}
