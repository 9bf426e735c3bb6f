"""The Unix socket beside a replica's port: who goes by it, and that nobody depends on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from remora.transport import nearby
from remora.transport.client import ClientConnection, connect
from remora.transport.handshake import HandshakeError, Identity
from remora.types import Payload
from remora_api.wire import ReplicaAddress
from tests.fakes.calls import call
from tests.fakes.listeners import Deaf
from tests.fakes.services import KEY, Steered, replica, router, until
from tests.ports import free_port

IDENTITY = Identity("app", "r1", "app#Main#1")


class Noting(Deaf):
    """Hears how a connection fares."""

    def __init__(self) -> None:
        self.lost = 0

    def on_lost(self, error: Exception | None) -> None:
        self.lost += 1


@asynccontextmanager
async def connected(
    address: ReplicaAddress, *, host: str = "", listener: Noting | None = None, timeout_s: float = 3
) -> AsyncIterator[ClientConnection]:
    found = await connect(
        host or address.host,
        address.port,
        key=KEY,
        identity=IDENTITY,
        listener=listener or Noting(),
        timeout_s=timeout_s,
    )
    try:
        yield found
    finally:
        found.abort()


def family(connection: ClientConnection) -> socket.AddressFamily:
    assert connection._transport is not None
    return socket.AddressFamily(connection._transport.get_extra_info("socket").family)


@asynccontextmanager
async def stranger(port: int, *, speaks: bytes | None) -> AsyncIterator[None]:
    """Somebody who took the name that belongs to a port of loopback, and says something or nothing."""
    taken = nearby.bind("127.0.0.1", port)
    assert taken is not None

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if speaks is not None:
            writer.write(speaks)
            writer.close()

    server = await asyncio.start_unix_server(answer, sock=taken)
    try:
        yield
    finally:
        server.close()


async def test_who_is_near_goes_beside_the_port() -> None:
    async with replica(Steered()) as (_, address), connected(address) as connection:
        assert family(connection) == socket.AF_UNIX
        assert connection.peer == f"127.0.0.1:{address.port}"


async def test_another_address_with_the_same_port_is_another_replica() -> None:
    async with replica(Steered()) as (_, address), connected(address, host="localhost") as connection:
        assert family(connection) == socket.AF_INET


@pytest.mark.parametrize(
    "speaks", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100], ids=["mute", "gone", "other"]
)
async def test_a_stranger_with_the_name_keeps_nobody_away(speaks: bytes | None) -> None:
    """The replica does without the name, and a client that meets the stranger goes on by TCP."""
    listener, port = Noting(), free_port()
    async with (
        stranger(port, speaks=speaks),
        replica(Steered(), port=port) as (server, address),
        connected(address, listener=listener, timeout_s=0.5) as connection,
    ):
        assert address.port == port
        assert family(connection) == socket.AF_INET
        assert listener.lost == 0
        await server.stop()
        await until(lambda: listener.lost == 1)


async def test_a_wrong_key_is_as_wrong_beside_the_port() -> None:
    async with replica(Steered()) as (server, address):
        way = nearby.reach(address.host, address.port)
        assert way is not None
        way.close()
        with pytest.raises(HandshakeError):
            await connect(address.host, address.port, key="another", identity=IDENTITY, listener=Noting())
        await until(lambda: not server.connections)


async def test_a_replica_that_has_ended_leaves_no_name() -> None:
    async with replica(Steered()) as (_, address):
        pass
    assert nearby.reach(address.host, address.port) is None
    again = nearby.bind(address.host, address.port)
    assert again is not None
    again.close()


async def test_without_such_sockets_there_is_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearby, "IS_KNOWN", False)
    async with replica(Steered()) as (_, address), router(address) as calls, connected(address) as connection:
        assert family(connection) == socket.AF_INET
        assert (await call(calls, payload=Payload(b"x"))).data == b"x"
