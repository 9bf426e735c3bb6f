"""What a proxy counts, in Prometheus' text format. All names of its metrics stand here."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _Application:
    __slots__ = ("buckets", "codes", "ongoing", "seconds")

    def __init__(self) -> None:
        self.codes: Counter[int | str] = Counter()
        self.ongoing = 0
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0


class Metrics:
    """Counts requests of all applications. `begin` and `end` frame each one."""

    def __init__(self) -> None:
        self._applications: dict[str, _Application] = {}
        self.ongoing = 0

    def begin(self, application: str) -> None:
        """A request has come."""
        counts = self._applications.get(application)
        if counts is None:
            counts = self._applications[application] = _Application()
        counts.ongoing += 1
        self.ongoing += 1

    def end(self, application: str, code: int | str, seconds: float) -> None:
        """The request is over, with its status; 499 if the client went away. Of gRPC, the status by name."""
        counts = self._applications[application]
        counts.ongoing -= 1
        self.ongoing -= 1
        counts.codes[code] += 1
        counts.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        counts.seconds += seconds

    def text(self) -> str:
        """Return everything for ``GET /metrics``."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        applications = sorted(self._applications.items())
        yield "# HELP remora_proxy_requests_total Requests answered, by application and status."
        yield "# TYPE remora_proxy_requests_total counter"
        for name, counts in applications:
            for code, count in sorted(counts.codes.items(), key=lambda entry: str(entry[0])):
                yield f'remora_proxy_requests_total{{application="{name}",code="{code}"}} {count}'
        yield "# HELP remora_proxy_requests_ongoing Requests that are being served."
        yield "# TYPE remora_proxy_requests_ongoing gauge"
        for name, counts in applications:
            yield f'remora_proxy_requests_ongoing{{application="{name}"}} {counts.ongoing}'
        yield "# HELP remora_proxy_request_seconds From the request's head to the last byte of its answer."
        yield "# TYPE remora_proxy_request_seconds histogram"
        for name, counts in applications:
            running = 0
            for bound, count in zip((*BUCKETS_S, float("inf")), counts.buckets, strict=True):
                running += count
                edge = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f'remora_proxy_request_seconds_bucket{{application="{name}",le="{edge}"}} {running}'
            yield f'remora_proxy_request_seconds_sum{{application="{name}"}} {counts.seconds:.6f}'
            yield f'remora_proxy_request_seconds_count{{application="{name}"}} {running}'
