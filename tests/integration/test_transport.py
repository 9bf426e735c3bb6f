"""Router, connection and replica server against each other, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from remora.errors import (
    BackPressureError,
    DeploymentUnavailable,
    ReplicaUnavailableError,
    RequestCancelledError,
)
from remora.router.router import Router
from remora.transport.client import connect
from remora.transport.frames import HEADER
from remora.transport.handshake import HandshakeError, Identity
from remora.types import CallMetadata, Payload, RemoteFailure
from tests.fakes.services import CONTROLLER, KEY, Steered, replica, router, snapshot, until

PLAIN = CallMetadata()
WAIT = CallMetadata(method="wait")
NAME = CallMetadata(method="name")


SMALL = Payload(b"x")


async def call(router: Router, metadata: CallMetadata = PLAIN, payload: Payload = SMALL) -> Payload:
    return await router.call("app", "Main", metadata, payload)


class Deaf:
    def on_load(self, load: int) -> None: ...
    def on_refused(self, load: int) -> None: ...
    def on_models(self, models: frozenset[str]) -> None: ...
    def on_facts(self, facts: dict[str, object]) -> None: ...
    def on_goaway(self) -> None: ...
    def on_silence(self, silent: bool) -> None: ...
    def on_lost(self, error: Exception | None) -> None: ...


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 5_000_000])
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
        await items.aclose()  # type: ignore[attr-defined]
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


# ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_more_run_at_once_than_the_replica_allows_and_the_others_wait() -> None:
    service = Steered()
    async with replica(service, max_ongoing_requests=2) as (server, address), router(address) as calls:
        tasks = [asyncio.create_task(call(calls, WAIT)) for _ in range(6)]
        await until(lambda: server.ongoing == 2)
        await asyncio.sleep(0.05)
        assert server.ongoing == 2
        service.gate.set()
        assert len(await asyncio.gather(*tasks)) == 6


async def test_a_full_replica_refuses_and_another_takes_it() -> None:
    """The router is wrong about the first one's room, as if another router had filled it."""
    full, free = Steered("full"), Steered("free")
    async with (
        replica(full, max_ongoing_requests=1) as (server, address),
        replica(free, name="app#Main#2") as (_, other),
        router(address) as elsewhere,
        router(address.model_copy(update={"max_ongoing_requests": 10}), other) as calls,
    ):
        busy = asyncio.create_task(call(elsewhere, WAIT))
        await full.begun.wait()
        names = {(await call(calls, NAME)).data for _ in range(20)}
        assert names == {b"free"}
        assert server.ongoing == 1
        full.gate.set()
        await busy


async def test_who_waits_for_a_replica_that_another_router_filled_is_woken() -> None:
    service = Steered()
    async with (
        replica(service, max_ongoing_requests=1) as (_, address),
        router(address) as elsewhere,
        router(address) as calls,
    ):
        busy = asyncio.create_task(call(elsewhere, WAIT))
        await service.begun.wait()
        waiting = asyncio.create_task(call(calls))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        service.gate.set()
        await busy
        await asyncio.wait_for(waiting, 1)


async def test_a_full_queue_is_back_pressure() -> None:
    service = Steered()
    async with (
        replica(service, max_ongoing_requests=1) as (_, address),
        router(address, max_queued_requests=1) as calls,
    ):
        first = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        queued = asyncio.create_task(call(calls))
        await asyncio.sleep(0.01)
        with pytest.raises(BackPressureError, match="Main"):
            await call(calls)
        service.gate.set()
        await asyncio.gather(first, queued)


