//! Taking a join that failed off the record, when the application has been told.

use super::RemoteJoin;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    persistence::queries::Read,
};

/// A join that failed, as was told just now.
#[derive(Clone, Debug)]
pub struct ForgetJoin {
    /// The join.
    pub join: RemoteJoin,
}

impl ForgetJoin {
    /// See [`crate::engine`]. The store answers in the order in which it was asked, so whatever it
    /// answers now, it has acknowledged what the notice had to wait for.
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        facts.read(Read::Memberships(self.join.user_id.clone()))?;
        let mut outcome = Outcome::done();
        self.join.forget(&mut outcome);
        Ok(outcome)
    }
}
