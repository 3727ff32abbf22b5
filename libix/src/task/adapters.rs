//! `AsyncRead` and `AsyncWrite` of `futures-io`: for crates that speak a protocol and bring their own buffers. Both copy,
//! because the traits say so; [`TcpStream::recv`] and [`TcpStream::send`] do not.

use super::TcpStream;
use crate::Status;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{Error, ErrorKind, Result};

fn error(status: Status) -> Error {
    let kind = match status {
        Status::ConnectionReset => ErrorKind::ConnectionReset,
        Status::ConnectionRefused => ErrorKind::ConnectionRefused,
        Status::TimedOut => ErrorKind::TimedOut,
        Status::Aborted => ErrorKind::ConnectionAborted,
        Status::Closed | Status::BadHandle => ErrorKind::BrokenPipe,
        _ => ErrorKind::Other,
    };
    Error::new(kind, status)
}

impl AsyncRead for &TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(mut data) = ready!(self.poll_recv(cx)).map_err(error)? else {
            return Poll::Ready(Ok(0));
        };
        let count = data.len().min(buffer.len());
        buffer[..count].copy_from_slice(&data[..count]);
        if count < data.len() {
            data.advance(count);
            self.unreceive(data);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_writable(cx)).map_err(error)?;
        let sent = self.send_now(bytes.to_vec()).map(|_| bytes.len());
        Poll::Ready(sent.map_err(error))
    }

    /// Everything written is on its way at once.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        // Done before is as good.
        let _ = self.shutdown();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}
