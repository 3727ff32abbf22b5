//! Calls as ring 3 makes them, on a process without a processor: those that touch registers only ring 0 has (`clone`,
//! `arch_prctl`) or the console (`write`) are left to programs in a virtual machine.

use super::{Answer, Args};
use crate::arch::context::Context;
use crate::mem::UserVirt;
use crate::user::memory::Replace;
use crate::user::process::Process;
use crate::user::window::{PAGE, Protection};
use ix_abi::app::layout::ARENA;
use ix_abi::host::area::Outcome;
use std::vec;
use std::vec::Vec;
use syscalls::{Errno, Sysno};

const ARENA_BYTES: u64 = 4 << 20;
/// A page ring 3 may write, and one it may not.
pub(super) const DATA: u64 = ARENA + 0x10_0000;
pub(super) const CODE: u64 = DATA + PAGE;

/// Calls about files.
mod files;

pub(super) fn process() -> Process {
    let mut process = Process::for_test(ARENA_BYTES, Context::new(0, 0));
    for (address, protection) in [(DATA, Protection::ReadWrite), (CODE, Protection::ReadExecute)] {
        process
            .memory
            .map_at(address, PAGE, protection, Replace::No)
            .unwrap();
    }
    process
}

pub(super) fn put(process: &mut Process, address: u64, bytes: &[u8]) {
    process.memory.copy_out(UserVirt(address), bytes).unwrap();
}

/// Makes a call in thread 0; the result register afterwards.
pub(super) fn call(process: &mut Process, call: Sysno, args: &[u64]) -> i64 {
    call_in(process, 0, call.id().try_into().unwrap(), args)
}

pub(super) fn call_in(process: &mut Process, thread: usize, number: u64, args: &[u64]) -> i64 {
    let c = &mut process.threads.get_mut(thread).unwrap().context;
    let mut all: Args = [0; 6];
    all[..args.len()].copy_from_slice(args);
    [c.rdi, c.rsi, c.rdx, c.r10, c.r8, c.r9] = all;
    c.rax = number;
    process.serve_linux_call(thread);
    process
        .threads
        .get(thread)
        .map_or(0, |thread| thread.context.rax.cast_signed())
}

pub(super) fn error(errno: Errno) -> i64 {
    -i64::from(errno.into_raw())
}

#[test]
fn whatever_ring_3_passes_is_answered() {
    let mut process = process();
    let interesting = [
        0,
        1,
        2,
        8,
        24,
        4095,
        PAGE,
        ARENA,
        DATA,
        DATA + PAGE - 3,
        CODE,
        ARENA + ARENA_BYTES - 1,
    ];
    let beyond = [
        ARENA + ARENA_BYTES,
        ARENA - 1,
        1 << 47,
        0xffff_8000_0000_0000,
        u64::MAX,
        u64::MAX - 7,
        1 << 63,
    ];
    let values: Vec<u64> = interesting.into_iter().chain(beyond).collect();
    let not_here = [
        Sysno::write,
        Sysno::writev,
        Sysno::clone,
        Sysno::clone3,
        Sysno::arch_prctl,
    ];
    let not_here = not_here.map(|call| u64::try_from(call.id()).unwrap());
    let mut state = 7u64;
    let mut random = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n
    };
    for round in 0..60_000u64 {
        let number = if round % 50 == 0 {
            values[random(values.len())]
        } else {
            round % 470
        };
        if not_here.contains(&number) {
            continue;
        }
        let args: Vec<u64> = (0..6).map(|_| values[random(values.len())]).collect();
        call_in(&mut process, 0, number, &args);
        if process.outcome.is_some() || process.threads.get(0).is_none_or(|thread| thread.wait.is_some()) {
            process = self::process();
        }
    }
}

#[test]
fn what_is_not_served_is_counted() {
    let mut process = process();
    for _ in 0..3 {
        assert_eq!(call(&mut process, Sysno::ptrace, &[]), error(Errno::ENOSYS));
    }
    assert_eq!(call_in(&mut process, 0, 0xfff_ffff, &[]), error(Errno::ENOSYS));
    assert_eq!((process.unknown_calls, process.unknown_logged.len()), (4, 2));
    assert_eq!(
        call(&mut process, Sysno::rseq, &[DATA, 32, 0, 1]),
        error(Errno::ENOSYS)
    );
    assert_eq!(process.unknown_calls, 4, "known, and refused on purpose");
}

