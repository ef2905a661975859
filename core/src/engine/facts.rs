//! What a decision may look at.

mod abroad;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma_common::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId};

use sha2::{Digest, Sha256};

use super::{
    JobId,
    compute::Computation,
    load::Load,
    need::{AuthDescendants, Met, Need},
    outcome::Fate,
    registry::{Identity, Registry},
    searches::Searches,
    world::{Counters, Room, World},
};
use crate::{
    keys::OwnKeys,
    messaging::{
        notice::{Question, Told},
        settings::Settings,
    },
    pdu::{
        Pdu, RoomVersion, StateMap,
        gap::Stage,
        signing::{KnownKeys, SignatureError},
    },
    persistence::{
        queries::{Answer, Read},
        tables::{SnapshotId, StoredEvent},
    },
    time::Now,
    transaction::{outgoing::Outgoing, staging::Staging},
};

/// How many random letters a room id of ours has.
const ROOM_ID_LETTERS: usize = 24;

/// Into how many parts the check of many signatures is divided, and how many each has at least, so
/// that handing it over is little beside it.
const SIGNATURE_PARTS: usize = 8;
const SIGNATURE_PART_MIN: usize = 64;

/// Events that were asked for together.
pub type EventsById = BTreeMap<OwnedEventId, Arc<StoredEvent>>;

/// A fact is missing; which one is noted in the [`Facts`] that were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked;

/// A read-only view of the world, then of the answers that this job has got.
///
/// Every question has three kinds of answer: `Err(Blocked)` is *not known yet*, and the decision
/// is asked again from the top once it is known; *absent* and *could not be had* are values.
/// Ask for everything that can be asked for before the first `?`, so that it is fetched together.
pub struct Facts<'a> {
    pub(super) job: JobId,
    pub(super) now: Now,
    pub(super) begun: Now,
    pub(super) world: &'a World,
    pub(super) searches: &'a Searches,
    pub(super) outgoing: &'a Outgoing,
    pub(super) registry: &'a Registry,
    pub(super) staging: &'a Staging,
    pub(super) load: &'a Load,
    pub(super) met: &'a BTreeMap<Need, Met>,
    pub(super) fates: &'a [Fate],
    pub(super) went_unanswered: bool,
    pub(super) missing: RefCell<Missing>,
    /// The keys in memory that were asked for: whose, and which.
    pub(super) used_keys: RefCell<Vec<(OwnedServerName, String)>>,
    /// How often states were resolved.
    pub(super) resolutions: Cell<u64>,
}

/// What a blocked decision lacked.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) needs: BTreeSet<Need>,
    pub(super) computations: BTreeMap<Need, Computation>,
}

impl<'a> Facts<'a> {
    /// Counts that states were resolved.
    pub fn note_resolution(&self) {
        self.resolutions.set(self.resolutions.get() + 1);
    }

    /// The time of the input that made this decision run.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The time when this phase of the job was asked first. What an event is made with must not
    /// change from run to run, or it would be another event in each.
    pub fn begun(&self) -> Now {
        self.begun
    }

