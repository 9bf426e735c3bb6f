"""How requests end otherwise than with their answer: cancelled, timed out, vanished, or not to be encoded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from remora import serve
from remora.handle import DeploymentHandle
from tests.fakes.served import served
from tests.fakes.services import until
from tests.integration.raw_http import get
from tests.integration.shop import Shop, seen


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


@serve.deployment
class Deep:
    async def __call__(self, request: Any) -> None:
        seen.append("deep begins")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("deep cancelled")
            raise


@serve.deployment
class Middle:
    def __init__(self, deep: DeploymentHandle) -> None:
        self.deep = deep

    async def __call__(self, request: Any) -> Any:
        try:
            return await self.deep.remote("x")
        except asyncio.CancelledError:
            seen.append("middle cancelled")
            raise


@serve.deployment
class Top:
    def __init__(self, middle: DeploymentHandle) -> None:
        self.middle = middle

    async def __call__(self, request: Request) -> Any:
        try:
            return await self.middle.remote("x")
        except asyncio.CancelledError:
            seen.append("top cancelled")
            raise


async def test_a_client_that_goes_cancels_all_that_was_called_for_it() -> None:
    async with served(Top.bind(Middle.bind(Deep.bind()))) as app:
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(get("/"))
        await until(lambda: seen == ["deep begins"])
        writer.close()
        await until(lambda: app.is_quiet)
        assert sorted(seen[1:]) == ["deep cancelled", "middle cancelled", "top cancelled"]


async def test_a_timeout_cancels_all_that_was_called_for_it() -> None:
    async with served(Top.bind(Middle.bind(Deep.bind())), request_timeout_s=0.2) as app:
        answer = await app.client.get("/", headers={"x-request-id": "mine"})
        assert (answer.status_code, "mine" in answer.text, "0.2 s" in answer.text) == (408, True, True)
        assert answer.text.startswith("deployment 'Top' of application 'shop': ")
        await until(lambda: app.is_quiet)
        assert sorted(seen[1:]) == ["deep cancelled", "middle cancelled", "top cancelled"]


@serve.deployment
class Slow:
    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, request: Request) -> str:
        if request.url.path == "/open":
            self.gate.set()
            return "opened"
        seen.append("begins")
        try:
            await self.gate.wait()
            seen.append("ends")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "slow"


@pytest.mark.parametrize("value", ["0", "-1", "inf"])
async def test_a_client_may_ask_for_no_timeout(value: str) -> None:
    async with served(Slow.bind(), request_timeout_s=0.05) as app:
        slow = asyncio.create_task(app.client.get("/", headers={"x-request-timeout-seconds": value}))
        assert (await app.client.get("/")).status_code == 408
        assert not slow.done()
        await app.client.get("/open")
        assert (await slow).text == "slow"


async def test_a_timeout_that_is_no_number_is_the_application_s() -> None:
    async with served(Slow.bind(), request_timeout_s=0.05) as app:
        for value in ("soon", "", "nan"):
            assert (await app.client.get("/", headers={"x-request-timeout-seconds": value})).status_code == 408


@pytest.mark.parametrize("how", ["whole", "with a body to come"])
async def test_a_client_may_ask_that_its_request_go_on_without_it(how: str) -> None:
    async with served(Slow.bind()) as app:
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        lines = ["x-request-disconnect-disabled: ?1"]
        writer.write(get("/", *lines) if how == "whole" else get("/", *lines, "content-length: 100000", method="POST"))
        if how != "whole":
            writer.write(b"x" * 100_000)
        await until(lambda: seen == ["begins"])
        writer.close()
        assert (await app.client.get("/open")).text == "opened"
        await until(lambda: app.is_quiet)
        assert seen == ["begins", "ends"]


async def test_a_client_that_vanishes_in_the_middle_of_its_body_is_a_disconnect() -> None:
    async with served(Shop.bind()) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(get("/size", "content-length: 100", method="POST", body=b"x" * 50))
        await until(lambda: seen == [50])
        writer.transport.abort()
        await until(lambda: api.is_quiet)
        assert 'code="499"' in api.proxy.metrics.text()
        assert (await api.client.get("/")).status_code == 200


@serve.deployment
class Odd:
    def __call__(self, request: Request) -> Any:
        match request.url.path:
            case "/object":
                return object()
            case "/nested":
                return {"a": [1, {"b": object()}]}
            case "/circle":
                circle: list[Any] = []
                circle.append(circle)
                return circle
            case "/stream":
                return (item for item in ("a", "b", object()))
            case "/surrogate":
                return "\ud800"
            case _:
                return "ok"


async def test_what_cannot_be_encoded_is_500_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Odd.bind()) as api:
        for path in ("/object", "/nested", "/circle", "/surrogate"):
            answer = await api.client.get(path)
            assert (path, answer.status_code, answer.text) == (path, 500, "Internal Server Error")
        assert "deployment 'Odd'" in caplog.text
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete"):
            await api.client.get("/stream")
        assert (await api.client.get("/")).text == "ok"
