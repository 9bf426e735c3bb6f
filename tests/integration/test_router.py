"""Which replica takes a call, and who waits for which, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from remora.errors import BackPressureError, ReplicaUnavailableError
from remora.types import CallMetadata, Payload
from tests.fakes.calls import NAME, PLAIN, SMALL, WAIT, call
from tests.fakes.services import CONTROLLER, Steered, replica, router, snapshot, until

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
        router(address.but(max_ongoing_requests=10), other) as calls,
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
