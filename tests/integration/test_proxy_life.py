"""The proxy's own life: its start, what it is told and tells, and its end."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from remora.http_client import Rejected, SignedClient
from remora_api.wire import Routing
from tests.fakes.processes import Process, answered, proxy, proxy_process, run_proxy, run_replica, serving
from tests.fakes.services import Steered, replica, until


async def test_draining_resets_no_keep_alive_client() -> None:
    """Clients that send all the time over kept connections see every answer; then each is told to go elsewhere."""
    with Process(run_replica, "app#Main#1", 0) as main, Process(run_proxy, [main.ready], {"lame_s": 0.5}) as front:
        port, admin_port = front.ready
        told = 0

        async def client(pause_s: float) -> int:
            nonlocal told
            answered = 0
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert head.startswith(b"HTTP/1.1 200"), head
                assert await reader.readexactly(10) == b"app#Main#1"
                answered += 1
                if b"connection: close" in head:
                    told += 1
                    writer.close()
                    return answered
                await asyncio.sleep(pause_s)

        clients = [asyncio.create_task(client(0.001 * number)) for number in range(40)]
        await asyncio.sleep(0.3)
        front.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{admin_port}/readyz")).status_code == 503
            assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
        counts = await asyncio.wait_for(asyncio.gather(*clients), 10)
        assert min(counts) > 1
        assert told == 40
        await until(lambda: not front.alive)


async def test_a_request_under_way_is_finished_before_the_proxy_exits() -> None:
    service = Steered("done")
    async with replica(service) as (_, address), serving(address) as (proxied, client):
        task = asyncio.create_task(client.get("/wait"))
        await service.begun.wait()
        draining = asyncio.create_task(proxied.drain())
        await asyncio.sleep(0.8)
        assert not draining.done()
        service.gate.set()
        assert (await task).text == "done"
        await asyncio.wait_for(draining, 3)


async def test_routing_is_pushed_with_the_key_only_and_never_goes_back() -> None:
    async with serving(route_prefix="/a") as (proxied, client):
        url = f"http://127.0.0.1:{proxied.admin_port}"
        newer = Routing(version=5, applications=proxied.routing.table.applications)
        async with SignedClient(url, "wrong") as stranger:
            with pytest.raises(Rejected):
                await stranger.put("/v1/routing", newer.to_json())
        async with SignedClient(url, "proxy-key") as operator:
            answer = await operator.put("/v1/routing", newer.to_json())
            assert json.loads(answer.body)["version"] == 5
            with pytest.raises(Rejected) as older:
                await operator.put("/v1/routing", Routing(version=4).to_json())
            assert older.value.status == 409
            with pytest.raises(Rejected) as malformed:
                await operator.put("/v1/routing", b"{}")
            assert malformed.value.status == 422
        assert (await client.get("/-/routes")).json() == {"/a": "app"}
        assert (await client.get("/-/healthz")).text == "success"


async def test_metrics_count_by_application_and_status() -> None:
    async with replica(Steered()) as (_, address), serving(address) as (proxied, client):
        await client.get("/")
        await client.get("/raise")
        text = (await client.get(f"http://127.0.0.1:{proxied.admin_port}/metrics")).text
    assert 'remora_proxy_requests_total{application="app",code="200"} 1' in text
    assert 'remora_proxy_requests_total{application="app",code="500"} 1' in text
    assert 'remora_proxy_request_seconds_count{application="app"} 2' in text


async def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    """Rings of references cost the proxy a fifth of its throughput: counting references must be enough."""
    async with replica(Steered("ring")) as (_, address), serving(address) as (proxied, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)

        async def ask() -> None:
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\nring")

        await ask()
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                await ask()
            assert gc.collect() < 100
        finally:
            gc.enable()
        writer.close()


def test_a_taken_port_is_said(tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:

        async def start() -> None:
            await proxy(port=taken.getsockname()[1]).start()

        with pytest.raises(OSError, match="address"):
            asyncio.run(start())


async def test_a_log_that_nobody_reads_does_not_keep_the_process(tmp_path: Path) -> None:
    """As `remora run | less` has it, or a pod whose log is stuck."""
    with proxy_process(tmp_path, "--lame-s", "0.2") as (process, public, _):
        # Twice what a pipe holds.
        for _ in range(100):
            await answered(f"http://127.0.0.1:{public}/{'long' * 400}", 404)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert process.stderr is not None
        assert b"nobody reads the access log" in process.stderr.read()
