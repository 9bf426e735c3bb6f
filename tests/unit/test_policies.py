"""The Prometheus policy against a small HTTP server with Prometheus' answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from remora.replica.policy import AutoscalingContext, Policies, Wish

CONTEXT = AutoscalingContext("app", "A", 1, 1, 0, 0, 0, 1, 10, 0.0)
POLICY = "remora.policies:prometheus"


class Prometheus:
    """Answers one thing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked: list[str] = []
        self.url = ""

    async def query(self, request: web.Request) -> web.Response:
        self.asked.append(request.query["query"])
        return web.json_response(self.answer)


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
    await runner.cleanup()


def vector(*values: str) -> dict[str, Any]:
    series = [{"metric": {}, "value": [1.0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": series}}


async def ask(prometheus: Prometheus, **args: Any) -> Wish | str:
    given = {"url": prometheus.url, "query": "sum(queue)", "per_replica": 10, **args}
    return await Policies().ask(POLICY, given, CONTEXT)


@pytest.mark.parametrize(("value", "replicas"), [("0", 0), ("1", 1), ("40", 4), ("41", 5), ("-3", 0)])
async def test_the_value_is_shared_among_replicas(prometheus: Prometheus, value: str, replicas: int) -> None:
    prometheus.answer = vector(value)
    assert await ask(prometheus) == Wish(replicas, {})
    assert prometheus.asked == ["sum(queue)"]


async def test_a_scalar_is_a_value_too(prometheus: Prometheus) -> None:
    prometheus.answer = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "25"]}}
    assert await ask(prometheus) == Wish(3, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (vector(), "gave 0 series"),
        (vector("1", "2"), "gave 2 series"),
        (vector("NaN"), "gave nan"),
        ({"status": "error", "error": "parse error"}, "was refused: parse error"),
        ("what", "was refused: no JSON object"),
    ],
)
async def test_what_is_no_value_is_said(prometheus: Prometheus, answer: Any, said: str) -> None:
    prometheus.answer = answer
    assert said in str(await ask(prometheus))


async def test_a_server_that_does_not_answer_is_named(prometheus: Prometheus) -> None:
    assert "http://127.0.0.1:1 does not answer" in str(await ask(prometheus, url="http://127.0.0.1:1"))
