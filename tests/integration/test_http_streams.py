"""Answers that come bit by bit: events, and back-pressure to the generator behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from remora import serve
from tests.fakes.served import served
from tests.fakes.services import until
from tests.integration.raw_http import get
from tests.integration.shop import Shop, seen


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


@serve.deployment
class Numbers:
    async def count(self, size: int) -> AsyncIterator[bytes]:
        made = 0
        try:
            while True:
                yield b"%d" % made + b" " * size
                made += 1
        finally:
            seen.append(("child ended", made))


@serve.deployment
class Streams:
    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers.options(stream=True)
        self.step = asyncio.Event()

    async def __call__(self, request: Request) -> Any:
        match request.url.path:
            case "/events":
                return StreamingResponse(self._events(), media_type="text/event-stream")
            case "/step":
                self.step.set()
                return "stepped"
            case "/child":
                return StreamingResponse(self._relayed())
            case "/plain":
                return self._plain()
            case _:
                return "ok"

    async def _events(self) -> AsyncIterator[str]:
        try:
            for number in range(3):
                yield f"data: {number}\n\n"
                await self.step.wait()
                self.step.clear()
            await asyncio.Event().wait()
        finally:
            seen.append("events ended")

    async def _relayed(self) -> AsyncIterator[bytes]:
        made = 0
        try:
            async for item in self.numbers.count.remote(50_000):
                yield item
                made += 1
        finally:
            seen.append(("relay ended", made))

    def _plain(self) -> Any:
        made = 0
        try:
            while True:
                yield "x" * 50_000
                made += 1
        finally:
            seen.append(("plain ended", made))


async def test_events_arrive_one_by_one_and_end_with_the_client() -> None:
    async with served(Streams.bind(Numbers.bind())) as app:
        async with app.client.stream("GET", "/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            parts = answer.aiter_text()
            for number in range(3):
                assert await asyncio.wait_for(anext(parts), 5) == f"data: {number}\n\n"
                assert (await app.client.get("/step")).text == "stepped"
            assert not seen
        await until(lambda: seen == ["events ended"])
        await until(lambda: app.is_quiet)


@pytest.mark.parametrize(
    ("bound", "path", "ends"),
    [
        (Streams.bind(Numbers.bind()), "/child", 2),
        (Streams.bind(Numbers.bind()), "/plain", 1),
        (Shop.bind(), "/forever", 1),
    ],
    ids=["through a handle", "a plain generator", "FastAPI"],
)
async def test_a_slow_reader_slows_the_generator_and_the_one_behind_it(bound: Any, path: str, ends: int) -> None:
    async with served(bound) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port, limit=1)
        writer.write(get(path))
        await reader.readexactly(10)
        for _ in range(100):  # The generators would have made gigabytes by then.
            assert (await app.client.get("/")).status_code == 200
        writer.transport.abort()
        await until(lambda: app.is_quiet and len(seen) == ends)
        # 50 kB each: what the windows and the kernels' buffers on the way hold, and no more.
        assert all(made < 400 for _, made in seen), seen
