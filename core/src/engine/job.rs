//! Every kind of work there is.

use std::sync::Arc;

use super::{
    facts::{Blocked, Facts},
    outcome::Outcome,
    registry::Identity,
};
use crate::{
    keys::{
        fetch::{FetchKey, RefreshKeys},
        notary::AnswerKeyQuery,
    },
    messaging::{
        backfill::BackfillRoom,
        by_time::{FindByTime, TakeFound},
        command::CommandError,
        create_room::CreateRoomJob,
        delivery::AwaitPolicySignature,
        device_keys::{ClaimKeys, ListDevices, QueryKeys},
        directory::{ResolveAlias, UserProfile},
        ephemeral::SendEphemeral,
        hierarchy::{SeeHierarchy, ServeHierarchy},
        homeserver::AnswerQuestion,
        invite::{AnswerInvite, AwaitCosignature, InviteUser, ServeInvite},
        join::{
            JoinRoom, RemoteJoin, complete::CompleteJoin, enter::EnterRoom, forget::ForgetJoin,
            make::MakeJoin, resume::ResumeJoin, send::SendJoin, take::TakeJoin,
        },
        knock::{KnockRoom, SendKnock},
        leave::{LeaveRoom, SendLeave},
        media::FetchMedia,
        merge_ends::MergeEnds,
        openid::FindOpenIdUser,
        public_rooms::{ListPublicRooms, ServePublicRooms},
        read::{ReadStore, SummariseRoom},
        resident::{AnswerSendJoin, MakeMembership, SendMembership},
        send::SendEventJob,
        third_party_invite::{ServeBinding, ServeExchange},
    },
    pdu::{
        Pdu,
        admit::{AdmitEvent, VerifyEvent},
        gap::SeekEvents,
        history::ImportHistory,
        import::{ImportEvent, ImportOutliers},
        serve::ServeEvents,
    },
    persistence::tables::StagedEvent,
    time::WallTime,
    transaction::{
        after::{
            pull::{AdvanceCursor, ContactPeer, PullPage},
            serve::ServeAfter,
        },
        inbox::{Acknowledge, TellAgain},
        incoming::{AnswerTransaction, ReceiveTransaction},
    },
    transport::{authenticate::Authenticate, discovery::DiscoverServer, serve::ServeRequest},
};

