"""Answers in many chunks, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.fakes.processes import proxy, reached
from tests.fakes.services import Steered, replica

pytestmark = pytest.mark.usefixtures("either_way")

CHUNKS = 2000
CHUNK = b"x" * 100


class Hurried(Steered):
    """Sends its chunks without ever waiting for anything."""

    let_on_after = -1
    """Chunks that were sent when the loop had a turn for others."""

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        had_a_turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(had_a_turn.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(CHUNKS):
            if had_a_turn.is_set() and self.let_on_after < 0:
                self.let_on_after = number
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def test_a_generator_that_never_waits_lets_others_on_and_loses_nothing() -> None:
    service = Hurried()
    server = proxy()
    await server.start()
    try:
        async with replica(service) as (_, address):
            await reached(server, address)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
                async with client.stream("GET", "/") as answer:
                    chunks = [chunk async for chunk in answer.aiter_raw()]
                head = await client.head("/")
    finally:
        await server.stop()
    # Each as it was sent, however many were written at once.
    assert chunks == [CHUNK] * CHUNKS
    assert (head.status_code, head.content) == (200, b"")
    # 16 KiB are 160 chunks of 109 bytes on the wire.
    assert 0 < service.let_on_after < CHUNKS // 4
