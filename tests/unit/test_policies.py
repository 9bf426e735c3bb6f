"""The Prometheus policy against a small HTTP server with Prometheus' answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from remora.replica.policy import Policies, Wish
from tests.unit.test_replica_policy import question

POLICY = "remora.policies:prometheus"


class Prometheus:
    """Answers one thing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.status = 200
        self.endless = False
        self.silent = asyncio.Event()
        self.asked: list[str] = []
        self.url = ""

    async def query(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.query["query"])
        if self.answer is None:
            await self.silent.wait()
        if self.endless:
            return await self._on_and_on(request)
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)

    async def _on_and_on(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"[" * 65536)
        except ConnectionError:
            return answer


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    made = Prometheus()
    app = web.Application()
    app.router.add_get("/api/v1/query", made.query)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.silent.set()
    await runner.cleanup()


def vector(*values: str) -> dict[str, Any]:
    series = [{"metric": {}, "value": [1.0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": series}}


async def ask(prometheus: Prometheus, **args: Any) -> Wish | str:
    given = {"url": prometheus.url, "query": "sum(queue)", "per_replica": 10, **args}
    said = await Policies().ask(question(POLICY, **given))
    return said if isinstance(said, str) else said["A"]


@pytest.mark.parametrize(("value", "replicas"), [("0", 0), ("1", 1), ("40", 4), ("41", 5), ("-3", 0)])
async def test_the_value_is_shared_among_replicas(prometheus: Prometheus, value: str, replicas: int) -> None:
    prometheus.answer = vector(value)
    assert await ask(prometheus) == Wish(replicas)
    assert prometheus.asked == ["sum(queue)"]


async def test_a_scalar_is_a_value_too(prometheus: Prometheus) -> None:
    prometheus.answer = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "25"]}}
    assert await ask(prometheus) == Wish(3)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (vector(), "gave 0 series"),
        (vector("1", "2"), "gave 2 series"),
        (vector("NaN"), "gave nan"),
        ({"status": "error", "error": "parse error"}, "was refused: parse error"),
        ("what", "was refused: no JSON object"),
        ({"status": "success"}, "is no value of Prometheus: KeyError('data')"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{}]}}, "is no value of Prometheus"),
        ({"status": "success", "data": {"resultType": "scalar", "result": None}}, "is no value of Prometheus"),
        (vector("many"), "is no value of Prometheus"),
        (b"<html>Bad gateway</html>", "and no JSON: is it Prometheus?"),
        (b"\xff\xfe", "and no JSON: is it Prometheus?"),
        (b"", "and no JSON: is it Prometheus?"),
    ],
)
async def test_what_is_no_value_is_said(prometheus: Prometheus, answer: Any, said: str) -> None:
    prometheus.answer = answer
    assert said in str(await ask(prometheus))


async def test_a_server_that_does_not_answer_is_named(prometheus: Prometheus) -> None:
    assert "http://127.0.0.1:1 does not answer" in str(await ask(prometheus, url="http://127.0.0.1:1"))


async def test_a_server_that_keeps_silent_is_waited_for_no_longer_than_said(prometheus: Prometheus) -> None:
    assert "did not answer within 0.2 s" in str(await ask(prometheus, timeout_s=0.2))


async def test_an_answer_without_end_is_cut_off(prometheus: Prometheus) -> None:
    prometheus.answer, prometheus.endless = b"", True
    assert "larger than 1048576 bytes" in str(await ask(prometheus))


async def test_an_answer_with_another_status_is_no_value(prometheus: Prometheus) -> None:
    prometheus.answer, prometheus.status = b"try later", 503
    assert "answered 503, and no JSON" in str(await ask(prometheus))


@pytest.mark.parametrize("per_replica", [0, -1, float("inf"), float("nan"), "10", True, None])
async def test_a_share_that_is_none_is_said(prometheus: Prometheus, per_replica: Any) -> None:
    prometheus.answer = vector("1")
    assert "must be a number above 0" in str(await ask(prometheus, per_replica=per_replica))


async def test_a_number_without_measure_is_said(prometheus: Prometheus) -> None:
    prometheus.answer = vector("1e308")
    assert "is too many" in str(await ask(prometheus, per_replica=1e-9))
