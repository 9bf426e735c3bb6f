"""What an application is told of its request: ids, traces, models, headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request

from remora import serve
from remora.handle import DeploymentHandle, context
from tests.fakes.served import served
from tests.integration.raw_http import get, raw


@serve.deployment
class Leaf:
    def __call__(self) -> dict[str, Any]:
        request = context.current()
        return {"id": request.request_id, "trace": dict(request.headers)}


@serve.deployment
class Told:
    """Answers with what it knows of its request, and what the deployment that it calls knows."""

    def __init__(self, leaf: DeploymentHandle) -> None:
        self.leaf = leaf

    async def __call__(self, request: Request) -> dict[str, Any]:
        current = context.current()
        return {
            "id": current.request_id,
            "model": serve.get_multiplexed_model_id(),
            "session": current.session_id,
            "trace": dict(current.headers),
            "route": current.route,
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw],
            "leaf": await self.leaf.remote(),
        }


async def test_ids_and_trace_reach_the_replica_and_its_calls() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-request-id": "mine", "traceparent": trace, "tracestate": "a=1", "x-session-id": "s-1"}
    async with served(Told.bind(Leaf.bind()), route_prefix="/told") as told:
        answer = await told.client.get("/told", headers=headers)
        knows = answer.json()
    expected = {"traceparent": trace, "tracestate": "a=1"}
    assert (knows["id"], knows["session"], knows["trace"], knows["route"]) == ("mine", "s-1", expected, "/told")
    assert knows["leaf"] == {"id": "mine", "trace": expected}
    assert answer.headers["x-request-id"] == "mine"


async def test_the_access_log_names_the_trace_where_there_is_one() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with served(Told.bind(Leaf.bind()), settings={"access_log": True}) as told:
        written = bytearray()
        assert told.proxy._access_log is not None
        told.proxy._access_log._write = written.extend
        await told.client.get("/", headers={"traceparent": trace})
        await told.client.get("/")
        await told.proxy._access_log.close()
    first, second = [json.loads(line) for line in written.splitlines()]
    assert (first["traceparent"], "traceparent" in second) == (trace, False)


async def test_an_id_is_made_where_the_client_has_none() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        first, second = [await told.client.get("/", headers={"x-request-id": ""}) for _ in range(2)]
    assert first.json()["id"] == first.json()["leaf"]["id"] == first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize(
    "name",
    [
        "serve_multiplexed_model_id",
        "serve-multiplexed-model-id",
        "Serve-Multiplexed-Model-Id",
        "serve_multiplexed-model_id",
    ],
)
async def test_a_model_is_asked_for_in_any_spelling(name: str) -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        assert (await told.client.get("/", headers={name: "m-7"})).json()["model"] == "m-7"
        assert (await told.client.get("/")).json()["model"] == ""


async def test_headers_arrive_lower_cased_doubled_and_in_order() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        lines = ["X-A: 1", "x-a: 2", "Cookie: a=1", "X-Latin: caf\xe9"]
        head = "\r\n".join(["GET / HTTP/1.1", "Host: x", *lines, "Connection: close"]).encode("latin-1")
        answer = await raw(told.port, head + b"\r\n\r\n")
        headers = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    assert [pair for pair in headers if pair[0].startswith("x-a")] == [["x-a", "1"], ["x-a", "2"]]
    assert ["x-latin", "caf\xe9"] in headers
    assert ["cookie", "a=1"] in headers


async def test_trailers_are_no_headers() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        head = get("/", "transfer-encoding: chunked", "x-mine: 1", method="POST")
        answer = await raw(told.port, head + b"2\r\nhi\r\n0\r\nx-request-id: smuggled\r\nx-evil: 1\r\n\r\n")
        names = [name for name, _ in json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]]
        assert b"smuggled" not in answer
        assert "x-mine" in names
        assert "x-evil" not in names
