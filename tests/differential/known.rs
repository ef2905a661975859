//! The differences that are known and meant: each is an entry of `../DIFFERENCES.md`, told as
//! narrowly as it can be told from the question and the answers.

use comity_core::pdu::{
    room_version::{EventIds, LevelForm},
    unpadded_base64,
};
use comity_tests::rooms::KnownEvent;
use serde_json::Value;

use crate::panel::{Difference, Question};

/// The entry of `../DIFFERENCES.md` that explains this difference.
pub fn explain(difference: &Difference<'_>) -> Option<&'static str> {
    let asked = Asked {
        event: serde_json::from_str(difference.text).unwrap_or_default(),
        difference,
    };
    let mut entries = KNOWN.iter().filter(|known| known.peer == difference.peer);
    let found = entries
        .find(|known| known.question.contains(&difference.question) && (known.explains)(&asked));
    found.map(|known| known.entry)
}

struct Known {
    /// The heading of the entry.
    entry: &'static str,
    /// Who differs.
    peer: &'static str,
    /// In which question.
    question: &'static [Question],
    explains: fn(&Asked<'_>) -> bool,
}

/// A difference, with its event parsed.
struct Asked<'a> {
    event: Value,
    difference: &'a Difference<'a>,
}

impl Asked<'_> {
    fn ours(&self, part: &str) -> bool {
        self.difference.ours.contains(part)
    }

    fn theirs(&self, part: &str) -> bool {
        self.difference.theirs.contains(part)
    }

    fn is(&self, event_type: &str) -> bool {
        self.event["type"] == event_type
    }

    fn content(&self, key: &str) -> &Value {
        &self.event["content"][key]
    }

    fn has_content(&self, key: &str) -> bool {
        self.event["content"].get(key).is_some()
    }

    /// The length of the event as canonical JSON without `unsigned`.
    fn size(&self) -> usize {
        let mut event = self.event.clone();
        if let Some(event) = event.as_object_mut() {
            event.remove("unsigned");
        }
        event.to_string().len()
    }

    /// Whether a state among those of the question has such an event.
    fn a_state_has(&self, which: impl Fn(&KnownEvent) -> bool) -> bool {
        self.difference
            .states
            .iter()
            .flatten()
            .any(|known| which(known))
    }

    /// Whether a state among those of the question lacks the event for this type.
    fn a_state_lacks(&self, event_type: &str) -> bool {
        let has =
            |state: &Vec<&KnownEvent>| state.iter().any(|known| known.event["type"] == event_type);
        !self.difference.states.iter().all(has)
    }

    fn is_unfederated(&self) -> bool {
        self.a_state_has(|known| {
            known.event["type"] == "m.room.create"
                && known.event["content"]
                    .get("m.federate")
                    .is_some_and(|federate| *federate != true)
        })
    }
}

use Question::{ByAuthEvents, OnState, Receive, Resolve};

const AUTHORISE: &[Question] = &[ByAuthEvents, OnState];

const RUMA: &str = "ruma";
const SYNAPSE: &str = "Synapse";

/// One line of the table: the heading of the entry, who differs, where, and how it is told.
macro_rules! known {
    ($($entry:literal $peer:ident $question:expr, $explains:expr;)*) => {
        const KNOWN: &[Known] = &[$(Known {
            entry: $entry,
            peer: $peer,
            question: $question,
            explains: $explains,
        },)*];
    };
}

