//! What became of events since the start, in numbers.

use crate::{
    messaging::status::Verdicts,
    pdu::{authorisation::rule_told_by, policy::NotRecommended},
    persistence::{queries::Write, tables::Verdict},
};

/// Counts what is written of events, and what is not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    verdicts: Verdicts,
}

impl Tally {
    /// What there is to tell.
    pub(super) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Events are written with their verdicts.
    pub(super) fn note_written(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Event(event) = write {
                self.note(&event.verdict);
            }
        }
    }

    /// An event was not taken in, perhaps `for_lack` of something.
    pub(super) fn note_not_taken(&mut self, for_lack: bool) {
        self.count(if for_lack { "lacking" } else { "dropped" });
    }

    fn note(&mut self, verdict: &Verdict) {
        let (word, reason) = match verdict {
            Verdict::Accepted => return self.count("accepted"),
            unverified if unverified.is_unverified() => return self.count("unverified"),
            Verdict::SoftFailed(reason) => ("soft_failed", reason),
            Verdict::Rejected(reason) => ("rejected", reason),
        };
        self.count(word);
        let cause = match rule_told_by(reason) {
            Some(rule) => rule,
            None if NotRecommended::is_told_by(reason) => "policy server",
            None => "other",
        };
        let denials = &mut self.verdicts.denials;
        *denials.entry((word, cause.to_owned())).or_default() += 1;
    }

    fn count(&mut self, word: &'static str) {
        *self.verdicts.events.entry(word).or_default() += 1;
    }
}
