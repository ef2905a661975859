//! What the core tells the application, and what it asks it.

use std::sync::Arc;

use ruma_common::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    command::{CommandError, Content},
    device_keys::{DeviceList, OneTimeKeys, UserKeys, WantedKeys, WantedOneTimeKeys},
    media::{Media, WantedMedia},
};
use crate::{
    pdu::Pdu,
    persistence::tables::{InboxId, LocalMembership, StoredEvent},
};

/// Something the application should know. A notice is given after what it speaks of is on disk;
/// after a crash the application reads what it missed from the store by position.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A new event in a room of ours, in causal order, each exactly once; only what was said
    /// before our join may come after it. Its `position` is set.
    Event(Arc<StoredEvent>),
    /// An event was redacted; this is what is left of it.
    Redacted(Arc<StoredEvent>),
    /// One of our users was invited, left, was removed…, in a room we may hold no state of.
    Membership(Box<LocalMembership>),
    /// Another server took a join and left out who is in the room
    /// ([`Settings::join_in_part`](super::settings::Settings::join_in_part)): the command is
    /// answered, and [`Notice::JoinEnded`] follows when the room has come as a whole, or will not.
    /// Until then it is no room of ours: what is said in it is kept and told afterwards.
    JoinTaken {
        /// Our user.
        user_id: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Its state as far as that server tells it, checked by nothing but itself.
        state: Vec<Arc<Pdu>>,
        /// The servers in it, as that server says.
        servers: Vec<OwnedServerName>,
    },
    /// A join has ended for which nobody waits any more: it was under way when the server stopped,
    /// or was [taken](Notice::JoinTaken) before. If the server stops again while it ends, a success
    /// is told by the user's membership only, and a failure perhaps a second time.
    JoinEnded {
        /// Our user.
        user_id: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
        /// Whether the user is in the room now, or why not.
        result: Result<(), CommandError>,
    },
    /// A server sent an ephemeral message. What it claims about users of other servers has been
    /// dropped already.
    Edu {
        /// Who sent it.
        origin: OwnedServerName,
        /// Its type, such as `m.typing`.
        edu_type: String,
        /// Its content.
        content: Content,
        /// For a type that must not be lost: what to
        /// [acknowledge](super::command::Command::Acknowledge) when it has been dealt with. Until
        /// then it is told again after each start, under the same id; whoever missed a notice
        /// finds it with [`Read::Inbox`](crate::persistence::queries::Read::Inbox).
        acknowledge: Option<InboxId>,
    },
    /// A server does not answer; what is queued for it is kept.
    DestinationDown {
        /// Which.
        destination: OwnedServerName,
        /// What went wrong.
        reason: String,
    },
    /// A server that did not answer answers again.
    DestinationUp(OwnedServerName),
    /// An event that had been acknowledged was refused later on, or given up: it is forged, or
    /// something that its judgement needs could not be had for
    /// [a long time](crate::transaction::staging::KEPT_FOR).
    Refused {
        /// The room.
        room_id: OwnedRoomId,
        /// The event.
        event_id: OwnedEventId,
        /// Why.
        reason: String,
    },
    /// More waited for a server than is kept for one: the oldest will not be sent. The server can
    /// ask for the events.
    GivenUp {
        /// Which server.
        destination: OwnedServerName,
        /// How many events.
        events: u64,
        /// How many ephemeral messages, of those that must not be lost.
        edus: u64,
    },
    /// An event was judged and not accepted.
    NotAccepted {
        /// The room.
        room_id: OwnedRoomId,
        /// The event, as it was judged.
        event: Arc<StoredEvent>,
    },
    /// Our history of a room has a hole: nobody would give us what came before this event, which
    /// was taken in with the room's state as another server says it was then.
    Hole {
        /// The room.
        room_id: OwnedRoomId,
        /// The first event after the hole; it is not shown itself.
        event_id: OwnedEventId,
    },
}

/// Something that belongs to the homeserver and not to federation, which another server wants to
/// know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// What room does one of our aliases stand for? → [`Told::Directory`]
    Directory(OwnedRoomAliasId),
    /// What is the public profile of one of our users? → [`Told::Profile`]
    Profile(OwnedUserId),
    /// What keys do devices of our users have, and the users themselves? Only signatures that
    /// everybody may see belong into the answer. → [`Told::Keys`]
    Keys(WantedKeys),
    /// Give these one-time keys away: each at most once, whatever happens, so that its removal
    /// is on disk before this is answered. → [`Told::OneTimeKeys`]
    OneTimeKeys {
        /// Of which devices.
        wanted: WantedOneTimeKeys,
        /// Tells claims apart that look alike.
        claim: u64,
    },
    /// What devices does one of our users have? → [`Told::Devices`]
    Devices(OwnedUserId),
    /// Which of our users got this OpenID token, if it is still good? → [`Told::OpenIdUser`]
    OpenIdUser(String),
    /// Give us this file of our users', or a small picture of it. → [`Told::Media`] or
    /// [`Told::NoThumbnail`]
    Media(WantedMedia),
    /// Which rooms are in our directory for everybody to see? Never asked of another homeserver,
    /// which shows its directory itself. → [`Told::PublishedRooms`]
    PublishedRooms,
    /// Is anything against an invite of one of our users by somebody of another server? Never asked
    /// of another homeserver. → [`Told::InviteRefused`]; any other answer lets it in.
    Invite {
        /// Who invites.
        sender: OwnedUserId,
        /// Our user.
        target: OwnedUserId,
        /// To which room.
        room_id: OwnedRoomId,
    },
}

/// The application's answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// The room and servers in it.
    Directory {
        /// The room.
        room_id: OwnedRoomId,
        /// Servers that are in it.
        servers: Vec<OwnedServerName>,
    },
    /// The profile's fields, such as `displayname`.
    Profile(std::collections::BTreeMap<String, Value>),
    /// Keys, as far as there are any.
    Keys(UserKeys),
    /// One-time keys, as far as there are any; nobody else will get them.
    OneTimeKeys(OneTimeKeys),
    /// The user's devices.
    Devices(DeviceList),
    /// Who got the token.
    OpenIdUser(OwnedUserId),
    /// The file.
    Media(Media),
    /// There is the file, but no small picture of it.
    NoThumbnail,
    /// The published rooms.
    PublishedRooms(Vec<OwnedRoomId>),
    /// The invite is not wanted, and is shown to nobody.
    InviteRefused(InviteRefusal),
    /// There is no such alias, user or file; also what a missing answer counts as.
    NotFound,
}

/// Who does not want an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InviteRefusal {
    /// The user who is invited.
    ByUser,
    /// The homeserver.
    ByServer,
}
