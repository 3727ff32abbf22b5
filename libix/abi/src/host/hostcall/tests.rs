use super::{Answered, DATA_BYTES, FileStatus, HostCalls, Operation, Request, Slot};
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

fn slot() -> Box<Slot> {
    Box::new(Slot::new())
}

#[test]
fn a_question_gets_its_answer() {
    let slot = slot();
    assert_eq!(slot.request(), None);
    for round in 0..3u64 {
        slot.write(0, b"/a/path");
        slot.post(Operation::Open, [2, 0o644, round, 0], 7);
        assert!(!slot.is_answered() && slot.answered().is_none());
        let request = slot.request().unwrap();
        assert_eq!(
            (request.operation, request.arguments, request.data_bytes),
            (Some(Operation::Open), [2, 0o644, round, 0], 7)
        );
        let mut path = [0; 7];
        slot.read(0, &mut path);
        assert_eq!(&path, b"/a/path");
        slot.answer(request.turn, Err(2), 0);
        let answered = Answered {
            result: Err(2),
            data_bytes: 0,
        };
        assert_eq!((slot.answered(), slot.request()), (Some(answered), None));
    }
}

#[test]
fn bytes_go_in_and_out_at_any_offset() {
    let slot = slot();
    let bytes: Vec<u8> = (0..DATA_BYTES).map(|i| i.to_le_bytes()[0] ^ 0x5a).collect();
    let mut at = 0;
    for step in (1..40).cycle() {
        let end = (at + step).min(bytes.len());
        slot.write(at, &bytes[at..end]);
        at = end;
        if at == bytes.len() {
            break;
        }
    }
    for offset in [0, 1, 7, 8, 9, 4095, DATA_BYTES - 3] {
        let mut seen = vec![0; (DATA_BYTES - offset).min(50)];
        slot.read(offset, &mut seen);
        assert_eq!(seen, bytes[offset..offset + seen.len()]);
    }
    slot.write(DATA_BYTES - 1, &[1, 2, 3]);
    let mut seen = [9; 3];
    slot.read(DATA_BYTES - 1, &mut seen);
    assert_eq!(seen, [1, 9, 9], "nothing beyond the end is touched");
    slot.write(usize::MAX, &[1]);
}

#[test]
fn what_a_liar_writes_is_cut_to_what_there_is() {
    let slot = slot();
    slot.post(Operation::Read, [0; 4], 0);
    slot.operation.store(99, Ordering::Relaxed);
    slot.data_bytes.store(u32::MAX, Ordering::Relaxed);
    let Request {
        turn,
        operation,
        data_bytes,
        ..
    } = slot.request().unwrap();
    assert_eq!((operation, data_bytes), (None, DATA_BYTES));
    slot.answer(turn, Ok(u64::MAX - 5000), usize::MAX);
    let answered = slot.answered().unwrap();
    assert_eq!((answered.result, answered.data_bytes), (Err(5), DATA_BYTES));
    slot.answer(turn, Err(i32::MIN), 0);
    assert_eq!(slot.answered().unwrap().result, Ok(1 << 31));
    slot.answer(turn, Err(4096), 0);
    assert_eq!(slot.answered().unwrap().result, Err(5));
}

#[test]
fn numbers_name_operations() {
    for (number, operation) in (1..).zip(Operation::ALL) {
        assert_eq!(Operation::from_number(number), Some(operation));
        assert_eq!(operation as u32, number);
    }
    assert_eq!(
        (Operation::from_number(0), Operation::from_number(20)),
        (None, None)
    );
}

#[test]
fn posted_calls_are_counted() {
    let calls = Box::new(HostCalls::new());
    calls.posted.store(u32::MAX, Ordering::Relaxed);
    calls.count_posted();
    assert_eq!(calls.posted(), 0);
}

#[test]
fn a_status_comes_out_as_it_went_in() {
    let status = FileStatus {
        device: 1,
        inode: 2,
        mode: 0o100_644,
        links: 3,
        size: u64::MAX,
        block_bytes: 4096,
        blocks: 8,
        times: [[1, 2], [3, 4], [5, 6]],
    };
    assert_eq!(FileStatus::from_bytes(&status.to_bytes()), status);
}
