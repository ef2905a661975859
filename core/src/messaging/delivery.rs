//! Bringing an event of ours to its room: at once or, where the room has a policy server, when that
//! has signed it (POLICY-3).

use std::{collections::BTreeSet, sync::Arc};

use ruma_common::OwnedServerName;

use super::{
    command::{CommandError, Reply},
    compose::{self, NewEvent, our_room},
    invite::AwaitCosignature,
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::{Outcome, SendTo},
        registry::Identity,
        stop::{Stop, for_command},
        world::Room,
    },
    pdu::{
        Pdu,
        admit::state_before,
        event_type::DUMMY,
        place::{self, NamedState},
        policy::{self, NotRecommended, PolicyServer},
        view::View,
    },
    persistence::{queries::Write, tables::StoredEvent},
};

/// How many events that only joined ends go along with one that builds on them.
const JOINTS_MAX: usize = 10;

/// Where an event of ours goes.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// To everybody in the room (TXN-15).
    Room {
        /// And to a server that is not in the room.
        also: Option<OwnedServerName>,
        /// See [`super::command::SendEvent::once`].
        once: Option<String>,
        /// The answer to the command, when the event is in its room.
        reply: Reply,
    },
    /// To nobody by itself: it goes along with the next event of ours.
    Nowhere,
    /// To the server of the user whom it invites, which signs it first.
    Invited {
        /// The events that describe the room, as a JSON list.
        description: String,
    },
}

impl Delivery {
    /// To everybody in the room; then the command is answered with the event's id.
    #[must_use]
    pub fn of(event: &Pdu) -> Self {
        Self::Room {
            also: None,
            once: None,
            reply: Reply::Event(event.event_id().to_owned()),
        }
    }
}

/// Composes an event and sends it to everybody in the room.
///
/// # Errors
/// As [`compose::compose`] and [`append_and_send`].
pub fn compose_and_deliver(
    room: &Room,
    event: &NewEvent,
    facts: &Facts<'_>,
) -> Result<Outcome, Stop<CommandError>> {
    let event = compose::compose(room, event, facts)?;
    let delivery = Delivery::of(&event);
    deliver(room, event, delivery, facts)
}

/// Sends an event that was composed just now.
///
/// # Errors
/// As [`append_and_send`].
pub fn deliver(
    room: &Room,
    event: Arc<Pdu>,
    delivery: Delivery,
    facts: &Facts<'_>,
) -> Result<Outcome, Stop<CommandError>> {
    if PolicyServer::to_ask(&event, room, facts)?.is_some() {
        return Ok(Outcome::phase(AwaitPolicySignature { event, delivery }));
    }
    let mut outcome = Outcome::default();
    let before = match event.prev_events().len() == room.extremities.len() {
        true => room.current_state(),
        false => state_before_event(room, &event, facts, &mut outcome)?,
    };
    finish(room, event, &before, delivery, facts, outcome)
}

/// An event of ours that the room's policy server has to sign.
#[derive(Clone, Debug)]
pub struct AwaitPolicySignature {
    event: Arc<Pdu>,
    delivery: Delivery,
}

impl AwaitPolicySignature {
    /// See [`super::send::SendEventJob::identity`].
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        match &self.delivery {
            Delivery::Room { once, .. } => once.clone().map(Identity::Once),
            Delivery::Nowhere | Delivery::Invited { .. } => None,
        }
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        for_command(self.deliver(facts))
    }

    /// The room went on while the event was away: it must still be allowed.
    fn deliver(&self, facts: &Facts<'_>) -> Result<Outcome, Stop<CommandError>> {
        let room = our_room(self.event.room_id(), facts)?;
        let event = policy::recommended(&self.event, room, facts)?;
        View::of(&room.state, &event, facts)?
            .check(&event)
            .map_err(|denied| CommandError::Forbidden(denied.to_string()))?;
        let mut outcome = Outcome::default();
        let before = state_before_event(room, &event, facts, &mut outcome)?;
        let delivery = self.delivery.clone();
        finish(room, event, &before, delivery, facts, outcome)
    }
}

fn state_before_event(
    room: &Room,
    event: &Pdu,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<NamedState, Stop<CommandError>> {
    let previous = facts.events(event.prev_events())?;
    let previous: Vec<_> = previous.into_iter().flatten().collect();
    Ok(state_before(room, &previous, facts, outcome)?)
}

fn finish(
    room: &Room,
    event: Arc<Pdu>,
    before: &NamedState,
    delivery: Delivery,
    facts: &Facts<'_>,
    mut outcome: Outcome,
) -> Result<Outcome, Stop<CommandError>> {
    match delivery {
        Delivery::Invited { description } => {
            Ok(Outcome::phase(AwaitCosignature { event, description }))
        }
        Delivery::Nowhere => {
            place::append(room, &event, before, None, facts, &mut outcome)?;
            Ok(outcome)
        }
        Delivery::Room { also, once, reply } => {
            append_and_send(room, &event, before, also, facts, &mut outcome)?;
            let event_id = event.event_id().to_owned();
            outcome
                .writes
                .extend(once.map(|key| Write::Once { key, event_id }));
            Ok(outcome.with_reply(reply))
        }
    }
}

/// Puts an event of ours into its room and queues it for everybody in it (TXN-15), and for `also`;
/// and before it the events that joined ends for it.
///
/// # Errors
/// Busy, if the room has forked and what is needed to resolve it is not at hand.
pub fn append_and_send(
    room: &Room,
    event: &Arc<Pdu>,
    before: &NamedState,
    also: Option<OwnedServerName>,
    facts: &Facts<'_>,
    outcome: &mut Outcome,
) -> Result<Arc<StoredEvent>, Stop<CommandError>> {
    let joints = unsent_joints(event, facts)?;
    let stored = place::append(room, event, before, None, facts, outcome)?;
    let destinations: BTreeSet<OwnedServerName> =
        room.servers.keys().cloned().chain(also).collect();
    let sends = joints.into_iter().chain([stored.clone()]);
    outcome.sends.extend(sends.map(|event| SendTo {
        event,
        destinations: destinations.clone(),
    }));
    Ok(stored)
}

/// The events of ours that an event builds on and that only joined ends, oldest first: what builds
/// on one of them is the first event since, and they were sent to nobody yet.
fn unsent_joints(event: &Pdu, facts: &Facts<'_>) -> Result<Vec<Arc<StoredEvent>>, Blocked> {
    let mut joints: Vec<Arc<StoredEvent>> = Vec::new();
    let mut next = event.prev_events().to_vec();
    while !next.is_empty() && joints.len() < JOINTS_MAX {
        let held = facts.all_held(next.iter().map(|event_id| &**event_id))?;
        next.clear();
        for found in held.into_values() {
            let is_joint =
                found.pdu.event_type() == DUMMY && found.pdu.origin() == facts.our_name();
            if is_joint {
                next.extend(found.pdu.prev_events().iter().map(ToOwned::to_owned));
                joints.push(found);
            }
        }
    }
    joints.sort_by_key(|joint| joint.pdu.depth());
    joints.dedup_by_key(|joint| joint.pdu.event_id().to_owned());
    Ok(joints)
}

/// What the policy server says, our user hears.
impl From<Stop<NotRecommended>> for Stop<CommandError> {
    fn from(stop: Stop<NotRecommended>) -> Self {
        match stop {
            Stop::Blocked => Self::Blocked,
            Stop::Refused(NotRecommended { server, error }) => {
                Self::Refused(CommandError::of_server(&server, &error))
            }
        }
    }
}
