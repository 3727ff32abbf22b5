//! Forwards and gives back what it was not lent, what it has given away, and what it has lent already; then hoards.

use ix_abi::app::{Command, Event, EventKind, FrameMode, Handle, HandleKind, Opcode, Status, layout};
use ixion_guests::{Dataplane, command, foreign_addresses};

struct Thief {
    dataplane: Dataplane,
    port: Handle,
}

impl Thief {
    fn forward(&self, address: u64) -> Command {
        let mut forward = command(Opcode::FrameForward);
        (forward.handle, forward.address) = (self.port, address);
        forward
    }

    fn done(address: u64) -> Command {
        let mut done = command(Opcode::FrameDone);
        done.address = address;
        done
    }

    fn assert_refused(&self, command: Command, status: Status) {
        assert_eq!(self.dataplane.refusal(command), status, "{command:?}");
    }

    /// The next frame.
    fn frame(&self) -> Event {
        let events = self.dataplane.wait(1);
        assert_eq!(events[0].kind, EventKind::FrameRecv as u16);
        assert_eq!((events[0].handle, events[0].cookie), (self.port, 99));
        events[0]
    }

    fn result(&self, command: Command) -> Result<u32, Status> {
        Status::check(self.dataplane.answer(command).result)
    }
}

fn bind() -> Command {
    let mut bind = command(Opcode::FrameBind);
    (bind.cookie, bind.address) = (99, FrameMode::Bridge as u64);
    bind
}

fn main() {
    let dataplane = Dataplane::set_up();
    for (link, mode) in [(64, 1), (u64::MAX, 2), (0, 0), (0, 3), (0, u64::MAX)] {
        let mut wrong = bind();
        (wrong.len, wrong.address) = (link, mode);
        assert_eq!(dataplane.refusal(wrong), Status::Invalid, "{wrong:?}");
    }
    let port = dataplane.make(bind());
    assert_eq!(dataplane.refusal(bind()), Status::Busy);
    println!("bound");
    let thief = Thief { dataplane, port };

    for address in foreign_addresses() {
        thief.assert_refused(thief.forward(address), Status::Fault);
        thief.assert_refused(Thief::done(address), Status::Fault);
    }
    let window = thief.dataplane.info.rx_window;
    let end = window + thief.dataplane.info.rx_window_len;
    thief.assert_refused(thief.forward(end), Status::Fault);
    for address in (window..end).step_by(2048) {
        // Nothing was lent: the card has some of these, the pool the others.
        thief.assert_refused(thief.forward(address), Status::Invalid);
        thief.assert_refused(Thief::done(address), Status::Invalid);
    }

    let frame = thief.frame();
    assert!(frame.address >= layout::RX_WINDOW);
    for handle in [
        Handle::NONE,
        Handle(u64::MAX),
        Handle::new(HandleKind::Flow, port.index(), port.generation()),
        Handle::new(HandleKind::Frames, port.index(), port.generation() + 1),
        Handle::new(HandleKind::Frames, 7, port.generation()),
    ] {
        let mut forged = thief.forward(frame.address);
        forged.handle = handle;
        thief.assert_refused(forged, Status::BadHandle);
    }
    for link in [7, u64::MAX] {
        let mut elsewhere = thief.forward(frame.address);
        elsewhere.len = link;
        thief.assert_refused(elsewhere, Status::Invalid);
    }
    let mut kept = thief.forward(frame.address);
    kept.flags = Command::KEEP;
    let results: Vec<_> = (0..2000).map(|_| thief.result(kept)).collect();
    assert!(
        results.iter().all(|result| matches!(result, Ok(0 | 1))),
        "{results:?}"
    );
    assert_eq!(thief.result(Thief::done(frame.address)), Ok(0));
    thief.assert_refused(Thief::done(frame.address), Status::Invalid);
    thief.assert_refused(thief.forward(frame.address), Status::Invalid);

    let frame = thief.frame();
    assert!(matches!(thief.result(thief.forward(frame.address)), Ok(0 | 1)));
    thief.assert_refused(thief.forward(frame.address), Status::Invalid);
    println!("every theft refused");

    // Many at once, of which some are never given back.
    let mut hoard = vec![thief.frame()];
    println!("hoarding");
    while hoard.len() < 200 {
        hoard.push(thief.frame());
    }
    let mut unbind = command(Opcode::FrameUnbind);
    unbind.handle = port;
    assert_eq!(thief.result(unbind), Ok(0));
    thief.assert_refused(unbind, Status::BadHandle);
    thief.assert_refused(thief.forward(hoard[0].address), Status::BadHandle);
    for (number, frame) in hoard.iter().enumerate() {
        // Every other one is left to the kernel, which takes it when this ends.
        if number % 2 == 0 {
            assert_eq!(thief.result(Thief::done(frame.address)), Ok(0));
        }
    }
    println!("the end");
}
