"""Two bots of one homeserver do what clients do in ordinary life.

Started with the address of the homeserver, two users of it, the password that both have and a
directory for their keys. Fails at the first thing that is not as it should be.
"""

import asyncio
import io
import os
import sys

from nio import (
    AsyncClient,
    AsyncClientConfig,
    DeleteDevicesAuthResponse,
    ErrorResponse,
    RoomMessageText,
)
from nio.crypto.attachments import decrypt_attachment
from nio.event_builders import EnableEncryptionBuilder

FEW_EVENTS = {"timeline": {"limit": 20, "lazy_load_members": True}}
SYNC_MILLISECONDS = 2_000
# How often to look for what the homeserver may tell a little later.
LOOKS = 15


def granted(answer):
    assert not isinstance(answer, ErrorResponse), answer
    return answer


def refused(answer):
    assert isinstance(answer, ErrorResponse), answer


def is_locked_out(answer):
    assert isinstance(answer, ErrorResponse) and answer.status_code == "M_UNKNOWN_TOKEN", answer


async def look(client):
    """One sync, and what its answer asks the client to do."""
    sync = client.sync(timeout=SYNC_MILLISECONDS, sync_filter={"room": FEW_EVENTS})
    answer = granted(await sync)
    if client.should_upload_keys:
        granted(await client.keys_upload())
    if client.should_query_keys:
        granted(await client.keys_query())
    return answer


async def until(client, holds):
    for _ in range(LOOKS):
        if holds():
            return
        await look(client)
    assert holds()


async def arrive(client, password):
    flows = granted(await client.login_info()).flows
    assert "m.login.password" in flows, flows
    granted(await client.login(password, device_name="tablet"))
    assert granted(await client.whoami()).device_id == client.device_id
    granted(await client.upload_filter(room=FEW_EVENTS))
    await look(client)


async def introduce(alice, bob):
    granted(await alice.set_displayname("Alice of the bots"))
    portrait, _ = await alice.upload(io.BytesIO(b"a portrait"), "image/png", "me.png", filesize=10)
    granted(await alice.set_avatar(granted(portrait).content_uri))
    seen = granted(await bob.get_profile(alice.user_id))
    assert seen.displayname == "Alice of the bots"
    assert seen.avatar_url == portrait.content_uri
    granted(await alice.set_presence("online", "at home"))


async def meet(alice, bob):
    name = alice.user_id[1:].split(":")[0]
    server = alice.user_id.split(":", 1)[1]
    secrecy = EnableEncryptionBuilder().as_dict()
    made = await alice.room_create(
        alias=name, name="Tea", topic="Milk?", invite=[bob.user_id], initial_state=[secrecy]
    )
    room = granted(made).room_id
    await until(alice, lambda: room in alice.rooms)
    await until(bob, lambda: room in bob.invited_rooms)
    alias = f"#{name}:{server}"
    assert granted(await bob.room_resolve_alias(alias)).room_id == room
    granted(await bob.join(alias))
    await until(bob, lambda: room in bob.rooms)
    await until(alice, lambda: bob.user_id in alice.rooms[room].users)
    assert bob.rooms[room].display_name == "Tea" and bob.rooms[room].encrypted
    members = granted(await bob.joined_members(room)).members
    assert {member.user_id for member in members} == {alice.user_id, bob.user_id}
    assert room in granted(await bob.joined_rooms()).rooms
    return room


async def talk(alice, bob, room):
    heard = []

    async def hear(_room, event):
        heard.append(event)

    bob.add_event_callback(hear, RoomMessageText)
    granted(await alice.room_typing(room, True, 20_000))
    await until(bob, lambda: alice.user_id in bob.rooms[room].typing_users)
    content = {"msgtype": "m.text", "body": "One lump or two?"}
    said = await alice.room_send(
        room, "m.room.message", content, ignore_unverified_devices=True
    )
    said = granted(said).event_id
    await until(bob, lambda: heard)
    assert (heard[0].body, heard[0].decrypted, heard[0].event_id) == (content["body"], True, said)
    granted(await bob.update_receipt_marker(room, said))
    granted(await bob.room_read_markers(room, said, said))
    receipts = alice.rooms[room].read_receipts
    await until(alice, lambda: bob.user_id in receipts and receipts[bob.user_id].event_id == said)
    return said


