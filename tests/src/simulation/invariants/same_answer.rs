//! A repeated transaction gets the byte-identical answer (TXN-7).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use comity_core::Monotonic;
use http::StatusCode;
use ruma_common::OwnedServerName;

use super::Invariant;
use crate::simulation::sight::Sight;

/// For how long an answer must be kept at least, whatever the clocks say: the core forgets after
/// a day.
const KEPT_FOR: Duration = Duration::from_secs(20 * 60 * 60);

/// See the module.
#[derive(Debug, Default)]
pub struct SameAnswer {
    /// The first answer of each, by who asked, whom, and the target.
    answers: BTreeMap<(OwnedServerName, OwnedServerName, String), (Monotonic, Bytes)>,
}

impl Invariant for SameAnswer {
    fn name(&self) -> &'static str {
        "a repeated transaction gets the same answer"
    }

    fn sees(&mut self, at: Monotonic, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Answered(asked, response) = sight else {
            return Ok(());
        };
        if !asked.is_transaction() || response.status() != StatusCode::OK {
            return Ok(());
        }
        let key = (
            asked.from.to_owned(),
            asked.to.to_owned(),
            asked.line.to_owned(),
        );
        let (first, answer) = self
            .answers
            .entry(key)
            .or_insert_with(|| (at, response.body().clone()));
        if at.since(*first) < KEPT_FOR && answer != response.body() {
            let (from, to, line) = (asked.from, asked.to, asked.line);
            let answers = [&*answer, response.body()].map(|answer| String::from_utf8_lossy(answer));
            return Err(format!(
                "{to} answers {line} of {from} first with {}, then with {}",
                answers[0], answers[1]
            ));
        }
        Ok(())
    }
}
