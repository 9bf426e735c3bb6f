"""HTTPS and wss at the proxy, over real sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from remora.proxy.server import ProxyServer
from tests.fakes.certificates import Pair, pair
from tests.fakes.processes import proxy, reached
from tests.fakes.services import Steered, replica, until


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pair(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusting(files: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.certificate)


@asynccontextmanager
async def serving(files: Pair) -> AsyncIterator[tuple[ProxyServer, Steered]]:
    service = Steered("me")
    server = proxy(tls_certificate=files.certificate, tls_key=files.key)
    await server.start()
    try:
        async with replica(service) as (_, address):
            await reached(server, address)
            yield server, service
    finally:
        await server.stop()


@pytest.mark.parametrize("size", [0, 200_000, 8_000_000], ids=["short way", "long way", "many records"])
async def test_a_request_over_https(files: Pair, trusting: ssl.SSLContext, size: int) -> None:
    body = os.urandom(size)
    async with serving(files) as (server, service), httpx.AsyncClient(verify=trusting) as client:
        answer = await client.post(f"https://127.0.0.1:{server.port}/echo", content=body, timeout=30)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
    assert answer.content == body
    assert service.scopes[0]["scheme"] == "https"


async def test_a_client_that_does_not_read_slows_the_answer(files: Pair, trusting: ssl.SSLContext) -> None:
    size = 200_000_000
    async with serving(files) as (server, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting)
        writer.write(f"GET /large?{size} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        await until(lambda: service.sent_bytes)
        seen = -1
        while seen != service.sent_bytes:  # it stands still, for as long as nobody reads
            seen = service.sent_bytes
            await asyncio.sleep(0.2)
        assert seen < size / 4
        await reader.readexactly(1_000_000)
        writer.close()


async def test_http_in_the_clear_is_not_answered(files: Pair) -> None:
    async with serving(files) as (server, service), httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://127.0.0.1:{server.port}/")
    assert not service.scopes


async def test_a_client_that_goes_is_noticed(files: Pair, trusting: ssl.SSLContext) -> None:
    async with serving(files) as (server, service), httpx.AsyncClient(verify=trusting) as client:
        asked = asyncio.create_task(client.get(f"https://127.0.0.1:{server.port}/wait"))
        await until(lambda: service.scopes)
        asked.cancel()
        await until(lambda: not server.metrics.ongoing)
