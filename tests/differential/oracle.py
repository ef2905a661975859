"""What Synapse says of events: one JSON question per line on stdin, one answer per line on stdout.

Synapse's own functions judge; this program only brings the questions to them, and stands in for
its database and for its search for keys. The questions, told apart by `ask`, are:

room       begins a room of `version` and forgets the last one. `keys` holds the public keys of all
           servers: {server: {key id: {"key": base64, "valid_until": milliseconds}}}.
receive    what becomes of the event whose JSON is `text`: {"dropped": why}, or what is kept of it.
           A kept event is known by its id from then on.
reject     the event with the id `event` counts as rejected from now on.
authorise  is `event` allowed `by_auth_events`, and on the `state` of these event ids (`on_state`)?
           Null if so, else the reason.
resolve    the state that follows from `states`, lists of event ids: {"state": [event id]}.

Whatever a question makes Synapse raise is an answer too: to `resolve` it is {"raised": what}, and
elsewhere it counts as a refusal.
"""

import json
import logging
import sys
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from canonicaljson import encode_canonical_json
from signedjson.key import decode_verify_key_bytes
from synapse.api.errors import AuthError, EventSizeError
from synapse.api.room_versions import (
    KNOWN_ROOM_VERSIONS,
    RoomVersion,
    StateResolutionVersions,
)
from synapse.crypto.event_signing import check_event_content_hash
from synapse.crypto.keyring import Keyring
from synapse.event_auth import (
    auth_types_for_event,
    check_state_dependent_auth_rules,
    check_state_independent_auth_rules,
    validate_event_for_room_version,
)
from synapse.events import EventBase, make_event_from_dict
from synapse.events.utils import prune_event
from synapse.federation.federation_base import _check_sigs_on_pdu, event_from_pdu_json
from synapse.handlers.federation_event import FederationEventHandler
from synapse.state import v1, v2
from synapse.storage.databases.main.event_federation import StateDifference
from synapse.storage.keys import FetchKeyResult
from synapse.types import JsonDict, StateMap
from synapse.util.duration import Duration
from synapse.util.json import json_decoder
from unpaddedbase64 import decode_base64

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never has to wait, since all it waits for is in this program."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError("the coroutine waits for something outside")


class NoWaiting:
    """The clock that state resolution asks to let others run."""

    async def sleep(self, duration: Duration) -> None:
        pass


class KnownKeys(Keyring):
    """Synapse's check of signatures, with the keys at hand instead of a search for them."""

    def __init__(self, keys: JsonDict) -> None:
        self._fetch_keys_queue = self
        self._results = {
            server: {
                key_id: FetchKeyResult(
                    decode_verify_key_bytes(key_id, decode_base64(key["key"])),
                    key["valid_until"],
                )
                for key_id, key in of_server.items()
            }
            for server, of_server in keys.items()
        }

    def _is_mine_server_name(self, server_name: str) -> bool:
        return False

    async def add_to_queue(self, request: Any, key: str) -> dict[str, Any]:
        return self._results


class Room:
    """The events of a room, which Synapse's functions take for its database."""

    def __init__(self, version: RoomVersion, keys: JsonDict) -> None:
        self.version = version
        self.keyring = KnownKeys(keys)
        self.events: dict[str, EventBase] = {}

    async def get_events(
        self,
        event_ids: Collection[str],
        redact_behaviour: Any = None,
        allow_rejected: bool = False,
    ) -> dict[str, EventBase]:
        known = (self.events.get(event_id) for event_id in event_ids)
        return {
            event.event_id: event
            for event in known
            if event and (allow_rejected or not event.rejected_reason)
        }

    async def get_auth_chain_difference(
        self,
        room_id: str,
        state_sets: list[set[str]],
        conflicted_state: set[str] | None,
        additional_backwards_reachable_conflicted_events: set[str] | None,
    ) -> StateDifference:
        """As both of Synapse's stores: the chain of a set holds the set's own events."""
        chains = [self.auth_chain(state) for state in state_sets]
        difference = set.union(*chains) - set.intersection(*chains)
        subgraph = None
        if conflicted_state is not None:
            subgraph = self.subgraph(conflicted_state)
        return StateDifference(difference, subgraph)

    def auth_chain(self, event_ids: Iterable[str]) -> set[str]:
        """These events and all that they reach through auth events."""
        chain: set[str] = set()
        to_visit = list(event_ids)
        while to_visit:
            event_id = to_visit.pop()
            if event_id not in chain and event_id in self.events:
                chain.add(event_id)
                to_visit.extend(self.events[event_id].auth_event_ids())
        return chain

    def subgraph(self, conflicted: set[str]) -> set[str]:
        """All events on paths through auth events from one of these events to another."""
        return {
            event_id
            for event_id in self.auth_chain(conflicted)
            if not conflicted.isdisjoint(self.auth_chain([event_id]))
        }

    def state(self, event_ids: Iterable[str]) -> StateMap[str]:
        """These events by type and state key, leaving out those that are not known."""
        known = (self.events.get(event_id) for event_id in event_ids)
        events = (event for event in known if event and event.is_state())
        return {(event.type, event.state_key): event.event_id for event in events}


