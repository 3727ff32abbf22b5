//! What is served.

use libix::rpc::{Body, Message, Request, RequestId, Server, Service};
use libix::{Io, Timer};
use std::collections::HashMap;
use std::time::Duration;

/// The request back.
pub const ECHO: u16 = 1;
/// As many bytes as the first four of the request say, most significant first, by [`fill`].
pub const FILL: u16 = 2;
/// Adds one to a counter, and gives its new value, in eight bytes.
pub const COUNT: u16 = 3;
/// The request back, after as many microseconds as its first four bytes say.
pub const LATER: u16 = 4;

/// Status of a call of a method that there is not.
pub const NO_METHOD: u16 = 1;
/// Status of a request that is not what its method wants.
pub const BAD_REQUEST: u16 = 2;

/// Longest that an answer may be asked to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The service: give it to [`libix::rpc::Serve`].
#[derive(Debug, Default)]
pub struct Methods {
    count: u64,
    waiting: HashMap<Timer, (RequestId, Message)>,
}

impl Methods {
    /// The answer, or why there is none.
    fn answer(&mut self, server: &mut Server, method: u16, body: &Body) -> Result<Message, u16> {
        let answer = match method {
            ECHO | LATER => server.message_of(body),
            FILL => {
                let mut answer = server.message(number(body)? as usize).map_err(|_| BAD_REQUEST)?;
                fill(&mut answer);
                Ok(answer)
            }
            COUNT => {
                self.count += 1;
                server.message_of(&self.count.to_be_bytes())
            }
            _ => return Err(NO_METHOD),
        };
        answer.map_err(|_| BAD_REQUEST)
    }
}

impl Service for Methods {
    fn on_request(&mut self, io: &mut Io, server: &mut Server, request: Request) {
        let answer = self.answer(server, request.method, &request.body);
        let (status, answer) = match answer {
            Ok(answer) if request.method == LATER => {
                let wait = number(&request.body).map(|us| Duration::from_micros(us.into()).min(LONGEST_WAIT));
                match wait.map(|wait| io.start_timer(wait)) {
                    Ok(Ok(timer)) => {
                        self.waiting.insert(timer, (request.id, answer));
                        return;
                    }
                    // Without a timer it is answered at once.
                    Ok(Err(_)) => (0, answer),
                    Err(status) => (status, empty(server)),
                }
            }
            Ok(answer) => (0, answer),
            Err(status) => (status, empty(server)),
        };
        // An error says that the client is gone, or has been told that there is no memory.
        let _ = server.respond(io, request.id, status, answer);
    }

    fn on_timer(&mut self, io: &mut Io, server: &mut Server, timer: Timer) {
        if let Some((id, answer)) = self.waiting.remove(&timer) {
            // As above.
            let _ = server.respond(io, id, 0, answer);
        }
    }
}

fn empty(server: &mut Server) -> Message {
    server.message(0).expect("nothing is shorter")
}

/// The number a request begins with.
fn number(body: &[u8]) -> Result<u32, u16> {
    body.first_chunk()
        .map(|number| u32::from_be_bytes(*number))
        .ok_or(BAD_REQUEST)
}

/// Fills a message by bytes that differ from their neighbours and between packets.
pub fn fill(message: &mut Message) {
    for (number, part) in message.parts_mut().enumerate() {
        let packet = u8::try_from(number % 256).unwrap_or(0);
        for (byte, content) in part.iter_mut().zip((0..=u8::MAX).cycle()) {
            *byte = content.wrapping_mul(29) ^ packet;
        }
    }
}
