//! What ring 3 does wrong. It ends the app, never the kernel, and is reported: signal, address, registers.

use super::image;
use super::process::Process;
use super::thread::Thread;
use super::window::{PAGE, Protection};
use crate::arch::{idt, syscall_entry};
use crate::mem::UserVirt;
use alloc::string::String;
use core::fmt::{self, Write};
use ix_abi::host::area::Outcome;

const SIGILL: u8 = 4;
const SIGTRAP: u8 = 5;
const SIGBUS: u8 = 7;
const SIGFPE: u8 = 8;
const SIGSEGV: u8 = 11;

const NMI: u64 = 2;
const MACHINE_CHECK: u64 = 18;

/// Bits of a page fault's error code (Intel SDM 3, section 4.7).
const FAULT_PRESENT: u64 = 1;
const FAULT_WRITE: u64 = 1 << 1;
const FAULT_FETCH: u64 = 1 << 4;

/// An access this close to the stack pointer is the stack's; compilers touch each page of a large frame.
const STACK_REACH: u64 = 64 << 10;

/// Name of a signal, as `kill -l` has it.
pub(super) const fn signal_name(signal: u8) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        19 => "SIGSTOP",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => "a signal",
    }
}

/// The signal that Linux sends for an exception, and what the processor calls it.
const fn signal_of(vector: u64) -> (u8, &'static str) {
    match vector {
        0 => (SIGFPE, "division by zero"),
        1 => (SIGTRAP, "single step"),
        3 => (SIGTRAP, "breakpoint"),
        6 => (SIGILL, "invalid instruction"),
        11 => (SIGBUS, "segment not present"),
        12 => (SIGBUS, "stack segment fault"),
        13 => (
            SIGSEGV,
            "general protection fault (privileged instruction or address that is none)",
        ),
        14 => (SIGSEGV, "page fault"),
        16 => (SIGFPE, "x87 exception"),
        17 => (SIGBUS, "alignment check"),
        19 => (SIGFPE, "SSE exception"),
        _ => (SIGSEGV, "exception"),
    }
}

impl Process {
    /// An exception in ring 3.
    #[cold]
    pub(super) fn on_fault(&mut self, number: usize) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let context = &thread.context;
        match context.vector {
            NMI => {
                log::warn!("an NMI, ignored");
                return;
            }
            MACHINE_CHECK => panic!("machine check in ring 3 at {:#x}", context.rip),
            _ => {}
        }
        let (signal, what) = signal_of(context.vector);
        let mut story = String::new();
        let told = match context.vector {
            idt::PAGE_FAULT => self.tell_page_fault(&mut story, thread),
            vector => write!(
                story,
                "{what} (vector {vector}, error code {:#x})",
                context.error_code
            ),
        };
        if told.is_ok() {
            self.kill(number, signal, &story);
        }
    }

    /// A thread whose `rip` is not in ring 3's half.
    #[cold]
    pub(super) fn kill_at_bad_address(&mut self, number: usize) {
        self.kill(number, SIGSEGV, "jump to an address beyond ring 3's half");
    }

    fn tell_page_fault(&self, story: &mut String, thread: &Thread) -> fmt::Result {
        let (context, address) = (&thread.context, idt::page_fault_address());
        let has = |bit| context.error_code & bit != 0;
        let access = match (has(FAULT_FETCH), has(FAULT_WRITE)) {
            (true, _) => "execution",
            (_, true) => "write",
            _ => "read",
        };
        let page = match self.memory.protection_at(address) {
            _ if address >= ix_abi::app::layout::USER_END => "the kernel's half",
            Some(Protection::None) => "a guard page",
            None if !has(FAULT_PRESENT) => "not mapped",
            _ => "not allowed there",
        };
        write!(story, "{access} at {address:#x} ({page})")?;
        let stack = context.rsp.saturating_sub(STACK_REACH)..context.rsp.saturating_add(STACK_REACH);
        let stack_is_there =
            self.memory.protection_at(context.rsp.wrapping_add(STACK_REACH)) == Some(Protection::ReadWrite);
        if stack.contains(&address) && !has(FAULT_PRESENT) && !has(FAULT_FETCH) && stack_is_there {
            story.push_str(": stack overflow");
        }
        Ok(())
    }

    /// Ends the app by a signal, with a report.
    fn kill(&mut self, number: usize, signal: u8, story: &str) {
        self.outcome = Some(Outcome::Signalled(signal));
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let c = &thread.context;
        log::error!(
            "{} in thread {} ({}) on core {}: {story}",
            signal_name(signal),
            thread.id,
            thread.display_name(),
            syscall_entry::this_core()
        );
        log::error!("  rip {:#x} {}", c.rip, self.place(c.rip));
        log::error!("  rsp {:#018x} rbp {:#018x} rflags {:#x}", c.rsp, c.rbp, c.rflags);
        log::error!(
            "  rax {:#018x} rbx {:#018x} rcx {:#018x} rdx {:#018x}",
            c.rax,
            c.rbx,
            c.rcx,
            c.rdx
        );
        log::error!(
            "  rsi {:#018x} rdi {:#018x} r8  {:#018x} r9  {:#018x}",
            c.rsi,
            c.rdi,
            c.r8,
            c.r9
        );
        log::error!(
            "  r10 {:#018x} r11 {:#018x} r12 {:#018x} r13 {:#018x}",
            c.r10,
            c.r11,
            c.r12,
            c.r13
        );
        log::error!("  r14 {:#018x} r15 {:#018x}", c.r14, c.r15);
        self.tell_callers(c.rsp);
    }

    /// An address in terms of the program's file: function and offset, if it has symbols.
    fn place(&self, address: u64) -> Place<'_> {
        let in_file = address.wrapping_sub(self.bias);
        Place {
            in_file,
            symbol: image::symbol(self.file, in_file),
        }
    }

    /// Words on the stack that point into functions: without unwind tables, a fair guess at who called whom.
    fn tell_callers(&self, rsp: u64) {
        let words =
            (0..PAGE / 8).map_while(|word| self.memory.read::<u64>(UserVirt(rsp.wrapping_add(word * 8))));
        let code = words.filter(|&word| self.memory.protection_at(word) == Some(Protection::ReadExecute));
        for word in code.take(MAX_CALLERS) {
            log::error!("  on its stack: {word:#x} {}", self.place(word));
        }
    }
}

/// Return addresses that are told.
const MAX_CALLERS: usize = 8;

struct Place<'a> {
    in_file: u64,
    symbol: Option<(&'a str, u64)>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol {
            Some((name, offset)) => write!(f, "{:#}+{offset:#x}", rustc_demangle::demangle(name)),
            None => write!(f, "(file address {:#x})", self.in_file),
        }
    }
}
