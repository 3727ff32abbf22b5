//! Command entries full of random bits, thousands of them, then proof that the dataplane still works.

use ix_abi::app::{Command, Endpoint, Handle, Opcode, trap};
use ixion_guests::{Dataplane, call, command};

/// xorshift64*: seeded, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bits(&mut self) -> u64 {
        let word = self.next();
        match self.next() % 4 {
            0 => word,
            1 => word % 64,
            2 => 0x1000_0000_0000 + word % (1 << 28),
            _ => 0x2000_0000_0000 + word % (1 << 24),
        }
    }
}

fn main() {
    let dataplane = Dataplane::set_up();
    let mut random = Random(0x1c_1de5);
    let capacity = dataplane.info.commands_capacity as usize;
    // SAFETY: the kernel described this array; no other reference to it exists.
    let commands =
        unsafe { core::slice::from_raw_parts_mut(dataplane.info.commands as *mut Command, capacity) };
    let mut made = Vec::new();
    for _ in 0..400 {
        for entry in commands.iter_mut() {
            let raw: [u64; 8] = core::array::from_fn(|_| random.bits());
            // SAFETY: a command is 64 bytes, any of which are legal.
            *entry = unsafe { core::mem::transmute::<[u64; 8], Command>(raw) };
            entry.opcode = u16::try_from(random.next() % 20).expect("small");
            entry.flags &= u16::try_from(random.next() % 2).expect("small");
            if random.next().is_multiple_of(2) && !made.is_empty() {
                let place = usize::try_from(random.next()).expect("64 bits") % made.len();
                entry.handle = made[place];
            }
        }
        let events = u64::from(dataplane.info.events_capacity);
        let result = call(trap::RUN_IO, [capacity as u64, events, 0, 0, 0, 0]);
        assert!(result >= 0, "{result}");
        let fresh = commands
            .iter()
            .filter(|answer| answer.result >= 0 && answer.handle != Handle::NONE);
        made.extend(fresh.map(|answer| answer.handle).take(64));
        let excess = made.len().saturating_sub(4096);
        made.drain(..excess);
    }
    for handle in made {
        for opcode in [Opcode::TcpUnlisten, Opcode::UdpUnbind, Opcode::TimerCancel] {
            let mut end = command(opcode);
            end.handle = handle;
            let _ = dataplane.answer(end);
        }
        let mut abort = command(Opcode::TcpClose);
        (abort.handle, abort.flags) = (handle, Command::ABORT);
        let _ = dataplane.answer(abort);
    }
    let mut bind = command(Opcode::UdpBind);
    bind.endpoint = Endpoint::any(0);
    let _ = dataplane.make(bind);
    println!("still batching");
}