def receive(room: Room, text: str) -> JsonDict:
    event = event_from_pdu_json(json_decoder.decode(text), room.version)
    # Its first argument is the handler, which it makes no use of.
    FederationEventHandler._sanity_check_event(None, event)  # type: ignore[arg-type]
    run(_check_sigs_on_pdu(room.keyring, room.version, event))
    altered = not check_event_content_hash(event)
    if altered:
        event = prune_event(event)
    try:
        validate_event_for_room_version(event)
    except AuthError:
        pass  # Synapse keeps it, and rejects it by its auth events.
    except EventSizeError as too_large:
        if too_large.unpersistable:
            raise
    room.events[event.event_id] = event
    return {
        "event_id": event.event_id,
        "room_id": event.room_id,
        "altered": altered,
        "kept": canonical(event),
        "redacted": canonical(prune_event(event)),
    }


def canonical(event: EventBase) -> str:
    pdu = event.get_pdu_json()
    pdu.pop("unsigned", None)
    return encode_canonical_json(pdu).decode()


def reject(room: Room, event_id: str) -> None:
    event = room.events[event_id]
    room.events[event_id] = make_event_from_dict(
        event.get_pdu_json(), room.version, rejected_reason="rejected"
    )


def authorise(room: Room, event_id: str, state: list[str]) -> JsonDict:
    event = room.events[event_id]

    def by_auth_events() -> None:
        validate_event_for_room_version(event)
        run(check_state_independent_auth_rules(room, event))
        on(event.auth_event_ids())

    def on(event_ids: Iterable[str]) -> None:
        keys = auth_types_for_event(room.version, event)
        judges = room.state(event_ids)
        events = [room.events[judge] for key, judge in judges.items() if key in keys]
        check_state_dependent_auth_rules(event, events)

    return {
        "by_auth_events": objection(by_auth_events),
        "on_state": objection(lambda: on(state)),
    }


def objection(check: Callable[[], None]) -> str | None:
    try:
        check()
    except Exception as reason:
        return describe(reason)
    return None


def describe(reason: Exception) -> str:
    return f"{type(reason).__name__}: {reason}"


def resolve(room: Room, states: list[list[str]]) -> JsonDict:
    room_id = room.events[states[0][0]].room_id
    sets = [room.state(event_ids) for event_ids in states]
    if room.version.state_res == StateResolutionVersions.V1:
        resolving = v1.resolve_events_with_store(
            room_id, room.version, sets, None, room.get_events
        )
    else:
        resolving = v2.resolve_events_with_store(
            NoWaiting(), room_id, room.version, sets, None, room
        )
    return {"state": sorted(run(resolving).values())}


def answer(room: Room, question: JsonDict) -> JsonDict | None:
    match question["ask"]:
        case "receive":
            try:
                return receive(room, question["text"])
            except Exception as reason:
                return {"dropped": describe(reason)}
        case "reject":
            return reject(room, question["event"])
        case "authorise":
            return authorise(room, question["event"], question["state"])
        case "resolve":
            try:
                return resolve(room, question["states"])
            except Exception as reason:
                return {"raised": describe(reason)}
    raise ValueError(f"there is no question {question['ask']!r}")


def main() -> None:
    logging.disable()
    room: Room | None = None
    for line in sys.stdin:
        question = json.loads(line)
        if question["ask"] == "room":
            version = KNOWN_ROOM_VERSIONS[question["version"]]
            room = Room(version, question["keys"])
            reply = None
        else:
            assert room is not None, "no room has begun"
            reply = answer(room, question)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
