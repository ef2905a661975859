//! When everybody has spoken once more, the graph of a room has few ends.

use super::{Ending, Invariant};

/// How many: those of the last words, which may cross each other. Each server of a small network
/// has one, and what it built on itself counts no more.
const ENDS_MAX: usize = 5;

/// See the module.
#[derive(Debug)]
pub struct FewEnds;

impl Invariant for FewEnds {
    fn name(&self) -> &'static str {
        "the graph has few ends"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (room_id, summaries) in end.summaries {
            for (server, summary) in summaries {
                let ends = &summary.extremities;
                if ends.len() > ENDS_MAX {
                    return Err(format!("{server} has these ends of {room_id}: {ends:?}"));
                }
            }
        }
        Ok(())
    }
}
