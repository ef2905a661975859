"""A bot that keeps secrets: it talks in encrypted rooms, as whoever drives it says.

Started with the address of a homeserver, a user, their password and a directory for its keys, it logs
in and then reads orders from standard input, one JSON object a line:

    {"do": "make", "invite": [USER…]}           makes an encrypted room of them
    {"do": "invite", "room": ROOM, "user": USER}
    {"do": "join", "room": ROOM}
    {"do": "say", "room": ROOM, "words": TEXT}

To each it answers, on standard output, {"done": ID}, and for itself it tells what happens in its rooms:
{"invited": ROOM}, {"joined": {"room", "user"}} and {"heard": {"room", "sender", "words", "was_secret"}}.
It ends when there are no more orders, and fails at the first thing that the homeserver refuses.
"""

import asyncio
import json
import os
import sys

from nio import (
    AsyncClient,
    AsyncClientConfig,
    EncryptionError,
    ErrorResponse,
    InviteMemberEvent,
    MegolmEvent,
    RoomMemberEvent,
    RoomMessageText,
    SyncResponse,
)
from nio.event_builders import EnableEncryptionBuilder

SYNC_MILLISECONDS = 10_000


class Refused(Exception):
    pass


def tell(report):
    print(json.dumps(report), flush=True)


def demanded(answer):
    if isinstance(answer, ErrorResponse):
        raise Refused(str(answer))
    return answer


class Talker:
    def __init__(self, client):
        self.client = client
        # What came before its key did.
        self.unread = []
        client.add_event_callback(self.hear, RoomMessageText)
        client.add_event_callback(self.keep, MegolmEvent)
        client.add_event_callback(self.see, RoomMemberEvent)
        client.add_event_callback(self.see_invite, InviteMemberEvent)
        client.add_response_callback(self.read_again, SyncResponse)

    async def hear(self, room, event):
        heard = {"room": room.room_id, "sender": event.sender, "words": event.body}
        tell({"heard": {**heard, "was_secret": event.decrypted}})

    async def keep(self, room, event):
        self.unread.append((room, event))

    async def see(self, room, event):
        if event.membership == "join":
            tell({"joined": {"room": room.room_id, "user": event.state_key}})

    async def see_invite(self, room, event):
        if event.state_key == self.client.user_id and event.membership == "invite":
            tell({"invited": room.room_id})

    async def read_again(self, _answer):
        unread, self.unread = self.unread, []
        for room, event in unread:
            try:
                await self.hear(room, self.client.decrypt_event(event))
            except EncryptionError:
                self.unread.append((room, event))

    async def make(self, order):
        secrecy = EnableEncryptionBuilder().as_dict()
        made = self.client.room_create(invite=order["invite"], initial_state=[secrecy])
        return demanded(await made).room_id

    async def invite(self, order):
        demanded(await self.client.room_invite(order["room"], order["user"]))
        return order["user"]

    async def join(self, order):
        return demanded(await self.client.join(order["room"])).room_id

    async def say(self, order):
        # Who came a moment ago is to understand it too.
        if self.client.should_query_keys:
            demanded(await self.client.keys_query())
        content = {"msgtype": "m.text", "body": order["words"]}
        # The talkers have not met in person, and trust whom the servers name.
        said = self.client.room_send(
            order["room"], "m.room.message", content, ignore_unverified_devices=True
        )
        return demanded(await said).event_id

    async def obey(self):
        orders = {"make": self.make, "invite": self.invite, "join": self.join, "say": self.say}
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            tell({"done": await orders[order["do"]](order)})


async def main(homeserver, user, password, directory):
    os.makedirs(directory)
    config = AsyncClientConfig(encryption_enabled=True, max_timeout_retry_wait_time=1)
    client = AsyncClient(homeserver, user, store_path=directory, config=config)
    demanded(await client.login(password, device_name="talker"))
    demanded(await client.sync(timeout=0))
    demanded(await client.keys_upload())
    talker = Talker(client)
    listening = asyncio.create_task(client.sync_forever(timeout=SYNC_MILLISECONDS))
    obeying = asyncio.create_task(talker.obey())
    tell({"done": client.user_id})
    ended, _ = await asyncio.wait([listening, obeying], return_when=asyncio.FIRST_COMPLETED)
    for task in (listening, obeying):
        if task not in ended:
            task.cancel()
    await client.close()
    for task in ended:
        task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
