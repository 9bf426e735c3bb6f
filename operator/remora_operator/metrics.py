"""Metrics: the one file with their names. Prometheus' text format, without a library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Metrics:
    """Counters, and functions that gauges ask."""

    clock: Callable[[], float]
    """Monotonic."""
    queue_depth: Callable[[], int] = lambda: 0
    applications: Callable[[], int] = lambda: 0
    leading: Callable[[], bool] = lambda: False
    _succeeded: int = 0
    _failed: int = 0
    _total_s: float = 0.0
    _buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))
    _watched: dict[str, float] = field(default_factory=dict)

    def reconciled(self, seconds: float) -> None:
        """Count a reconcile that went well."""
        self._succeeded += 1
        self._total_s += seconds
        for index, bound in enumerate(BUCKETS_S):
            self._buckets[index] += seconds <= bound

    def failed(self) -> None:
        """Count a reconcile that has to be tried again."""
        self._failed += 1

    def watched(self, kind: str) -> None:
        """Note that a watch has shown something."""
        self._watched[kind] = self.clock()

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        now = self.clock()
        lines = [
            *_metric("remora_operator_reconciles_total", "counter", "Reconciles by outcome."),
            f'remora_operator_reconciles_total{{outcome="success"}} {self._succeeded}',
            f'remora_operator_reconciles_total{{outcome="failure"}} {self._failed}',
            *_metric("remora_operator_reconcile_seconds", "histogram", "Duration of successful reconciles."),
            *(
                f'remora_operator_reconcile_seconds_bucket{{le="{bound}"}} {count}'
                for bound, count in zip(BUCKETS_S, self._buckets, strict=True)
            ),
            f'remora_operator_reconcile_seconds_bucket{{le="+Inf"}} {self._succeeded}',
            f"remora_operator_reconcile_seconds_sum {self._total_s:.6f}",
            f"remora_operator_reconcile_seconds_count {self._succeeded}",
            *_metric("remora_operator_queue_depth", "gauge", "Applications that wait to be reconciled."),
            f"remora_operator_queue_depth {self.queue_depth()}",
            *_metric("remora_operator_applications", "gauge", "Applications that are known."),
            f"remora_operator_applications {self.applications()}",
            *_metric("remora_operator_leading", "gauge", "1 while this operator leads."),
            f"remora_operator_leading {int(self.leading())}",
            *_metric("remora_operator_watch_age_seconds", "gauge", "Time since a watch last showed something."),
            *(
                f'remora_operator_watch_age_seconds{{kind="{kind}"}} {now - seen:.1f}'
                for kind, seen in sorted(self._watched.items())
            ),
        ]
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"
