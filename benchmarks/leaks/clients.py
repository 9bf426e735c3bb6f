"""Clients as small as they can be: that ask and wait, that go while they wait, and that go amid a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

HEAD_END = b"\r\n\r\n"


class WrongAnswer(Exception):
    """An answer was not what it should be; then nothing that is counted means anything."""


async def ask(port: int, count: int, path: str, expected: bytes, connections: int) -> None:
    """Send so many requests over kept connections and read every answer; raises WrongAnswer."""
    shares = [count // connections + (number < count % connections) for number in range(connections)]
    request = f"GET {path} HTTP/1.1\r\nHost: leaks\r\n\r\n".encode()

    async def some(share: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in range(share):
                writer.write(request)
                head = await reader.readuntil(HEAD_END)
                if not head.startswith(b"HTTP/1.1 200"):
                    raise WrongAnswer(f"{path}: {head!r}")
                body = await reader.readexactly(_length(head))
                if body != expected:
                    raise WrongAnswer(f"{path}: {body!r}")
        finally:
            writer.close()

    async with asyncio.TaskGroup() as tasks:
        for share in shares:
            tasks.create_task(some(share))


async def go_while_waiting(port: int, count: int, rng: Random, at_a_time: int) -> None:
    """Ask for what never comes, and go: at once, or when user code has been waiting for a while."""

    async def one() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hang HTTP/1.1\r\nHost: leaks\r\n\r\n")
        await asyncio.sleep(rng.random() * 0.02)
        writer.close()

    await _many(count, at_a_time, one)


async def go_mid_stream(port: int, count: int, rng: Random, at_a_time: int) -> None:
    """Ask for a stream without an end, read a little of it, and go; half of them by a reset."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: leaks\r\n\r\n")
        head = await reader.readuntil(HEAD_END)
        if not head.startswith(b"HTTP/1.1 200"):
            raise WrongAnswer(f"/endless: {head!r}")
        await reader.readexactly(1 + int(rng.random() * 5000))
        if rng.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()

    await _many(count, at_a_time, one)


async def _many(count: int, at_a_time: int, one: Callable[[], Awaitable[None]]) -> None:
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_a_time):
            tasks.create_task(some())


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongAnswer(f"no content-length: {head!r}")
