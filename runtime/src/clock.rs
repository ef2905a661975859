//! The two clocks that the core is told.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use comity_core::time::{Monotonic, Now, WallTime};

/// Reads the system's clocks; its monotonic time starts when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// What both clocks show.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            wall: WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
            monotonic: Monotonic(self.start.elapsed()),
        }
    }

    /// A moment of the core as one of the system. What lies beyond the system's reckoning becomes
    /// a day from now.
    #[must_use]
    pub fn instant(&self, moment: Monotonic) -> Instant {
        let far = || Instant::now() + Duration::from_secs(24 * 60 * 60);
        self.start.checked_add(moment.0).unwrap_or_else(far)
    }
}
