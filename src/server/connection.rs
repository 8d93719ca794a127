//! The life of one connection.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    http::header::{CONNECTION, HeaderValue},
};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    Ending,
    connections::{Connection, Phase, Place},
    listener::Transport,
    stream::PhasedStream,
};

/// The most bytes that hyper holds of what a connection has sent and nobody has read yet.
pub(super) const READ_BUFFER: usize = 32 << 10;

/// Serves a connection until it ends. Its place in the list is given back then.
pub(super) async fn serve(
    stream: TcpStream,
    place: Place,
    transport: Transport,
    router: Router,
    ending: Ending,
) {
    let connection = Arc::clone(&place.connection);
    // Answers are written whole, so waiting for more to put in a packet is only waiting.
    let _ = stream.set_nodelay(true);
    match transport {
        Transport::Plain => exchange(stream, connection, router, ending).await,
        Transport::Tls(acceptor, handshakes) => match acceptor.accept(stream).await {
            Ok(stream) => exchange(stream, connection, router, ending).await,
            Err(error) => handshakes.failed(&error),
        },
    }
    drop(place);
}

async fn exchange<S>(stream: S, connection: Arc<Connection>, router: Router, ending: Ending)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.enter(Phase::Fresh);
    let stream = PhasedStream::new(stream, Arc::clone(&connection));
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        connection.enter(Phase::Request);
        let answering = router.call(request);
        let (connection, ending) = (&connection, &ending);
        async move {
            let mut answer = answering.await?;
            if ending.has_begun() {
                // API servers go on using an open connection long after the Pod is out of the endpoints
                // (kubernetes/kubernetes#127335); this sends them to another replica.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            connection.enter(Phase::Answer);
            Ok::<_, Infallible>(answer)
        }
    });
    let exchange = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(64)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = exchange.await {
        tracing::debug!(%error, "a connection has failed");
    }
}