async def look_back(alice, bob, room, said):
    granted(await alice.room_put_state(room, "m.room.topic", {"topic": "Sugar?"}))
    topic = granted(await bob.room_get_state_event(room, "m.room.topic"))
    assert topic.content["topic"] == "Sugar?"
    kinds = {event["type"] for event in granted(await bob.room_get_state(room)).events}
    assert {"m.room.create", "m.room.encryption", "m.room.member"} <= kinds
    page = granted(await bob.room_messages(room, bob.next_batch, limit=50))
    assert said in [event.event_id for event in page.chunk]
    around = granted(await bob.room_context(room, said, limit=4))
    assert around.event.event_id == said and around.events_before
    granted(await alice.room_redact(room, said, "too sweet"))
    erased = granted(await bob.room_get_event(room, said)).event
    assert "ciphertext" not in erased.source["content"], erased.source


async def exchange_files(alice, bob):
    for secret in (False, True):
        sent, keys = await alice.upload(
            io.BytesIO(b"a recipe"), "text/plain", "cake.txt", encrypt=secret, filesize=8
        )
        got = granted(await bob.download(granted(sent).content_uri)).body
        if secret:
            got = decrypt_attachment(got, keys["key"]["k"], keys["hashes"]["sha256"], keys["iv"])
        assert got == b"a recipe"
    assert granted(await alice.content_repository_config()).upload_size > 0


async def manage_devices(alice, password):
    phone = AsyncClient(alice.homeserver, alice.user_id)
    granted(await phone.login(password, device_name="phone"))
    granted(await alice.update_device(alice.device_id, {"display_name": "kettle"}))
    names = {d.id: d.display_name for d in granted(await alice.devices()).devices}
    assert names[alice.device_id] == "kettle" and names[phone.device_id] == "phone", names
    asked = await alice.delete_devices([phone.device_id])
    assert isinstance(asked, DeleteDevicesAuthResponse), asked
    identifier = {"type": "m.id.user", "user": alice.user_id}
    auth = {"type": "m.login.password", "identifier": identifier, "password": password}
    granted(await alice.delete_devices([phone.device_id], {**auth, "session": asked.session}))
    is_locked_out(await phone.whoami())
    await phone.close()


async def is_told_to_be_out(client, room):
    for _ in range(LOOKS):
        if room in (await look(client)).rooms.leave:
            return
    raise AssertionError(f"{client.user_id} was not told to be out of {room}")


async def part(alice, bob, room):
    granted(await alice.room_kick(room, bob.user_id, "tea time is over"))
    await is_told_to_be_out(bob, room)
    granted(await alice.room_ban(room, bob.user_id))
    refused(await bob.join(room))
    granted(await alice.room_unban(room, bob.user_id))
    granted(await bob.room_forget(room))
    granted(await alice.room_leave(room))
    granted(await alice.room_forget(room))
    granted(await bob.logout())
    granted(await alice.logout(all_devices=True))
    for client in (alice, bob):
        is_locked_out(await client.whoami())


async def main(homeserver, first, second, password, directory):
    os.makedirs(directory)
    config = AsyncClientConfig(encryption_enabled=True, request_timeout=20, max_timeouts=1)
    clients = [
        AsyncClient(homeserver, user, store_path=directory, config=config)
        for user in (first, second)
    ]
    alice, bob = clients
    try:
        for client in clients:
            await arrive(client, password)
        await introduce(alice, bob)
        room = await meet(alice, bob)
        said = await talk(alice, bob, room)
        await look_back(alice, bob, room, said)
        await exchange_files(alice, bob)
        await manage_devices(alice, password)
        await part(alice, bob, room)
    finally:
        for client in clients:
            await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
