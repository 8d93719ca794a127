//! What a load generator sends, and what it expects in return.

use crate::connection::Response;

/// Requests rendered ahead, each with the answer that it must get.
pub(crate) trait Workload: Send + Sync + 'static {
    /// The whole request, head and body, of this turn.
    fn request(&self, turn: usize) -> &[u8];

    /// Checks the answer to the request of this turn.
    ///
    /// # Errors
    ///
    /// When it is not what it must be: a fast wrong answer is worth nothing, so the run ends with this error.
    fn check(&self, turn: usize, response: &Response<'_>) -> anyhow::Result<()>;
}