known! {
    "Fields that are not what they should be" RUMA &[Receive], |asked| {
        (asked.ours("`content` is missing or is no object") && !asked.event["content"].is_object())
            || (asked.ours("`signatures` is missing or is no object") && asked.theirs("taken"))
            || (asked.ours("`hashes` is missing or is no object of strings") && asked.theirs("taken"))
    };
    "An event id where there should be none" RUMA &[Receive], |asked| {
        asked.ours("`event_id` must not be present") && asked.theirs("taken")
    };
    "Unsigned data that is no object" SYNAPSE &[Receive], |asked| {
        asked.theirs("object has no attribute 'items'") && !asked.event["unsigned"].is_object()
    };
    "Membership that is missing or no string" RUMA &[Receive], |asked| {
        asked.theirs("content.membership") && !asked.content("membership").is_string()
    };
    "Membership that is missing or no string" SYNAPSE &[Receive], |asked| {
        asked.theirs("KeyError: 'membership'")
            && asked.is("m.room.member")
            && !asked.has_content("membership")
    };
    "`third_party_invite` that is no object" RUMA &[Receive], |asked| {
        asked.is("m.room.member")
            && asked.has_content("third_party_invite")
            && !asked.content("third_party_invite").is_object()
    };
    "Altered third-party invites" RUMA &[Receive], is_forged_invite;
    "Altered third-party invites" SYNAPSE &[Receive], is_forged_invite;
    "Third-party invites in versions 1 and 2" RUMA &[Receive], |asked| {
        asked.ours("taken")
            && asked.difference.version.rules().event_ids == EventIds::Chosen
            && *asked.content("membership") == "invite"
            && asked.has_content("third_party_invite")
    };
    "`join_authorised_via_users_server` outside of joins" RUMA &[Receive], |asked| {
        asked.ours("taken")
            && !asked.is("m.room.member")
            && asked.has_content("join_authorised_via_users_server")
    };
    "`join_authorised_via_users_server` outside of joins" SYNAPSE &[Receive], |asked| {
        asked.theirs("taken")
            && asked.is("m.room.member")
            && *asked.content("membership") != "join"
            && asked.has_content("join_authorised_via_users_server")
    };
    "Numbers in versions 1 to 5" RUMA &[Receive], |asked| {
        let unreadable = ["float cannot be serialized", "out of the range of `js_int::Int`"];
        unreadable.iter().any(|reason| asked.theirs(reason))
            && !asked.difference.version.rules().strict_numbers
    };
    "Minus zero" RUMA &[Receive], |asked| {
        asked.theirs("float cannot be serialized") && asked.difference.text.contains("-0")
    };
    "Lone surrogates" SYNAPSE &[Receive], |asked| {
        asked.ours("not valid JSON") && asked.theirs("taken") && asked.difference.text.contains("\\ud800")
    };
    "Negative `origin_server_ts`" RUMA &[Receive], |asked| {
        let time = asked.event["origin_server_ts"].as_i64();
        asked.theirs("expected u64") && time.is_some_and(|time| time < 0)
    };
    "Depth in versions 1 to 5" SYNAPSE &[Receive], |asked| {
        asked.theirs("Depth too large") && !asked.difference.version.rules().strict_numbers
    };
    "Size at the limit" RUMA &[Receive], |asked| {
        asked.theirs("PDU is larger") && asked.size() == 65_536
    };
    // Synapse counts `unsigned`, which is there even if nothing is in it.
    "Size at the limit" SYNAPSE &[Receive], |asked| {
        let unsigned = asked.event.get("unsigned").map_or(2, |unsigned| unsigned.to_string().len());
        asked.theirs("event too large") && asked.size() + r#","unsigned":"#.len() + unsigned > 65_536
    };
    // It looks at the size of the redacted copy.
    "Size at the limit" SYNAPSE &[Receive], |asked| {
        asked.ours("more than 65536") && asked.theirs("taken")
    };
    "Bytes and characters" SYNAPSE &[Receive], |asked| {
        let text = |field: &str| asked.event[field].as_str().unwrap_or_default().to_owned();
        asked.theirs("taken")
            && asked.ours("more than 255")
            && ["type", "state_key"].iter().any(|field| {
                text(field).len() > 255 && text(field).chars().count() <= 255
            })
    };
    "Ids that nothing can have" RUMA &[Receive], names_nothing;
    "Ids that nothing can have" SYNAPSE &[Receive], names_nothing;
    "Ten auth events in room version 12" SYNAPSE &[Receive], |asked| {
        asked.theirs("Too many auth_events")
            && asked.difference.version.rules().room_id_is_create_event
            && asked.event["auth_events"].as_array().is_some_and(|events| events.len() == 10)
    };
    "The create event among the auth events of room version 12" RUMA &[Receive], |asked| {
        asked.theirs("cannot contain the `m.room.create` event ID")
    };
    "The create event among the auth events of room version 12" SYNAPSE &[Receive], |asked| {
        asked.theirs("auth_events must not contain the create event")
    };
    "Create events of room version 12 under another state key" SYNAPSE &[Receive], |asked| {
        asked.theirs("Invalid event JSON")
            && asked.difference.version.rules().room_id_is_create_event
            && asked.is("m.room.create")
            && asked.event["state_key"] != ""
    };
    "Top-level `age_ts`, `outlier`, `destinations`" SYNAPSE &[Receive], |asked| {
        let keys = ["age_ts", "outlier", "destinations"];
        asked.theirs("altered") && keys.iter().any(|key| asked.event.get(key).is_some())
    };
    "Base64 of another form" RUMA &[Receive], |asked| {
        asked.ours("`hashes.sha256` is missing or is no base64") && asked.theirs("taken")
    };
    "Base64 of another form" SYNAPSE &[Receive], |asked| {
        asked.theirs("taken")
            && (asked.ours("is wrong") || asked.ours("`hashes.sha256` is missing or is no base64"))
    };
    "No join rules in the state" RUMA AUTHORISE, |asked| {
        asked.theirs("no `m.room.join_rules` event in current state")
    };
    "No join rules in the state" RUMA &[Resolve], |asked| asked.a_state_lacks("m.room.join_rules");
    "Join rules without a rule" RUMA AUTHORISE, |asked| {
        asked.theirs("missing or invalid `join_rule` field")
    };
    "Join rules without a rule" RUMA &[Resolve], |asked| {
        asked.a_state_has(|known| {
            known.event["type"] == "m.room.join_rules" && !known.content("join_rule").is_string()
        })
    };
    "A create event of another room version" RUMA &[ByAuthEvents], |asked| {
        asked.ours("the create event is of room version")
    };
    "A create event of another room version" SYNAPSE &[ByAuthEvents], |asked| {
        let version = asked.content("room_version").as_str().unwrap_or("1");
        asked.ours("the create event is of room version") && version.parse::<u8>().is_ok()
    };
    "A creator that is no user id" RUMA &[ByAuthEvents, OnState, Resolve], |asked| {
        asked.theirs("`creator` field in `m.room.create` event")
    };
    "`m.federate` and the target of a membership" SYNAPSE AUTHORISE, |asked| {
        asked.theirs("marked as unfederatable") && asked.is("m.room.member")
    };
    "`m.federate` and the target of a membership" SYNAPSE &[Resolve], |asked| asked.is_unfederated();
    "`m.federate` that is no boolean" SYNAPSE AUTHORISE, |asked| {
        asked.theirs("marked as unfederatable")
            && asked.a_state_has(|known| {
                known.event["type"] == "m.room.create" && !known.content("m.federate").is_boolean()
            })
    };
    "`m.federate` that is no boolean" RUMA &[ByAuthEvents, OnState, Resolve], |asked| {
        asked.theirs("invalid `m.federate` field")
    };
    "Keys of third-party invites that cannot be decoded" SYNAPSE &[ByAuthEvents, OnState, Resolve], |asked| {
        !asked.theirs("AuthError") && !asked.theirs("allowed") && asked.a_state_has(has_odd_keys)
    };
    "Keys of third-party invites that cannot be decoded" RUMA AUTHORISE, |asked| {
        asked.theirs("invalid `public_key` or `public_keys` field")
    };
    "Keys of third-party invites that cannot be decoded" RUMA &[Resolve], |asked| {
        asked.a_state_has(has_odd_keys)
    };
    "User ids" SYNAPSE &[Receive], |asked| {
        asked.ours("`join_authorised_via_users_server` is no user id") && asked.theirs("taken")
    };
    "User ids" SYNAPSE AUTHORISE, |asked| {
        (asked.ours("needs a user id as state key") && asked.is("m.room.member"))
            || (asked.ours("is not a user id") && asked.is("m.room.power_levels"))
    };
    "User ids" RUMA AUTHORISE, |asked| {
        asked.theirs("`users` field") && (has_far_port(&asked.event) || asked.a_state_has(|known| has_far_port(&known.event)))
    };
    "User ids" RUMA &[Resolve], |asked| asked.a_state_has(|known| has_far_port(&known.event));
    "Lists of levels that are no objects" SYNAPSE AUTHORISE, |asked| {
        asked.ours("is not an object of levels") && asked.is("m.room.power_levels")
    };
    "Lists of levels that are no objects" RUMA AUTHORISE, |asked| {
        asked.theirs("unexpected format of `notifications` field")
            && !asked.difference.version.rules().notification_levels
    };
    "What counts as a level up to version 9" SYNAPSE AUTHORISE, |asked| {
        asked.ours("is not a level")
            && asked.is("m.room.power_levels")
            && asked.difference.version.rules().levels != LevelForm::Integer
    };
    "Levels beyond 64 bits" RUMA AUTHORISE, |asked| {
        asked.theirs("number too large to fit") && asked.is("m.room.power_levels")
    };
    "Redactions of nothing in versions 1 and 2" SYNAPSE AUTHORISE, |asked| {
        asked.ours("needed to redact nothing")
            && asked.theirs("allowed")
            && asked.is("m.room.redaction")
            && !asked.event["redacts"].is_string()
    };
    "Power levels without a state key" SYNAPSE AUTHORISE, |asked| {
        asked.theirs("AttributeError: state_key")
            && asked.is("m.room.power_levels")
            && asked.event.get("state_key").is_none()
    };
    "Power levels under another state key" RUMA AUTHORISE, |asked| {
        asked.is("m.room.power_levels") && asked.event["state_key"] != ""
    };
    "Power levels under another state key" RUMA &[Resolve], |asked| {
        asked.a_state_has(|known| {
            known.key.as_ref().is_some_and(|(event_type, state_key)| {
                event_type == "m.room.power_levels" && !state_key.is_empty()
            })
        })
    };
    "Rejected events in the states" RUMA &[Resolve], |asked| {
        asked.a_state_has(KnownEvent::is_rejected)
    };
}