#[test]
fn a_futex_wakes_those_who_wait_and_only_them() {
    let mut process = process();
    let threads: Vec<usize> = (0..3).map(|_| process.add_thread_for_test()).collect();
    let futex = Sysno::futex.id().try_into().unwrap();
    put(&mut process, DATA, &5u32.to_le_bytes());
    for &thread in &threads {
        call_in(&mut process, thread, futex, &[DATA, 0x80, 5, 0]);
        assert!(process.threads.get(thread).unwrap().wait.is_some());
    }
    assert_eq!(
        call(&mut process, Sysno::futex, &[DATA, 0x80, 4, 0]),
        error(Errno::EAGAIN)
    );
    assert_eq!(
        call(&mut process, Sysno::futex, &[DATA + 1, 0x80, 4, 0]),
        error(Errno::EINVAL)
    );
    assert_eq!(
        call(&mut process, Sysno::futex, &[1 << 63, 0x80, 4, 0]),
        error(Errno::EFAULT)
    );
    assert_eq!(call(&mut process, Sysno::futex, &[DATA + 4, 0x81, 10, 0]), 0);
    assert_eq!(call(&mut process, Sysno::futex, &[DATA, 0x81, 1, 0]), 1);
    assert!(
        process.threads.get(threads[0]).unwrap().wait.is_none(),
        "first come, first served"
    );
    assert_eq!(
        call(&mut process, Sysno::futex, &[DATA, 0x83, 0, 1, DATA + 8]),
        1,
        "one is moved"
    );
    assert_eq!(call(&mut process, Sysno::futex, &[DATA, 0x81, 9, 0]), 1);
    assert_eq!(call(&mut process, Sysno::futex, &[DATA + 8, 0x81, 9, 0]), 1);
    assert_eq!(process.scheduler.ready_count(), 4, "all of them");
}

#[test]
fn a_repeated_call_is_made_again_as_it_was() {
    let mut process = process();
    let write = 1;
    let c = &mut process.threads.get_mut(0).unwrap().context;
    (c.rip, c.rax, c.rdi, c.rsi, c.rdx) = (CODE + 2, write, 2, DATA, 9);
    assert_eq!(process.scheduler.take_other(), Some(0));
    process.give(0, write, Answer::Repeat { at_ns: 50 });
    assert_eq!(
        (process.scheduler.ready_count(), process.next_deadline_ns),
        (0, 50)
    );
    let (thread, result) = process.threads.expired(50).unwrap();
    process.wake_with(thread, result);
    let c = &process.threads.get(0).unwrap().context;
    assert_eq!((c.rip, c.rax, c.rdi, c.rsi, c.rdx), (CODE, write, 2, DATA, 9));
    assert_eq!(process.scheduler.take_other(), Some(0));
}

#[test]
fn a_thread_that_ends_tells_who_joins_it() {
    let mut process = process();
    let child = process.add_thread_for_test();
    put(&mut process, DATA, &1u32.to_le_bytes());
    call_in(
        &mut process,
        child,
        Sysno::set_tid_address.id().try_into().unwrap(),
        &[DATA],
    );
    call(&mut process, Sysno::futex, &[DATA, 9, 1, 0, 0, u64::MAX]);
    assert!(process.threads.get(0).unwrap().wait.is_some());
    call_in(&mut process, child, Sysno::exit.id().try_into().unwrap(), &[0]);
    assert!(process.threads.get(0).unwrap().wait.is_none());
    assert_eq!(process.memory.read::<u32>(UserVirt(DATA)), Some(0));
    assert_eq!(process.outcome, None);
    call(&mut process, Sysno::exit, &[7]);
    assert_eq!(process.outcome, Some(Outcome::Exited(7)), "the last one");
}

