//! One merge of a room's state: the forks, what they disagree on, and how the disagreement was
//! settled.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{EventId, OwnedEventId};
use serde::Serialize;

use super::{
    Archive, EventBrief, ExplainError, archive::AtHand, event::BrokenRule, state_facts::Level,
};
use crate::{
    pdu::{
        RoomVersion, StateKey, StateMap,
        resolution::{self, Place, Replayed, Resolution, Trace, Verdict},
        room_version::StateResolution,
    },
    persistence::{
        queries::{Read, StoreError},
        tables::{SnapshotId, StoredEvent},
    },
};

/// How one state came out of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolutionReport {
    /// The state that was resolved.
    pub of: Resolved,
    /// The algorithm: `1`, `2` or `2.1`.
    pub algorithm: &'static str,
    /// The states that were merged.
    pub forks: Vec<Fork>,
    /// How many entries all forks agree on.
    pub unconflicted: usize,
    /// The entries they disagree on, in the order of their keys.
    pub conflicts: Vec<ConflictReport>,
    /// The auth difference, without the events of `conflicts`.
    pub auth_difference: Vec<EventBrief>,
    /// The conflicted state subgraph, without the events of `conflicts`; version 2.1 only.
    pub subgraph: Vec<EventBrief>,
    /// The power levels after the power events and those that they are based on, newest first.
    pub mainline: Vec<EventBrief>,
    /// Every event that was judged, in the order in which it was.
    pub replay: Vec<Step>,
    /// What came out.
    pub result: StateBrief,
    /// What is stored.
    pub stored: StateBrief,
    /// Whether that is the same.
    pub agrees: bool,
}

/// Which state was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Resolved {
    /// The room's current state: the one after all its forward extremities.
    Current,
    /// The state before this event, which merges branches.
    Before {
        /// The event.
        event: EventBrief,
    },
}

/// A state to merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fork {
    /// The last events of the branches that lead to it.
    pub after: Vec<EventBrief>,
    /// The state.
    pub state: StateBrief,
}

/// A state in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateBrief {
    /// Its name in the store; `null` if it is not stored.
    pub snapshot: Option<u64>,
    /// How many entries it has.
    pub entries: usize,
    /// SHA-256 over its entries in unpadded base64: equal for equal states.
    pub digest: String,
}

/// An entry on which forks disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConflictReport {
    /// The event type of the entry.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The state key of the entry.
    pub state_key: String,
    /// Its event in each fork, in their order; `null` if the fork has none.
    pub candidates: Vec<Option<EventBrief>>,
    /// Its event in the resolved state; `null` if that has none.
    pub winner: Option<EventBrief>,
}

/// An event that was judged by what was resolved by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The event.
    pub event: EventBrief,
    /// Why it was its turn.
    #[serde(flatten)]
    pub turn: Turn,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: StepOutcome,
}

/// Why it was an event's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Turn {
    /// In reverse topological power ordering.
    Power {
        /// The level of its sender by its own auth events.
        sender_level: Level,
    },
    /// In mainline ordering.
    Mainline {
        /// Where in the mainline the power levels stand that it is based on; `null` if nowhere.
        mainline_position: Option<usize>,
    },
    /// By its depth, in version 1.
    Depth,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum StepOutcome {
    /// It was allowed.
    Allowed,
    /// It was taken without being judged, as the first of its entry, in version 1.
    Unchecked,
    /// It was not allowed and taken all the same, for want of another, in version 1.
    LastResort {
        /// Why it was not allowed.
        reason: String,
        /// The rule that it breaks.
        rule: BrokenRule,
    },
    /// It was not allowed.
    Denied {
        /// Why.
        reason: String,
        /// The rule that it breaks.
        rule: BrokenRule,
    },
    /// It had been rejected on receipt.
    Rejected,
}

/// Resolves these forks of a room once more; `stored` is what came of them when it mattered.
pub(super) fn explain(
    of: Resolved,
    version: RoomVersion,
    forks: &[Branch],
    stored: SnapshotId,
    archive: &Archive<'_>,
) -> Result<ResolutionReport, ExplainError> {
    let states: Vec<StateMap> = forks.iter().map(|fork| fork.state.clone()).collect();
    let (Resolution { state, trace }, at_hand) = resolve(version, &states, archive)?;
    let stored_state = archive.state(stored)?;
    let written = Written {
        state: &state,
        events: &at_hand,
    };
    let conflicts = written.conflicts(&trace);
    Ok(ResolutionReport {
        of,
        algorithm: match version.rules().state_resolution {
            StateResolution::V1 => "1",
            StateResolution::V2 => "2",
            StateResolution::V2_1 => "2.1",
        },
        forks: forks.iter().map(Branch::report).collect(),
        unconflicted: unconflicted(&states, &trace),
        conflicts,
        auth_difference: written.briefs(&trace.auth_difference),
        subgraph: written.briefs(&trace.subgraph),
        mainline: written.briefs(&trace.mainline),
        replay: written.replay(trace.replayed, version),
        agrees: state == stored_state,
        result: StateBrief::of(&state, None),
        stored: StateBrief::of(&stored_state, Some(stored)),
    })
}

