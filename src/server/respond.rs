//! Answers, whole in memory.

use axum::{
    body::{Body, Bytes},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    response::Response,
};

/// An answer of this status and text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    answer(status, "text/plain; charset=utf-8", text.into())
}

/// An answer of this status, media type and body.
pub(super) fn answer(status: StatusCode, media_type: &'static str, body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
