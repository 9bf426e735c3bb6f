"""Calls while replicas come and go, over real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from remora.errors import DeploymentUnavailable, ReplicaUnavailableError
from remora.types import Payload
from tests.fakes.calls import NAME, PLAIN, SMALL, WAIT, call
from tests.fakes.services import CONTROLLER, Steered, replica, router, snapshot, until

pytestmark = pytest.mark.usefixtures("either_way")


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


async def test_answers_that_wait_for_their_turn_are_written_before_a_drained_replica_goes() -> None:
    service = Steered()
    async with replica(service) as (server, address), router(address) as calls:
        # Each within its credit, so that the user's code is done while most of all this is not written yet.
        values = [Payload(bytes([65 + number]) * 240_000) for number in range(10)]
        present = [asyncio.create_task(call(calls, WAIT, value)) for value in values]
        await until(lambda: server.ongoing == 10)
        service.gate.set()
        assert await server.drain(5) is True
        await server.stop()
        assert [answer.data for answer in await asyncio.gather(*present)] == [value.data for value in values]


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
    async with replica(Steered()) as (_, address), router(address.but(port=port)) as calls:
        with pytest.raises(DeploymentUnavailable):
            await asyncio.wait_for(call(calls), 3)
