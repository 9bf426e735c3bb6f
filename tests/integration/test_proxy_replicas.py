"""The proxy while its replicas are killed and replaced, over real sockets, by clients without retries."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import pytest

from remora_api.wire import ReplicaAddress
from tests.fakes.processes import Process, run_replica, serving
from tests.fakes.services import CONTROLLER, Steered, replica, snapshot, until

pytestmark = pytest.mark.usefixtures("either_way")


async def test_a_killed_replica_fails_only_what_it_had_begun() -> None:
    """One replica is busy with user code that blocks its loop, then is killed: what it never read goes elsewhere."""
    with Process(run_replica, "app#Main#1", 30) as doomed, Process(run_replica, "app#Main#2", 0) as spare:
        addresses = [ReplicaAddress(**process.ready) for process in (doomed, spare)]
        async with serving(*addresses) as (proxied, client):
            pool = proxied.router.cluster(CONTROLLER).ingress("app")
            assert pool is not None
            await until(lambda: pool.ready == 2)
            # One for each: the second goes to the replica that is less loaded.
            stalling = [asyncio.create_task(client.get("/stall")) for _ in range(2)]
            await asyncio.sleep(0.3)
            others = [asyncio.create_task(client.get("/")) for _ in range(50)]
            await asyncio.sleep(0.3)
            doomed.signal(signal.SIGKILL)
            answers = await asyncio.gather(*others)
            assert {answer.status_code for answer in answers} == {200}
            assert {answer.text for answer in answers} == {"app#Main#2"}
            assert {answer.status_code for answer in await asyncio.gather(*stalling)} == {200, 500}


async def test_a_begun_request_on_a_killed_replica_is_500_with_a_reason() -> None:
    with Process(run_replica, "app#Main#1", 0) as doomed:
        async with serving(ReplicaAddress(**doomed.ready)) as (_, client):
            task = asyncio.create_task(client.get("/wait"))
            await asyncio.sleep(0.3)
            doomed.signal(signal.SIGKILL)
            answer = await task
            assert answer.status_code == 500
            assert "vanished" in answer.text


async def test_replacing_replicas_again_and_again_loses_nothing() -> None:
    """Thirty clients without retries, each on one kept connection, while the replica is replaced fifteen times.

    The order is that of a rollout, and once in two the replica goes before the routes say so.
    """
    done = False

    async def client(port: int) -> int:
        answered = 0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not done:
            writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nping")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200"), head
            assert await reader.readexactly(4) == b"ping"
            answered += 1
        writer.close()
        return answered

    async with AsyncExitStack() as stack:
        present, address = await stack.enter_async_context(replica(Steered(), name="app#Main#0"))
        proxied, _ = await stack.enter_async_context(serving(address, settings={"hold_s": 5.0}))
        clients = [asyncio.create_task(client(proxied.port)) for _ in range(30)]
        for number in range(1, 16):
            following, new = await stack.enter_async_context(replica(Steered(), name=f"app#Main#{number}"))
            cluster = proxied.router.cluster(CONTROLLER)
            if number % 2:
                cluster.update(snapshot(3 * number, [address, new]))
                assert await present.drain(5)
                cluster.update(snapshot(3 * number + 1, [new]))
            else:
                draining = asyncio.create_task(present.drain(5))
                await asyncio.sleep(0.02)
                cluster.update(snapshot(3 * number, [new]))
                assert await draining
            await present.stop()
            present, address = following, new
            await asyncio.sleep(0.02)
        done = True
        counts = await asyncio.gather(*clients)
    assert min(counts) > 15
