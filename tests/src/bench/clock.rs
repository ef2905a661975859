//! The time, as the core wants it told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comity_core::time::{Monotonic, Now, WallTime};

/// Now. Nothing here waits by the core's deadlines, so its monotonic clock stands still.
pub fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = since.unwrap_or_default().as_millis();
    Now {
        wall: WallTime(u64::try_from(milliseconds).unwrap_or(u64::MAX)),
        monotonic: Monotonic(Duration::ZERO),
    }
}
