//! When to try a server again that did not answer (TXN-17).

use std::time::Duration;

/// The pause after the first failure.
pub const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A pause after which nothing is of interest any more that was true for a moment (TXN-18).
const LONG: Duration = Duration::from_secs(5 * 60);

/// The pause after so many failures in a row: doubling from [`FIRST`] to [`LONGEST`], shortened by
/// up to a quarter according to `random`, so that servers that failed together do not come back
/// together.
#[must_use]
pub fn pause(failures: u32, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let quarter = u64::try_from(full.as_millis()).unwrap_or(u64::MAX) / 4;
    full - Duration::from_millis(random % (quarter + 1))
}

/// Whether so many failures in a row mean a long pause.
#[must_use]
pub fn is_long(failures: u32) -> bool {
    failures > 0 && pause(failures, 0) > LONG
}

/// A small generator of well-spread numbers (SplitMix64) for choices that are no secrets.
#[derive(Clone, Debug)]
pub struct Spread(u64);

impl Spread {
    /// Starts from a seed; equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        let state = seed
            .iter()
            .fold(0_u64, |state, byte| state.rotate_left(8) ^ u64::from(*byte));
        Self(state)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn txn_17_pauses_double_up_to_a_day_and_differ_by_at_most_a_quarter() {
        assert_eq!(pause(1, 0), FIRST);
        assert_eq!(pause(2, 0), FIRST * 2);
        assert_eq!(pause(1000, 0), LONGEST);
        let mut spread = Spread::new(&[7; 32]);
        for failures in 1..40 {
            let full = pause(failures, 0);
            let shortened = pause(failures, spread.next_number());
            assert!(
                shortened <= full && shortened >= full * 3 / 4,
                "{shortened:?} of {full:?}"
            );
        }
    }
}