    /// Our name and keys.
    pub fn own(&self) -> &'a OwnKeys {
        &self.world.own
    }

    /// Tells this job from every other since the start, for questions and requests that must not
    /// be shared with a job that has the same.
    pub fn job_number(&self) -> u64 {
        self.job.0
    }

    /// What was chosen of how we take part in rooms.
    pub fn settings(&self) -> Settings {
        self.world.settings
    }

    /// Our name.
    pub fn our_name(&self) -> &'a ServerName {
        self.world.own.server_name()
    }

    /// Numbers to take from; hand them back in the outcome.
    pub fn counters(&self) -> Counters {
        self.world.counters
    }

    /// A room id that nobody can guess and that was never used: drawn from the seed, which differs
    /// at each start, and the counters, which differ after each room.
    pub fn new_room_id(&self) -> String {
        let counters = format!("{:?}", self.world.counters);
        let digest = Sha256::new()
            .chain_update(self.world.seed)
            .chain_update(counters)
            .finalize();
        let random: String = digest
            .iter()
            .take(ROOM_ID_LETTERS)
            .map(|byte| char::from(b'A' + byte % 26))
            .collect();
        format!("!{random}:{}", self.our_name())
    }

    /// Random bytes, the same in every run of this phase, drawn from the seed. Each `purpose` has
    /// its own.
    pub fn lot(&self, purpose: &str) -> [u8; 32] {
        let begun = format!("{:?}", self.begun.monotonic);
        let digest = Sha256::new()
            .chain_update(self.world.seed)
            .chain_update(begun)
            .chain_update(purpose);
        digest.finalize().into()
    }

    /// How the jobs fared that came before this phase, in order.
    pub fn fates(&self) -> &'a [Fate] {
        self.fates
    }

    /// How many transactions of this server came before the one that this job receives and are
    /// still being received. [`Facts::turn`] waits until there is none.
    pub fn transactions_before(&self, origin: &ServerName) -> usize {
        self.registry.transactions_before(origin, self.job)
    }

    /// Waits for the transactions of this server that came before.
    pub fn turn(&self, origin: &ServerName) -> Result<(), Blocked> {
        match self.transactions_before(origin) {
            0 => Ok(()),
            _ => self.lacks(Need::Turn(origin.to_owned())),
        }
    }

    /// Whether a server that was asked for the sake of this job did not answer: then what was not
    /// found may be had another time.
    pub fn went_unanswered(&self) -> bool {
        self.went_unanswered
    }

    /// A room; `None` if we never took part in it. Waits for a join under way.
    pub fn room(&self, room_id: &RoomId) -> Result<Option<&'a Room>, Blocked> {
        let need = Need::Room(room_id.to_owned());
        if self
            .registry
            .is_elsewhere(&Identity::Join(room_id.to_owned()), self.job)
        {
            return self.lacks(need);
        }
        match (self.world.room(room_id), self.met.get(&need)) {
            (Some(room), _) => Ok(Some(room)),
            (None, Some(Met::NoRoom)) => Ok(None),
            (None, _) => self.lacks(need),
        }
    }

    /// As [`Facts::room`], but a join under way is not waited for: until it has ended we are not in
    /// the room. What other servers want of a room is answered this way.
    pub fn room_at_present(&self, room_id: &RoomId) -> Result<Option<&'a Room>, Blocked> {
        let need = Need::RoomAtPresent(room_id.to_owned());
        match (self.world.room(room_id), self.met.get(&need)) {
            (Some(room), _) => Ok(Some(room)),
            (None, Some(Met::NoRoom)) => Ok(None),
            (None, _) => self.lacks(need),
        }
    }

    /// The version of a room for which a join of ours was handed in that has not ended: other
    /// servers may send us its events.
    pub fn version_joined(&self, room_id: &RoomId) -> Option<RoomVersion> {
        self.world.version_joined(room_id)
    }

    /// Whose join of a room was taken by another server that left out who is in it, while that is
    /// not known: we are in the room and cannot judge anything there.
    pub fn joined_in_part(&self, room_id: &RoomId) -> Option<&'a UserId> {
        self.world.joined_in_part(room_id)
    }

    /// Whether a server is said to be in a room that was joined so.
    pub fn is_said_to_be_in(&self, room_id: &RoomId, server: &ServerName) -> bool {
        self.world.is_said_to_be_in(room_id, server)
    }

    /// An event; `None` if we do not hold it. Waits for a job that is judging it.
    pub fn event(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, Blocked> {
        if let Some(event) = self.world.event(event_id)
            && !(event.is_outlier() && self.is_judged_elsewhere(event_id))
        {
            return Ok(Some(event.clone()));
        }
        let need = Need::Event(event_id.to_owned());
        match self.met.get(&need) {
            Some(Met::Event(event)) if !self.is_judged_elsewhere(event_id) => Ok(event.clone()),
            _ => self.lacks(need),
        }
    }

    /// Several events, asked for together; `None` for each that we do not hold.
    pub fn events(
        &self,
        event_ids: impl IntoIterator<Item: AsRef<EventId>>,
    ) -> Result<Vec<Option<Arc<StoredEvent>>>, Blocked> {
        let ids = event_ids.into_iter();
        let answers: Vec<_> = ids.map(|id| self.event(id.as_ref())).collect();
        answers.into_iter().collect()
    }

    /// An event as we hold it now: a job that is judging it is not waited for.
    ///
    /// What makes up a state is asked for this way. Only for an event's ancestors may be waited:
    /// they never wait for the event in turn, since its id is a hash of the ids that it names.
    pub fn held(&self, event_id: &EventId) -> Result<Option<Arc<StoredEvent>>, Blocked> {
        Ok(self.all_held([event_id])?.remove(event_id))
    }

    /// Those of several events that we hold, as [`Facts::held`].
    pub fn all_held<'i>(
        &self,
        event_ids: impl IntoIterator<Item = &'i EventId>,
    ) -> Result<BTreeMap<OwnedEventId, Arc<StoredEvent>>, Blocked> {
        let mut held = BTreeMap::new();
        let mut elsewhere = BTreeSet::new();
        for event_id in event_ids {
            match self.world.event(event_id) {
                Some(event) => drop(held.insert(event_id.to_owned(), event.clone())),
                None => drop(elsewhere.insert(event_id.to_owned())),
            }
        }
        for (asked, events) in self.met.iter().filter_map(events_read) {
            for event in events {
                let event_id = event.pdu.event_id();
                if elsewhere.contains(event_id) {
                    held.insert(event_id.to_owned(), event.clone());
                }
            }
            for event_id in asked {
                elsewhere.remove(event_id);
            }
        }
        if !elsewhere.is_empty() {
            self.read(Read::Events(elsewhere.into_iter().collect()))?;
        }
        Ok(held)
    }

    /// Whether an event was not taken in again and again, just now: then another try, if only for
    /// what builds on it, is a waste (and a way to keep us busy for ever).
    pub fn failed_often(&self, event_id: &EventId) -> bool {
        self.world.failed_often(event_id, self.now.monotonic)
    }

    /// Whether an event was not taken in, just now, for lack of something: then nothing is known
    /// against it, and it may be another time.
    pub fn lacked_lately(&self, event_id: &EventId) -> bool {
        self.world.lacked_lately(event_id, self.now.monotonic)
    }

    /// Whether this server has answered, just now, when it was asked for this event in this way.
    pub fn asked_lately(&self, event_id: &EventId, server: &ServerName, stage: Stage) -> bool {
        let now = self.now.monotonic;
        self.searches.asked(event_id, server, stage, now)
    }

    /// How many events of a room this server gave us lately because we asked for them.
    pub fn pulled_lately(&self, room_id: &RoomId, server: &ServerName) -> u32 {
        self.searches.pulled(room_id, server, self.now.monotonic)
    }

    /// How many events of a room we lately asked other servers for because of this one.
    pub fn errands_lately(&self, room_id: &RoomId, server: &ServerName) -> u32 {
        self.searches.errands(room_id, server, self.now.monotonic)
    }

    /// Whether a server did not answer when we last sent it something.
    pub fn is_down(&self, server: &ServerName) -> bool {
        self.outgoing.is_down(server)
    }

    /// These events and everything that authorises them, as far as we hold it.
    pub fn auth_chain(&self, mut event_ids: Vec<OwnedEventId>) -> Result<&'a EventsById, Blocked> {
        event_ids.sort();
        event_ids.dedup();
        let need = Need::AuthChain(event_ids);
        match self.met.get(&need) {
            Some(Met::Chain(events)) => Ok(events),
            _ => self.lacks(need),
        }
    }

    /// Asks which state events rest on some events; they are then in
    /// [`Facts::auth_descendants_at_hand`].
    pub fn auth_descendants(&self, of: AuthDescendants) -> Result<(), Blocked> {
        let need = Need::AuthDescendants(of);
        match self.met.get(&need) {
            Some(Met::Descendants(_)) => Ok(()),
            _ => self.lacks(need),
        }
    }

    /// What this job has got by [`Facts::auth_descendants`], with what it had asked for; `None`
    /// where it was too much.
    pub fn auth_descendants_at_hand(
        &self,
    ) -> impl Iterator<Item = (&'a AuthDescendants, Option<&'a EventsById>)> {
        self.met.iter().filter_map(|(need, met)| match (need, met) {
            (Need::AuthDescendants(of), Met::Descendants(events)) => Some((of, events.as_ref())),
            _ => None,
        })
    }

    /// Looks for an event in memory and in the auth chains, up and down, that this job has got,
    /// without asking.
    pub fn event_at_hand(&self, event_id: &EventId) -> Option<&'a Arc<StoredEvent>> {
        let in_chains = || {
            self.met.values().find_map(|met| match met {
                Met::Chain(events) | Met::Descendants(Some(events)) => events.get(event_id),
                _ => None,
            })
        };
        self.world.event(event_id).or_else(in_chains)
    }

    /// A whole state.
    pub fn state(&self, snapshot: SnapshotId) -> Result<StateMap, Blocked> {
        let need = Need::Snapshot(snapshot);
        match (self.world.state(snapshot), self.met.get(&need)) {
            (Some(state), _) | (None, Some(Met::State(state))) => Ok(state.clone()),
            (None, _) => self.lacks(need),
        }
    }

    /// Whether this event of this sender was staged and waits for the next attempt at it.
    pub fn is_postponed(&self, event_id: &EventId, from: &ServerName) -> bool {
        self.staging.is_postponed(event_id, from)
    }

    /// Whether the signatures of these events hold, in their order, computed off the main loop: in
    /// several parts, so that several threads can be at it.
    pub fn signatures(
        &self,
        events: &[Arc<Pdu>],
        keys: KnownKeys,
    ) -> Result<Vec<&'a Result<(), SignatureError>>, Blocked> {
        let keys = Arc::new(keys);
        let mut in_parts: Vec<(usize, &Arc<Pdu>)> = events.iter().enumerate().collect();
        // Those of a server together, since a key that is used often is prepared for it.
        in_parts.sort_by_key(|(_, event)| event.origin());
        let part = events
            .len()
            .div_ceil(SIGNATURE_PARTS)
            .max(SIGNATURE_PART_MIN);
        let parts = in_parts.chunks(part);
        let checked: Vec<_> = parts.map(|part| self.checked(part, &keys)).collect();
        let mut found = BTreeMap::new();
        for (part, results) in in_parts.chunks(part).zip(checked) {
            let places = part.iter().map(|(place, _)| *place);
            found.extend(places.zip(results?));
        }
        Ok(found.into_values().collect())
    }

    fn checked(
        &self,
        part: &[(usize, &Arc<Pdu>)],
        keys: &Arc<KnownKeys>,
    ) -> Result<&'a [Result<(), SignatureError>], Blocked> {
        let ids = part.iter().map(|(_, event)| event.event_id().to_owned());
        let need = Need::Signatures(ids.collect());
        if let Some(Met::Signatures(results)) = self.met.get(&need) {
            return Ok(results);
        }
        let computation = Computation {
            events: part.iter().map(|(_, event)| (*event).clone()).collect(),
            keys: keys.clone(),
        };
        self.missing
            .borrow_mut()
            .computations
            .insert(need.clone(), computation);
        self.lacks(need)
    }

    /// The answer of the store.
    pub fn read(&self, read: Read) -> Result<&'a Answer, Blocked> {
        let need = Need::Read(read);
        match self.met.get(&need) {
            Some(Met::Read(answer)) => Ok(answer),
            _ => self.lacks(need),
        }
    }

    /// The answer of the application.
    pub fn told(&self, question: Question) -> Result<&'a Told, Blocked> {
        let need = Need::Told(question);
        match self.met.get(&need) {
            Some(Met::Told(told)) => Ok(told),
            _ => self.lacks(need),
        }
    }

    /// Whether another job is at work on this.
    pub fn is_elsewhere(&self, identity: &Identity) -> bool {
        self.registry.is_elsewhere(identity, self.job)
    }

    fn is_judged_elsewhere(&self, event_id: &EventId) -> bool {
        self.registry
            .is_elsewhere(&Identity::Event(event_id.to_owned()), self.job)
    }

    fn lacks<T>(&self, need: Need) -> Result<T, Blocked> {
        self.missing.borrow_mut().needs.insert(need);
        Err(Blocked)
    }
}

/// What a read of events asked for and what it brought.
fn events_read<'m>(
    (need, met): (&'m Need, &'m Met),
) -> Option<(&'m Vec<OwnedEventId>, &'m Vec<Arc<StoredEvent>>)> {
    match (need, met) {
        (Need::Read(Read::Events(asked)), Met::Read(Answer::Events(events))) => {
            Some((asked, events))
        }
        _ => None,
    }
}
