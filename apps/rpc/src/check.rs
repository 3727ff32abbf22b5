//! A client that calls every method, with messages of all lengths, and compares what comes back.

use crate::service::{BAD_REQUEST, COUNT, ECHO, FILL, LATER, NO_METHOD};
use futures_util::future::join_all;
use libix::Error;
use libix::rpc::task::{Client, Session};
use libix::rpc::wire::{DATA_BYTES, MAX_MESSAGE_BYTES};
use libix::rpc::{Body, Config};
use std::net::SocketAddr;

/// How often the counter is counted up, at once.
const COUNTS: u64 = 200;

/// Lengths of messages: none, a byte, about a packet, more than there are credits, the longest.
const LENGTHS: [usize; 11] = [
    0,
    1,
    100,
    DATA_BYTES - 1,
    DATA_BYTES,
    DATA_BYTES + 1,
    10_000,
    33 * DATA_BYTES,
    500_000,
    1 << 20,
    MAX_MESSAGE_BYTES,
];

/// Checks `server`; tells what was not as it should be. Give it to [`libix::task::run`].
///
/// # Errors
/// If no port could be bound.
pub async fn check(server: SocketAddr) -> Result<Result<usize, String>, Error> {
    let client = Client::bind(&Config::default())?;
    let Ok(session) = client.connect(server) else {
        return Ok(Err("no session".into()));
    };
    Ok(check_methods(&session).await)
}

async fn check_methods(session: &Session) -> Result<usize, String> {
    let mut calls = 0;
    for len in LENGTHS {
        let request = content(len);
        let echoed = call(session, ECHO, &request).await?;
        if *echoed != *request {
            return Err(format!("{len} bytes came back as others"));
        }
        let filled = call(session, FILL, &be(len)).await?;
        if !is_filled(&filled, len) {
            return Err(format!("{len} bytes are not what they should be"));
        }
        calls += 2;
    }
    calls += check_many_at_once(session).await?;
    calls += check_order(session).await?;
    for (method, request, expected) in [(99, &b""[..], NO_METHOD), (FILL, b"abc", BAD_REQUEST)] {
        let response = session
            .call(method, request)
            .await
            .map_err(|failure| failure.to_string())?;
        if response.status != expected {
            return Err(format!("method {method} answers by status {}", response.status));
        }
        calls += 1;
    }
    Ok(calls)
}

/// Each count is given once: no call is carried out twice.
async fn check_many_at_once(session: &Session) -> Result<usize, String> {
    let counts = join_all((0..COUNTS).map(|_| call(session, COUNT, b""))).await;
    let mut numbers = Vec::new();
    for count in counts {
        let count = count?;
        let number = count.first_chunk().ok_or("a count is eight bytes")?;
        numbers.push(u64::from_be_bytes(*number));
    }
    numbers.sort_unstable();
    let is_without_gaps = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if !is_without_gaps {
        return Err(format!("counts are {numbers:?}"));
    }
    Ok(numbers.len())
}

/// What is answered late does not hold up what is answered at once.
async fn check_order(session: &Session) -> Result<usize, String> {
    let late = async {
        let echoed = call(session, LATER, &be(50_000)).await?;
        Ok::<_, String>((*echoed == be(50_000)).then(std::time::Instant::now))
    };
    let early = async {
        call(session, ECHO, b"early").await?;
        Ok::<_, String>(std::time::Instant::now())
    };
    let (late, early) = futures_util::future::join(late, early).await;
    match late? {
        Some(late) if early? < late => Ok(2),
        Some(_) => Err("an answer waits for another one".into()),
        None => Err("what came back late is something else".into()),
    }
}

async fn call(session: &Session, method: u16, request: &[u8]) -> Result<Body, String> {
    let response = session
        .call(method, request)
        .await
        .map_err(|failure| format!("method {method}: {failure}"))?;
    match response.status {
        0 => Ok(response.body),
        status => Err(format!("method {method}: status {status}")),
    }
}

fn be(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn content(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn is_filled(bytes: &[u8], len: usize) -> bool {
    let expected = |packet: usize, byte: usize| {
        let low = |number: usize| u8::try_from(number % 256).unwrap_or(0);
        low(byte).wrapping_mul(29) ^ low(packet)
    };
    let is_packet = |(packet, bytes): (usize, &[u8])| {
        bytes
            .iter()
            .enumerate()
            .all(|(place, byte)| *byte == expected(packet, place))
    };
    bytes.len() == len && bytes.chunks(DATA_BYTES).enumerate().all(is_packet)
}
