"""Analysis: whether a canary does worse than the revision that serves, by what the proxies have counted.

Pure. The figures are those of the last minute, of all proxies together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remora_api import wire
from remora_api.v1alpha1 import Analysis, Quantile

_SHARES = {Quantile.P50: 0.5, Quantile.P90: 0.9, Quantile.P95: 0.95, Quantile.P99: 0.99}


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers of one revision."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[int, ...] = ()
    bounds_s: tuple[float, ...] = ()

    @property
    def error_percent(self) -> float:
        """Errors in a hundred answers."""
        return 100 * self.errors / self.requests if self.requests else 0.0

    def latency_s(self, share: float) -> float:
        """Return the duration that this share of the answers stayed below, between the bounds of its bucket."""
        wanted, reached, lower = share * sum(self.buckets), 0, 0.0
        for upper, count in zip(self.bounds_s, self.buckets, strict=False):
            if count and reached + count >= wanted:
                return lower + (upper - lower) * (wanted - reached) / count
            reached, lower = reached + count, upper
        return lower


def complaint(
    analysis: Analysis, figures: Iterable[wire.ProxyFigures], application: str, stable: str, updated: str
) -> str:
    """Return why a canary has to be given up; empty while nothing speaks against it."""
    told = tuple(figures)
    old, new = _tally(told, application, stable), _tally(told, application, updated)
    if new.requests < analysis.min_requests:
        return ""
    if new.error_percent - old.error_percent > analysis.max_error_percent:
        return (
            f"analysis: {new.error_percent:.1f} % of its {new.requests} answers in the last minute were errors, "
            f"{old.error_percent:.1f} % of those of {stable}; {analysis.max_error_percent} % more are allowed"
        )
    if analysis.max_latency_percent is None or old.requests < analysis.min_requests:
        return ""
    share = _SHARES[analysis.latency_quantile]
    before, after = old.latency_s(share), new.latency_s(share)
    if after > before * analysis.max_latency_percent / 100:
        return (
            f"analysis: its {analysis.latency_quantile.value} latency of the last minute was {after * 1000:.0f} ms, "
            f"that of {stable} {before * 1000:.0f} ms; {analysis.max_latency_percent} % of it are allowed"
        )
    return ""


def _tally(figures: tuple[wire.ProxyFigures, ...], application: str, revision: str) -> Tally:
    """Add up what the proxies say; one with other bounds (of another version) counts for errors only."""
    whole = Tally()
    for told in figures:
        for it in told.revisions:
            if (it.application, it.revision) != (application, revision):
                continue
            bounds = whole.bounds_s or told.bounds_s
            same = told.bounds_s == bounds
            buckets = whole.buckets or (0,) * len(it.buckets)
            whole = Tally(
                whole.requests + it.requests,
                whole.errors + it.errors,
                tuple(a + b for a, b in zip(buckets, it.buckets, strict=True)) if same else buckets,
                bounds,
            )
    return whole
