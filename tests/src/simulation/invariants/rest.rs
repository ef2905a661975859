//! When all is quiet no job waits, every command has been answered, and no server has given up.

use super::{Ending, Invariant};

/// See the module.
#[derive(Debug)]
pub struct AtRest;

impl Invariant for AtRest {
    fn name(&self) -> &'static str {
        "no job waits for ever"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for server in end.honest {
            let host = end.network.server(server.as_str());
            if let Some(reason) = &host.halted {
                return Err(format!("{server} gave up: {reason}"));
            }
            let jobs = host.jobs();
            if !jobs.is_empty() {
                return Err(format!("{server} still has jobs: {jobs:#?}"));
            }
            let life = host.life();
            let orders = end.orders.iter();
            let mut this_life =
                orders.filter(|order| order.server == *server && order.life == life);
            if let Some(order) = this_life.find(|order| order.outcome.is_none()) {
                return Err(format!("{server} never answered {:?}", order.command));
            }
        }
        Ok(())
    }
}
