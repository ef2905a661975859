//! What is asked of every implementation, and what it may answer.

use std::collections::BTreeSet;

use comity_core::pdu::RoomVersion;

/// An implementation of the rules of events. It knows the events of one room at a time.
pub trait Oracle {
    /// Its name.
    fn name(&self) -> &'static str;

    /// A room begins; the last one is forgotten.
    fn begin(&mut self, version: RoomVersion);

    /// An event arrives as this text: checks 1 to 3 on receipt of a PDU. If it is taken, it is
    /// known by its id from now on.
    fn receive(&mut self, text: &str) -> Received;

    /// This event counts as rejected from now on.
    fn reject(&mut self, event_id: &str);

    /// Whether this event is allowed, where the state before it is made up of these events.
    fn authorise(&mut self, event_id: &str, state: &[String]) -> Authorised;

    /// The events of the state that these states resolve to. `None` if it does not know this
    /// room version's algorithm.
    fn resolve(&mut self, states: &[Vec<String>]) -> Option<Result<BTreeSet<String>, String>>;
}

/// What became of an event on arrival.
#[derive(Clone, Debug)]
pub enum Received {
    /// It is as if it had never been seen, for this reason.
    Dropped(String),
    /// It goes on to the authorisation rules.
    Taken(Taken),
}

/// An event whose format and signatures are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub event_id: String,
    pub room_id: String,
    /// The content hash was wrong, so that a redacted copy was taken in its place.
    pub altered: bool,
    /// What was taken, as canonical JSON without `unsigned`.
    pub kept: String,
    /// The same after a redaction.
    pub redacted: String,
}

/// Allowed, or the reason why not.
pub type Verdict = Result<(), String>;

/// The authorisation rules.
#[derive(Clone, Debug)]
pub struct Authorised {
    /// By the event and its auth events, which are taken for the state: check 4.
    pub by_auth_events: Verdict,
    /// By the state before it: check 5, without the rules that depend on the event alone.
    pub on_state: Verdict,
}