async def test_a_cancelled_waiter_takes_no_place() -> None:
    service = Steered()
    async with replica(service, max_ongoing_requests=1) as (_, address), router(address) as calls:
        first = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        queued = [asyncio.create_task(call(calls)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in queued:
            task.cancel()
        await asyncio.wait(queued)
        service.gate.set()
        await first
        await asyncio.wait_for(call(calls), 1)
        (link,) = calls.cluster(CONTROLLER).ingress("app").links  # type: ignore[union-attr]
        assert link.ongoing == 0


# ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_waits_a_moment_for_a_first_replica() -> None:
    """Deployments of one application start in any order, and call each other."""
    async with router(hold_s=0.1) as calls:
        with pytest.raises(DeploymentUnavailable, match="Main"):
            await asyncio.wait_for(call(calls), 1)
    async with replica(Steered("first")) as (_, address), router(hold_s=5) as calls:
        task = asyncio.create_task(call(calls, NAME))
        await asyncio.sleep(0.05)
        calls.cluster(CONTROLLER).update(snapshot(2, [address]))
        assert (await asyncio.wait_for(task, 1)).data == b"first"


async def test_a_call_that_names_no_deployment_goes_to_the_ingress() -> None:
    async with replica(Steered("ingress")) as (_, address), router(address) as calls:
        assert (await calls.call("app", "", NAME, SMALL)).data == b"ingress"


async def test_an_unknown_deployment_is_said_after_a_moment() -> None:
    async with router(hold_s=0.05) as calls:
        with pytest.raises(DeploymentUnavailable, match="'Other'"):
            await calls.call("app", "Other", PLAIN, Payload(b""))


async def test_a_draining_replica_finishes_what_it_has_and_gets_nothing_new() -> None:
    old, new = Steered("old"), Steered("new")
    async with (
        replica(old) as (server, address),
        replica(new, name="app#Main#2") as (_, other),
        router(address) as calls,
    ):
        present = asyncio.create_task(call(calls, WAIT))
        await old.begun.wait()
        draining = asyncio.create_task(server.drain(5))
        calls.cluster(CONTROLLER).update(snapshot(2, [address, other]))
        names = {(await call(calls, NAME)).data for _ in range(20)}
        assert names == {b"new"}
        assert not draining.done()
        old.gate.set()
        await present
        assert await draining is True


async def test_a_replica_that_left_the_snapshot_finishes_and_is_closed() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        present = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        calls.cluster(CONTROLLER).update(snapshot(2, []))
        with pytest.raises(DeploymentUnavailable):
            await call(calls)
        service.gate.set()
        await present
        await until(lambda: not server.connections)


async def test_a_drain_that_takes_too_long_says_so() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        present = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        assert await server.drain(0.05) is False
        service.gate.set()
        await present


async def test_a_replica_that_comes_back_is_found_again() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address, hold_s=5) as calls:
        await call(calls)
        (lost,) = server.connections
        lost.abort()
        await until(lambda: server.connections and lost not in server.connections)
        await asyncio.wait_for(call(calls), 3)


async def test_a_call_under_way_on_a_lost_link_is_unavailable() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        task = asyncio.create_task(call(calls, WAIT))
        await service.begun.wait()
        for connection in list(server.connections):
            connection.abort()
        with pytest.raises(ReplicaUnavailableError):
            await task
        await asyncio.wait_for(service.cancelled.wait(), 2)


async def test_a_call_that_was_never_accepted_goes_elsewhere() -> None:
    """The first replica's process is there but never reads the call, and then dies."""
    async with (
        replica(Steered("dying")) as (server, address),
        replica(Steered("other"), name="app#Main#2") as (_, spare),
        router(address) as calls,
    ):
        await call(calls)
        (connection,) = server.connections
        assert connection._transport is not None
        connection._transport.pause_reading()
        task = asyncio.create_task(call(calls, NAME))
        await asyncio.sleep(0.05)
        calls.cluster(CONTROLLER).update(snapshot(2, [spare]))
        connection.abort()
        assert (await asyncio.wait_for(task, 2)).data == b"other"


async def test_requests_wait_a_moment_for_a_deployment_that_lost_its_replicas() -> None:
    first, second = Steered("first"), Steered("second")
    async with replica(first) as (server, address), router(address, hold_s=5) as calls:
        await call(calls)
        await server.stop()
        task = asyncio.create_task(call(calls, NAME))
        await asyncio.sleep(0.05)
        async with replica(second, name="app#Main#2") as (_, other):
            calls.cluster(CONTROLLER).update(snapshot(2, [other]))
            assert (await asyncio.wait_for(task, 2)).data == b"second"


async def test_a_port_where_nobody_answers_is_no_replica() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with replica(Steered()) as (_, address), router(address.model_copy(update={"port": port})) as calls:
        with pytest.raises(DeploymentUnavailable):
            await asyncio.wait_for(call(calls), 3)


# ── affinity ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_calls_for_a_model_go_to_the_replica_that_told_it_has_it() -> None:
    async with (
        replica(Steered("a"), name="app#Main#a") as (one, first),
        replica(Steered("b"), name="app#Main#b") as (other, second),
    ):
        one.hold_models(["before"])
        async with router(first, second) as calls:
            pool = calls.cluster(CONTROLLER).ingress("app")
            assert pool is not None
            await until(lambda: pool.ready == 2)
            other.hold_models(["later", *map(str, range(50_000))])
            await until(lambda: all(link.models for link in pool.links))

            async def ask(model_id: str) -> set[bytes]:
                metadata = CallMetadata(method="name", multiplexed_model_id=model_id)
                return {(await call(calls, metadata)).data for _ in range(10)}

            assert await ask("before") == {b"a"}
            assert await ask("later") == {b"b"}
            other.hold_models([])
            await until(lambda: not all(link.models for link in pool.links))
            assert await ask("new") == {b"b"}


async def test_models_that_come_right_behind_the_handshake_may_be_many() -> None:
    models = [f"model-{number}" for number in range(1000)]
    async with replica(Steered("a")) as (server, address):
        server.hold_models(models)
        async with router(address) as calls:
            pool = calls.cluster(CONTROLLER).ingress("app")
            assert pool is not None
            await until(lambda: pool.ready == 1 and pool.links[0].models == frozenset(models))


async def test_calls_of_a_session_go_to_one_replica_of_all_routers_choice() -> None:
    async with (
        replica(Steered("a"), name="app#Main#a") as (_, first),
        replica(Steered("b"), name="app#Main#b") as (_, second),
        router(first, second) as calls,
        router(second, first) as others,
    ):
        for each in (calls, others):
            pool = each.cluster(CONTROLLER).ingress("app")
            assert pool is not None
            await until(lambda pool=pool: pool.ready == 2)
        places = set()
        for session in map(str, range(20)):
            metadata = CallMetadata(method="name", session_id=session)
            found = {(await call(each, metadata)).data for each in (calls, others) for _ in range(3)}
            assert len(found) == 1
            places |= found
        assert places == {b"a", b"b"}


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reserved_place_is_kept_on_the_replica_until_its_call_is_over() -> None:
    service = Steered("me")
    async with replica(service, max_ongoing_requests=1) as (server, address), router(address) as calls:
        place = await calls.reserve("app", "Main", PLAIN)
        assert (place.replica, place.host, place.port) == (address.replica, address.host, address.port)
        assert server.ongoing == 1
        other = asyncio.create_task(call(calls, NAME))
        large = Payload(b"d" * 200_000, (b"b" * 100_000,))
        answer = await place.call(CallMetadata(method="echo"), large)
        assert (answer.data, bytes(answer.buffers[0])) == (large.data, large.buffers[0])
        assert (await other).data == b"me"


async def test_a_place_that_is_given_back_is_free() -> None:
    async with replica(Steered("me"), max_ongoing_requests=1) as (server, address), router(address) as calls:
        place = await calls.reserve("app", "Main", PLAIN)
        place.release()
        assert (await call(calls, NAME)).data == b"me"
        with pytest.raises(ReplicaUnavailableError, match="no longer available"):
            await place.call(NAME, SMALL)
        assert server.ongoing == 0


async def test_a_place_on_a_replica_that_ends_is_lost() -> None:
    async with replica(Steered("me")) as (server, address), router(address) as calls:
        place = await calls.reserve("app", "Main", PLAIN)
        await server.stop()
        with pytest.raises(ReplicaUnavailableError, match="no longer available"):
            await place.call(NAME, SMALL)


async def test_a_named_replica_is_waited_for_while_the_others_go_on() -> None:
    busy, free = Steered("busy"), Steered("free")
    async with (
        replica(busy, name="app#Main#busy", max_ongoing_requests=1) as (_, first),
        replica(free, name="app#Main#free", max_ongoing_requests=1) as (_, second),
        router(first, second) as calls,
    ):
        pool = calls.cluster(CONTROLLER).ingress("app")
        assert pool is not None
        await until(lambda: pool.ready == 2)
        assert set(await calls.replicas("app", "Main")) == {first.replica, second.replica}
        holding = await calls.reserve("app", "Main", PLAIN, first.replica)
        waiting = asyncio.create_task(calls.reserve("app", "Main", PLAIN, first.replica))
        assert (await call(calls, NAME)).data == b"free"
        assert not waiting.done()
        holding.release()
        (await waiting).release()
        with pytest.raises(ReplicaUnavailableError, match="no longer available"):
            await calls.reserve("app", "Main", PLAIN, "app#Main#gone")


async def test_whoever_waits_for_a_replica_that_goes_is_told() -> None:
    async with replica(Steered("me"), max_ongoing_requests=1) as (server, address), router(address) as calls:
        await calls.reserve("app", "Main", PLAIN, (await calls.replicas("app", "Main"))[0])
        waiting = asyncio.create_task(calls.reserve("app", "Main", PLAIN, address.replica))
        await asyncio.sleep(0)
        calls.cluster(CONTROLLER).update(snapshot(2, []))
        with pytest.raises(ReplicaUnavailableError, match="no longer available"):
            await waiting
        assert server.ongoing == 1
