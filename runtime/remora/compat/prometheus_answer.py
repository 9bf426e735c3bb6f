"""What Prometheus answers to an instant query, with Ray Serve's names for it.

The format is that of Prometheus' HTTP API, GET /api/v1/query (https://prometheus.io/docs/prometheus/latest/querying/api).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class PrometheusScalar:
    """One value without labels."""

    value: float
    timestamp: float
    """Seconds since the epoch, as in `PrometheusSample`."""


@dataclass(frozen=True)
class PrometheusSample:
    """The value of one series of a vector."""

    labels: Mapping[str, str]
    value: float
    timestamp: float

    def __post_init__(self) -> None:
        """Keep a copy of the labels that nobody can change."""
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))


@dataclass(frozen=True)
class PrometheusVector:
    """The values of any number of series, of none as well."""

    samples: tuple[PrometheusSample, ...]

    def __post_init__(self) -> None:
        """Have a tuple of any sequence."""
        object.__setattr__(self, "samples", tuple(self.samples))


PrometheusQueryResult = PrometheusScalar | PrometheusVector


def result_in(body: bytes) -> PrometheusQueryResult | None:
    """Return the result in an answer's body; None for a scalar that is no number (NaN, an infinity).

    Series whose value is no number are left out. Raises ValueError with the reason for a query that was refused, and
    for what is neither a scalar nor a vector of plain values.
    """
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ValueError("the answer is no JSON: is it Prometheus?") from error
    if not isinstance(found, dict) or found.get("status") != "success":
        reason = found.get("error", "without a reason") if isinstance(found, dict) else "no JSON object"
        raise ValueError(f"the query was refused: {reason}")
    try:
        kind, result = found["data"]["resultType"], found["data"]["result"]
        if kind == "scalar":
            value, timestamp = _point(result)
            return PrometheusScalar(value, timestamp) if math.isfinite(value) else None
        if kind == "vector":
            samples = [PrometheusSample(_labels(one.get("metric", {})), *_point(one["value"])) for one in result]
            return PrometheusVector(tuple(sample for sample in samples if math.isfinite(sample.value)))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the answer holds something that is no value of Prometheus: {error!r}") from error
    raise ValueError(f"the answer is a {kind}: make the query give a scalar or an instant vector")


def one_value(result: PrometheusQueryResult) -> float | None:
    """Return the value of a scalar, or of a vector of one series; None of any other."""
    if isinstance(result, PrometheusScalar):
        return result.value
    return result.samples[0].value if len(result.samples) == 1 else None


def headers_in(text: str) -> dict[str, str]:
    """Return HTTP headers written as JSON: an object, or a list of pairs. Raises ValueError."""
    found = json.loads(text)
    pairs = list(found.items()) if isinstance(found, dict) else found
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(word, str) for word in pair)
        for pair in pairs
    ):
        raise ValueError("headers for Prometheus are a JSON object of strings, or a list of [name, value]")
    return dict(pairs)


def query_url(address: str) -> str:
    """Return where queries are asked: an address may lack its scheme and the path."""
    url = address.rstrip("/")
    if not url.startswith(("http://", "https://")):
        url = f"http://{url}"
    return url if url.endswith("/api/v1/query") else f"{url}/api/v1/query"


def _point(found: Any) -> tuple[float, float]:
    """Return value and timestamp of [timestamp, value]."""
    timestamp, value = found
    if not math.isfinite(float(timestamp)):
        raise ValueError(f"timestamp {timestamp}")
    return float(value), float(timestamp)


def _labels(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(word, str) for pair in found.items() for word in pair):
        raise ValueError("labels that are no strings")
    return found
