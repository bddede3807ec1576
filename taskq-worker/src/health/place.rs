//! Connections to the health server: so many at once, each for so long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Others wait until one of them is over.
const MOST: usize = 32;
/// From the first byte to the last.
const LONGEST: Duration = Duration::from_secs(5);

/// Takes connections as there is a place for them.
pub(super) struct Places {
    listener: TcpListener,
    places: Arc<Semaphore>,
    longest: Duration,
}

/// A connection with a place and a deadline.
pub(super) struct Visit {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(MOST)),
            longest: LONGEST,
        }
    }
}

impl Listener for Places {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        loop {
            // A closed semaphore would be an error; this one never is.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let visit = Visit {
                        stream,
                        deadline: Box::pin(tokio::time::sleep_until(Instant::now() + self.longest)),
                        _place: place,
                    };
                    return (visit, from);
                }
                // Gone again, or no file handle left: others come and go.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Visit {
    /// The stream, while there is time.
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.in_time(cx) {
            Ok(stream) => stream.poll_read(cx, buf),
            Err(late) => Poll::Ready(Err(late)),
        }
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.in_time(cx) {
            Ok(stream) => stream.poll_write(cx, bytes),
            Err(late) => Poll::Ready(Err(late)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.in_time(cx) {
            Ok(stream) => stream.poll_flush(cx),
            Err(late) => Poll::Ready(Err(late)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.in_time(cx) {
            Ok(stream) => stream.poll_shutdown(cx),
            Err(late) => Poll::Ready(Err(late)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_loses_the_place_to_who_waits_for_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Places {
            places: Arc::new(Semaphore::new(1)),
            longest: Duration::from_millis(50),
            ..Places::new(listener)
        };
        let app = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
        let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(places, app).await.unwrap();
        }));
        let mut mute = TcpStream::connect(address).await.unwrap();
        let other = async || -> std::io::Result<String> {
            let mut other = TcpStream::connect(address).await?;
            let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            other.write_all(request).await?;
            let mut answer = String::new();
            other.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        // Its own deadline begins when it has a place. It is short: a machine that stands still may miss it.
        let answered =
            async { while !other().await.is_ok_and(|a| a.starts_with("HTTP/1.1 200")) {} };
        let patience = Duration::from_secs(60);
        let answered = tokio::time::timeout(patience, answered).await;
        answered.expect("the place is given on");
        assert_eq!(mute.read(&mut [0; 1]).await.unwrap(), 0, "it was closed");
    }
}
