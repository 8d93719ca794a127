//! Reads a request's body, within limits for one and for all.

use axum::body::HttpBody as _;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use super::connection::READ_BUFFER;
use crate::telemetry::metrics::Refusal;

/// The largest body that is read. An API server takes objects of up to 3 MiB, and a review may hold two of them
/// and what is around; it is what controller-runtime allows, too. Unit: bytes.
pub(super) const MAX_BODY: usize = 7 << 20;

/// Room for the bodies of all requests together.
///
/// A body no larger than a connection's read buffer needs none of it: its bytes are already bounded by the number
/// of connections, and so a few large bodies can never push the many small ones out. Room is taken as bytes come,
/// and not by what a head declares: that costs its sender nothing.
#[derive(Debug)]
pub(super) struct BodyBudget {
    room: Semaphore,
    size: usize,
}

impl BodyBudget {
    /// Room for so many bytes.
    #[must_use]
    pub(super) fn new(bytes: usize) -> Self {
        Self { room: Semaphore::new(bytes), size: bytes }
    }

    /// How many bytes are taken.
    #[must_use]
    pub(super) fn taken(&self) -> usize {
        self.size.saturating_sub(self.room.available_permits())
    }

    fn take(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        self.room.try_acquire_many(bytes).map_err(|_| Refusal::Busy)
    }
}

/// A body that has been read, and the room that it takes until it is dropped.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

/// Reads a whole body until the deadline.
pub(super) async fn read(
    body: axum::body::Body,
    budget: &BodyBudget,
    deadline: Instant,
) -> Result<Body<'_>, Refusal> {
    // Known for a body with Content-Length, and hyper then gives no byte more.
    let length = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(Refusal::TooLarge);
    }
    timeout_at(deadline, collect(body, length, budget)).await.unwrap_or(Err(Refusal::Slow))
}

async fn collect(
    mut body: axum::body::Body,
    length: Option<usize>,
    budget: &BodyBudget,
) -> Result<Body<'_>, Refusal> {
    let mut room: Option<SemaphorePermit<'_>> = None;
    let mut reserved = READ_BUFFER;
    let mut reserve = |total: usize| {
        if total > reserved {
            let more = budget.take(total - room.as_ref().map_or(0, SemaphorePermit::num_permits))?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            reserved = total;
        }
        Ok(())
    };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::CutOff)?.into_data() else { continue };
        read += data.len();
        if read > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        reserve(read)?;
        if first.is_empty() {
            // Most bodies come in one piece, which is then used where it lies.
            first = data;
            continue;
        }
        if rest.is_empty() {
            // Of memory that nothing is written to, only the address is taken.
            rest.reserve(length.unwrap_or(read));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Body { bytes, _room: room })
}
