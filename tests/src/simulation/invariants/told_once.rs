//! What a server says of the moment is shown no more often than its transactions held it, however
//! often these come (EDU-4).
//!
//! Messages that must not be lost are left out: they are told again until they are acknowledged. So
//! are those of hostile servers, of whose transactions nothing is seen.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::{Monotonic, messaging::notice::Notice};
use ruma_common::OwnedServerName;
use serde_json::Value;

use super::Invariant;
use crate::simulation::sight::Sight;

/// From whom, and to whom.
type Pair = (OwnedServerName, OwnedServerName);

/// See the module.
#[derive(Debug, Default)]
pub struct ToldOnce {
    transactions: BTreeSet<(Pair, String)>,
    /// Who sent a transaction.
    speakers: BTreeSet<OwnedServerName>,
    /// How many messages of each type were sent, and not shown yet.
    sent: BTreeMap<(Pair, String), usize>,
}

impl Invariant for ToldOnce {
    fn name(&self) -> &'static str {
        "what is said of the moment is told once"
    }

    fn sees(&mut self, _: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Requested(asked, request) if asked.is_transaction() => {
                self.speakers.insert(asked.from.to_owned());
                let pair = (asked.from.to_owned(), asked.to.to_owned());
                if !self
                    .transactions
                    .insert((pair.clone(), asked.line.to_owned()))
                {
                    return Ok(());
                }
                let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let edus = body["edus"].as_array().into_iter().flatten();
                for edu_type in edus.filter_map(|edu| edu["edu_type"].as_str()) {
                    let key = (pair.clone(), edu_type.to_owned());
                    *self.sent.entry(key).or_default() += 1;
                }
            }
            Sight::Noticed(
                server,
                Notice::Edu {
                    origin,
                    edu_type,
                    acknowledge: None,
                    ..
                },
            ) if self.speakers.contains(origin) => {
                let pair = (origin.clone(), (*server).to_owned());
                let left = self.sent.entry((pair, edu_type.clone())).or_default();
                *left = left.checked_sub(1).ok_or_else(|| {
                    format!("{server} tells of more {edu_type} than {origin} ever sent")
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}