macro_rules! jobs {
    ($($(#[$doc:meta])* $name:ident($type:ty)),* $(,)?) => {
        /// One unit of work: plain data that knows how to decide.
        #[derive(Clone, Debug)]
        pub enum Job {
            $($(#[$doc])* $name(Box<$type>),)*
        }

        impl Job {
            /// What kind of work it is, for people.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Decides, or is blocked; see [`crate::engine`].
            pub(super) fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
                match self {
                    $(Self::$name(job) => job.decide(facts),)*
                }
            }
        }

        $(impl From<$type> for Job {
            fn from(job: $type) -> Self {
                Self::$name(Box::new(job))
            }
        })*
    };
}

jobs! {
    /// Transport: finds out who sent a request.
    Authenticate(Authenticate),
    /// Transport: hands a request to the layer it is for.
    ServeRequest(ServeRequest),
    /// Transport: finds out where a server is.
    DiscoverServer(DiscoverServer),
    /// Keys: makes a key of another server known.
    FetchKey(FetchKey),
    /// Keys: asks a server for its keys anew.
    RefreshKeys(RefreshKeys),
    /// Keys: vouches for the keys of others.
    AnswerKeyQuery(AnswerKeyQuery),
    /// Transaction: takes a transaction apart.
    ReceiveTransaction(ReceiveTransaction),
    /// Transaction: answers it when its events are judged.
    AnswerTransaction(AnswerTransaction),
    /// Transaction: notes that the application has dealt with EDUs.
    Acknowledge(Acknowledge),
    /// Transaction: tells the application again what it has not dealt with.
    TellAgain(TellAgain),
    /// Transaction: tells another server what came after a position.
    ServeAfter(ServeAfter),
    /// Transaction: finds out where we stand in another server's stream.
    ContactPeer(ContactPeer),
    /// Transaction: fetches the next page of that stream.
    PullPage(PullPage),
    /// Transaction: notes that the page's events are judged.
    AdvanceCursor(AdvanceCursor),
    /// PDU: checks an event's signatures and hash.
    VerifyEvent(VerifyEvent),
    /// PDU: judges an event.
    AdmitEvent(AdmitEvent),
    /// PDU: asks other servers for what an event lacks.
    SeekEvents(SeekEvents),
    /// PDU: takes in events without their history.
    ImportOutliers(ImportOutliers),
    /// PDU: takes in an event together with the state before it.
    ImportEvent(ImportEvent),
    /// PDU: takes in events from before our history begins.
    ImportHistory(ImportHistory),
    /// PDU: answers a request for events or state.
    ServeEvents(ServeEvents),
    /// Messaging: makes the template of a membership event for another server's user.
    MakeMembership(MakeMembership),
    /// Messaging: takes such an event, signed.
    SendMembership(SendMembership),
    /// Messaging: answers a join with the room's state.
    AnswerSendJoin(AnswerSendJoin),
    /// Messaging: signs an invite for one of our users.
    ServeInvite(ServeInvite),
    /// Messaging: answers what only our homeserver knows.
    AnswerQuestion(AnswerQuestion),
    /// Messaging: shows our directory of rooms.
    ServePublicRooms(ServePublicRooms),
    /// Messaging: shows a space.
    ServeHierarchy(ServeHierarchy),
    /// Messaging: creates a room.
    CreateRoom(CreateRoomJob),
    /// Messaging: sends an event of one of our users.
    SendEvent(SendEventJob),
    /// Messaging: waits for the policy server to sign an event of one of our users.
    AwaitPolicySignature(AwaitPolicySignature),
    /// Messaging: joins a room.
    JoinRoom(JoinRoom),
    /// Messaging: gets a join to sign from another server.
    MakeJoin(MakeJoin),
    /// Messaging: hands the join in.
    SendJoin(SendJoin),
    /// Messaging: notes that it was taken, without the members of the room.
    TakeJoin(TakeJoin),
    /// Messaging: asks for the room as a whole.
    CompleteJoin(CompleteJoin),
    /// Messaging: takes in the room that came for it.
    EnterRoom(EnterRoom),
    /// Messaging: takes up a join that was handed in before the start.
    ResumeJoin(ResumeJoin),
    /// Messaging: forgets a join that failed, as was told.
    ForgetJoin(ForgetJoin),
    /// Messaging: knocks at a room, up to having a signed event.
    KnockRoom(KnockRoom),
    /// Messaging: hands the knock in.
    SendKnock(SendKnock),
    /// Messaging: leaves a room, or refuses an invite to it.
    LeaveRoom(LeaveRoom),
    /// Messaging: hands the leave event in.
    SendLeave(SendLeave),
    /// Messaging: makes an invite.
    InviteUser(InviteUser),
    /// Messaging: waits for the invited user's server to sign it.
    AwaitCosignature(AwaitCosignature),
    /// Messaging: answers the command when the signed invite is judged.
    AnswerInvite(AnswerInvite),
    /// Messaging: invites whom one of our users invited by an address.
    ServeExchange(ServeExchange),
    /// Messaging: gets the invites for one of our users that were made to an address.
    ServeBinding(ServeBinding),
    /// Messaging: sends what is true for a moment.
    SendEphemeral(SendEphemeral),
    /// Messaging: asks other servers for older events.
    BackfillRoom(BackfillRoom),
    /// Messaging: finds the event nearest to a time.
    FindByTime(FindByTime),
    /// Messaging: takes in the event that another server found nearest to a time.
    TakeFound(TakeFound),
    /// Messaging: finds out what an alias stands for.
    ResolveAlias(ResolveAlias),
    /// Messaging: gets a user's profile.
    UserProfile(UserProfile),
    /// Messaging: gets the keys of users' devices.
    QueryKeys(QueryKeys),
    /// Messaging: claims one-time keys.
    ClaimKeys(ClaimKeys),
    /// Messaging: gets all devices of a user.
    ListDevices(ListDevices),
    /// Messaging: finds out who got an OpenID token.
    FindOpenIdUser(FindOpenIdUser),
    /// Messaging: gets a file.
    FetchMedia(FetchMedia),
    /// Messaging: looks into a directory of rooms.
    ListPublicRooms(ListPublicRooms),
    /// Messaging: looks at a space.
    SeeHierarchy(SeeHierarchy),
    /// Messaging: reads the store for the application.
    ReadStore(ReadStore),
    /// Messaging: joins the ends of a room's graph.
    MergeEnds(MergeEnds),
    /// Messaging: says how a room stands.
    SummariseRoom(SummariseRoom),
}

impl Job {
    /// What is kept of it if it has to wait for another server and nobody has to wait for it.
    pub(super) fn staged(&self, now: WallTime) -> Option<StagedEvent> {
        match self {
            Self::VerifyEvent(job) => job.staged(now),
            Self::AdmitEvent(job) => job.staged(now),
            _ => None,
        }
    }

    /// What must happen even if it cannot go on.
    pub(super) fn given_up(&self, reason: &str) -> Outcome {
        match self.join() {
            Some(join) => join.given_up(CommandError::Stopped(reason.to_owned())),
            None => Outcome::done(),
        }
    }

    /// The join that it is a phase of, if it is one and the join has not ended.
    pub(super) fn join(&self) -> Option<&RemoteJoin> {
        Some(match self {
            Self::MakeJoin(job) => &job.join,
            Self::SendJoin(job) => &job.join,
            Self::TakeJoin(job) => &job.room.join,
            Self::CompleteJoin(job) => &job.join,
            Self::EnterRoom(job) => &job.join,
            _ => return None,
        })
    }

    /// All that no other job should work on at the same time.
    pub(super) fn identities(&self) -> Vec<Identity> {
        match self {
            Self::SeekEvents(job) => {
                let sought = job.events_sought().iter();
                sought.cloned().map(Identity::Event).collect()
            }
            Self::ImportOutliers(job) => about_all(&job.events),
            Self::ImportHistory(job) => about_all(&job.events),
            other => other.identity().into_iter().collect(),
        }
    }

    /// The one thing that the job is about, if there is one.
    pub(super) fn identity(&self) -> Option<Identity> {
        let event = |id: &ruma_common::EventId| Some(Identity::Event(id.to_owned()));
        match self {
            Self::VerifyEvent(job) => event(job.event.event_id()),
            Self::AdmitEvent(job) => event(job.event.event_id()),
            Self::ImportEvent(job) => event(job.event.event_id()),
            Self::JoinRoom(job) => Some(Identity::Join(job.room_id.clone())),
            Self::MakeJoin(job) => Some(job.join.identity()),
            Self::SendJoin(job) => Some(job.join.identity()),
            Self::TakeJoin(job) => Some(job.room.join.identity()),
            Self::CompleteJoin(job) => Some(job.join.identity()),
            Self::EnterRoom(job) => Some(job.join.identity()),
            Self::ResumeJoin(job) => Some(job.identity()),
            Self::ForgetJoin(job) => Some(job.join.identity()),
            Self::SendEvent(job) => job.identity(),
            Self::AwaitPolicySignature(job) => job.identity(),
            Self::MergeEnds(job) => Some(job.identity()),
            Self::ReceiveTransaction(job) => Some(job.identity()),
            Self::AnswerTransaction(job) => Some(job.identity()),
            Self::ServeAfter(job) => Some(job.identity()),
            Self::ContactPeer(job) => Some(job.identity()),
            Self::PullPage(job) => Some(job.identity()),
            Self::AdvanceCursor(job) => Some(job.identity()),
            Self::DiscoverServer(job) => Some(job.identity()),
            Self::RefreshKeys(job) => Some(job.identity()),
            Self::Authenticate(_)
            | Self::ServeRequest(_)
            | Self::FetchKey(_)
            | Self::AnswerKeyQuery(_)
            | Self::SeekEvents(_)
            | Self::Acknowledge(_)
            | Self::TellAgain(_)
            | Self::ImportOutliers(_)
            | Self::ImportHistory(_)
            | Self::ServeEvents(_)
            | Self::MakeMembership(_)
            | Self::SendMembership(_)
            | Self::AnswerSendJoin(_)
            | Self::ServeInvite(_)
            | Self::AnswerQuestion(_)
            | Self::CreateRoom(_)
            | Self::LeaveRoom(_)
            | Self::KnockRoom(_)
            | Self::SendKnock(_)
            | Self::SendLeave(_)
            | Self::InviteUser(_)
            | Self::AwaitCosignature(_)
            | Self::AnswerInvite(_)
            | Self::ServeExchange(_)
            | Self::ServeBinding(_)
            | Self::SendEphemeral(_)
            | Self::BackfillRoom(_)
            | Self::FindByTime(_)
            | Self::FetchMedia(_)
            | Self::TakeFound(_)
            | Self::ResolveAlias(_)
            | Self::UserProfile(_)
            | Self::QueryKeys(_)
            | Self::FindOpenIdUser(_)
            | Self::ServePublicRooms(_)
            | Self::ServeHierarchy(_)
            | Self::ListPublicRooms(_)
            | Self::SeeHierarchy(_)
            | Self::ClaimKeys(_)
            | Self::ListDevices(_)
            | Self::ReadStore(_)
            | Self::SummariseRoom(_) => None,
        }
    }
}

fn about_all(events: &[Arc<Pdu>]) -> Vec<Identity> {
    let ids = events.iter().map(|event| event.event_id().to_owned());
    ids.map(Identity::Event).collect()
}
