"""Router, connection and replica server against each other, over real sockets."""

from __future__ import annotations

import asyncio
import struct

import pytest

from remora.errors import RequestCancelledError
from remora.transport.client import connect
from remora.transport.frames import HEADER, MAX_PART_BYTES
from remora.transport.handshake import HandshakeError, Identity
from remora.types import CallMetadata, Payload, RemoteFailure
from tests.fakes.calls import WAIT, call
from tests.fakes.listeners import Deaf
from tests.fakes.services import KEY, Steered, replica, router, until

pytestmark = pytest.mark.usefixtures("either_way")


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, MAX_PART_BYTES - 1, MAX_PART_BYTES, MAX_PART_BYTES + 1, 5_000_000])
@pytest.mark.parametrize("buffers", [0, 3])
async def test_a_value_of_any_size_comes_back_as_it_was(size: int, buffers: int) -> None:
    payload = Payload(b"d" * size, tuple(memoryview(b"b" * (size + n)) for n in range(buffers)))
    async with replica(Steered()) as (_, address), router(address) as calls:
        result = await call(calls, payload=payload)
        assert result.data == payload.data
        assert [bytes(b) for b in result.buffers] == [bytes(b) for b in payload.buffers]


async def test_an_exception_of_the_user_travels_whole() -> None:
    async with replica(Steered()) as (_, address), router(address) as calls:
        with pytest.raises(RemoteFailure, match="ValueError: no") as caught:
            await call(calls, CallMetadata(method="fail"))
        assert caught.value.payload is not None
        assert caught.value.payload.data == b"pickled" * 20_000
        assert [bytes(b) for b in caught.value.payload.buffers] == [b"buffer"]


async def test_items_come_in_order_and_no_faster_than_they_are_read() -> None:
    service = Steered()
    async with replica(service) as (_, address), router(address) as calls:
        items = calls.stream("app", "Main", CallMetadata(method="large", stream=True), Payload(b"500"))
        assert (await anext(items)).data.strip() == b"0"
        await asyncio.sleep(0.1)
        assert service.sent_bytes < 20, "the producer ran ahead of its reader"
        assert [int((await anext(items)).data) for _ in range(499)] == list(range(1, 500))
        with pytest.raises(StopAsyncIteration):
            await anext(items)


async def test_a_failure_after_some_items_is_raised_there() -> None:
    async with replica(Steered()) as (_, address), router(address) as calls:
        items = calls.stream("app", "Main", CallMetadata(method="fail", stream=True), Payload(b"2"))
        assert [(await anext(items)).data for _ in range(2)] == [b"0", b"1"]
        with pytest.raises(RemoteFailure):
            await anext(items)


async def test_closing_the_iterator_cancels_the_user_s_code() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        items = calls.stream("app", "Main", CallMetadata(method="wait", stream=True), Payload(b"1"))
        await anext(items)
        await service.begun.wait()
        await items.aclose()
        await asyncio.wait_for(service.cancelled.wait(), 2)
        await until(lambda: server.ongoing == 0)


async def test_cancelling_a_call_cancels_the_user_s_code() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        task = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        task.cancel()
        await asyncio.wait_for(service.cancelled.wait(), 2)
        await until(lambda: server.ongoing == 0)


async def test_a_call_that_is_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    async with replica(Steered()) as (host, address), router(address) as calls:
        await call(calls)
        doomed = asyncio.create_task(call(calls, WAIT))
        await asyncio.sleep(0)
        # In the turn that opened it, so both reach the replica in one read.
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        await call(calls)
        await until(lambda: not any(connection.streams for connection in host.connections))


async def test_a_deadline_ends_the_call_at_both_ends() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        with pytest.raises((TimeoutError, RequestCancelledError)):
            await call(calls, CallMetadata(method="wait", deadline_s=0.1))
        await asyncio.wait_for(service.cancelled.wait(), 2)
        await until(lambda: server.ongoing == 0)


# ── who may speak ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        ("another key", Identity("app", "r1", "app#Main#1")),
        (KEY, Identity("other", "r1", "app#Main#1")),
        (KEY, Identity("app", "r2", "app#Main#1")),
        (KEY, Identity("app", "r1", "app#Main#2")),
    ],
    ids=["key", "application", "revision", "replica"],
)
async def test_a_stranger_or_a_stale_address_is_refused(key: str, identity: Identity) -> None:
    async with replica(Steered()) as (server, address):
        with pytest.raises(HandshakeError):
            await connect(address.host, address.port, key=key, identity=identity, listener=Deaf())
        await until(lambda: not server.connections)


async def test_nothing_is_served_before_the_handshake() -> None:
    service = Steered()
    async with replica(service) as (_, address):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(HEADER.pack(3, 0x90, 1) + b"abc")
        await reader.read()
        assert service.scopes == []
        writer.close()


async def test_a_large_frame_before_the_handshake_ends_the_connection() -> None:
    async with replica(Steered()) as (server, address):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(struct.pack(">IBI", 100_000, 2, 0))
        await reader.read()
        await until(lambda: not server.connections)
        writer.close()


async def test_a_silent_client_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remora.transport.connection.HANDSHAKE_S", 0.1)
    async with replica(Steered()) as (server, address):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        await asyncio.wait_for(reader.read(), 2)
        await until(lambda: not server.connections)
        writer.close()
