"""Autoscaling policies that come with Remora; name one in ``autoscaling.policy.importPath``.

policy:
  importPath: remora.policies:prometheus
  args: {url: "http://prometheus.monitoring:9090", query: "sum(queue_length{queue='jobs'})", per_replica: 10}
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import aiohttp

from remora.errors import RemoraError
from remora.replica.policy import AutoscalingContext

_EPSILON = 1e-9
MAX_ANSWER_BYTES = 1 << 20
"""A query that gives one value is answered in a few hundred."""
MAX_REDIRECTS = 3


class NoAnswer(RemoraError):
    """A metrics server said nothing that could be used."""


async def prometheus(
    context: AutoscalingContext, *, url: str, query: str, per_replica: float, timeout_s: float = 5.0
) -> int:
    """Return as many replicas as a Prometheus query asks for: its value divided by ``per_replica``, rounded up.

    The query has to give one value: a scalar, or a vector of one series. Prometheus' HTTP API, GET /api/v1/query.
    Raises NoAnswer.
    """
    if not (_is_number(per_replica) and 0 < per_replica < math.inf):
        raise NoAnswer(f"per_replica is {per_replica!r}, and must be a number above 0")
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession() as session,
            session.get(
                f"{url.rstrip('/')}/api/v1/query", params={"query": query}, max_redirects=MAX_REDIRECTS
            ) as answer,
        ):
            body = await _body(answer)
    except TimeoutError as error:
        raise NoAnswer(f"{url} did not answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswer(f"{url} does not answer: {str(error) or type(error).__name__}") from error
    try:
        found = json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"{url} answered {answer.status}, and no JSON: is it Prometheus?") from error
    wanted = _value(found, query) / per_replica
    if not math.isfinite(wanted):
        raise NoAnswer(f"query {query!r} by {per_replica!r} for each replica is too many")
    return math.ceil(wanted - _EPSILON)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body, or raise NoAnswer rather than keep one without end."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswer(f"the answer is larger than {MAX_ANSWER_BYTES} bytes: make the query give one value")
    return bytes(body)


def _value(found: Any, query: str) -> float:
    if not isinstance(found, dict) or found.get("status") != "success":
        reason = found.get("error", "no reason") if isinstance(found, dict) else "no JSON object"
        raise NoAnswer(f"query {query!r} was refused: {reason}")
    try:
        kind, result = found["data"]["resultType"], found["data"]["result"]
        if kind == "vector" and len(result) == 1:
            value = float(result[0]["value"][1])
        elif kind == "scalar":
            value = float(result[1])
        else:
            raise NoAnswer(
                f"query {query!r} gave {len(result)} series of kind {kind}: make it one value, with sum(…) say"
            )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise NoAnswer(f"query {query!r} gave something that is no value of Prometheus: {error!r}") from error
    if not math.isfinite(value):
        raise NoAnswer(f"query {query!r} gave {value}")
    return max(0.0, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
