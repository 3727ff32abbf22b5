//! The service: a task for each connection.

use crate::lines::Lines;
use libix::task::{self, TcpListener, TcpStream, timeout};
use libix::{Error, Status};
use std::time::Duration;

/// Where it listens.
pub const PORT: u16 = 7007;

/// How long a client may say nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

// ANCHOR: serve
/// Serves until it is asked to stop.
pub async fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind(PORT)?;
    println!("serving at port {PORT}");
    while let Ok((stream, _peer)) = listener.accept().await {
        task::spawn(async move {
            // An error is the end of a connection, and nobody else's business.
            let _ = converse(stream).await;
        });
    }
    Ok(())
}
// ANCHOR_END: serve

// ANCHOR: converse
/// Answers each line, until the client has no more to say or is silent for too long.
async fn converse(stream: TcpStream) -> Result<(), Status> {
    let mut lines = Lines::new();
    while let Ok(received) = timeout(PATIENCE, stream.recv()).await {
        let Some(data) = received? else {
            return stream.shutdown();
        };
        lines.push(&data);
        // The window of the client opens only now, and no further than what is read.
        drop(data);
        while let Some(line) = lines.next()? {
            let words = line.split_whitespace().count();
            // Waits while the client does not take its answers.
            stream.writable().await?;
            stream.send_now(format!("{words}\n"))?;
        }
    }
    stream.send_now("you are silent\n")?;
    stream.shutdown()
}
// ANCHOR_END: converse
