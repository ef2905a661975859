//! The checks on receipt of a PDU, made again on a stored event.

use std::{collections::BTreeMap, sync::Arc};

use ruma_common::{EventId, OwnedServerName};
use serde_json::Value;

use super::{
    Archive, EventBrief,
    event::{
        BrokenRule, Check, CheckFacts, CheckResult, Consequence, EventSignature, HeldKey, Named,
        Signer,
    },
    state_facts::StateFacts,
};
use crate::{
    pdu::{
        Pdu, StateKey, StateMap,
        auth_events::needed_state,
        authorisation::Denied,
        event_ids::EventIds,
        event_type::POLICY,
        hash,
        policy::{NotRecommended, PolicyServer},
        signing::{self, VerifyKey},
        unpadded_base64,
        view::{self, View},
    },
    persistence::{
        queries::{LoadedRoom, StoreError},
        tables::{EventState, StateEntry, StoredEvent, Verdict},
    },
};

/// The checks of one event.
pub(super) struct Checks<'a> {
    event: &'a Arc<StoredEvent>,
    archive: &'a Archive<'a>,
    room: Option<Box<LoadedRoom>>,
}

const NO_HISTORY: &str = "the history that led to the event is not held";

impl<'a> Checks<'a> {
    pub(super) fn new(
        event: &'a Arc<StoredEvent>,
        archive: &'a Archive<'a>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            room: archive.room(event.pdu.room_id())?,
            event,
            archive,
        })
    }

    /// All of them, in their order.
    pub(super) fn make(&self) -> Result<Vec<Check>, StoreError> {
        let mut checks = vec![
            self.format(),
            self.signatures()?,
            self.content_hash(),
            self.auth_events()?,
            self.state_before()?,
            self.current_state()?,
        ];
        checks.extend(self.policy_server()?);
        Ok(checks)
    }

    fn pdu(&self) -> &Pdu {
        &self.event.pdu
    }

    fn format(&self) -> Check {
        let pdu = self.pdu();
        let parsed = Pdu::parse_history(pdu.json(), pdu.room_version());
        let result = match &parsed {
            Ok(parsed) if parsed.event_id() != pdu.event_id() => {
                Err(format!("its id is {}", parsed.event_id()))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        Check {
            number: 1,
            name: "format",
            result: CheckResult::of(result, Consequence::Dropped),
            facts: CheckFacts::Format {
                bytes: pdu.json().len(),
            },
        }
    }

    fn signatures(&self) -> Result<Check, StoreError> {
        let mut keys = signing::KnownKeys::new();
        for server in signing::required_signers(self.pdu()).into_iter().flatten() {
            keys.insert(server.to_owned(), self.archive.keys(server)?.into());
        }
        let stranger = keys.iter().find(|(_, keys)| keys.is_empty());
        let result = match stranger {
            Some((server, _)) => CheckResult::not_made(&format!("no key of {server} is held")),
            None => CheckResult::of(
                signing::verify_event(self.pdu(), &keys),
                Consequence::Dropped,
            ),
        };
        let signers = keys.into_iter();
        let signers = signers.map(|(server, keys)| signer(self.pdu(), server, &keys));
        Ok(Check {
            number: 2,
            name: "signatures",
            result,
            facts: CheckFacts::Signatures {
                signers: signers.collect(),
            },
        })
    }

    fn content_hash(&self) -> Check {
        let object = self.pdu().object();
        let claimed = object.get("hashes").and_then(|hashes| hashes.get("sha256"));
        let result = match &self.event.redacted_because {
            Some(_) => CheckResult::not_made("its content was redacted since"),
            None if self.pdu().has_claimed_content() => CheckResult::Passed,
            None => CheckResult::Failed {
                reason: "the event does not hold what its hash says".to_owned(),
                rule: None,
                consequence: Consequence::Redacted,
            },
        };
        Check {
            number: 3,
            name: "content_hash",
            result,
            facts: CheckFacts::ContentHash {
                claimed: claimed.and_then(Value::as_str).map(ToOwned::to_owned),
                computed: unpadded_base64::encode(&hash::content_hash(self.pdu().text())),
            },
        }
    }

    fn auth_events(&self) -> Result<Check, StoreError> {
        let auth_events = self.pdu().auth_events();
        let mut state = self.archive.events(auth_events.iter())?;
        let create = match view::create_event_named_by_room(self.pdu()) {
            Some(event_id) => self.archive.event(&event_id)?,
            None => None,
        };
        let result = view::check_by_auth_events(self.pdu(), &state, create.as_ref());
        state.extend(create.filter(|create| create.pdu.event_id() != self.pdu().event_id()));
        Ok(Check {
            number: 4,
            name: "auth_events",
            result: CheckResult::by_rules(result, self.pdu()),
            facts: CheckFacts::AuthEvents {
                auth_events: named(auth_events, self.archive)?,
                state: StateFacts::of(self.pdu(), &state),
            },
        })
    }

    fn state_before(&self) -> Result<Check, StoreError> {
        let (result, facts) = match self.event.state {
            None => (CheckResult::not_made(NO_HISTORY), CheckFacts::None {}),
            Some(EventState { before, .. }) => {
                let judged = self.judge_by(&self.archive.state(before)?)?;
                let facts = CheckFacts::State {
                    snapshot: before.0,
                    state: judged.facts,
                };
                (CheckResult::by_rules(judged.result, self.pdu()), facts)
            }
        };
        Ok(Check {
            number: 5,
            name: "state_before",
            result,
            facts,
        })
    }

    /// The state that was current when the event came is not kept, but what it made of the event
    /// is.
    fn current_state(&self) -> Result<Check, StoreError> {
        let facts = match &self.room {
            None => CheckFacts::None {},
            Some(room) => {
                let state = room.state.iter().cloned();
                let judged = self.judge_by(&state.map(|e| (e.key, e.event_id)).collect())?;
                CheckFacts::CurrentState {
                    refused_today: judged.result.err().map(|denied| denied.to_string()),
                    state: judged.facts,
                }
            }
        };
        let result = self.if_in_graph(|| match &self.event.verdict {
            Verdict::SoftFailed(reason) if !NotRecommended::is_told_by(reason) => {
                CheckResult::of(Err(reason), Consequence::SoftFailed)
            }
            _ => CheckResult::Passed,
        });
        Ok(Check {
            number: 6,
            name: "current_state",
            result,
            facts,
        })
    }

    /// If the room has a policy server today.
    fn policy_server(&self) -> Result<Option<Check>, StoreError> {
        let Some(server) = self.policy_server_of_today()? else {
            return Ok(None);
        };
        let signed = server.has_signed(self.pdu());
        let result = self.if_in_graph(|| match &self.event.verdict {
            Verdict::SoftFailed(reason) if NotRecommended::is_told_by(reason) => {
                CheckResult::of(Err(reason), Consequence::SoftFailed)
            }
            _ if signed => CheckResult::Passed,
            _ => CheckResult::not_made("the room had no policy server then, or it was not heeded"),
        });
        Ok(Some(Check {
            number: 7,
            name: "policy_server",
            result,
            facts: CheckFacts::PolicyServer {
                server: server.name().to_owned(),
                signed,
            },
        }))
    }

    fn policy_server_of_today(&self) -> Result<Option<PolicyServer>, StoreError> {
        let is_policy = |entry: &&StateEntry| entry.key == StateKey::new(POLICY, "");
        let room = self
            .room
            .as_ref()
            .filter(|_| !self.pdu().is_state_for(POLICY, ""));
        let entry = room.and_then(|room| room.state.iter().find(is_policy));
        let event = entry.map(|entry| self.archive.event(&entry.event_id));
        let Some((event, room)) = event.transpose()?.flatten().zip(room) else {
            return Ok(None);
        };
        let named = PolicyServer::named_by(&event.pdu.content());
        Ok(named.filter(|server| {
            let mut joined = room.joined.iter();
            let is_in_room = joined.any(|user| user.server_name() == server.name());
            is_in_room && !self.archive.is_own(server.name())
        }))
    }

    /// The result of a check that only events of the graph go through.
    fn if_in_graph(&self, result: impl FnOnce() -> CheckResult) -> CheckResult {
        match &self.event.verdict {
            _ if self.event.is_outlier() => CheckResult::not_made(NO_HISTORY),
            Verdict::Rejected(_) => CheckResult::not_made("the event was rejected before it"),
            Verdict::Accepted | Verdict::SoftFailed(_) => result(),
        }
    }

    fn judge_by(&self, state: &StateMap) -> Result<Judged, StoreError> {
        let event = self.pdu();
        let needed = needed_state(event, event.room_version());
        let ids = needed
            .entries()
            .filter_map(|(event_type, state_key)| state.get(event_type, state_key));
        let mut found = self.archive.events(ids)?;
        found.retain(|event| event.counts());
        let view = View::made_of(found.iter().map(|event| event.pdu.clone()).collect());
        Ok(Judged {
            result: view.check(event),
            facts: StateFacts::of(event, &found),
        })
    }
}

/// What the rules make of an event in a state.
struct Judged {
    result: Result<(), Denied>,
    facts: StateFacts,
}

fn signer(event: &Pdu, server: OwnedServerName, keys: &[VerifyKey]) -> Signer {
    let object = event.object();
    let signatures = object
        .get("signatures")
        .and_then(|signatures| signatures.get(server.as_str()))
        .and_then(Value::as_object);
    let signature = |key_id: &String| {
        let key = keys.iter().find(|key| key.key_id == *key_id);
        EventSignature {
            key_id: key_id.clone(),
            key: key.map(|key| HeldKey {
                valid_until: key.valid_until,
                retired: key.retired,
            }),
        }
    };
    let signatures = signatures.into_iter().flat_map(|by_key| by_key.keys());
    Signer {
        signatures: signatures.map(signature).collect(),
        server,
    }
}

impl CheckResult {
    fn of<E: ToString>(result: Result<(), E>, consequence: Consequence) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(reason) => Self::Failed {
                reason: reason.to_string(),
                rule: None,
                consequence,
            },
        }
    }

    fn by_rules(result: Result<(), Denied>, event: &Pdu) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(denied) => Self::Failed {
                reason: denied.to_string(),
                rule: Some(BrokenRule::of(&denied, event.room_version())),
                consequence: Consequence::Rejected,
            },
        }
    }

    fn not_made(reason: &str) -> Self {
        Self::NotMade {
            reason: reason.to_owned(),
        }
    }
}

/// These events, those that are held with what is known of them.
pub(super) fn named(
    event_ids: EventIds<'_>,
    archive: &Archive<'_>,
) -> Result<Vec<Named>, StoreError> {
    let held = archive.events(event_ids.iter())?;
    let held: BTreeMap<&EventId, &Arc<StoredEvent>> = held
        .iter()
        .map(|event| (event.pdu.event_id(), event))
        .collect();
    let named = event_ids.iter().map(|event_id| Named {
        event_id: event_id.to_owned(),
        event: held.get(event_id).map(|event| EventBrief::from(&***event)),
    });
    Ok(named.collect())
}
