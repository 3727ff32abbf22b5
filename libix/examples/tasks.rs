//! Echo server of tasks: `apps/echo` on the async level, for TCP. Its last argument is the port.

use libix::task::{self, TcpListener, TcpStream};
use libix::{Error, Status};
use std::process::ExitCode;

async fn serve(stream: TcpStream) -> Result<(), Status> {
    while let Some(data) = stream.recv().await? {
        stream.send_now(data)?;
    }
    Ok(())
}

async fn accept(port: u16) -> Result<(), Error> {
    let listener = TcpListener::bind(port)?;
    println!("echo: tcp port {port}");
    while let Ok((stream, _)) = listener.accept().await {
        // How a connection ends is its peer's business.
        task::spawn(serve(stream));
    }
    Ok(())
}

fn main() -> ExitCode {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(7);
    match task::run(accept(port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
