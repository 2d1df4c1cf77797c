//! Work that waits for the disk.

use super::error::Error;

/// Runs work that waits for the disk on a blocking thread.
pub(super) async fn off_the_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(failed) => Err(Error::Stopped { detail: failed.to_string() }),
    }
}
