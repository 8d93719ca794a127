//! What a listener hands its requests to.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};

/// An answer, whole in memory.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests.
pub trait Respond: Clone + Send + Sync + 'static {
    /// Answers one.
    fn respond(&self, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;

    /// Is told that a connection had to be refused, because there were too many.
    fn crowded(&self) {}
}

/// An answer of this status and text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.into())
}

/// An answer of this status, media type and body.
pub(super) fn answer(status: StatusCode, media_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