/// A third-party invite with something that is no key.
/// Whether these are power levels of a user whose server has a port that there is not.
fn has_far_port(event: &Value) -> bool {
    let is_far = |port: &str| port.parse().is_ok_and(|port: u32| port > 65_535);
    let users = event["content"]["users"].as_object();
    let is_named = users.is_some_and(|users| {
        let mut ports = users.keys().filter_map(|user| user.rsplit_once(':'));
        ports.any(|(_, port)| is_far(port))
    });
    is_named && event["type"] == "m.room.power_levels"
}

fn has_odd_keys(known: &KnownEvent) -> bool {
    let is_key = |key: &Value| {
        let bytes = key
            .as_str()
            .and_then(unpadded_base64::decode_either_alphabet);
        bytes.is_some_and(|bytes| bytes.len() == 32)
    };
    let are_keys = |keys: &Value| {
        let keys = keys.as_array();
        keys.is_some_and(|keys| keys.iter().all(|key| is_key(&key["public_key"])))
    };
    let content = &known.event["content"];
    known.event["type"] == "m.room.third_party_invite"
        && (content.get("public_key").is_some_and(|key| !is_key(key))
            || content
                .get("public_keys")
                .is_some_and(|keys| !are_keys(keys)))
}

/// An invite that its sender's server did not sign and that is altered, so that it would go on as
/// a plain invite.
fn is_forged_invite(asked: &Asked<'_>) -> bool {
    asked.theirs("taken")
        && (asked.ours("there is no signature") || asked.ours("is wrong"))
        && *asked.content("membership") == "invite"
        && asked.has_content("third_party_invite")
}

/// An id of a room or of an event that is longer or formed otherwise than any can be.
fn names_nothing(asked: &Asked<'_>) -> bool {
    let fields = ["`room_id`", "`auth_events`", "`prev_events`", "`sender`"];
    asked.theirs("taken") && fields.iter().any(|field| asked.ours(field))
}

/// Every entry has its heading.
#[test]
fn every_known_difference_is_in_the_list() {
    let list = include_str!("../DIFFERENCES.md");
    for known in KNOWN {
        let heading = format!("### {}\n", known.entry);
        assert!(list.contains(&heading), "DIFFERENCES.md lacks {heading}");
    }
}
