//! Waiting no longer than until a moment.

use std::{future::Future, io, time::Instant};

use smol::{Timer, future};

/// What `work` comes to.
///
/// Errors with [`io::ErrorKind::TimedOut`] when it is not done by the deadline.
pub(crate) async fn by<T>(
    deadline: Instant,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    future::or(work, async {
        Timer::at(deadline).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}
