"""`http_client` and `signed_app` against each other, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from remora.http_client import Rejected, SignedClient, Unreachable, Untrusted
from remora.signed_app import signed
from tests.fakes.listening import listening


async def echo(request: Request, body: bytes) -> Response:
    if request.query_params.get("fail"):
        raise HTTPException(409, "that version is older than mine")
    return JSONResponse({"query": str(request.query_params), "body": body.decode()})


async def unsigned(request: Request) -> Response:
    return JSONResponse({})


@asynccontextmanager
async def serving(*keys: str) -> AsyncIterator[str]:
    app = Starlette(
        routes=[
            Route("/v1/echo/{name}", signed(echo, keys=lambda: keys, max_body_bytes=100), methods=["GET", "PUT"]),
            Route("/unsigned", unsigned),
        ]
    )
    async with listening(app) as url:
        yield url


async def test_a_holder_of_any_allowed_key_gets_a_trusted_answer() -> None:
    async with serving("old", "new") as url:
        for key in ("old", "new"):
            async with SignedClient(url, key) as client:
                answer = await client.get("/v1/echo/a%20b", {"epoch": "x y", "after": 3})
                assert answer.status == 200
                assert b"epoch=x+y&after=3" in answer.body
                assert b'"body":"{}"' in (await client.put("/v1/echo/a", b"{}")).body


async def test_a_stranger_is_refused_with_the_reason() -> None:
    async with serving("right") as url, SignedClient(url, "wrong") as client:
        with pytest.raises(Rejected, match="does not fit the key") as caught:
            await client.get("/v1/echo/a")
        assert caught.value.status == 401


async def test_an_old_request_is_refused() -> None:
    async with serving("right") as url, SignedClient(url, "right", clock=lambda: 1_000_000.0) as client:
        with pytest.raises(Rejected, match="check the clocks"):
            await client.get("/v1/echo/a")


async def test_an_answer_without_the_key_is_not_believed() -> None:
    async with serving("right") as url, SignedClient(url, "right") as client:
        with pytest.raises(Untrusted):
            await client.get("/unsigned")


async def test_a_large_body_is_refused_before_it_is_read() -> None:
    async with serving("right") as url, SignedClient(url, "right") as client:
        with pytest.raises(Rejected) as caught:
            await client.put("/v1/echo/a", b"x" * 101)
        assert caught.value.status == 413


async def test_an_error_of_the_handler_comes_with_its_words() -> None:
    async with serving("right") as url, SignedClient(url, "right") as client:
        with pytest.raises(Rejected, match="older than mine") as caught:
            await client.get("/v1/echo/a", {"fail": 1})
        assert caught.value.status == 409


async def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    async with SignedClient(f"http://127.0.0.1:{port}", "key") as client:
        with pytest.raises(Unreachable):
            await client.get("/v1/echo/a")
