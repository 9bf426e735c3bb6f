"""Request: bodies that are there before the handler, and those that are not."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest
from starlette.requests import Request as StarletteRequest

from remora.compat.request import BadJson, Request
from remora.errors import RemoraError
from remora.types import WHOLE_BODY


class Client:
    """Sends a body in parts and counts what was received."""

    def __init__(self, *parts: bytes, **headers: str) -> None:
        self.parts = list(parts)
        self.headers = headers
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        part = self.parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    def request(self) -> Request:
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in self.headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"q=1", "headers": headers}
        return Request(scope, self.receive)


async def test_a_small_body_is_there_before_the_handler() -> None:
    client = Client(b'{"na', b'me": "Corey"}', content_length="17")
    request = client.request()
    await request.preload()
    assert client.received == 2
    assert request.json()["name"] == "Corey"
    assert await request.json() == {"name": "Corey"}
    assert await request.json()["name"] == "Corey"
    assert await request.body() == b'{"name": "Corey"}'
    assert isinstance(request, StarletteRequest)
    assert request.query_params["q"] == "1"


async def test_a_large_body_is_read_when_it_is_awaited_and_not_before() -> None:
    client = Client(b"[1, ", b"2]", content_length="99999999")
    request = client.request()
    await request.preload()
    assert client.received == 0
    pending = request.json()
    with pytest.raises(RemoraError, match="used without `await`"):
        pending["data"]
    assert await pending == [1, 2]
    assert request.json()[0] == 1


async def test_json_of_unknown_length_is_read_up_to_the_limit_and_nothing_is_lost() -> None:
    small = Client(b"[1", b"]", content_type="application/json; charset=utf-8").request()
    await small.preload()
    assert small.json()[0] == 1
    client = Client(b"[" + b"1," * 20, b"2]", content_type="application/json")
    large = client.request()
    await large.preload(limit_bytes=10)
    assert client.received == 1
    assert [len(part) async for part in large.stream() if part] == [41, 2]


async def test_a_stream_of_unknown_length_is_left_to_the_handler() -> None:
    client = Client(b"a", b"b", content_type="application/octet-stream", transfer_encoding="chunked")
    request = client.request()
    await request.preload()
    assert client.received == 0
    assert await request.body() == b"ab"


async def test_a_pool_thread_may_use_json_of_any_body_without_await() -> None:
    request = Client(b'{"data"', b": 1}", content_length="99999999").request()
    await request.preload()
    assert await asyncio.to_thread(lambda: request.json()["data"]) == 1


async def test_what_is_no_json_is_said_when_json_is_asked_for() -> None:
    for body in (b"no", b"", b"\xff\xfe\x00", b'{"a":'):
        request = Client(body, content_length=str(len(body))).request()
        await request.preload()
        with pytest.raises(BadJson):
            request.json()
        with pytest.raises(json.JSONDecodeError):
            await request.json()
        assert await request.body() == body


async def test_a_request_travels_with_its_body() -> None:
    request = Client(b'{"a": 1}', content_length="8", x_own="1").request()
    await request.preload()
    found = pickle.loads(pickle.dumps(request))
    assert found.json()["a"] == 1
    assert (found.method, found.url.path, found.query_params["q"], found.headers["x-own"]) == ("POST", "/x", "1", "1")
    assert await found.body() == b'{"a": 1}'


async def test_a_request_without_its_body_does_not_travel() -> None:
    request = Client(b"x", content_length="99999999").request()
    with pytest.raises(RemoraError, match="body was not read"):
        pickle.dumps(request)


async def test_a_body_that_came_with_the_head_is_there_at_once_and_is_not_received_again() -> None:
    client = Client(b'{"a": 1}')
    request = client.request()
    request.scope["extensions"] = {WHOLE_BODY: b'{"a": 1}'}
    await request.preload()
    assert client.received == 0
    assert request.json()["a"] == 1
    client.parts.append(b"what comes after it")
    assert (await request.receive())["body"] == b"what comes after it"
