"""Autoscaling policies that come with Remora; name one in ``autoscaling.policy.importPath``.

policy:
  importPath: remora.policies:prometheus
  args: {url: "http://prometheus.monitoring:9090", query: "sum(queue_length{queue='jobs'})", per_replica: 10}
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import aiohttp

from remora.errors import RemoraError
from remora.replica.policy import AutoscalingContext

_EPSILON = 1e-9


class NoAnswer(RemoraError):
    """A metrics server said nothing that could be used."""


async def prometheus(
    context: AutoscalingContext, *, url: str, query: str, per_replica: float, timeout_s: float = 5.0
) -> int:
    """Return as many replicas as a Prometheus query asks for: its value divided by ``per_replica``, rounded up.

    The query has to give one value: a scalar, or a vector of one series. Prometheus' HTTP API, GET /api/v1/query.
    Raises NoAnswer.
    """
    if per_replica <= 0:
        raise NoAnswer(f"per_replica is {per_replica}, and must be above 0")
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession() as session,
            session.get(f"{url.rstrip('/')}/api/v1/query", params={"query": query}) as answer,
        ):
            found = await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswer(f"{url} does not answer: {str(error) or type(error).__name__}") from error
    return math.ceil(_value(found, query) / per_replica - _EPSILON)


def _value(found: Any, query: str) -> float:
    if not isinstance(found, dict) or found.get("status") != "success":
        reason = found.get("error", "no reason") if isinstance(found, dict) else "no JSON object"
        raise NoAnswer(f"query {query!r} was refused: {reason}")
    kind, result = found["data"]["resultType"], found["data"]["result"]
    if kind == "vector" and len(result) == 1:
        value = float(result[0]["value"][1])
    elif kind == "scalar":
        value = float(result[1])
    else:
        raise NoAnswer(f"query {query!r} gave {len(result)} series of kind {kind}: make it one value, with sum(…) say")
    if not math.isfinite(value):
        raise NoAnswer(f"query {query!r} gave {value}")
    return max(0.0, value)
