//! The bytes of a connection, with an eye on what they mean for its phase.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::{Connection, Phase};

/// The most bytes that are thrown away after an answer that came before the request was read.
const LINGER: usize = 1 << 20;

/// A stream that notes when a head begins and when an answer is out.
#[derive(Debug)]
pub(super) struct PhasedStream<S> {
    inner: S,
    connection: Arc<Connection>,
    thrown_away: usize,
}

impl<S> PhasedStream<S> {
    pub(super) const fn new(inner: S, connection: Arc<Connection>) -> Self {
        Self { inner, connection, thrown_away: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PhasedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before && matches!(self.connection.phase(), Phase::Fresh | Phase::Idle) {
            self.connection.enter(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PhasedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        // hyper flushes once an answer is written as a whole: answers are never streamed here.
        if self.connection.phase() == Phase::Answer {
            self.connection.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the connection so that its last answer arrives.
    ///
    /// The kernel resets a connection that is closed with bytes unread, and a reset may overtake the answer. So
    /// when the client is still sending, as with a body that is too large, what it sends is thrown away for a
    /// moment; the sweep says how long that is.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.phase() != Phase::Closing {
            self.connection.enter(Phase::Closing);
        }
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
            let read = buffer.filled().len();
            self.thrown_away += read;
            if read == 0 || self.thrown_away > LINGER {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
