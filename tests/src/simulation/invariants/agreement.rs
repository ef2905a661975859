//! Honest servers in a room agree: on its state, and on what they think of every event.

use std::collections::{BTreeMap, BTreeSet};

use comity_core::persistence::tables::{StoredEvent, Verdict};
use ruma_common::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};

use super::{Ending, Invariant, StoredEvents};

/// Honest servers that see each other in a room end with the same state.
#[derive(Debug)]
pub struct SameState;

impl Invariant for SameState {
    fn name(&self) -> &'static str {
        "the same state everywhere"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms {
            for [(one, of_one), (other, of_other)] in end.pairs_inside(room_id) {
                if of_one.state_digest == of_other.state_digest {
                    continue;
                }
                let [here, there] = [one, other].map(|server| current_state(end, server, room_id));
                let (only_here, only_there) = (&here - &there, &there - &here);
                return Err(format!(
                    "in {room_id} only {one} holds {only_here:#?}, only {other} {only_there:#?}"
                ));
            }
        }
        Ok(())
    }
}

/// Every event that two honest servers have judged in its place in the graph was rejected by both
/// or by neither. Soft failure depends on when an event came, and may differ.
#[derive(Debug)]
pub struct SameVerdicts;

impl Invariant for SameVerdicts {
    fn name(&self) -> &'static str {
        "the same verdict everywhere"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (one, events) in end.stored {
            for (other, others) in end.stored.range::<OwnedServerName, _>(one..).skip(1) {
                for (event_id, here) in events {
                    let Some(there) = others.get(event_id) else {
                        continue;
                    };
                    let clear = !end.exempt.covers(here.pdu.room_id(), &[one, other]);
                    if clear && disagree(here, there) {
                        return Err(format!("{one} holds {here:?}, but {other} {there:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Honest servers that accepted the same redactions of an event hold it redacted or do not,
/// whichever came first (PDU-27).
#[derive(Debug)]
pub struct SameRedactions;

/// The redactions that were accepted, by what they redact.
type Redactions<'e> = BTreeMap<&'e EventId, BTreeSet<&'e EventId>>;

fn redactions(events: &StoredEvents) -> Redactions<'_> {
    let mut redactions = Redactions::new();
    let in_graph = events.values().filter(|event| !event.is_outlier());
    for event in in_graph.filter(|event| event.verdict == Verdict::Accepted) {
        if let Some(target) = event.pdu.redacts() {
            let of_target = redactions.entry(target).or_default();
            of_target.insert(event.pdu.event_id());
        }
    }
    redactions
}

impl Invariant for SameRedactions {
    fn name(&self) -> &'static str {
        "redacted everywhere or nowhere"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for (one, events) in end.stored {
            let asked_here = redactions(events);
            for (other, others) in end.stored.range::<OwnedServerName, _>(one..).skip(1) {
                let asked_there = redactions(others);
                for (target, redactions) in &asked_here {
                    let (Some(here), Some(there)) = (events.get(*target), others.get(*target))
                    else {
                        continue;
                    };
                    let clear = !end.exempt.covers(here.pdu.room_id(), &[one, other]);
                    let same_asked = asked_there.get(target) == Some(redactions);
                    let same = here.redacted_because.is_some() == there.redacted_because.is_some();
                    if clear && same_asked && !same {
                        return Err(format!("{one} holds {here:?}, but {other} {there:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Honest servers know who is in a room of theirs: the servers of those whom the state holds to be
/// joined.
#[derive(Debug)]
pub struct SameServers;

impl Invariant for SameServers {
    fn name(&self) -> &'static str {
        "who is in a room is known"
    }

    fn at_the_end(&mut self, end: &mut Ending<'_>) -> Result<(), String> {
        for room_id in end.rooms {
            for server in end.honest {
                let state = end.network.server(server.as_str()).current_state(room_id);
                let joined = state
                    .iter()
                    .filter(|event| event.pdu.membership() == Some("join"))
                    .map(|event| event.pdu.sender().server_name());
                let joined: BTreeSet<&ServerName> = joined.collect();
                let summary = end.summaries.get(room_id).and_then(|of| of.get(server));
                let known = summary.iter().flat_map(|summary| &summary.servers);
                let known: BTreeSet<&ServerName> = known.map(|server| &**server).collect();
                if joined.contains(&**server) && joined != known {
                    return Err(format!(
                        "{server} takes {known:?} for the servers in {room_id}, not {joined:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// An outlier is judged by its auth events alone, so that only verdicts of one kind compare; and
/// one that could not be verified is not judged yet.
fn disagree(one: &StoredEvent, other: &StoredEvent) -> bool {
    let judged = [one, other].map(|event| !event.verdict.is_unverified());
    let comparable = one.state.is_some() == other.state.is_some() && judged == [true; 2];
    comparable && one.verdict.is_rejected() != other.verdict.is_rejected()
}

fn current_state(
    end: &mut Ending<'_>,
    server: &OwnedServerName,
    room_id: &OwnedRoomId,
) -> BTreeSet<(OwnedEventId, String)> {
    let state = end.network.server(server.as_str()).current_state(room_id);
    let shown =
        |event: &StoredEvent| (event.pdu.event_id().to_owned(), event.pdu.json().to_owned());
    state.iter().map(|event| shown(event)).collect()
}
