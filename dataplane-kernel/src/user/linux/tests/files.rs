//! Calls about files, with a launcher that answers what a test says.

use super::{CODE, DATA, call, call_in, error, process, put};
use crate::mem::UserVirt;
use crate::user::host_calls::{HostLine, Link};
use crate::user::memory::Replace;
use crate::user::process::Process;
use crate::user::window::{PAGE, Protection};
use ix_abi::host::HostCalls;
use ix_abi::host::hostcall::{DATA_BYTES, DIRECTORY, FileStatus, HERE, Operation, Slot, WITHOUT_END};
use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;
use syscalls::{Errno, Sysno};

/// A process with a launcher, and the launcher's end.
fn connected() -> (Process, &'static HostCalls) {
    let calls: &'static HostCalls = Box::leak(Box::new(HostCalls::new()));
    let mut process = process();
    process.host = HostLine::new(Some(Link { calls, ring: || () }));
    (process, calls)
}

/// A question as the launcher sees it.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    operation: Operation,
    arguments: [u64; 4],
    data: String,
}

fn waiting(slots: &[Slot]) -> &Slot {
    slots
        .iter()
        .find(|slot| slot.request().is_some())
        .expect("somebody asks")
}

/// Answers the question of the only thread that asks.
fn answer(process: &mut Process, slots: &[Slot], result: Result<u64, i32>, data: &[u8]) -> Asked {
    let slot = waiting(slots);
    let request = slot.request().unwrap();
    let mut bytes = vec![0; request.data_bytes];
    slot.read(0, &mut bytes);
    slot.write(0, data);
    slot.answer(request.turn, result, data.len());
    assert!(
        process
            .host
            .link()
            .is_some_and(|link| link.is_any_answered(process.host.asked()))
    );
    process.take_answers();
    Asked {
        operation: request.operation.unwrap(),
        arguments: request.arguments,
        data: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn asked(operation: Operation, arguments: [u64; 4], data: &str) -> Asked {
    Asked {
        operation,
        arguments,
        data: data.into(),
    }
}

/// The result register of thread 0, which does not wait any more.
fn result(process: &Process) -> i64 {
    let thread = process.threads.get(0).unwrap();
    assert_eq!(thread.wait, None);
    thread.context.rax.cast_signed()
}

const CURRENT: u64 = 0xffff_ff9c;

/// Opens `path`; the launcher says `value`.
fn open(process: &mut Process, calls: &HostCalls, path: &str, value: u64) -> i64 {
    put(process, DATA, &[path.as_bytes(), &[0]].concat());
    call(process, Sysno::openat, &[CURRENT, DATA, 0o2, 0o644]);
    answer(process, &calls.files, Ok(value), &[]);
    result(process)
}

#[test]
fn without_a_launcher_there_are_three() {
    let mut process = process();
    put(&mut process, DATA, b"/proc/self/maps\0\0");
    for (number, args, errno) in [
        (Sysno::openat, &[0, DATA][..], Errno::ENOENT),
        (Sysno::openat, &[0, 0x1000], Errno::EFAULT),
        (Sysno::statx, &[3, DATA + 16, 0x1000, 0, DATA], Errno::EBADF),
        (Sysno::newfstatat, &[1, DATA + 16, DATA + 64, 0], Errno::ENOENT),
        (Sysno::read, &[3, DATA, 10], Errno::EBADF),
        (Sysno::read, &[1, DATA, 10], Errno::EBADF),
        (Sysno::lseek, &[0, 0, 0], Errno::ESPIPE),
        (Sysno::ioctl, &[1, 0x5401, DATA], Errno::ENOTTY),
    ] {
        assert_eq!(call(&mut process, number, args), error(errno), "{number}");
    }
    let of_stream = [1, DATA + 16, DATA + 64, 0x1000];
    assert_eq!(call(&mut process, Sysno::newfstatat, &of_stream), 0);
    let mode = process.memory.read::<u32>(UserVirt(DATA + 64 + 24)).unwrap();
    assert_eq!(mode & 0o170_000, 0o020_000);
    assert_eq!(call(&mut process, Sysno::read, &[0, DATA, 10]), 0);
    for (fd, events, index) in [(0i32, 1u32, 0), (1, 4, 1), (2, 0, 2), (7, 4, 3), (-1, 4, 4)] {
        let entry = [fd.to_le_bytes(), events.to_le_bytes()].concat();
        put(&mut process, DATA + 8 * index, &entry);
    }
    assert_eq!(call(&mut process, Sysno::poll, &[DATA, 5, 0]), 3);
    let found: [u16; 5] = [0, 1, 2, 3, 4].map(|n| process.memory.read(UserVirt(DATA + 8 * n + 6)).unwrap());
    assert_eq!(found, [1, 4, 0, 0x20, 0]);
    call(&mut process, Sysno::poll, &[0, 0, 1000]);
    assert!(
        process.threads.get(0).unwrap().wait.is_some(),
        "without descriptors, it is a sleep"
    );
}

#[test]
fn a_file_is_opened_read_and_closed() {
    let (mut process, calls) = connected();
    put(&mut process, DATA, b"/data/./x/../file\0");
    call(
        &mut process,
        Sysno::openat,
        &[CURRENT, DATA, 0o2_000_102, 0o100_644],
    );
    assert!(process.threads.get(0).unwrap().wait.is_some());
    assert!(!process.take_answers(), "nobody has answered");
    let question = answer(&mut process, &calls.files, Ok(77), &[]);
    assert_eq!(
        question,
        asked(Operation::Open, [0o2_000_102, 0o644, 0, 0], "/data/file")
    );
    assert_eq!(result(&process), 3);
    assert_eq!(call(&mut process, Sysno::fcntl, &[3, 1]), 1, "FD_CLOEXEC");
    assert_eq!(call(&mut process, Sysno::fcntl, &[3, 3]), 0o102);

    call(&mut process, Sysno::read, &[3, DATA + 8, 5]);
    let question = answer(&mut process, &calls.files, Ok(4), b"abcd");
    assert_eq!(question, asked(Operation::Read, [77, 5, HERE, 0], ""));
    assert_eq!(result(&process), 4);
    assert_eq!(process.memory.read(UserVirt(DATA + 8)), Some(*b"abcd"));

    call(&mut process, Sysno::pwrite64, &[3, DATA + 8, 4, 100]);
    let question = answer(&mut process, &calls.files, Err(28), &[]);
    assert_eq!(question, asked(Operation::Write, [77, 100, 0, 0], "abcd"));
    assert_eq!(result(&process), error(Errno::ENOSPC));

    call(&mut process, Sysno::lseek, &[3, 5, 1]);
    let question = answer(&mut process, &calls.files, Ok(9), &[]);
    assert_eq!(question, asked(Operation::Seek, [77, 5, 1, 0], ""));
    assert_eq!(result(&process), 9);

    call(&mut process, Sysno::close, &[3]);
    let question = answer(&mut process, &calls.files, Ok(0), &[]);
    assert_eq!(question, asked(Operation::Close, [77, 0, 0, 0], ""));
    assert_eq!(call(&mut process, Sysno::close, &[3]), error(Errno::EBADF));
}

#[test]
fn large_and_scattered_bytes_go_a_slotful_at_a_time() {
    const ROOM: u64 = DATA + 0x10_0000;
    let (mut process, calls) = connected();
    let bytes = 2 * DATA_BYTES as u64 + 10;
    let pages = bytes.next_multiple_of(PAGE);
    process
        .memory
        .map_at(ROOM, pages, Protection::ReadWrite, Replace::No)
        .unwrap();
    assert_eq!(open(&mut process, calls, "/f", 5), 3);
    let list = [ROOM, 7, ROOM + 7, 0, ROOM + 7, bytes - 7];
    put(&mut process, DATA, &list.map(u64::to_le_bytes).concat());
    call(&mut process, Sysno::preadv, &[3, DATA, 3, 1000]);
    let full = DATA_BYTES as u64;
    for (at, count, fill) in [(1000, full, 1), (1000 + full, full, 2), (1000 + 2 * full, 10, 3)] {
        let data = vec![fill; usize::try_from(count).unwrap()];
        let question = answer(&mut process, &calls.files, Ok(count), &data);
        assert_eq!(question.arguments, [5, count, at, 0]);
    }
    assert_eq!(result(&process).cast_unsigned(), bytes);
    let at = |offset: u64| process.memory.read::<u8>(UserVirt(ROOM + offset)).unwrap();
    assert_eq!(
        [0, 6, 7, full - 1, full, 2 * full - 1, 2 * full, bytes - 1].map(at),
        [1, 1, 1, 1, 2, 2, 3, 3]
    );

    call(&mut process, Sysno::writev, &[3, DATA, 3]);
    let question = answer(&mut process, &calls.files, Ok(full), &[]);
    assert_eq!(
        (question.arguments, question.data.len()),
        ([5, HERE, 0, 0], DATA_BYTES)
    );
    answer(&mut process, &calls.files, Ok(100), &[]);
    assert_eq!(
        result(&process).cast_unsigned(),
        full + 100,
        "the rest is not tried"
    );

    call(&mut process, Sysno::writev, &[3, DATA, 3]);
    answer(&mut process, &calls.files, Ok(full), &[]);
    answer(&mut process, &calls.files, Err(28), &[]);
    assert_eq!(result(&process).cast_unsigned(), full, "what was done counts");
}

#[test]
fn directories_lead_to_what_is_in_them() {
    let (mut process, calls) = connected();
    assert_eq!(open(&mut process, calls, "/data/dir/", 6 | DIRECTORY), 3);
    put(&mut process, DATA, b"../x\0");
    call(&mut process, Sysno::unlinkat, &[3, DATA, 0]);
    let question = answer(&mut process, &calls.files, Ok(0), &[]);
    assert_eq!(question, asked(Operation::Remove, [0; 4], "/data/x"));
    let status = FileStatus {
        mode: 0o040_755,
        ..FileStatus::default()
    };
    put(&mut process, DATA, b"data/\0");
    call(&mut process, Sysno::chdir, &[DATA]);
    answer(&mut process, &calls.files, Ok(0), &status.to_bytes());
    assert_eq!(result(&process), 0);
    put(&mut process, DATA, b"a\0b/\0");
    call(&mut process, Sysno::rename, &[DATA, DATA + 2]);
    let question = answer(&mut process, &calls.files, Ok(0), &[]);
    assert_eq!(
        question,
        asked(Operation::Rename, [7, 0, 0, 0], "/data/a/data/b/")
    );
    assert_eq!(call(&mut process, Sysno::fchdir, &[3]), 0);
    assert_eq!(call(&mut process, Sysno::getcwd, &[DATA, 20]), 10);
    assert_eq!(process.memory.read(UserVirt(DATA)), Some(*b"/data/dir\0"));
    assert_eq!(call(&mut process, Sysno::fchdir, &[1]), error(Errno::ENOTDIR));
    assert_eq!(open(&mut process, calls, "/f", 5), 4);
    call(&mut process, Sysno::openat, &[4, DATA + 1, 0, 0]);
    assert_eq!(result(&process), error(Errno::ENOTDIR), "no directory");
}

#[test]
fn a_shared_file_is_closed_once() {
    let (mut process, calls) = connected();
    open(&mut process, calls, "/f", 5);
    open(&mut process, calls, "/g", 6);
    assert_eq!(call(&mut process, Sysno::dup, &[3]), 5);
    assert_eq!(call(&mut process, Sysno::close, &[3]), 0);
    call(&mut process, Sysno::dup2, &[5, 4]);
    let question = answer(&mut process, &calls.files, Err(5), &[]);
    assert_eq!(question.arguments, [6, 0, 0, 0]);
    assert_eq!(result(&process), 4, "an error of the close is lost");
    assert_eq!(call(&mut process, Sysno::dup3, &[4, 4, 0]), error(Errno::EINVAL));
    assert_eq!(call(&mut process, Sysno::dup3, &[4, 1, 0o2_000_000]), 1);
    call(&mut process, Sysno::write, &[1, DATA, 1]);
    assert_eq!(answer(&mut process, &calls.files, Ok(1), &[]).arguments[0], 5);
}

#[test]
fn input_is_waited_for_without_holding_up_files() {
    let (mut process, calls) = connected();
    let threads: Vec<usize> = (0..2).map(|_| process.add_thread_for_test()).collect();
    let read = Sysno::read.id().try_into().unwrap();
    for &thread in &threads {
        call_in(&mut process, thread, read, &[0, DATA + 64, 100]);
    }
    call(&mut process, Sysno::read, &[0, DATA, 10]);
    let wait = process.threads.get(0).unwrap().wait.unwrap();
    assert!(wait.deadline_ns < u64::MAX, "no slot: the call is made again");
    process.wake_with(0, Ok(0));
    assert_eq!(open(&mut process, calls, "/f", 5), 3);
    let question = answer(&mut process, &calls.input, Ok(3), b"abc");
    assert_eq!(question, asked(Operation::InputRead, [100, 0, 0, 0], ""));
}

#[test]
fn poll_asks_about_input() {
    let (mut process, calls) = connected();
    let entry = [0u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
    put(&mut process, DATA, &entry);
    call(&mut process, Sysno::poll, &[DATA, 1, u64::MAX]);
    let question = answer(&mut process, &calls.input, Ok(0x11), &[]);
    assert_eq!(question, asked(Operation::InputReady, [WITHOUT_END, 0, 0, 0], ""));
    assert_eq!(result(&process), 1);
    assert_eq!(process.memory.read(UserVirt(DATA + 6)), Some(0x11u16));
    call(&mut process, Sysno::poll, &[DATA, 1, 50]);
    let question = answer(&mut process, &calls.input, Ok(0), &[]);
    assert_eq!((question.arguments[0], result(&process)), (50, 0));
    put(
        &mut process,
        DATA + 8,
        &[1u32.to_le_bytes(), 4u32.to_le_bytes()].concat(),
    );
    call(&mut process, Sysno::poll, &[DATA, 2, u64::MAX]);
    let question = answer(&mut process, &calls.input, Ok(0), &[]);
    assert_eq!(question.arguments[0], 0, "output is ready: nobody waits");
    assert_eq!(result(&process), 1);
}

#[test]
fn bad_pointers_are_found_before_anybody_is_asked() {
    let (mut process, calls) = connected();
    open(&mut process, calls, "/f", 5 | DIRECTORY);
    for (number, args) in [
        (Sysno::read, &[3, CODE, 10][..]),
        (Sysno::read, &[3, DATA, 1 << 40]),
        (Sysno::write, &[3, 1 << 63, 10]),
        (Sysno::readv, &[3, 0, 1]),
        (Sysno::getdents64, &[3, CODE, 100]),
        (Sysno::readlink, &[DATA, CODE, 100]),
        (Sysno::rename, &[DATA, 0]),
        (Sysno::mkdir, &[u64::MAX, 0]),
        (Sysno::chdir, &[0]),
    ] {
        assert_eq!(call(&mut process, number, args), error(Errno::EFAULT), "{number}");
    }
    assert!(calls.files.iter().all(|slot| slot.request().is_none()));
}

#[test]
fn whatever_the_launcher_answers_is_survived() {
    let values = [
        0,
        1,
        4096,
        DATA_BYTES as u64 + 1,
        1 << 32,
        i64::MAX.cast_unsigned(),
        u64::MAX,
    ];
    for value in values {
        for (len, errno) in [(0, 0), (8, 5), (DATA_BYTES, 4095)] {
            let data = vec![0xff; len];
            let result = if errno == 0 { Ok(value) } else { Err(errno) };
            let (mut process, calls) = connected();
            open(&mut process, calls, "/f", value);
            for (number, args) in [
                (Sysno::read, &[3, DATA, 64][..]),
                (Sysno::write, &[3, DATA, 64]),
                (Sysno::getdents64, &[3, DATA, 64]),
                (Sysno::readlink, &[DATA, DATA + 8, 64]),
                (Sysno::stat, &[DATA, DATA + 8]),
                (Sysno::chdir, &[DATA]),
                (Sysno::lseek, &[3, 0, 0]),
                (Sysno::openat, &[CURRENT, DATA, 0, 0]),
                (Sysno::close, &[3]),
            ] {
                call(&mut process, number, args);
                if calls.files.iter().any(|slot| slot.request().is_some()) {
                    answer(&mut process, &calls.files, result, &data);
                }
                let beyond: u64 = process.memory.read(UserVirt(DATA + 256)).unwrap();
                assert_eq!(beyond, 0, "{number} wrote too much");
                assert_eq!(process.threads.get(0).unwrap().wait, None);
            }
        }
    }
}

#[test]
fn descriptors_run_out_before_anybody_is_asked() {
    let (mut process, calls) = connected();
    for number in 3..256 {
        assert_eq!(open(&mut process, calls, "/f", 5), number);
    }
    call(&mut process, Sysno::openat, &[CURRENT, DATA, 0, 0]);
    assert_eq!(result(&process), error(Errno::EMFILE));
    call(&mut process, Sysno::close, &[100]);
    call(&mut process, Sysno::openat, &[CURRENT, DATA, 0, 0]);
    answer(&mut process, &calls.files, Err(2), &[]);
    assert_eq!(result(&process), error(Errno::ENOENT));
    assert_eq!(
        open(&mut process, calls, "/f", 5),
        100,
        "a failure gives the number back"
    );
}

/// A generator of numbers below `n`.
fn random(state: &mut u64, n: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap() % n
}

#[test]
fn wild_calls_meet_wild_answers() {
    const CALLS: [Sysno; 37] = [
        Sysno::open,
        Sysno::openat,
        Sysno::creat,
        Sysno::close,
        Sysno::read,
        Sysno::readv,
        Sysno::pread64,
        Sysno::preadv,
        Sysno::write,
        Sysno::writev,
        Sysno::pwrite64,
        Sysno::pwritev,
        Sysno::lseek,
        Sysno::fstat,
        Sysno::stat,
        Sysno::lstat,
        Sysno::newfstatat,
        Sysno::statx,
        Sysno::getdents64,
        Sysno::poll,
        Sysno::mkdirat,
        Sysno::unlinkat,
        Sysno::renameat2,
        Sysno::readlinkat,
        Sysno::faccessat2,
        Sysno::fchmodat,
        Sysno::fchmod,
        Sysno::ftruncate,
        Sysno::fsync,
        Sysno::chdir,
        Sysno::fchdir,
        Sysno::getcwd,
        Sysno::dup,
        Sysno::dup2,
        Sysno::dup3,
        Sysno::fcntl,
        Sysno::fadvise64,
    ];
    let edges = [
        DATA + PAGE - 3,
        CODE,
        1 << 47,
        u64::MAX,
        u64::MAX - 15,
        1 << 63,
        1 << 32,
    ];
    // Not 1 and 2: what is written there would go to a serial port.
    let values: Vec<u64> = [0, 3, 4, 5, 6, 7, 8, 255, 0x1000, DATA, DATA, DATA + 64, CURRENT]
        .into_iter()
        .chain(edges)
        .collect();
    let mut state = 11;
    let (mut process, calls) = connected();
    for round in 0..40_000 {
        if round % 5_000 == 0 {
            put(&mut process, DATA, b"/a/../b/./c");
            put(
                &mut process,
                DATA + 64,
                &[DATA, 40, DATA, 9].map(u64::to_le_bytes).concat(),
            );
        }
        let args: Vec<u64> = (0..6).map(|_| values[random(&mut state, values.len())]).collect();
        call(&mut process, CALLS[random(&mut state, CALLS.len())], &args);
        for slot in calls.files.iter().chain(&calls.input) {
            while let Some(request) = slot.request() {
                let value = values[random(&mut state, values.len())];
                let results = [Ok(value), Ok(0), Err(2), Err(9999)];
                let bytes = [0, 8, 104, DATA_BYTES, usize::MAX];
                slot.answer(
                    request.turn,
                    results[random(&mut state, 4)],
                    bytes[random(&mut state, 5)],
                );
                process.take_answers();
            }
        }
        // A sleep, of `poll`.
        if process.threads.get(0).unwrap().wait.is_some() {
            process.wake_with(0, Ok(0));
        }
    }
    assert!(process.host.total() > 1_000, "{}", process.host.total());
}
