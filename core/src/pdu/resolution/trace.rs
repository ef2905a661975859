//! How a resolution came to its result, for people who ask.
//!
//! The algorithms tell an [`Observer`] what they find. For [`super::resolve`] that is `()`, which
//! the compiler removes; for [`super::resolve_traced`] it is a [`Trace`].

use ruma_common::{EventId, OwnedEventId};

use crate::pdu::{
    Pdu, StateKey, StateMap,
    authorisation::{Denied, PowerLevel},
    state::Entry,
};

/// A resolved state and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The resolved state.
    pub state: StateMap,
    /// How it came about; empty if all states were the same.
    pub trace: Trace,
}

/// The steps of a resolution, in the words of the specification (room versions, "State
/// resolution").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The entries on which the states differ, in the order of their keys.
    pub conflicts: Vec<Conflict>,
    /// The auth difference beyond the events of `conflicts`, in the order of their ids. Room
    /// version 1 has none.
    pub auth_difference: Vec<OwnedEventId>,
    /// The conflicted state subgraph beyond the events of `conflicts`, in the order of their ids;
    /// some may be in the auth difference too. Only version 2.1 of the algorithm has one.
    pub subgraph: Vec<OwnedEventId>,
    /// The power levels in force after the power events were replayed, those that they are based
    /// on, and so on: newest first. Room version 1 has none.
    pub mainline: Vec<OwnedEventId>,
    /// Every event that was judged, in the order in which it was: first the power events, then the
    /// rest. In room version 1: power levels, join rules, memberships, the rest.
    pub replayed: Vec<Replayed>,
}

/// An entry on which the states differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its key.
    pub key: StateKey,
    /// Its event in each state, in the order in which the states were given. A state need not have
    /// one.
    pub candidates: Vec<Option<OwnedEventId>>,
}

/// An event that was judged by what was resolved so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The event.
    pub event_id: OwnedEventId,
    /// Why it was its turn.
    pub place: Place,
    /// What became of it.
    pub verdict: Verdict,
}

/// What an event's place in the order depends on, besides its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is a power event, or authorises one: after the events that authorise it, then by the
    /// power of its sender, greatest first, then by time.
    Power {
        /// The sender's power by the event's own auth events.
        sender_level: PowerLevel,
        /// Its `origin_server_ts`.
        origin_server_ts: i64,
    },
    /// It is any other event: by what it is based on, oldest first, then by time.
    Mainline {
        /// Where in [`Trace::mainline`](field@Trace::mainline) the power levels stand that it is
        /// based on; `None` if it is based on none of them.
        position: Option<usize>,
        /// Its `origin_server_ts`.
        origin_server_ts: i64,
    },
    /// Room version 1: by its depth, then by the SHA-1 of its id.
    Depth(u64),
}

/// What became of an event when it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was allowed and entered the state. A later event may have replaced it; and so has, at the
    /// end, an entry on which all states agree.
    Allowed,
    /// Room version 1: it entered the state without being judged, as the first of its entry's
    /// candidates. A later one may have replaced it.
    Unchecked,
    /// Room version 1: it was not allowed and entered all the same, since no other candidate of its
    /// entry was allowed either.
    LastResort(Denied),
    /// It was not allowed by what was resolved so far.
    Denied(Denied),
    /// It was rejected on receipt, and so never enters.
    Rejected,
}

impl From<Result<(), Denied>> for Verdict {
    fn from(allowed: Result<(), Denied>) -> Self {
        allowed.map_or_else(Self::Denied, |()| Self::Allowed)
    }
}

/// Is told how a resolution goes.
pub(super) trait Observer {
    /// An entry on which the states differ, with its event in each state.
    fn conflict(&mut self, _: Entry<'_>, _: &[Option<&EventId>]) {}
    /// An event of the auth difference that is not among the conflicted events.
    fn auth_difference(&mut self, _: &EventId) {}
    /// An event of the conflicted state subgraph that is not among the conflicted events.
    fn subgraph(&mut self, _: &EventId) {}
    /// The next event of the mainline, from the newest on.
    fn mainline(&mut self, _: &EventId) {}
    /// An event was judged.
    fn judged(&mut self, _: &Pdu, _: Place, _: Verdict) {}
    /// All has been told.
    fn finish(&mut self) {}
}

impl Observer for () {}

impl Observer for Trace {
    fn conflict(&mut self, (event_type, state_key): Entry<'_>, candidates: &[Option<&EventId>]) {
        let owned = |id: &Option<&EventId>| id.map(ToOwned::to_owned);
        self.conflicts.push(Conflict {
            key: StateKey::new(event_type, state_key),
            candidates: candidates.iter().map(owned).collect(),
        });
    }

    fn auth_difference(&mut self, event_id: &EventId) {
        self.auth_difference.push(event_id.to_owned());
    }

    fn subgraph(&mut self, event_id: &EventId) {
        self.subgraph.push(event_id.to_owned());
    }

    fn mainline(&mut self, event_id: &EventId) {
        self.mainline.push(event_id.to_owned());
    }

    fn judged(&mut self, event: &Pdu, place: Place, verdict: Verdict) {
        self.replayed.push(Replayed {
            event_id: event.event_id().to_owned(),
            place,
            verdict,
        });
    }

    fn finish(&mut self) {
        self.conflicts
            .sort_unstable_by(|one, other| one.key.cmp(&other.key));
        self.auth_difference.sort_unstable();
        self.subgraph.sort_unstable();
    }
}