/// A state to merge, and the ends of the branches that lead to it.
pub(super) struct Branch {
    pub after: Vec<Arc<StoredEvent>>,
    pub snapshot: SnapshotId,
    pub state: StateMap,
}

impl Branch {
    /// The different states after these events. Events whose history is not held have none.
    pub fn after(
        events: &[Arc<StoredEvent>],
        archive: &Archive<'_>,
    ) -> Result<Vec<Self>, StoreError> {
        let mut by_snapshot: BTreeMap<SnapshotId, Vec<Arc<StoredEvent>>> = BTreeMap::new();
        for event in events {
            if let Some(state) = event.state {
                by_snapshot
                    .entry(state.after)
                    .or_default()
                    .push(event.clone());
            }
        }
        let mut branches: Vec<Self> = Vec::new();
        for (snapshot, after) in by_snapshot {
            let state = archive.state(snapshot)?;
            match branches.iter_mut().find(|branch| branch.state == state) {
                Some(same) => same.after.extend(after),
                None => branches.push(Self {
                    after,
                    snapshot,
                    state,
                }),
            }
        }
        Ok(branches)
    }

    fn report(&self) -> Fork {
        Fork {
            after: self
                .after
                .iter()
                .map(|event| EventBrief::from(&**event))
                .collect(),
            state: StateBrief::of(&self.state, Some(self.snapshot)),
        }
    }
}

impl StateBrief {
    pub(super) fn of(state: &StateMap, snapshot: Option<SnapshotId>) -> Self {
        Self {
            snapshot: snapshot.map(|snapshot| snapshot.0),
            entries: state.len(),
            digest: state.digest_text(),
        }
    }
}

/// Resolves, fetching what is needed until all is at hand.
fn resolve(
    version: RoomVersion,
    states: &[StateMap],
    archive: &Archive<'_>,
) -> Result<(Resolution, AtHand), ExplainError> {
    loop {
        let at_hand = archive.at_hand();
        match resolution::resolve_traced(version, states, &at_hand) {
            Ok(resolution) => return Ok((resolution, at_hand)),
            Err(missing) => {
                let wanted = missing.0.iter().cloned().collect();
                let found = archive.read_events(Read::AuthChain(wanted))?;
                let is_missing =
                    |event: &Arc<StoredEvent>| missing.0.contains(event.pdu.event_id());
                if !found.iter().any(is_missing) {
                    return Err(missing.into());
                }
            }
        }
    }
}

fn unconflicted(states: &[StateMap], trace: &Trace) -> usize {
    let Some(first) = states.first() else {
        return 0;
    };
    let is_in_first = |key: &StateKey| first.get_key(key).is_some();
    let conflicted = trace
        .conflicts
        .iter()
        .filter(|conflict| is_in_first(&conflict.key));
    first.len().saturating_sub(conflicted.count())
}

/// A trace with ids being written out with events.
struct Written<'a> {
    state: &'a StateMap,
    events: &'a AtHand,
}

impl Written<'_> {
    fn brief(&self, event_id: &EventId) -> Option<EventBrief> {
        let event = self.events.stored(event_id);
        event.map(|event| EventBrief::from(&**event))
    }

    fn briefs(&self, event_ids: &[OwnedEventId]) -> Vec<EventBrief> {
        event_ids
            .iter()
            .filter_map(|event_id| self.brief(event_id))
            .collect()
    }

    fn conflicts(&self, trace: &Trace) -> Vec<ConflictReport> {
        let report = |conflict: &resolution::Conflict| ConflictReport {
            event_type: conflict.key.event_type.to_string(),
            state_key: conflict.key.state_key.to_string(),
            candidates: conflict
                .candidates
                .iter()
                .map(|candidate| candidate.as_deref().and_then(|id| self.brief(id)))
                .collect(),
            winner: self
                .state
                .get_key(&conflict.key)
                .and_then(|event_id| self.brief(event_id)),
        };
        trace.conflicts.iter().map(report).collect()
    }

    fn replay(&self, replayed: Vec<Replayed>, version: RoomVersion) -> Vec<Step> {
        let step = |replayed: Replayed| {
            Some(Step {
                event: self.brief(&replayed.event_id)?,
                turn: Turn::from(replayed.place),
                outcome: StepOutcome::of(replayed.verdict, version),
            })
        };
        replayed.into_iter().filter_map(step).collect()
    }
}

impl From<Place> for Turn {
    fn from(place: Place) -> Self {
        match place {
            Place::Power { sender_level, .. } => Self::Power {
                sender_level: Level(sender_level),
            },
            Place::Mainline { position, .. } => Self::Mainline {
                mainline_position: position,
            },
            Place::Depth(_) => Self::Depth,
        }
    }
}

impl StepOutcome {
    fn of(verdict: Verdict, version: RoomVersion) -> Self {
        match verdict {
            Verdict::Allowed => Self::Allowed,
            Verdict::Unchecked => Self::Unchecked,
            Verdict::LastResort(denied) => Self::LastResort {
                reason: denied.to_string(),
                rule: BrokenRule::of(&denied, version),
            },
            Verdict::Denied(denied) => Self::Denied {
                reason: denied.to_string(),
                rule: BrokenRule::of(&denied, version),
            },
            Verdict::Rejected => Self::Rejected,
        }
    }
}
