//! What was staged is decided in the end, whatever became of the server meanwhile.

use std::collections::BTreeSet;

use comity_core::{Monotonic, persistence::queries::Write};
use ruma_common::{OwnedEventId, OwnedServerName};

use super::{Ending, Invariant};
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct StagedIsDecided {
    /// On whose disk, which event, who sent it and who made it.
    staged: BTreeSet<(
        OwnedServerName,
        OwnedEventId,
        OwnedServerName,
        OwnedServerName,
    )>,
}

impl Invariant for StagedIsDecided {
    fn name(&self) -> &'static str {
        "what is staged is decided"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Written(server, batch) = sight else {
            return Ok(());
        };
        for write in &batch.writes {
            match write {
                Write::Stage(staged) => {
                    let event = &staged.event;
                    self.staged.insert((
                        (*server).to_owned(),
                        event.event_id().to_owned(),
                        staged.from.clone(),
                        event.origin().to_owned(),
                    ));
                }
                Write::Unstage { event_id, from } => self
                    .staged
                    .retain(|(on, id, of, _)| (&**on, id, of) != (server, event_id, from)),
                _ => {}
            }
        }
        Ok(())
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        let honest = |server: &OwnedServerName| end.honest.contains(server);
        let mut of_honest = self
            .staged
            .iter()
            .filter(|(_, _, from, author)| honest(from) && honest(author));
        match of_honest.next() {
            Some((server, event_id, ..)) => Err(format!("{event_id} is still staged on {server}")),
            None => Ok(()),
        }
    }
}
