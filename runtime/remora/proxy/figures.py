"""Figures: how the revisions of an application do, over the last minute. Pure: time is an argument.

Kept only while an application has two revisions. What the operator reads decides whether a canary goes on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Collection, Iterator
from typing import Final

from remora.proxy.metrics import BUCKETS_S
from remora_api.wire import ProxyFigures, RevisionFigures

SLICE_S: Final = 5.0
SLICES: Final = 12
MAX_REVISIONS: Final = 64
"""Revisions that are counted at a time; the one that was seen first goes first."""


class _Slice:
    __slots__ = ("began", "buckets", "errors", "requests")

    def __init__(self, began: float) -> None:
        self.began = began
        self.requests = 0
        self.errors = 0
        self.buckets = [0] * (len(BUCKETS_S) + 1)


class Figures:
    """Counts answers by application and revision."""

    def __init__(self) -> None:
        self._slices: dict[tuple[str, str], deque[_Slice]] = {}
        self.codes: Counter[tuple[str, str, int]] = Counter()
        """All answers since the start, by application, revision and status."""
        self.mirrored: Counter[tuple[str, str, str]] = Counter()
        """Requests that were to be repeated, by application, revision, and what became of it."""

    def add(self, application: str, revision: str, code: int, seconds: float, now: float) -> None:
        """Count an answer. 499, the client having gone, is nobody's error."""
        slices = self._slices.get((application, revision))
        if slices is None:
            while len(self._slices) >= MAX_REVISIONS:
                del self._slices[next(iter(self._slices))]
            slices = self._slices[application, revision] = deque(maxlen=SLICES + 1)
        if not slices or now >= slices[-1].began + SLICE_S:
            slices.append(_Slice(now))
        current = slices[-1]
        current.requests += 1
        current.errors += code >= 500
        current.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.codes[application, revision, code] += 1

    def keep(self, routed: Collection[tuple[str, str]]) -> None:
        """Forget the last minute of revisions that get no requests any more: one that is tried again begins anew."""
        self._slices = {key: slices for key, slices in self._slices.items() if key in routed}

    def report(self, now: float) -> ProxyFigures:
        """Return the figures of the last minute."""
        return ProxyFigures(
            window_s=SLICE_S * SLICES,
            bounds_s=BUCKETS_S,
            revisions=tuple(
                _sum(application, revision, [it for it in slices if it.began > now - SLICE_S * SLICES])
                for (application, revision), slices in self._slices.items()
            ),
        )

    def lines(self) -> Iterator[str]:
        """Return the lines of the Prometheus text."""
        yield "# HELP remora_proxy_revision_requests_total Requests answered while two revisions ran, by revision."
        yield "# TYPE remora_proxy_revision_requests_total counter"
        for (application, revision, code), count in sorted(self.codes.items()):
            labels = f'application="{application}",revision="{revision}",code="{code}"'
            yield f"remora_proxy_revision_requests_total{{{labels}}} {count}"
        yield "# HELP remora_proxy_mirrored_total Requests to be repeated to a new revision, and what became of it."
        yield "# TYPE remora_proxy_mirrored_total counter"
        for (application, revision, outcome), count in sorted(self.mirrored.items()):
            labels = f'application="{application}",revision="{revision}",outcome="{outcome}"'
            yield f"remora_proxy_mirrored_total{{{labels}}} {count}"


def _sum(application: str, revision: str, slices: list[_Slice]) -> RevisionFigures:
    return RevisionFigures(
        application=application,
        revision=revision,
        requests=sum(it.requests for it in slices),
        errors=sum(it.errors for it in slices),
        buckets=tuple(sum(column) for column in zip(*(it.buckets for it in slices), strict=True))
        or (0,) * (len(BUCKETS_S) + 1),
    )
