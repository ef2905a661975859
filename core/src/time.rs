//! The two clocks of the core, as values.
//!
//! The core never reads a clock. Whoever drives it passes a [`Now`] with each input. Wall-clock
//! time and monotonic time are different types, so that a time-out can never be computed from a
//! clock that an administrator may set back.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::pdu::Pdu;

/// Milliseconds since the Unix epoch, as Matrix writes time on the wire.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(pub u64);

impl WallTime {
    /// This time moved forward by `duration`, at most to the end of representable time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    /// This time moved back by `duration`, at most to the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }

    /// How long after `earlier` this time is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl WallTime {
    /// When an event says that it was made; the epoch if it claims to be older.
    #[must_use]
    pub fn of_event(event: &Pdu) -> Self {
        Self(event.origin_server_ts().try_into().unwrap_or(0))
    }

    /// As the signed integer that events and keys hold.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Time since an arbitrary moment that a runtime chooses once; it never goes back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// This moment moved forward by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this moment is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time at which an input happened, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// What goes into events and is compared with what other servers write.
    pub wall: WallTime,
    /// What deadlines and back-off are measured with.
    pub monotonic: Monotonic,
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
