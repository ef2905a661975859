//! A transaction is repeated under its id until it is answered, whatever crashes meanwhile: none is
//! begun before (TXN-3).

use std::collections::BTreeMap;

use comity_core::{Monotonic, persistence::queries::Write};
use ruma_common::OwnedServerName;

use super::Invariant;
use crate::simulation::sight::Sight;

/// See the module.
#[derive(Debug, Default)]
pub struct SameId {
    /// The transaction that was begun, by who sends it and to whom.
    begun: BTreeMap<(OwnedServerName, OwnedServerName), String>,
}

impl Invariant for SameId {
    fn name(&self) -> &'static str {
        "a transaction keeps its id until it is answered"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Written(server, batch) = sight else {
            return Ok(());
        };
        for write in &batch.writes {
            match write {
                Write::TransactionBegun {
                    destination,
                    transaction,
                } => {
                    let pair = ((*server).to_owned(), destination.clone());
                    let id = transaction.transaction_id.clone();
                    if let Some(before) = self.begun.insert(pair, id.clone())
                        && before != id
                    {
                        return Err(format!(
                            "{server} begins {id} to {destination}, which has not answered {before}"
                        ));
                    }
                }
                Write::TransactionDelivered { destination, .. } => {
                    let pair = ((*server).to_owned(), destination.clone());
                    self.begun.remove(&pair);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
