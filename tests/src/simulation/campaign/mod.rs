//! Many seeds, on all processors: each in one thread from its beginning to its end. Of one that
//! fails [`shrink`] finds the part that matters.

mod shrink;

use std::{
    ops::Range,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

pub use self::shrink::{Shrunk, shrink};
use super::{chronicle::Report, invariants::Violation, plan::Plan, world};

/// How one seed went.
pub type Outcome = (u64, Result<Report, Box<Violation>>);

/// Runs the plans of these seeds and hands over how each went, as soon as it is known; the order
/// is that of the clock on the wall. It ends early when `each` says so.
pub fn run_seeds(seeds: Range<u64>, threads: usize, mut each: impl FnMut(Outcome) -> bool) {
    let next = AtomicU64::new(seeds.start);
    let (sender, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            let work = move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send(run_seed(seed)).is_err() {
                        return;
                    }
                }
            };
            scope.spawn(work);
        }
        drop(sender);
        for outcome in outcomes {
            if !each(outcome) {
                next.store(seeds.end, Ordering::Relaxed);
            }
        }
    });
}

fn run_seed(seed: u64) -> Outcome {
    (seed, world::run(&Plan::draw(seed)))
}

/// Runs something during which nothing is printed when a thread panics: whoever calls tells it
/// better.
pub fn without_panic_messages<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Mutex<()> = Mutex::new(());
    let _one_at_a_time = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = work();
    panic::set_hook(usual);
    result
}
