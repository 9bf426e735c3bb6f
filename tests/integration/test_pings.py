"""PINGs over real sockets: both ends of an idle link know of each other, at moments that they share."""

from __future__ import annotations

import pytest

from remora.transport import liveness
from remora.transport.client import ClientConnection, connect
from remora.transport.frames import HEADER_BYTES
from remora.transport.handshake import Identity
from remora.transport.server import ServerConnection
from tests.fakes.listeners import Deaf
from tests.fakes.services import KEY, Steered, replica, until

NEVER_S = 600.0
ENOUGH = 10


class Listening(Deaf):
    def __init__(self) -> None:
        self.silent: list[bool] = []

    def on_silence(self, silent: bool) -> None:
        self.silent.append(silent)


async def linked(host: str, port: int, listener: Listening) -> ClientConnection:
    return await connect(host, port, key=KEY, identity=Identity("app", "r1", "app#Main#1"), listener=listener)


async def test_an_idle_replica_speaks_when_its_client_does_and_at_no_other_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "PING_S", 0.02)
    monkeypatch.setattr(ServerConnection, "speaks_after_s", NEVER_S)
    listener = Listening()
    async with replica(Steered()) as (server, address):
        client = await linked(address.host, address.port, listener)
        await until(lambda: bool(server.connections))
        (served,) = server.connections
        client_before, server_before = client.sent_bytes, served.sent_bytes
        await until(lambda: client.sent_bytes >= client_before + ENOUGH * HEADER_BYTES)
        asked = (client.sent_bytes - client_before) // HEADER_BYTES
        await until(lambda: served.sent_bytes >= server_before + asked * HEADER_BYTES)
        assert (served.sent_bytes - server_before) // HEADER_BYTES <= asked + 1
        assert listener.silent == []
        client.close()


async def test_a_replica_that_hears_nothing_speaks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientConnection, "next_tick", lambda self: self.loop.time() + NEVER_S)
    monkeypatch.setattr(ServerConnection, "speaks_after_s", 0.02)
    async with replica(Steered()) as (server, address):
        client = await linked(address.host, address.port, Listening())
        await until(lambda: bool(server.connections))
        (served,) = server.connections
        before = served.sent_bytes
        await until(lambda: served.sent_bytes >= before + ENOUGH * HEADER_BYTES)
        client.close()
