//! Makes a failing plan small.
//!
//! Of each kind of thing a plan is made of, halves, quarters and so on down to single ones are left
//! out, and stay out if the plan then still fails. This is repeated until nothing more can be left
//! out, or until there were as many tries as are allowed. The same failure always shrinks the same
//! way.

use crate::simulation::plan::{Kept, Part};

/// What a failing plan has become.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The smallest part that is known to fail.
    pub part: Part,
    /// How many parts were tried.
    pub tries: usize,
}

/// Leaves out of a failing part what it fails without, in at most so many tries.
pub fn shrink(part: Part, tries_max: usize, fails: impl FnMut(&Part) -> bool) -> Shrunk {
    let tries = 0;
    let mut search = Search {
        shrunk: Shrunk { part, tries },
        tries_max,
        fails,
    };
    loop {
        let before = search.shrunk.part.clone();
        for kind in Kept::ALL {
            search.leave_out(kind);
        }
        if search.shrunk.part == before {
            return search.shrunk;
        }
    }
}

struct Search<F> {
    shrunk: Shrunk,
    tries_max: usize,
    fails: F,
}

impl<F: FnMut(&Part) -> bool> Search<F> {
    /// Leaves out of one kind whatever can be left out, the last first: what comes late is less
    /// often needed by the rest.
    fn leave_out(&mut self, kind: Kept) {
        let mut size = self.shrunk.part.kept(kind).len();
        while size > 0 {
            let all: Vec<_> = self.shrunk.part.kept(kind).iter().copied().collect();
            for some in all.rchunks(size) {
                self.try_without(kind, some);
            }
            size /= 2;
        }
    }

    fn try_without(&mut self, kind: Kept, numbers: &[usize]) {
        let less = self.shrunk.part.without(kind, numbers);
        if self.shrunk.tries == self.tries_max || less == self.shrunk.part {
            return;
        }
        self.shrunk.tries += 1;
        if (self.fails)(&less) {
            self.shrunk.part = less;
        }
    }
}
