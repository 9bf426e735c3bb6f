"""HTTP to our own servers: connections are used again, closed ones replaced, and broken answers are no answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from remora.http_connection import ConnectionBroken, Connections

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: Value\r\n\r\nok"
Answer = Callable[[int, int, asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer to the n-th request of the m-th connection."""


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[Connections, list[tuple[int, bytes]]]]:
    """Give connections to a server, and the requests that it got with the number of their connection."""
    seen: list[tuple[int, bytes]] = []
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        connection, count = number, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                count += 1
                seen.append((connection, head.partition(b"\r\n")[0] + b" " + await reader.readexactly(size)))
                await answer(connection, count, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connections = Connections(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 3)
    try:
        yield connections, seen
    finally:
        connections.close()
        server.close()


async def ok(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def test_a_connection_is_used_again() -> None:
    async with served(ok) as (connections, seen):
        for path in ("/a?b=c%20d", "/e"):
            response = await connections.request("PUT", path, {"X-Mine": "1"}, b"body")
            assert (response.status, response.body, response.headers["x-name"]) == (200, b"ok", "Value")
    assert seen == [(1, b"PUT /a?b=c%20d HTTP/1.1 body"), (1, b"PUT /e HTTP/1.1 body")]


def test_on_the_loop_of_proxies_and_replicas_too() -> None:
    async def ask() -> bytes:
        async with served(ok) as (connections, _):
            return (await connections.request("GET", "/", {}, b"")).body

    assert uvloop.run(ask()) == b"ok"


async def test_requests_at_a_time_have_a_connection_each() -> None:
    both = asyncio.Barrier(2)

    async def together(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        writer.write(OK)

    async with served(together) as (connections, seen):
        await asyncio.gather(*(connections.request("GET", "/", {}, b"") for _ in range(2)))
    assert sorted(connection for connection, _ in seen) == [1, 2]


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("PUT", True), ("POST", False)])
async def test_what_an_idle_connection_lost_unseen_is_sent_again_if_it_may(method: str, again: bool) -> None:
    async def once(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        if connection == 1 and count == 2:
            writer.transport.abort()
        else:
            writer.write(OK)

    async with served(once) as (connections, seen):
        await connections.request("GET", "/", {}, b"")
        if again:
            assert (await connections.request(method, "/", {}, b"")).body == b"ok"
        else:
            with pytest.raises(ConnectionBroken):
                await connections.request(method, "/", {}, b"")
    assert [connection for connection, _ in seen] == ([1, 1, 2] if again else [1, 1])


async def test_a_connection_that_was_never_used_before_is_not_tried_twice() -> None:
    async def never(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with served(never) as (connections, seen):
        with pytest.raises(ConnectionBroken):
            await connections.request("GET", "/", {}, b"")
    assert len(seen) == 1


@pytest.mark.parametrize("text", [OK[:-1], b"HTTP/1.1 200 OK\r\nContent-Le", b"220 mail.example ESMTP\r\n"])
async def test_half_an_answer_is_none(text: bytes) -> None:
    async def half(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK if count == 1 else text)
        if count == 2:
            await writer.drain()
            writer.close()

    async with served(half) as (connections, seen):
        await connections.request("GET", "/", {}, b"")
        with pytest.raises(ConnectionBroken) as caught:
            await connections.request("GET", "/", {}, b"")
        assert caught.value.answer_begun
    assert len(seen) == 2


async def test_chunks_and_what_is_only_informative_are_understood() -> None:
    async def chunked(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n")

    async with served(chunked) as (connections, _):
        for _ in range(2):
            response = await connections.request("GET", "/", {}, b"")
            assert (response.status, response.body) == (200, b"ok")
            assert "link" not in response.headers


async def test_a_server_that_closes_is_asked_on_another_connection() -> None:
    async def last(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK.replace(b"X-Name: Value", b"Connection: close"))

    async with served(last) as (connections, seen):
        for _ in range(2):
            await connections.request("GET", "/", {}, b"")
    assert [connection for connection, _ in seen] == [1, 2]


async def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    asked = asyncio.Event()

    async def first_never(connection: int, count: int, writer: asyncio.StreamWriter) -> None:
        asked.set()
        if connection > 1:
            writer.write(OK)

    async with served(first_never) as (connections, seen):
        waiting = asyncio.create_task(connections.request("GET", "/", {}, b""))
        await asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await connections.request("GET", "/", {}, b"")).body == b"ok"
    assert [connection for connection, _ in seen] == [1, 2]


async def test_what_could_become_another_header_is_not_sent() -> None:
    async with served(ok) as (connections, seen):
        for target in ("/a\r\nx: y", "/a b", "/ä"):
            with pytest.raises(ValueError, match="is not encoded"):
                await connections.request("GET", target, {}, b"")
    assert seen == []


@pytest.mark.parametrize("url", ["https://host:1", "none", "http://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        Connections(url, 3)
