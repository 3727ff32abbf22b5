use crate::{Datagram, Error, Flow, Frame, Io, Listener, RecvBuf, Status, Timer, UdpPort};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// What to do about a peer that knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Take the connection.
    Accept,
    /// Reset it. The flow's handle is stale at once.
    Reject,
}

/// A connection offered to the app: complete on the wire, but not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct Knock {
    /// Where it came in.
    pub listener: Listener,
    /// Who it is.
    pub peer: SocketAddr,
}

/// What an app does when things happen. Every method has a default that does the plain thing, so implement what you
/// care about. None may block: while one runs, no packet is taken from the NIC.
///
/// The life of a flow: [`on_knock`](Handler::on_knock), or [`on_connected`](Handler::on_connected) for one opened with
/// [`Io::connect`]; then any of `on_recv` and `on_sent`; `on_eof` when the peer has finished sending; and last, exactly
/// once, [`on_dead`](Handler::on_dead).
#[allow(
    unused_variables,
    reason = "the names of the arguments document the defaults that ignore them"
)]
pub trait Handler {
    /// Called once, before the first turn of [`crate::run`]: the place to listen and to connect.
    ///
    /// # Errors
    /// Whatever keeps the app from starting; `run` returns it.
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        Ok(())
    }

    /// Called once, after [`Handler::on_start`] has succeeded, with [`crate::run_on`] on all cores: what listens is served
    /// from now on. The place to say so.
    fn on_ready(&mut self, io: &mut Io) {}

    /// A peer wants to connect. `flow` may be used already; what is sent goes out if it is accepted.
    #[inline]
    fn on_knock(&mut self, io: &mut Io, flow: Flow, knock: Knock) -> Answer {
        Answer::Accept
    }

    /// A connect has finished. If it failed, `flow` is gone and no `on_dead` follows.
    #[inline]
    fn on_connected(&mut self, io: &mut Io, flow: Flow, result: Result<(), Status>) {}

    /// The next bytes of the stream. By default they are dropped.
    #[inline]
    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {}

    /// The peer has acknowledged `count` more bytes; [`Io::backlog`] tells how many are still on their way.
    #[inline]
    fn on_sent(&mut self, io: &mut Io, flow: Flow, count: usize) {}

    /// As many bytes were on their way as the flow's high-water mark says, and now half of that or less:
    /// [`Io::is_writable`]. The place to go on sending.
    #[inline]
    fn on_writable(&mut self, io: &mut Io, flow: Flow) {}

    /// The peer has finished sending. By default our side finishes too, after what is queued.
    #[inline]
    fn on_eof(&mut self, io: &mut Io, flow: Flow) {
        // An error says that the flow is closed already.
        let _ = io.close(flow);
    }

    /// The flow is gone, `Ok` after an orderly close by both sides; its handle is stale.
    #[inline]
    fn on_dead(&mut self, io: &mut Io, flow: Flow, reason: Result<(), Status>) {}

    /// A frame of a bridge's, or a packet for another host, as was asked for with [`Io::bind_frames`]. By default it is dropped.
    #[inline]
    fn on_frame(&mut self, io: &mut Io, frame: Frame) {}

    /// A datagram. By default it is dropped.
    #[inline]
    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {}

    /// A datagram has left, or could not be sent.
    #[inline]
    fn on_udp_sent(&mut self, io: &mut Io, port: UdpPort, result: Result<(), Status>) {}

    /// The same for those who want to know which one; by default it is [`Handler::on_udp_sent`] that is told.
    #[inline]
    fn on_datagram_sent(
        &mut self,
        io: &mut Io,
        port: UdpPort,
        datagram: Datagram,
        result: Result<(), Status>,
    ) {
        self.on_udp_sent(io, port, result);
    }

    /// The host `peer` refuses datagrams of this port: its own is closed. Anybody can forge that, so take it for a hint.
    #[inline]
    fn on_udp_refused(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr) {}

    /// A timer went off.
    #[inline]
    fn on_timer(&mut self, io: &mut Io, timer: Timer) {}

    /// A turn ends: all that was received together has been told. The place for work on the batch as a whole.
    #[inline]
    fn on_turn(&mut self, io: &mut Io) {}

    /// How long the next turn may wait for something to happen; by default, without limit.
    #[inline]
    fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        None
    }

    /// The dataplane's own IPv4 address is another one, or there is none any more, as the DHCP server wants it; of several links
    /// ([`Io::links`]), that of one.
    /// Connections from the one before die with `AddressNotAvailable`; what listens goes on.
    #[inline]
    fn on_local_ip(&mut self, io: &mut Io, ip: Option<IpAddr>) {}

    /// `ix` asks the app to finish. By default everything is closed in order, and the loop ends.
    #[inline]
    fn on_stop(&mut self, io: &mut Io) {
        io.stop();
    }
}
