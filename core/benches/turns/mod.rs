//! Two or more ways of doing a thing, timed side by side.

use std::time::{Duration, Instant};

/// How many turns each way has, and how long a turn lasts at least. Turns this short and this many
/// meet the same ups and downs of the machine, so that the ratio of the times means something where
/// the times alone do not.
const TURNS: usize = 2_000;
const TURN: Duration = Duration::from_micros(100);

/// How many nanoseconds each of these takes, in its middle turn.
pub fn alternately<const WAYS: usize>(ways: [&dyn Fn(); WAYS]) -> [f64; WAYS] {
    let mut turns = [const { Vec::new() }; WAYS];
    for _ in 0..TURNS {
        for (way, turns) in ways.iter().zip(&mut turns) {
            turns.push(turn(way));
        }
    }
    turns.map(|mut turns| {
        turns.sort_by(f64::total_cmp);
        turns[turns.len() / 2]
    })
}

/// Looking at the clock takes as long as a tenth of the fastest way, so that is done seldom.
fn turn(way: &dyn Fn()) -> f64 {
    const AT_ONCE: u32 = 16;
    let begun = Instant::now();
    let mut times = 0;
    while begun.elapsed() < TURN {
        (0..AT_ONCE).for_each(|_| way());
        times += AT_ONCE;
    }
    begun.elapsed().as_nanos() as f64 / f64::from(times)
}
