//! What is asked of two stacks with a wire between them, whoever wrote them.

/// Bytes of a request, and of its answer.
pub(crate) const REQUEST_LEN: u32 = 64;
/// The same, for slices.
pub(crate) const REQUEST: usize = REQUEST_LEN as usize;

/// Payload of a full segment without TCP options.
pub(crate) const SEGMENT_LEN: u32 = 1460;
/// The same, for slices.
pub(crate) const SEGMENT: usize = SEGMENT_LEN as usize;

/// Connections to one port of the server; the next ones go to the port after it, so that 16 bits of the client's ports
/// do not end the experiment.
pub(crate) const FLOWS_PER_PORT: u32 = 40_000;
pub(crate) const FIRST_CLIENT_PORT: u16 = 10_000;
pub(crate) const FIRST_SERVER_PORT: u16 = 7000;

/// Two stacks, a client and an echo server, with established connections. Time stands still for them, so no timer goes
/// off, unless one says otherwise.
pub(crate) trait Pair: Sized {
    /// The client opens `flows` connections.
    fn open(flows: u32) -> Self;

    /// A request on each of these flows at once, and the answers; panics if one is missing.
    fn requests(&mut self, flows: &[u32]);

    /// `segments` full segments' worth of data from client to server, on the first connection.
    fn bulk(&mut self, segments: u32);

    /// One more connection is opened, and closed by both sides, `times` times.
    fn churn(&mut self, times: u32);
}

/// Ports of both ends of a connection.
#[allow(
    clippy::cast_possible_truncation,
    reason = "both fit by the choice of FLOWS_PER_PORT"
)]
pub(crate) fn ports(flow: u32) -> (u16, u16) {
    let client = FIRST_CLIENT_PORT + (flow % FLOWS_PER_PORT) as u16;
    (client, FIRST_SERVER_PORT + (flow / FLOWS_PER_PORT) as u16)
}

/// How many ports the server listens on for so many connections.
pub(crate) fn server_ports(flows: u32) -> impl Iterator<Item = u16> {
    FIRST_SERVER_PORT..=ports(flows.saturating_sub(1)).1
}