#[test]
fn ends_are_told_apart() {
    let end = |number: Sysno, args: &[u64]| {
        let mut process = process();
        let result = call(&mut process, number, args);
        process.outcome.ok_or(result)
    };
    assert_eq!(end(Sysno::exit_group, &[0x1_02]), Ok(Outcome::Exited(2)));
    assert_eq!(end(Sysno::tgkill, &[100, 100, 6]), Ok(Outcome::Signalled(6)));
    assert_eq!(end(Sysno::tgkill, &[100, 101, 6]), Err(error(Errno::ESRCH)));
    assert_eq!(end(Sysno::kill, &[100, 0]), Err(0));
    assert_eq!(end(Sysno::kill, &[100, 65]), Err(error(Errno::EINVAL)));
    assert_eq!(end(Sysno::kill, &[100, 17]), Err(0), "SIGCHLD is ignored");
    let mut process = process();
    put(
        &mut process,
        DATA,
        &[1u64, 0, 0, 0].map(u64::to_le_bytes).concat(),
    );
    assert_eq!(call(&mut process, Sysno::rt_sigaction, &[10, DATA, 0, 8]), 0);
    assert_eq!(
        call(&mut process, Sysno::kill, &[100, 10]),
        0,
        "so is what the program ignores"
    );
    assert_eq!(process.outcome, None);
}

#[test]
fn memory_calls_refuse_what_they_must() {
    const ANONYMOUS: u64 = 0x22;
    let mut process = process();
    let mut mmap = |args: &[u64]| call(&mut process, Sysno::mmap, args);
    assert_eq!(
        mmap(&[0, PAGE, 7, ANONYMOUS]),
        error(Errno::EACCES),
        "writable code"
    );
    assert_eq!(mmap(&[0, PAGE, 3, 2, 3]), error(Errno::EBADF), "no file");
    assert_eq!(mmap(&[0, PAGE, 3, 2, 0]), error(Errno::ENODEV), "a stream");
    assert_eq!(
        mmap(&[0, 64 << 20, 0, ANONYMOUS | 0x4000]),
        error(Errno::ENOMEM),
        "glibc's arenas"
    );
    assert_eq!(mmap(&[0, 0, 3, ANONYMOUS]), error(Errno::EINVAL));
    assert_eq!(
        mmap(&[0x1000, PAGE, 3, ANONYMOUS | 0x10]),
        error(Errno::ENOMEM),
        "outside the arena"
    );
    let address = u64::try_from(mmap(&[0, 3 * PAGE, 3, ANONYMOUS])).unwrap();
    assert_eq!(
        call(&mut process, Sysno::mprotect, &[address, PAGE, 7]),
        error(Errno::EACCES)
    );
    assert_eq!(
        call(&mut process, Sysno::mprotect, &[address + 1, PAGE, 1]),
        error(Errno::EINVAL)
    );
    assert_eq!(call(&mut process, Sysno::mprotect, &[address, PAGE, 0]), 0);
    assert_eq!(
        call(&mut process, Sysno::getrandom, &[address, 8, 0]),
        error(Errno::EFAULT),
        "a guard page"
    );
    assert_eq!(
        call(&mut process, Sysno::getrandom, &[CODE, 8, 0]),
        error(Errno::EFAULT)
    );
    assert_eq!(call(&mut process, Sysno::munmap, &[address, 3 * PAGE]), 0);
    assert_eq!(
        call(&mut process, Sysno::madvise, &[address, PAGE, 4]),
        error(Errno::ENOMEM)
    );
}

#[test]
fn random_bytes_are_written_whole() {
    let mut process = process();
    assert_eq!(call(&mut process, Sysno::getrandom, &[DATA, 1000, 0]), 1000);
    let mut bytes = vec![0; 1001];
    process.memory.copy_in(UserVirt(DATA), &mut bytes).unwrap();
    assert!(
        bytes[..1000]
            .chunks(100)
            .all(|chunk| chunk.iter().any(|&byte| byte != 0))
    );
    assert_eq!(bytes[1000], 0);
}

#[test]
fn sleeping_needs_a_time() {
    let mut process = process();
    put(
        &mut process,
        DATA,
        &[0u64, 1_000_000_000].map(u64::to_le_bytes).concat(),
    );
    assert_eq!(
        call(&mut process, Sysno::nanosleep, &[DATA]),
        error(Errno::EINVAL)
    );
    assert_eq!(call(&mut process, Sysno::nanosleep, &[0]), error(Errno::EFAULT));
    assert_eq!(
        call(&mut process, Sysno::clock_gettime, &[99, DATA]),
        error(Errno::EINVAL)
    );
    put(
        &mut process,
        DATA,
        &[u64::MAX >> 1, 0].map(u64::to_le_bytes).concat(),
    );
    assert!(
        matches!(process.nanosleep([DATA, 0, 0, 0, 0, 0]), Answer::Wait(wait) if wait.deadline_ns == u64::MAX)
    );
}
